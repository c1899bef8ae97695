//! `[probe.NAME]`: what is looked at in the background, how often, and when it is degraded or down.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderValue, Uri};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::app::App;
use super::site::{HostPattern, Site};
use super::value::Span;
use super::{Bucket, Fault, written};
use crate::health::Bounds;

/// Probes at most.
const MOST: usize = 64;

/// A probe as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProbeSection {
    kind: Kind,
    service: Option<String>,
    #[serde(default)]
    hosts: Vec<String>,
    every: Option<Span>,
    within: Option<Span>,
    fall: Option<u32>,
    rise: Option<u32>,
    vital: Option<bool>,
    degraded: Option<String>,
    down: Option<String>,
    host: Option<String>,
    path: Option<String>,
    expect: Option<u16>,
    url: Option<String>,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    component: Option<String>,
    database: Option<String>,
    password_file: Option<PathBuf>,
    query: Option<String>,
    bucket: Option<String>,
    canary: Option<String>,
    file: Option<PathBuf>,
    folder: Option<PathBuf>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    App,
    Postgres,
    PostgresLag,
    PostgresConnections,
    PostgresArchive,
    Bucket,
    Http,
    StatusPage,
    Monitor,
    Report,
    Certificates,
    Disk,
    Memory,
    Descriptors,
    Clock,
}

/// A probe.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Its name, in logs, metrics and details.
    pub name: String,
    /// The service that it is a part of, as people and the monitor call it.
    pub service: String,
    /// The hosts whose sites it concerns; none for all.
    pub hosts: Vec<HostPattern>,
    /// How often it looks.
    pub every: Duration,
    /// How long one look may take.
    pub within: Duration,
    /// Results in a row that make it worse.
    pub fall: u32,
    /// Results in a row that make it better.
    pub rise: u32,
    /// Whether the site can't serve while this is down.
    pub vital: bool,
    /// What its figure is worth.
    pub bounds: Bounds,
    /// What it looks at.
    pub what: What,
}

/// What a probe looks at.
#[derive(Clone, Debug)]
pub enum What {
    /// An app: whether it accepts connections and, with a path, answers.
    App {
        /// Where it is.
        app: App,
        /// The `Host` that it is asked for.
        host: String,
        /// The path that is asked for.
        path: Option<String>,
        /// The status of a good answer; else any 2xx.
        expect: Option<u16>,
        /// Whether its answer is health of the shape of ours, to be read.
        health: bool,
    },
    /// PostgreSQL.
    Postgres {
        /// Where it is, and as whom.
        database: Database,
        /// What is asked.
        measure: Measure,
    },
    /// A bucket, by its role.
    Bucket {
        /// The role.
        role: String,
        /// The key of a small object that is written and read.
        canary: Option<String>,
    },
    /// An address that answers.
    Http {
        /// The address.
        url: Url,
        /// The status of a good answer; else any 2xx.
        expect: Option<u16>,
    },
    /// A vendor's document on its own state.
    StatusPage {
        /// The address.
        url: Url,
        /// The part of the vendor's that matters; all, where there is none.
        component: Option<String>,
    },
    /// The monitor that watches us from outside.
    Monitor {
        /// The address.
        url: Url,
    },
    /// A file in which a job says how it went.
    Report {
        /// The file.
        file: PathBuf,
    },
    /// The certificates of files: days until the first ends.
    Certificates,
    /// The file system of a folder: percent of its bytes in use.
    Disk {
        /// The folder.
        folder: PathBuf,
    },
    /// The machine's memory: percent in use.
    Memory,
    /// File descriptors of this process: percent in use.
    Descriptors,
    /// This machine's clock: seconds between it and a server's.
    Clock {
        /// The server's address.
        url: Url,
    },
}

/// What PostgreSQL is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// A query that succeeds; `SELECT 1` where there is none of the app's.
    Query(Option<String>),
    /// Seconds by which the standby that is furthest behind is behind, here or, on a standby, this one.
    Lag,
    /// Percent of `max_connections` in use.
    Connections,
    /// Seconds since a WAL file was archived; PostgreSQL's `archive_timeout` bounds them where all is well.
    Archive,
}

/// How to reach a database. The password never shows.
#[derive(Clone)]
pub struct Database(pub(crate) tokio_postgres::Config);

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({:?}, {:?})", self.0.get_hosts(), self.0.get_dbname())
    }
}

/// An address that is asked, as whom, and by which authority it is known.
#[derive(Clone, Debug)]
pub struct Url {
    /// The address: https, or http on loopback.
    pub uri: Uri,
    /// What it is shown; marked as sensitive.
    pub bearer: Option<HeaderValue>,
    /// A PEM file of authorities; else the system's.
    pub ca: Option<PathBuf>,
}

/// What a kind's figure is counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Millis,
    Seconds,
    DaysLeft,
    Percent,
}

/// What a kind does where nothing is said.
struct Defaults {
    unit: Unit,
    degraded: Option<&'static str>,
    down: Option<&'static str>,
    every: u64,
    within: u64,
    vital: bool,
}

impl Kind {
    const fn defaults(self) -> Defaults {
        let (unit, degraded, down, every, within, vital) = match self {
            Self::App => (Unit::Millis, None, None, 5, 2, true),
            Self::Postgres => (Unit::Millis, None, None, 10, 5, true),
            Self::PostgresLag => (Unit::Seconds, Some("30s"), Some("5m"), 30, 5, false),
            Self::PostgresConnections => (Unit::Percent, Some("80%"), Some("95%"), 30, 5, false),
            Self::PostgresArchive => (Unit::Seconds, Some("15m"), Some("1h"), 60, 5, false),
            Self::Bucket => (Unit::Millis, None, None, 60, 10, false),
            Self::Http | Self::StatusPage | Self::Monitor => (Unit::Millis, None, None, 60, 10, false),
            Self::Report => (Unit::Millis, None, None, 60, 5, false),
            Self::Certificates => (Unit::DaysLeft, Some("14d"), Some("0s"), 60, 5, false),
            Self::Disk => (Unit::Percent, Some("85%"), Some("95%"), 60, 5, false),
            Self::Memory => (Unit::Percent, Some("90%"), Some("97%"), 30, 5, false),
            Self::Descriptors => (Unit::Percent, Some("80%"), Some("95%"), 30, 5, false),
            Self::Clock => (Unit::Seconds, Some("2s"), Some("5s"), 300, 10, false),
        };
        Defaults { unit, degraded, down, every, within, vital }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Postgres => "postgres",
            Self::PostgresLag => "postgres-lag",
            Self::PostgresConnections => "postgres-connections",
            Self::PostgresArchive => "postgres-archive",
            Self::Bucket => "bucket",
            Self::Http => "http",
            Self::StatusPage => "status-page",
            Self::Monitor => "monitor",
            Self::Report => "report",
            Self::Certificates => "certificates",
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Clock => "clock",
        }
    }

    /// The keys of its own that it takes, and whether it needs them.
    const fn keys(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::App => &[("host", true), ("path", false), ("expect", false)],
            Self::Postgres => &[("database", true), ("password_file", false), ("query", false)],
            Self::PostgresLag | Self::PostgresConnections | Self::PostgresArchive => {
                &[("database", true), ("password_file", false)]
            }
            Self::Bucket => &[("bucket", true), ("canary", false)],
            Self::Http => &[("url", true), ("token_file", false), ("ca", false), ("expect", false)],
            Self::StatusPage => &[("url", true), ("token_file", false), ("ca", false), ("component", false)],
            Self::Monitor => &[("url", true), ("token_file", false), ("ca", false)],
            Self::Clock => &[("url", true), ("ca", false)],
            Self::Report => &[("file", true)],
            Self::Disk => &[("folder", true)],
            Self::Certificates | Self::Memory | Self::Descriptors => &[],
        }
    }
}

impl What {
    /// The kind's name, as the configuration has it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::App { .. } => "app",
            Self::Postgres { measure: Measure::Query(_), .. } => "postgres",
            Self::Postgres { measure: Measure::Lag, .. } => "postgres-lag",
            Self::Postgres { measure: Measure::Connections, .. } => "postgres-connections",
            Self::Postgres { measure: Measure::Archive, .. } => "postgres-archive",
            Self::Bucket { .. } => "bucket",
            Self::Http { .. } => "http",
            Self::StatusPage { .. } => "status-page",
            Self::Monitor { .. } => "monitor",
            Self::Report { .. } => "report",
            Self::Certificates => "certificates",
            Self::Disk { .. } => "disk",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Clock { .. } => "clock",
        }
    }
}

/// What of the configuration probes refer to.
pub(super) struct Around<'a> {
    pub(super) sites: &'a [Site],
    pub(super) buckets: &'a [Bucket],
    pub(super) tls: bool,
}

pub(super) fn check_all(
    sections: BTreeMap<String, ProbeSection>,
    around: &Around<'_>,
    faults: &mut Vec<Fault>,
) -> Vec<Probe> {
    if sections.len() > MOST {
        faults.push(Fault::new("probe", format!("there are {}: {MOST} are the most", sections.len())));
    }
    sections.into_iter().filter_map(|(name, section)| check(&name, &section, around, faults)).collect()
}

fn check(name: &str, section: &ProbeSection, around: &Around<'_>, faults: &mut Vec<Fault>) -> Option<Probe> {
    let before = faults.len();
    let mut fault = |key: &str, what: String| {
        let dot = if key.is_empty() { "" } else { "." };
        faults.push(Fault::new(format!("probe.{name}{dot}{key}"), what));
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        fault("", "a probe's name is lower-case letters, digits and dashes, as in [probe.database]".to_owned());
    }
    let kind = section.kind;
    let defaults = kind.defaults();
    own_keys(section, &mut fault);
    let service = section.service.clone().unwrap_or_else(|| name.to_owned());
    if service.is_empty() || service.len() > 60 || service.chars().any(char::is_control) {
        fault("service", "is not a name: write up to 60 characters, as in \"S3 storage\"".to_owned());
    }
    let mut hosts = Vec::with_capacity(section.hosts.len());
    for (n, text) in section.hosts.iter().enumerate() {
        match HostPattern::parse(text).ok().filter(|host| around.sites.iter().any(|site| site.hosts.contains(host))) {
            Some(host) => hosts.push(host),
            None => fault(&format!("hosts[{n}]"), format!("`{text}` is no site's host: write one as its site does")),
        }
    }
    let every = section.every.map_or(Duration::from_secs(defaults.every), |every| every.0);
    if !(Duration::from_secs(1)..=Duration::from_secs(86_400)).contains(&every) {
        fault("every", "is out of range: write 1 s to 1 day, as in \"30s\"".to_owned());
    }
    let within = section.within.map_or(Duration::from_secs(defaults.within), |within| within.0);
    if within > Duration::from_secs(60) {
        fault("within", "is out of range: write up to 1 min, as in \"5s\"".to_owned());
    }
    let mut count = |key: &str, given: Option<u32>| {
        let count = given.unwrap_or(COUNT);
        if !(1..=100).contains(&count) {
            fault(key, format!("{count} is out of range: write 1 to 100 results, as in 2"));
        }
        count
    };
    let (fall, rise) = (count("fall", section.fall), count("rise", section.rise));
    let mut bound = |key: &str, given: Option<&str>, default: Option<&str>| {
        let read = given.or(default).filter(|text| *text != "never").map(|text| defaults.unit.read(text)).transpose();
        read.unwrap_or_else(|what| {
            fault(key, what);
            None
        })
    };
    let bounds = Bounds {
        degraded: bound("degraded", section.degraded.as_deref(), defaults.degraded),
        down: bound("down", section.down.as_deref(), defaults.down),
        less_is_worse: defaults.unit == Unit::DaysLeft,
    };
    if let (Some(degraded), Some(down)) = (bounds.degraded, bounds.down)
        && (if bounds.less_is_worse { degraded < down } else { degraded > down })
    {
        fault("down", "comes before `degraded`: what is down is worse".to_owned());
    }
    let what = what(name, section, around, &mut fault);
    if faults.len() > before {
        return None;
    }
    let vital = section.vital.unwrap_or(defaults.vital);
    Some(Probe { name: name.to_owned(), service, hosts, every, within, fall, rise, vital, bounds, what: what? })
}

/// `fall` and `rise` where they are left out.
const COUNT: u32 = 2;

/// Keys that belong to another kind, and those that are missing.
fn own_keys(section: &ProbeSection, fault: &mut impl FnMut(&str, String)) {
    let given = [
        ("host", section.host.is_some()),
        ("path", section.path.is_some()),
        ("expect", section.expect.is_some()),
        ("url", section.url.is_some()),
        ("token_file", section.token_file.is_some()),
        ("ca", section.ca.is_some()),
        ("component", section.component.is_some()),
        ("database", section.database.is_some()),
        ("password_file", section.password_file.is_some()),
        ("query", section.query.is_some()),
        ("bucket", section.bucket.is_some()),
        ("canary", section.canary.is_some()),
        ("file", section.file.is_some()),
        ("folder", section.folder.is_some()),
    ];
    let (kind, keys) = (section.kind.as_str(), section.kind.keys());
    for (key, is_given) in given {
        match keys.iter().find(|(known, _)| *known == key) {
            None if is_given => fault(key, format!("is nothing to kind = \"{kind}\": take it out")),
            Some((_, true)) if !is_given => fault(key, format!("is missing: kind = \"{kind}\" needs it")),
            _ => {}
        }
    }
}

fn what(name: &str, section: &ProbeSection, around: &Around<'_>, fault: &mut impl FnMut(&str, String)) -> Option<What> {
    if let Some(expect) = section.expect
        && !(100..600).contains(&expect)
    {
        fault("expect", format!("{expect} is no status: write 100 to 599, as in 200"));
    }
    let expect = section.expect;
    Some(match section.kind {
        Kind::App => {
            let (host, path) = (section.host.as_deref()?, section.path.as_deref());
            if let Some(path) = path
                && (!path.starts_with('/') || !path.bytes().all(|b| b.is_ascii_graphic()) || path.contains('#'))
            {
                fault("path", format!("`{path}` is not a path: write one that begins with /, as in \"/healthz\""));
            }
            let Some(site) = site_of(around.sites, host, path.unwrap_or("/")) else {
                fault("host", format!("`{host}` is no site's host: write one as its site does"));
                return None;
            };
            What::App { app: site.app.clone(), host: named(host), path: path.map(Into::into), expect, health: false }
        }
        Kind::Postgres | Kind::PostgresLag | Kind::PostgresConnections | Kind::PostgresArchive => {
            let measure = match section.kind {
                Kind::PostgresLag => Measure::Lag,
                Kind::PostgresConnections => Measure::Connections,
                Kind::PostgresArchive => Measure::Archive,
                _ => Measure::Query(section.query.clone()),
            };
            let database = database(name, section.database.as_deref()?, section.password_file.as_deref());
            match database {
                Ok(database) => What::Postgres { database, measure },
                Err((key, what)) => {
                    fault(key, what);
                    return None;
                }
            }
        }
        Kind::Bucket => {
            let role = section.bucket.clone()?;
            if !around.buckets.iter().any(|bucket| bucket.role == role) {
                fault("bucket", format!("there is no [bucket.{role}]"));
            }
            if let Some(canary) = &section.canary
                && let Err(what) = crate::storage::key::check(canary)
            {
                fault("canary", format!("`{}` {what}: write a key as in \"health/canary\"", canary.escape_default()));
            }
            What::Bucket { role, canary: section.canary.clone() }
        }
        Kind::Http => What::Http { url: url(section, fault)?, expect },
        Kind::StatusPage => What::StatusPage { url: url(section, fault)?, component: section.component.clone() },
        Kind::Monitor => What::Monitor { url: url(section, fault)? },
        Kind::Clock => What::Clock { url: url(section, fault)? },
        Kind::Report => What::Report { file: section.file.clone()? },
        Kind::Certificates => {
            if !around.tls {
                fault("kind", "\"certificates\" needs a [tls] section".to_owned());
            }
            What::Certificates
        }
        Kind::Disk => {
            let folder = section.folder.clone()?;
            if !folder.is_dir() {
                fault("folder", format!("`{}` is not a folder", folder.display()));
            }
            What::Disk { folder }
        }
        Kind::Memory => What::Memory,
        Kind::Descriptors => What::Descriptors,
    })
}

/// A name that a server can be asked for.
fn named(host: &str) -> String {
    match host.trim_start_matches("*.") {
        "*" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

/// The site that requests for a host and path go to.
fn site_of<'a>(sites: &'a [Site], host: &str, path: &str) -> Option<&'a Site> {
    let host = HostPattern::parse(host).ok()?;
    let length = |site: &Site| -> Option<usize> {
        match site.paths[..] {
            [] => Some(0),
            _ => site.paths.iter().filter(|p| crate::sites::is_below(path, p)).map(String::len).max(),
        }
    };
    let fitting = sites.iter().filter(|site| site.hosts.contains(&host));
    fitting.filter_map(|site| Some((length(site)?, site))).max_by_key(|(length, _)| *length).map(|(_, site)| site)
}

fn database(name: &str, text: &str, password: Option<&Path>) -> Result<Database, (&'static str, String)> {
    // What is wrong with it may be the password in it.
    let wanted = "write it as in \"host=/run/postgresql user=origin dbname=makenotwork\"";
    let mut config: tokio_postgres::Config =
        text.parse().map_err(|_| ("database", format!("is not a connection string: {wanted}")))?;
    if config.get_password().is_some() {
        return Err(("database", format!("holds a password, which goes into password_file: {wanted}")));
    }
    let near = |host: &tokio_postgres::config::Host| match host {
        tokio_postgres::config::Host::Unix(_) => true,
        tokio_postgres::config::Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    };
    if config.get_hosts().is_empty() || !config.get_hosts().iter().all(near) || config.get_user().is_none() {
        let what = format!("needs a host, a Unix socket's folder or on loopback, and a user: {wanted}");
        return Err(("database", what));
    }
    let credential = || {
        Some(Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join(format!("probe-{name}")))
            .filter(|p| p.exists())
    };
    if let Some(path) = password.map(Path::to_owned).or_else(credential) {
        let read = std::fs::read_to_string(&path);
        let read = read.map_err(|e| ("password_file", format!("`{}` cannot be read: {e}", path.display())))?;
        config.password(read.trim_end_matches(['\r', '\n']));
    }
    config.application_name("origin health");
    Ok(Database(config))
}

fn url(section: &ProbeSection, fault: &mut impl FnMut(&str, String)) -> Option<Url> {
    let uri = section.url.as_deref()?.parse::<Uri>().ok().filter(|uri| {
        let loopback = uri.host().is_some_and(|host| {
            host == "localhost"
                || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        });
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        plain && (uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && loopback))
    });
    if uri.is_none() {
        // Not repeated: a token may stand in it.
        fault("url", "is not an https URL, as in \"https://status.example/api/v2/summary.json\"".to_owned());
    }
    let bearer = match section.token_file.as_deref().map(|path| (path, std::fs::read_to_string(path))) {
        None => None,
        Some((path, Err(e))) => {
            fault("token_file", format!("`{}` cannot be read: {e}", path.display()));
            None
        }
        Some((path, Ok(text))) => match HeaderValue::try_from(format!("Bearer {}", text.trim())) {
            Ok(mut value) if !text.trim().is_empty() => {
                value.set_sensitive(true);
                Some(value)
            }
            _ => {
                fault("token_file", format!("`{}` does not hold a token in one line", path.display()));
                None
            }
        },
    };
    if let Some(ca) = &section.ca
        && let Err(e) = std::fs::File::open(ca)
    {
        fault("ca", format!("`{}` cannot be read: {e}", ca.display()));
    }
    Some(Url { uri: uri?, bearer, ca: section.ca.clone() })
}

impl Unit {
    /// A bound as written, in what figures are counted in.
    fn read(self, text: &str) -> Result<f64, String> {
        if self == Unit::Percent {
            let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
            return percent.filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(|| {
                format!("`{text}` is not a share: write 0 to 100 percent, as in \"85%\", or \"never\"")
            });
        }
        let span = humantime::parse_duration(text).map_err(|_| {
            format!("`{text}` is not a duration: write a number and its unit, as in \"500ms\" or \"14d\", or \"never\"")
        })?;
        let seconds = span.as_secs_f64();
        Ok(match self {
            Self::Millis => seconds * 1_000.0,
            Self::DaysLeft => seconds / 86_400.0,
            Self::Seconds | Self::Percent => seconds,
        })
    }
}

/// Fills in what a probe's section leaves out.
pub(super) fn fill_in(section: &mut Table, name: &str) {
    let Some(kind) = section.get("kind").cloned().and_then(|kind| kind.try_into::<Kind>().ok()) else { return };
    let defaults = kind.defaults();
    let seconds = |seconds| written::span(Span(Duration::from_secs(seconds)));
    written::default(section, "service", name);
    written::default(section, "every", seconds(defaults.every));
    written::default(section, "within", seconds(defaults.within));
    written::default(section, "fall", Value::from(i64::from(COUNT)));
    written::default(section, "rise", Value::from(i64::from(COUNT)));
    written::default(section, "vital", defaults.vital);
    written::default(section, "degraded", defaults.degraded.unwrap_or("never"));
    written::default(section, "down", defaults.down.unwrap_or("never"));
}
