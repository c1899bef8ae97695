//! Whether the probes that are written can be, and what they come to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::database::database;
use super::kind::{Kind, Unit};
use super::section::{COUNT, ProbeSection};
use super::url::url;
use super::{Measure, Probe, What, section};
use crate::config::site::{HostPattern, Site};
use crate::config::{Bucket, Fault};
use crate::health::Bounds;

/// Probes at most.
const MOST: usize = 64;

/// What of the configuration probes refer to.
pub(in crate::config) struct Around<'a> {
    pub(in crate::config) sites: &'a [Site],
    pub(in crate::config) buckets: &'a [Bucket],
    pub(in crate::config) tls: bool,
}

pub(in crate::config) fn check_all(
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
    section::own_keys(section, &mut fault);
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
            What::Postgres { database: database(name, section, fault)?, measure }
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
