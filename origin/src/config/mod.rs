//! The configuration: one TOML file, read in one place, checked whole before anything binds a port.
//!
//! [`load`] gives a [`Config`] that holds only what is right, or every fault that was found, each naming key, value and what
//! would be right. Nothing is on unless its section is there.

mod acme;
mod app;
mod bucket;
mod changes;
mod check;
mod cloudflare;
mod filter;
mod headers;
mod health;
mod log;
mod peer;
mod probe;
mod rate;
mod section;
mod site;
mod timing;
mod token;
mod traces;
mod turnstile;
mod upkeep;
mod upload;
mod value;
mod warnings;
mod webhook;
mod wording;
mod written;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use edge::Sampling;
use edge::challenge::Terms;
use edge::filter::Ruleset;
use edge::headers::Headers;

pub use acme::Acme;
pub use app::{App, Check, Protocol, Upstream};
pub use bucket::{Bucket, Credentials};
pub use changes::changes;
pub use cloudflare::Cloudflare;
pub use filter::read_rule;
pub use health::Health;
pub use peer::Peer;
pub use probe::{Database, Measure, Probe, Url, What};
pub use rate::{Rate, RateKey};
pub use section::{Admin, Cache, Compress, Edge, Limits, Listen, State, Storage, Timeouts, Tls};
pub use site::{HealthOwner, HostPattern, KeyPair, Site, Trust};
pub use token::Token;
pub use traces::Traces;
pub use turnstile::Turnstile;
pub use upkeep::{Setting, Upkeep};
pub use upload::UploadRoute;
pub use value::{AdminAddress, AppAddress, Size, Span};
pub use warnings::warnings;
pub use webhook::{Scheme, Secrets, Webhook};
pub use written::Written;

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, and on how many cores.
    pub listen: Listen,
    /// Certificate and the authority of client certificates.
    pub tls: Option<Tls>,
    /// The edge's keys.
    pub edge: Option<Edge>,
    /// Certificates on first use, where a site has `acme_ask`.
    pub acme: Option<Acme>,
    /// The private listener.
    pub admin: Option<Admin>,
    /// Our zone at Cloudflare, where we may ask for something there.
    pub cloudflare: Option<Cloudflare>,
    /// The other gateway before the same sites, where there is one.
    pub peer: Option<Peer>,
    /// What outlives the process, where anything does.
    pub state: Option<State>,
    /// The status page and what is kept for it, where wanted.
    pub health: Option<Health>,
    /// What is looked at in the background, by name, besides the apps.
    pub probes: Vec<Probe>,
    /// The request filter's rules, where there is one.
    pub filter: Option<Arc<Ruleset>>,
    /// The widget that challenges visitors, where there is one.
    pub turnstile: Option<Turnstile>,
    /// What is added to answers and removed from them, where anything is.
    pub headers: Option<Headers>,
    /// The cache.
    pub cache: Cache,
    /// Content codings, where wanted.
    pub compress: Option<Compress>,
    /// Which requests are logged, where not all are.
    pub log: Option<Sampling>,
    /// Where spans of requests are sent, where anywhere.
    pub traces: Option<Traces>,
    /// What whoever is told where a request's time goes must show.
    pub timing: Option<Token>,
    /// Bounds on what a client may send.
    pub limits: Limits,
    /// How long to wait for whom.
    pub timeouts: Timeouts,
    /// How often one client may do something, by name.
    pub rates: Vec<Rate>,
    /// Senders that show who they are, by name.
    pub webhooks: Vec<Webhook>,
    /// Routes where clients upload, by name.
    pub uploads: Vec<UploadRoute>,
    /// The sites, in the order of the file.
    pub sites: Vec<Site>,
    /// The buckets by role.
    pub buckets: Vec<Bucket>,
    /// Bounds on our own calls to them.
    pub storage: Storage,
    /// How it was written down.
    pub written: Written,
}

/// All that is wrong with a configuration file.
#[derive(Debug)]
pub struct ConfigError {
    file: String,
    faults: Vec<Fault>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key, as a path such as `site[0].app`; empty for the file as a whole.
    pub key: String,
    /// What is wrong and what would be right.
    pub what: String,
}

impl Fault {
    fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.faults.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            match fault.key.as_str() {
                "" => write!(f, "{}: {}", self.file, fault.what)?,
                key => write!(f, "{}: {key}: {}", self.file, fault.what)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Reads and checks a file, and the files that it names (keys, credentials).
pub fn load(file: &Path) -> Result<Config, ConfigError> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|e| ConfigError {
        file: name.clone(),
        faults: vec![Fault::new("", format!("cannot be read: {e}"))],
    })?;
    parse(&text).map_err(|faults| ConfigError { file: name, faults })
}

/// The same from text.
pub fn parse(text: &str) -> Result<Config, Vec<Fault>> {
    let file = sections(text).map_err(|fault| vec![fault])?;
    let mut sections = toml::Table::try_from(&file).unwrap_or_default();
    let mut config = check::check(file)?;
    written::fill_in(&mut sections, &config);
    config.written = Written::new(text, &sections);
    Ok(config)
}

/// The `[admin]` of a configuration, for whoever only asks the gateway that runs. Nothing else is checked: the secrets that the rest names are the
/// service's, and no shell has them.
pub fn admin(file: &Path) -> Result<Option<Admin>, ConfigError> {
    let failed = |faults| ConfigError { file: file.display().to_string(), faults };
    let text =
        std::fs::read_to_string(file).map_err(|e| failed(vec![Fault::new("", format!("cannot be read: {e}"))]))?;
    let read = sections(&text).map_err(|fault| failed(vec![fault]))?;
    let mut faults = Vec::new();
    let admin = read.admin.and_then(|section| check::admin(section, &mut faults));
    if faults.is_empty() { Ok(admin) } else { Err(failed(faults)) }
}

/// The rules of a configuration's `[filter]`, its `[headers]`, its `[log]`, and what challenges need of it, in lines, as the Worker gets them; `None` where there is nothing. Nothing else is checked: the
/// files that the configuration names are the server's. Only the file of rules may lie beside it.
pub fn edge_rules(file: &Path) -> Result<Option<String>, ConfigError> {
    let name = file.display().to_string();
    let failed = |faults| ConfigError { file: name.clone(), faults };
    let text =
        std::fs::read_to_string(file).map_err(|e| failed(vec![Fault::new("", format!("cannot be read: {e}"))]))?;
    let mut read = sections(&text).map_err(|fault| failed(vec![fault]))?;
    if let Some(rules) = read.filter.as_mut().and_then(|filter| filter.rules.as_mut())
        && !rules.exists()
        && let Some(beside) = rules.file_name().and_then(|name| Some(file.parent()?.join(name)))
    {
        *rules = beside;
    }
    let mut faults = Vec::new();
    let rules = filter::check(read.filter.as_ref(), &read.site, &mut faults);
    let headers = read.headers.map(|section| headers::check(&section, &mut faults).to_string());
    let mut terms = read.turnstile.as_ref().map(|section| turnstile::terms(section, &mut faults)).unwrap_or_default();
    terms.for_programs = read.webhook.values().map(|section| section.path.as_str().into()).collect();
    let sampling = read.log.and_then(|section| log::check(&section, &mut faults));
    if !faults.is_empty() {
        return Err(failed(faults));
    }
    let terms = (terms != Terms::default()).then(|| terms.to_string());
    let sampling = sampling.map(|sampling| sampling.to_string());
    let all = [headers, terms, sampling, rules.map(|rules| rules.to_string())];
    Ok(all.iter().any(Option::is_some).then(|| all.into_iter().flatten().collect()))
}

/// The zone's custom rules that go with a configuration's `[filter]`, as Cloudflare's API takes them. Nothing else is checked.
pub fn zone_rules(file: &Path) -> Result<String, ConfigError> {
    let lines = edge_rules(file)?;
    let is_filters = |line: &&str| !["headers\t", "challenge\t", "log\t"].iter().any(|other| line.starts_with(other));
    let lines = lines.map(|lines| lines.lines().filter(is_filters).collect::<Vec<_>>().join("\n"));
    let rules = lines.filter(|lines| !lines.is_empty()).and_then(|lines| Ruleset::parse(&lines).ok());
    let none = || ConfigError {
        file: file.display().to_string(),
        faults: vec![Fault::new("filter", "is not there: the zone's rules are those of the filter")],
    };
    let rules = rules.ok_or_else(none)?;
    // The zone knows no sites: what one excepts is excepted for all.
    let mut off: Vec<&str> = rules.sites.iter().flat_map(|site| site.off.iter().map(|path| &**path)).collect();
    off.sort_unstable();
    off.dedup();
    let rule = |rule: edge::filter::zone::ZoneRule| serde_json::json!({ "action": "block", "description": rule.description, "expression": rule.expression });
    let all: Vec<_> = edge::filter::zone::rules(&off).into_iter().map(rule).collect();
    Ok(serde_json::to_string_pretty(&serde_json::json!({ "rules": all })).unwrap_or_default())
}

fn sections(text: &str) -> Result<section::File, Fault> {
    let document = toml::Deserializer::parse(text).map_err(|e| Fault::new("", syntax(&e)))?;
    serde_path_to_error::deserialize(document).map_err(|e| {
        let key = e.path().to_string();
        Fault::new(if key == "." { "" } else { &key }, syntax(e.inner()))
    })
}

/// What toml says, with its line, without the drawing that it adds for terminals.
fn syntax(error: &toml::de::Error) -> String {
    let message = wording::plain(&error.message().trim_end_matches('\n').replace('\n', ", "));
    let drawn = error.to_string();
    match drawn.split_once("at line ").and_then(|(_, rest)| rest.split_once(',')) {
        Some((line, _)) => format!("line {line}: {message}"),
        None => message,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Bucket, parse};

    /// The bucket `files` in path style at AWS's example host, with these further keys.
    pub(crate) fn bucket(keys: &str) -> Bucket {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = folder.path().join("key");
        std::fs::write(&file, "READER:0123456789abcdef0123456789abcdef").expect("written");
        std::fs::write(folder.path().join("writer"), "WRITER:fedcba9876543210fedcba9876543210").expect("written");
        let keys = keys.replace("WRITER", &folder.path().join("writer").display().to_string());
        let text = format!(
            "listen.http = [\"127.0.0.1:0\"]\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"\n\
             [bucket.files]\nurl = \"https://s3.example/files\"\ncredentials_file = {file:?}\n{keys}"
        );
        parse(&text).unwrap_or_else(|faults| panic!("{faults:?}")).buckets.remove(0)
    }
}
