//! `[turnstile]`: the widget by which rules of the filter challenge visitors.

use std::path::PathBuf;
use std::time::Duration;

use edge::challenge::{self, Terms};
use http::Uri;
use serde::{Deserialize, Serialize};

use super::Fault;
use super::token::Token;
use super::value::Span;

/// As written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TurnstileSection {
    site_key: String,
    secret_file: PathBuf,
    clearance: Option<Span>,
    within: Option<Span>,
    api: Option<String>,
    ca: Option<PathBuf>,
}

/// The widget, and who we are to the vendor.
#[derive(Clone, Debug)]
pub struct Turnstile {
    /// Its site key, which everyone may know.
    pub site_key: String,
    /// Its secret key.
    pub secret: Token,
    /// For how long who has passed is not asked again.
    pub clearance: Duration,
    /// How long the vendor may take to say whether a token is good.
    pub within: Duration,
    /// Where its API is.
    pub api: String,
    /// The authority that its certificate is from; else those of the system.
    pub ca: Option<PathBuf>,
}

const API: &str = "https://challenges.cloudflare.com/turnstile/v0";

/// Checks the section; `keys` is whether the edge has any, from which the clearances' key is derived.
pub(super) fn check(section: TurnstileSection, keys: bool, faults: &mut Vec<Fault>) -> Option<Turnstile> {
    let before = faults.len();
    let terms = terms(&section, faults);
    let mut fault = |key: &str, what: String| faults.push(Fault::new(format!("turnstile{key}"), what));
    if !keys {
        fault(
            "",
            "needs an [edge] section: clearances are signed with a key that is made of the edge's (origin keygen)"
                .to_owned(),
        );
    }
    if !challenge::is_site_key(&section.site_key) {
        fault(
            ".site_key",
            "is not a widget's site key, as in \"0x4AAAAAAADnPIDROrmt1Wwj\": it is on the widget's page".to_owned(),
        );
    }
    let api = section.api.unwrap_or_else(|| API.to_owned());
    let whole = api.parse::<Uri>().is_ok_and(|url| url.scheme_str() == Some("https") && url.host().is_some());
    if !whole || api.ends_with('/') || api.contains(['?', '@']) {
        fault(".api", format!("is not an https URL without a `/` at its end, as in \"{API}\""));
    }
    if let Some(ca) = &section.ca
        && let Err(e) = std::fs::File::open(ca)
    {
        fault(".ca", format!("`{}` cannot be read: {e}", ca.display()));
    }
    let copied = |what: String| what.replace("(openssl rand -base64 32)", "(the widget's page shows it)");
    let secret = Token::read(&section.secret_file).map_err(|what| fault(".secret_file", copied(what))).ok();
    (faults.len() == before).then_some(Turnstile {
        site_key: section.site_key,
        secret: secret?,
        clearance: Duration::from_secs(terms.clearance),
        within: Duration::from_millis(terms.within),
        api,
        ca: section.ca,
    })
}

/// What of the section the Worker needs, beside what the vendor gave.
pub(super) fn terms(section: &TurnstileSection, faults: &mut Vec<Fault>) -> Terms {
    let mut span = |key: &str, span: Option<Span>, default: Duration, least: u64, most: u64, range: &str| {
        let span = span.map_or(default, |span| span.0);
        if !(Duration::from_secs(least)..=Duration::from_secs(most)).contains(&span) {
            let what = format!("{} is out of range: {range}", humantime::format_duration(span));
            faults.push(Fault::new(format!("turnstile.{key}"), what));
        }
        span
    };
    let clearance =
        span("clearance", section.clearance, default_clearance(), 60, 86_400, "1 min to 1 day, as in \"30m\"");
    let within = span("within", section.within, default_within(), 1, 30, "1 s to 30 s, as in \"5s\"");
    let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    Terms { clearance: clearance.as_secs(), within, ..Terms::default() }
}

/// Where the API is by default.
pub(super) fn api() -> &'static str {
    API
}

/// For how long a clearance holds by default.
pub(super) fn default_clearance() -> Duration {
    Duration::from_secs(challenge::CLEARANCE)
}

/// How long the vendor may take by default.
pub(super) fn default_within() -> Duration {
    Duration::from_millis(challenge::WITHIN)
}
