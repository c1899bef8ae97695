//! `[cloudflare]`: what we may ask of Cloudflare's API.

use std::path::PathBuf;

use http::Uri;
use serde::{Deserialize, Serialize};

use super::Fault;
use super::token::Token;

/// As written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CloudflareSection {
    zone: String,
    token_file: PathBuf,
    api: Option<String>,
    ca: Option<PathBuf>,
}

/// Our zone, and who we are there.
#[derive(Clone, Debug)]
pub struct Cloudflare {
    /// The zone's id.
    pub zone: String,
    /// An API token.
    pub token: Token,
    /// Where its API is.
    pub api: String,
    /// The authority that its certificate is from; else those of the system.
    pub ca: Option<PathBuf>,
}

const API: &str = "https://api.cloudflare.com/client/v4";

pub(super) fn check(section: CloudflareSection, faults: &mut Vec<Fault>) -> Option<Cloudflare> {
    let before = faults.len();
    let mut fault = |key: &str, what: String| faults.push(Fault::new(format!("cloudflare.{key}"), what));
    if section.zone.len() != 32 || !section.zone.bytes().all(|b| b.is_ascii_hexdigit()) {
        fault("zone", "is not a zone's id: 32 hexadecimal digits, on the zone's overview page".to_owned());
    }
    let api = section.api.unwrap_or_else(|| API.to_owned());
    let whole = api.parse::<Uri>().is_ok_and(|url| url.scheme_str() == Some("https") && url.host().is_some());
    if !whole || api.ends_with('/') || api.contains(['?', '@']) {
        fault("api", format!("is not an https URL without a `/` at its end, as in \"{API}\""));
    }
    if let Some(ca) = &section.ca
        && let Err(e) = std::fs::File::open(ca)
    {
        fault("ca", format!("`{}` cannot be read: {e}", ca.display()));
    }
    let token = Token::read(&section.token_file).map_err(|what| fault("token_file", what)).ok();
    (faults.len() == before).then_some(Cloudflare { zone: section.zone, token: token?, api, ca: section.ca })
}

/// Where the API is by default.
pub(super) fn api() -> &'static str {
    API
}
