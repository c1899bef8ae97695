//! `[rate.NAME]`: how often one client may do something.

use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderName, Method};
use serde::{Deserialize, Serialize};

use super::Fault;
use super::check::path_begins;
use super::value::Span;

/// As written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RateSection {
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    methods: Vec<String>,
    key: Option<String>,
    burst: u32,
    every: Span,
    keep: Option<u32>,
}

/// A limit.
#[derive(Clone, Debug)]
pub struct Rate {
    /// Its name, in answers and metrics.
    pub name: String,
    /// The hosts it is about; none for all.
    pub hosts: Vec<String>,
    /// The beginnings of paths it is about; none for all.
    pub paths: Vec<String>,
    /// The methods it is about; none for all.
    pub methods: Vec<Method>,
    /// Whose requests are counted together.
    pub key: RateKey,
    /// Requests at once.
    pub burst: NonZeroU32,
    /// After which time there is one more.
    pub every: Duration,
    /// How many keys are remembered.
    pub keep: u32,
    /// Whether rules of the filter name it: then it counts what they send to it.
    pub by_rule: bool,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// One client's: an IPv4 address, or an IPv6 /64.
    Client,
    /// Those with one value of a field; those without it are not counted.
    Field(HeaderName),
}

/// Keys of one limit that are remembered.
const KEEP: u32 = 100_000;

pub(super) fn check(name: &str, section: RateSection, faults: &mut Vec<Fault>) -> Option<Rate> {
    let before = faults.len();
    let mut fault = |key: &str, what: String| faults.push(Fault::new(format!("rate.{name}{key}"), what));
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        fault("", "a limit's name is lower-case letters, digits and dashes, as in [rate.sign-in]".to_owned());
    }
    let hosts: Vec<String> = section.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    for host in &hosts {
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
            fault(".hosts", format!("`{host}` is no host: write its name alone, as in \"makenot.work\""));
        }
    }
    for (n, path) in section.paths.iter().enumerate() {
        if let Err(what) = path_begins(path) {
            fault(&format!(".paths[{n}]"), what);
        }
    }
    let mut methods = Vec::new();
    for method in &section.methods {
        match Method::from_bytes(method.as_bytes()) {
            Ok(known) if method.bytes().all(|b| b.is_ascii_uppercase()) => methods.push(known),
            _ => fault(".methods", format!("`{method}` is no method: write capitals, as in \"POST\"")),
        }
    }
    let key = match section.key.as_deref() {
        None | Some("client") => Some(RateKey::Client),
        Some(name) => HeaderName::try_from(name).map(RateKey::Field).ok(),
    };
    if key.is_none() {
        fault(".key", "is neither \"client\" nor the name of a field, as in \"authorization\"".to_owned());
    }
    let burst = NonZeroU32::new(section.burst);
    if burst.is_none() {
        fault(".burst", "0 lets nothing through: write 1 or more".to_owned());
    }
    let every = section.every.0;
    if !(Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&every) {
        fault(".every", format!("{} is out of range: 1 ms to 1 day", humantime::format_duration(every)));
    }
    let keep = section.keep.unwrap_or(KEEP);
    if !(1_000..=10_000_000).contains(&keep) {
        fault(".keep", format!("{keep} is out of range: 1000 to 10000000 keys"));
    }
    if faults.len() > before {
        return None;
    }
    Some(Rate {
        name: name.to_owned(),
        hosts,
        paths: section.paths,
        methods,
        key: key?,
        burst: burst?,
        every,
        keep,
        by_rule: false,
    })
}
