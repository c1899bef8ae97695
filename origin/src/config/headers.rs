//! `[headers]`: what answers get where the app has not said it, and what is taken off.

use edge::headers::Headers;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::Fault;
use super::value::Span;

/// As written; an empty text adds nothing.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HeadersSection {
    hsts: Span,
    frames: String,
    referrer: String,
    permissions: String,
    remove: Vec<String>,
}

impl Default for HeadersSection {
    fn default() -> Self {
        Self {
            hsts: Span(std::time::Duration::from_secs(365 * 86_400)),
            frames: "SAMEORIGIN".to_owned(),
            referrer: "strict-origin-when-cross-origin".to_owned(),
            permissions: "camera=(), geolocation=(), microphone=()".to_owned(),
            remove: ["server", "x-powered-by", "x-runtime", "x-generator"].map(ToOwned::to_owned).into(),
        }
    }
}

/// What carries the message itself, or what we say.
const KEPT: [&str; 8] = [
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "location",
    "x-request-id",
    "cache-status",
];

pub(super) fn check(section: &HeadersSection, faults: &mut Vec<Fault>) -> Headers {
    let hsts = format!("max-age={}", section.hsts.0.as_secs());
    let added = [
        ("strict-transport-security", "hsts", hsts.as_str()),
        ("x-content-type-options", "", "nosniff"),
        ("x-frame-options", "frames", &section.frames),
        ("referrer-policy", "referrer", &section.referrer),
        ("permissions-policy", "permissions", &section.permissions),
    ];
    if !matches!(section.frames.as_str(), "" | "SAMEORIGIN" | "DENY") {
        let what = format!(
            "`{}` is not understood by browsers: write \"SAMEORIGIN\", \"DENY\", or \"\" for none",
            section.frames
        );
        faults.push(Fault::new("headers.frames", what));
    }
    let mut headers = Headers::default();
    for (name, key, value) in added.into_iter().filter(|(.., value)| !value.is_empty()) {
        if HeaderValue::from_str(value).is_err() || value.contains('\t') {
            faults.push(Fault::new(format!("headers.{key}"), "cannot stand in a field: write one line of ASCII"));
        }
        headers.add.push((name, value.into()));
    }
    for (n, name) in section.remove.iter().enumerate() {
        let mut fault = |what: String| faults.push(Fault::new(format!("headers.remove[{n}]"), what));
        match HeaderName::try_from(name) {
            Ok(known) if KEPT.contains(&known.as_str()) => fault(format!("`{name}` is needed and stays")),
            Ok(known) => headers.remove.push(known.as_str().into()),
            Err(_) => fault(format!("`{name}` is no field's name: write one as in \"server\"")),
        }
    }
    headers
}
