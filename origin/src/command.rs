//! What the commands do.

mod buckets;
mod cost;
mod explain;
mod listener;
mod objects;
mod top;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::ValueEnum;
use http::Method;
use origin::acme::{Outcome, import_caddy};
use origin::admin::{Closing, Wish, ask};
use origin::config::{self, Config};
use origin::handover::Inheritance;
use origin::ranges::{self, Ranges};
use origin::run::{self, RunError};
use time::OffsetDateTime;

pub(crate) use buckets::{Buckets, buckets};
pub(crate) use cost::cost;
pub(crate) use explain::{Explain, explain};
pub(crate) use objects::{Objects, objects};
pub(crate) use top::{Top, top};

/// A position of a switch.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Switch {
    /// From now on
    On,
    /// No more
    Off,
    /// How it is
    Status,
}

/// What the operator is told, and the exit code.
pub(crate) struct Failure {
    pub(crate) said: String,
    pub(crate) code: u8,
}

pub(crate) fn check(file: &Path) -> Result<Option<String>, Failure> {
    let config = load(file)?;
    for warning in config::warnings(&config) {
        eprintln!("warning: {warning}");
    }
    let today = OffsetDateTime::now_utc().date();
    let known = config.state.as_ref().map(|state| state.folder.join(ranges::FILE)).filter(|file| file.exists());
    let old = Ranges::load(known.as_deref()).map_err(|said| Failure { said, code: 78 })?.age(today);
    if old > OLD {
        eprintln!("warning: the list of Cloudflare's addresses is {old} days old: origin ranges refresh");
    }
    Ok(Some(format!("good; {} site(s), {} bucket(s)", config.sites.len(), config.buckets.len())))
}

pub(crate) fn serve(file: &Path) -> Result<Option<String>, Failure> {
    let start = |error: RunError| Failure { said: format!("origin: {error}"), code: 1 };
    let mut inheritance = Inheritance::take().map_err(|error| start(error.into()))?;
    let served = load(file).and_then(|config| run::run(config, file, &mut inheritance).map_err(start));
    if let Err(failure) = &served {
        inheritance.failed(&failure.said);
    }
    served.map(|()| None)
}

pub(crate) fn purge(wish: &Wish, file: &Path) -> Result<Option<String>, Failure> {
    let failed = |said: String, code| Failure { said: format!("origin purge: {said}"), code };
    let scopes = wish.scopes().map_err(|error| failed(error, 2))?;
    let said = order("origin purge", file, &Method::POST, "/purge", wish)?;
    let done = format!("{} purged{}", scopes.len(), if wish.soft { ", softly" } else { "" });
    match said["zone"].as_str() {
        None => Ok(Some(done)),
        Some(why) => Err(failed(format!("{done}, but not in Cloudflare's own cache of the zone: {why}"), 1)),
    }
}

pub(crate) fn maintenance(what: Switch, closing: &Closing, file: &Path) -> Result<Option<String>, Failure> {
    const NAME: &str = "origin maintenance";
    let failed = |error| Failure { said: format!("{NAME}: {error}"), code: 2 };
    closing.order().map_err(failed)?;
    let method = match what {
        Switch::On => Method::POST,
        Switch::Off => Method::DELETE,
        Switch::Status => Method::GET,
    };
    let said = order(NAME, file, &method, "/maintenance", closing)?;
    let closed: Vec<Closing> = serde_json::from_value(said["closed"].clone()).unwrap_or_default();
    let list = |list: &[String], none: &str| if list.is_empty() { none.to_owned() } else { list.join(", ") };
    let told = closed.iter().map(|closing| {
        let (hosts, allow) = (list(&closing.host, "all sites"), list(&closing.allow, "nobody"));
        format!("closed: {hosts}; let in: {allow}; visitors come back after {} s", closing.retry)
    });
    Ok(Some(if closed.is_empty() { "open".to_owned() } else { told.collect::<Vec<_>>().join("; ") }))
}

/// Has the running gateway do something; gives what it says, which is JSON.
fn order(
    name: &str,
    file: &Path,
    method: &Method,
    path: &str,
    wish: &impl serde::Serialize,
) -> Result<serde_json::Value, Failure> {
    let failed = |said: String, code| Failure { said: format!("{name}: {said}"), code };
    let admin = listener::of(name, file)?;
    let json = serde_json::to_string(wish).map_err(|error| failed(error.to_string(), 1))?;
    let asked = ask(&admin, method, path, json);
    match asked.map_err(|error| failed(format!("the gateway can't be asked: {error}"), 1))? {
        (200, said) => Ok(serde_json::from_str(&said).unwrap_or_default()),
        (status, said) => Err(failed(format!("the gateway says {status}: {}", said.trim()), 1)),
    }
}

/// Says what became of each name, one a line.
pub(crate) fn import(folder: &Path, file: &Path) -> Result<Option<String>, Failure> {
    let failed = |said: String, code| Failure { said: format!("origin: {said}"), code };
    let nobody = "no site has acme_ask, so nobody would show these certificates";
    let acme = load(file)?.acme.ok_or_else(|| failed(nobody.to_owned(), 78))?;
    let all = import_caddy(folder, &acme).map_err(|error| failed(error.to_string(), 1))?;
    let (mut taken, mut refused) = (0, 0);
    for one in &all {
        let day = |time| humantime::format_rfc3339_seconds(time);
        match &one.outcome {
            Outcome::Taken(until) => {
                taken += 1;
                println!("{}: taken over from {}, good until {}", one.name, one.ca, day(*until));
            }
            Outcome::Kept(until) => println!("{}: kept ours, which is good until {}", one.name, day(*until)),
            Outcome::Refused(why) => {
                refused += 1;
                println!("{}: refused ({}): {why}", one.name, one.ca);
            }
        }
    }
    let said = format!("{taken} taken over, {} kept, {refused} refused", all.len() - taken - refused);
    if refused == 0 { Ok(Some(said)) } else { Err(Failure { said, code: 1 }) }
}

fn load(file: &Path) -> Result<Config, Failure> {
    let wrong = |said| Failure { said, code: 78 };
    let config = config::load(file).map_err(|error| wrong(error.to_string()))?;
    run::check_identity(&config).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
    Ok(config)
}

/// A rule that holds from now on.
#[derive(clap::Args)]
pub(crate) struct Block {
    /// What logs, metrics and the page call it: a to z, 0 to 9 and -
    #[arg(value_name = "NAME")]
    name: String,
    /// A client's address or range, as in 203.0.113.0/24
    #[arg(long, value_name = "RANGE")]
    address: Vec<String>,
    /// A path, with * for anything, as in '/search*'
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
    /// A host
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// A method
    #[arg(long, value_name = "METHOD")]
    method: Vec<String>,
    /// A whole User-Agent, with * for anything
    #[arg(long, value_name = "AGENT")]
    agent: Vec<String>,
    /// A country, as Cloudflare knows it
    #[arg(long, value_name = "CC")]
    country: Vec<String>,
    /// A network by its number, as Cloudflare knows it
    #[arg(long, value_name = "NUMBER")]
    asn: Vec<u32>,
    /// The status of the refusal
    #[arg(long, value_name = "STATUS", conflicts_with = "limit")]
    status: Option<u16>,
    /// A sentence for people, on the page
    #[arg(long, value_name = "TEXT", conflicts_with = "limit")]
    page: Option<String>,
    /// Do not refuse them, but have [rate.NAME] count them
    #[arg(long, value_name = "NAME")]
    limit: Option<String>,
    /// Do not refuse them, but ask for a check that only a person's browser passes ([turnstile])
    #[arg(long, conflicts_with_all = ["limit", "status", "page"])]
    challenge: bool,
    /// Only note what it would do
    #[arg(long)]
    dry_run: bool,
    /// How long it holds; without, until it is taken out
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    lasts: Option<std::time::Duration>,
    /// The configuration, whose [admin] says where the gateway listens
    #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
    pub(crate) config: PathBuf,
}

pub(crate) fn block(block: &Block) -> Result<Option<String>, Failure> {
    let action = match () {
        () if block.challenge => "challenge",
        () if block.limit.is_some() => "limit",
        () => "block",
    };
    let mut rule = serde_json::json!({
        "name": block.name,
        "action": action,
        "address": block.address,
        "path": block.path,
        "host": block.host,
        "method": block.method,
        "user_agent": block.agent,
        "country": block.country,
        "asn": block.asn,
        "status": block.status,
        "page": block.page,
        "limit": block.limit,
        "dry_run": block.dry_run,
    });
    config::read_rule(rule.clone()).map_err(|said| Failure { said: format!("origin block: {said}"), code: 2 })?;
    rule["seconds"] = block.lasts.map(|lasts| lasts.as_secs()).into();
    told(&order("origin block", &block.config, &Method::POST, "/rules", &rule)?)
}

pub(crate) fn unblock(name: &str, file: &Path) -> Result<Option<String>, Failure> {
    let wrong = || Failure { said: format!("origin unblock: `{name}` is no name of a rule"), code: 2 };
    let name = Some(name).filter(|name| edge::filter::line::is_name(name)).ok_or_else(wrong)?;
    told(&order("origin unblock", file, &Method::DELETE, &format!("/rules/{name}"), &())?)
}

pub(crate) fn blocks(file: &Path) -> Result<Option<String>, Failure> {
    told(&order("origin blocks", file, &Method::GET, "/rules", &())?)
}

fn told(said: &serde_json::Value) -> Result<Option<String>, Failure> {
    let rules = said["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |rule: &serde_json::Value| {
        let left = rule["seconds"].as_u64().map(std::time::Duration::from_secs);
        let left = left.map_or_else(String::new, |left| format!(" ({} left)", humantime::format_duration(left)));
        format!("\n{}{left}", rule["rule"].as_str().unwrap_or_default())
    };
    let count = if rules.is_empty() { "no rule".to_owned() } else { format!("{} rule(s)", rules.len()) };
    Ok(Some(format!("{count}{}", rules.iter().map(line).collect::<String>())))
}

/// A list is old after so many days: Cloudflare changes it every few years, and says so a month ahead.
const OLD: i64 = 180;

/// What to do with the list of Cloudflare's addresses.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum RangesDo {
    /// Ask Cloudflare for it
    Refresh,
    /// Print the one in use
    Show,
}

pub(crate) fn ranges(
    what: RangesDo,
    file: Option<PathBuf>,
    api: &str,
    ca: Option<&Path>,
    config: &Path,
) -> Result<Option<String>, Failure> {
    let failed = |said: String| Failure { said: format!("origin ranges: {said}"), code: 1 };
    let file = match file {
        Some(file) => file,
        None => {
            let config = config::load(config).map_err(|error| Failure { said: error.to_string(), code: 78 })?;
            let nowhere = || failed("the configuration has no [state] to keep it in: name a file".to_owned());
            config.state.ok_or_else(nowhere)?.folder.join(ranges::FILE)
        }
    };
    let known = Ranges::load(file.exists().then_some(file.as_path()));
    if let RangesDo::Show = what {
        return known.map(|ranges| Some(format!("\n{}", ranges.text().trim_end()))).map_err(failed);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(error.to_string()))?;
    // What is there stays until there is something better.
    let new = runtime.block_on(Ranges::ask(api, ca, OffsetDateTime::now_utc().date())).map_err(failed)?;
    let beside = file.with_extension("new");
    let written = std::fs::write(&beside, new.text()).and_then(|()| std::fs::rename(&beside, &file));
    written.map_err(|error| failed(format!("`{}` cannot be written: {error}", file.display())))?;
    let list = |nets: Vec<_>, sign| nets.iter().map(|net: &ipnet::IpNet| format!(" {sign}{net}")).collect::<String>();
    let changed = known.map(|known| list(new.without(&known), '+') + &list(known.without(&new), '-'));
    let changed = changed.ok().filter(|changed| !changed.is_empty()).unwrap_or_else(|| " as before".to_owned());
    Ok(Some(format!("{} ranges,{changed}; a reload takes them into use", new.count())))
}

/// Makes a key and says where it goes; the key alone goes to standard output.
pub(crate) fn keygen(id: Option<String>) -> Result<Option<String>, Failure> {
    let today = OffsetDateTime::now_utc().date();
    let id = id.unwrap_or_else(|| format!("edge-{today}"));
    let line = format!("{id}:{}", STANDARD.encode(rand::random::<[u8; 32]>()));
    contract::Keys::parse(&line).map_err(|error| Failure { said: format!("origin keygen: {error}"), code: 2 })?;
    eprintln!(
        "A key for edge and gateway. To bring it in without a request refused:
  1. gateway  add the line below as the LAST line of /etc/origin/edge.keys; systemctl restart origin
  2. Worker   wrangler secret put EDGE_KEY --env \"\"   with the line below alone
  3. gateway  once the log shows no request signed with the old key, take the old line out; restart
Where there is no key yet, the line is all of edge.keys, and all of EDGE_KEY.
"
    );
    println!("{line}");
    Ok(None)
}

/// Prints the zone's custom rules.
pub(crate) fn zone_rules(file: &Path) -> Result<Option<String>, Failure> {
    let rules = config::zone_rules(file).map_err(|error| Failure { said: error.to_string(), code: 78 })?;
    println!("{rules}");
    Ok(None)
}
