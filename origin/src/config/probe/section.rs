//! A probe as written.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::database::needs_tls;
use super::kind::Kind;
use crate::config::value::Span;
use crate::config::written;

/// `fall` and `rise` where they are left out.
pub(super) const COUNT: u32 = 2;

/// A probe as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct ProbeSection {
    pub(super) kind: Kind,
    pub(super) service: Option<String>,
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    pub(super) every: Option<Span>,
    pub(super) within: Option<Span>,
    pub(super) fall: Option<u32>,
    pub(super) rise: Option<u32>,
    pub(super) vital: Option<bool>,
    pub(super) degraded: Option<String>,
    pub(super) down: Option<String>,
    pub(super) host: Option<String>,
    pub(super) path: Option<String>,
    pub(super) expect: Option<u16>,
    pub(super) url: Option<String>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) ca: Option<PathBuf>,
    pub(super) component: Option<String>,
    pub(super) database: Option<String>,
    pub(super) tls: Option<bool>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) query: Option<String>,
    pub(super) bucket: Option<String>,
    pub(super) canary: Option<String>,
    pub(super) file: Option<PathBuf>,
    pub(super) folder: Option<PathBuf>,
}

/// Keys that belong to another kind, and those that are missing.
pub(super) fn own_keys(section: &ProbeSection, fault: &mut impl FnMut(&str, String)) {
    let given = [
        ("host", section.host.is_some()),
        ("path", section.path.is_some()),
        ("expect", section.expect.is_some()),
        ("url", section.url.is_some()),
        ("token_file", section.token_file.is_some()),
        ("ca", section.ca.is_some()),
        ("component", section.component.is_some()),
        ("database", section.database.is_some()),
        ("tls", section.tls.is_some()),
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

/// Fills in what a probe's section leaves out.
pub(in crate::config) fn fill_in(section: &mut Table, name: &str) {
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
    if let Some(far) = section.get("database").and_then(Value::as_str).map(needs_tls) {
        written::default(section, "tls", far);
    }
}
