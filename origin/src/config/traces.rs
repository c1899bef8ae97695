//! `[traces]`: where spans of requests are sent, and of which requests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde::{Deserialize, Serialize};

use super::Fault;
use super::log::share;
use super::probe::is_loopback;
use super::value::Span;

/// `[traces]` as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TracesSection {
    url: String,
    headers_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    #[serde(default = "sample")]
    sample: f64,
    #[serde(default = "slow")]
    slow: Span,
    #[serde(default)]
    follow: bool,
    #[serde(default = "queue")]
    queue: u32,
    #[serde(default = "within")]
    within: Span,
}

/// Where spans go, and of which requests there are any.
#[derive(Clone, Debug)]
pub struct Traces {
    /// The collector's URL for traces, by OTLP over HTTP.
    pub url: Uri,
    /// What is said to it with each batch; secret.
    pub headers: HeaderMap,
    /// The authority that its certificate is from; else those of the system.
    pub ca: Option<PathBuf>,
    /// The share of requests that are traced, from 0 to 1.
    pub sample: f64,
    /// The head of an answer that takes so long is slow, and the request traced in any case.
    pub slow: Duration,
    /// Whether a request is traced that a client calls sampled.
    pub follow: bool,
    /// Requests that wait to be sent, 1 to 100,000; a further one is lost.
    pub queue: u32,
    /// For which a batch is tried, 1 s to 5 min; then it is lost.
    pub within: Duration,
}

const fn sample() -> f64 {
    0.1
}

const fn slow() -> Span {
    Span(Duration::from_secs(1))
}

const fn queue() -> u32 {
    2_048
}

const fn within() -> Span {
    Span(Duration::from_secs(30))
}

pub(super) fn check(section: TracesSection, faults: &mut Vec<Fault>) -> Option<Traces> {
    let before = faults.len();
    let sample = share("traces.sample", section.sample, faults);
    let mut fault = |key: &str, what: String| faults.push(Fault::new(format!("traces.{key}"), what));
    let url = section.url.parse::<Uri>().ok().filter(|url| {
        let safe = match url.scheme_str() {
            Some("https") => url.host().is_some(),
            // What goes there names visitors.
            Some("http") => url.host().is_some_and(is_loopback),
            _ => false,
        };
        safe && url.query().is_none() && !section.url.contains(['@', '#'])
    });
    if url.is_none() {
        // It is not shown: whoever writes a user and a password into it has one there.
        let what = "is not a collector's URL: write one with https, or with http on loopback, without a user or a query, as in \"http://127.0.0.1:4318/v1/traces\"";
        fault("url", what.to_owned());
    }
    let headers = section.headers_file.as_deref().map(read_headers).transpose();
    let headers = headers.map_err(|what| fault("headers_file", what)).ok();
    if let Some(ca) = &section.ca
        && let Err(e) = std::fs::File::open(ca)
    {
        fault("ca", format!("`{}` cannot be read: {e}", ca.display()));
    }
    if !(1..=100_000).contains(&section.queue) {
        let what = format!("{} is out of range: write 1 to 100000 requests, as in 2048", section.queue);
        fault("queue", what);
    }
    let within = section.within.0;
    if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&within) {
        let what = format!("{} is out of range: 1 s to 5 min, as in \"30s\"", humantime::format_duration(within));
        fault("within", what);
    }
    (faults.len() == before).then_some(Traces {
        url: url?,
        headers: headers?.unwrap_or_default(),
        ca: section.ca,
        sample: sample?,
        slow: section.slow.0,
        follow: section.follow,
        queue: section.queue,
        within,
    })
}

/// Fields, one a line, as in `Authorization: Bearer …`. What is wrong with them is said without them.
fn read_headers(path: &Path) -> Result<HeaderMap, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| format!("`{shown}` cannot be read: {e}"))?;
    let mut headers = HeaderMap::new();
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = || {
            let n = n + 1;
            format!(
                "`{shown}`, line {n}, is no field: write its name, a colon and its value, as in Authorization: Bearer …"
            )
        };
        let (name, value) = line.split_once(':').ok_or_else(wrong)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value.trim()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}
