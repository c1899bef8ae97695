//! The part of `[bucket.ROLE]` that says how the bucket itself is to be: `origin buckets` makes it so.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::value::Span;
use super::{Fault, HostPattern, Site};

const DAY: u64 = 86_400;

/// Something that a bucket has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Setting {
    /// Who the bucket as a whole is open to.
    Acl,
    /// What is overwritten or deleted is kept as an older version.
    Versioning,
    /// Which pages' scripts may use it.
    Cors,
    /// What goes by itself, and when.
    Lifecycle,
    /// What its keys may do.
    Policy,
}

impl Setting {
    /// All of them, in the order in which they are set.
    pub const ALL: [Self; 5] = [Self::Acl, Self::Versioning, Self::Lifecycle, Self::Cors, Self::Policy];

    /// As in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acl => "acl",
            Self::Versioning => "versioning",
            Self::Cors => "cors",
            Self::Lifecycle => "lifecycle",
            Self::Policy => "policy",
        }
    }
}

/// How a bucket is to be.
#[derive(Clone, Debug)]
pub struct Upkeep {
    /// For how many days a version is kept that has been overwritten or deleted, at least 1.
    pub keep_versions: i32,
    /// For how many days the parts of an upload are kept that nobody completes, at least 1.
    pub keep_parts: i32,
    /// The origins whose scripts may upload and read.
    pub origins: Vec<String>,
    /// What its server has nothing of, as the operator knows.
    pub lacks: Vec<Setting>,
    /// What policies call the write-only key, where it is not as at Ceph.
    pub write_principal: Option<String>,
}

/// The same as written.
pub(super) struct Written {
    pub(super) keep_versions: Option<Span>,
    pub(super) keep_parts: Option<Span>,
    pub(super) origins: Option<Vec<String>>,
    pub(super) lacks: Vec<Setting>,
    pub(super) write_principal: Option<String>,
}

pub(super) fn check(role: &str, written: Written, sites: &[Site], faults: &mut Vec<Fault>) -> Upkeep {
    let mut fault = |key: &str, what: String| faults.push(Fault::new(format!("bucket.{role}.{key}"), what));
    let mut days = |key: &str, span: Option<Span>, usual: u64| {
        let span = span.map_or(Duration::from_secs(usual * DAY), |span| span.0);
        let days = i32::try_from(span.as_secs() / DAY).unwrap_or(i32::MAX);
        if days == 0 || span.subsec_nanos() != 0 || !span.as_secs().is_multiple_of(DAY) {
            let shown = humantime::format_duration(span);
            fault(key, format!("{shown} is not a number of whole days: write at least 1, as in \"30days\""));
        }
        days
    };
    let keep_versions = days("keep_versions", written.keep_versions, 30);
    let keep_parts = days("keep_parts", written.keep_parts, 1);
    for (n, origin) in written.origins.iter().flatten().enumerate() {
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'[' | b']' | b'*');
        if host.is_empty() || !host.bytes().all(plain) || host.matches('*').count() > 1 {
            let what = "is no origin: write scheme and host as in \"https://makenot.work\", with at most one * for some labels";
            fault(&format!("origins[{n}]"), what.to_owned());
        }
    }
    if let Some(name) = &written.write_principal
        && !name.starts_with("arn:")
    {
        fault("write_principal", "is no name of a key: write it as in \"arn:aws:iam:::user/PROJECT:KEY\"".to_owned());
    }
    let origins = written.origins.unwrap_or_else(|| of(sites));
    Upkeep { keep_versions, keep_parts, origins, lacks: written.lacks, write_principal: written.write_principal }
}

/// The sites' own origins. One for any host has none that could be named.
fn of(sites: &[Site]) -> Vec<String> {
    let mut origins: Vec<String> = Vec::new();
    for host in sites.iter().flat_map(|site| &site.hosts).filter(|host| **host != HostPattern::Any) {
        let origin = format!("https://{host}");
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    origins
}
