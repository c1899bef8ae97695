//! `[[site]]`: which hosts go to which app, and whom to trust for them.

use std::fmt;
use std::path::PathBuf;

use http::Uri;
use serde::{Deserialize, Serialize};

use super::app::{App, AppSection, Protocol};
use super::section::{Limits, Timeouts};
use super::value::{Size, Span};

/// A site as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteSection {
    pub(super) hosts: Vec<String>,
    #[serde(default)]
    pub(super) paths: Vec<String>,
    pub(super) app: AppSection,
    #[serde(default)]
    pub(super) app_protocol: Protocol,
    pub(super) check: Option<String>,
    pub(super) check_every: Option<Span>,
    #[serde(default)]
    pub(super) trust: Trust,
    #[serde(rename = "static")]
    pub(super) assets: Option<PathBuf>,
    pub(super) well_known: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) acme_ask: Option<String>,
    #[serde(default)]
    pub(super) filter_off: Vec<String>,
    #[serde(default)]
    pub(super) filter_block: Vec<String>,
    #[serde(default)]
    pub(super) filter_forms: Vec<String>,
    #[serde(default)]
    pub(super) health: HealthOwner,
    #[serde(default)]
    pub(super) limits: OwnLimits,
    #[serde(default)]
    pub(super) timeouts: OwnTimeouts,
}

/// Limits of a site that are not those of `[limits]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OwnLimits {
    target: Option<Size>,
    body: Option<Size>,
    body_rate: Option<Size>,
}

impl OwnLimits {
    /// All limits of the site.
    pub(super) fn over(&self, general: &Limits) -> Limits {
        Limits {
            target: self.target.unwrap_or(general.target),
            body: self.body.unwrap_or(general.body),
            body_rate: self.body_rate.unwrap_or(general.body_rate),
            ..general.clone()
        }
    }
}

/// Timeouts of a site that are not those of `[timeouts]`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct OwnTimeouts {
    connect: Option<Span>,
    hold: Option<Span>,
    answer: Option<Span>,
    idle: Option<Span>,
}

impl OwnTimeouts {
    /// All timeouts of the site.
    pub(super) fn over(&self, general: &Timeouts) -> Timeouts {
        Timeouts {
            connect: self.connect.unwrap_or(general.connect),
            hold: self.hold.unwrap_or(general.hold),
            answer: self.answer.unwrap_or(general.answer),
            idle: self.idle.unwrap_or(general.idle),
            ..general.clone()
        }
    }
}

/// Who answers `/api/health` and, with `[health]`, `/health` for a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealthOwner {
    /// The gateway, by what it has seen.
    #[default]
    Gateway,
    /// The gateway, with what the site's app answers to the same question.
    Both,
    /// The site's app.
    App,
}

/// Which connections a site serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// Our zone's client certificate and our edge's signature.
    EdgeOnly,
    /// Our zone's client certificate; what our edge did not sign goes through the native edge.
    Cloudflare,
    /// Anyone; all that our edge did not sign goes through the native edge.
    #[default]
    Direct,
}

impl Trust {
    /// The word for it in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdgeOnly => "edge-only",
            Self::Cloudflare => "cloudflare",
            Self::Direct => "direct",
        }
    }

    /// Whether a connection must show our zone's client certificate.
    #[must_use]
    pub const fn needs_certificate(self) -> bool {
        matches!(self, Self::EdgeOnly | Self::Cloudflare)
    }
}

/// A site.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its hosts.
    pub hosts: Vec<HostPattern>,
    /// The paths below which it is the site of its hosts; all, where there are none.
    pub paths: Vec<String>,
    /// Its app.
    pub app: App,
    /// Which connections it serves.
    pub trust: Trust,
    /// The folder whose files are served under `/static/` where no Cloudflare stands before us.
    pub assets: Option<PathBuf>,
    /// The folder whose files are served under `/.well-known/`.
    pub well_known: Option<PathBuf>,
    /// A certificate of its own, where it does not show that of `[tls]`.
    pub identity: Option<KeyPair>,
    /// Where its app says whether a name is one of its creators', whose certificates are then had by ACME.
    pub acme_ask: Option<Uri>,
    /// Who answers `/api/health`.
    pub health: HealthOwner,
    /// `[limits]`, and what it has of its own of them.
    pub limits: Limits,
    /// `[timeouts]`, and what it has of its own of them.
    pub timeouts: Timeouts,
}

impl Site {
    /// What it is called in metrics: its first host, with the first of its paths where it has some. No other site has both.
    #[must_use]
    pub fn name(&self) -> String {
        self.host() + self.paths.first().map_or("", String::as_str)
    }

    /// Its first host.
    #[must_use]
    pub fn host(&self) -> String {
        self.hosts.first().map(ToString::to_string).unwrap_or_default()
    }
}

/// A certificate and its private key, as PEM files.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The certificate and its chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A host name, a wildcard over one or more labels, or any host at all. Without port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// `makenot.work`
    Exact(String),
    /// `*.makenot.work`, kept as `.makenot.work`
    Suffix(String),
    /// `*`
    Any,
}

impl HostPattern {
    /// Reads one entry of `hosts`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (suffix, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let bracketed = name.starts_with('[') && name.ends_with(']');
        let label = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !bracketed && !name.split('.').all(label) {
            return Err(format!(
                "`{text}` is not a host: write a name without scheme, port or path, as in \"makenot.work\", \"*.makenot.work\" or \"*\""
            ));
        }
        let name = name.to_ascii_lowercase();
        Ok(if suffix { Self::Suffix(format!(".{name}")) } else { Self::Exact(name) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(name) => write!(f, "*{name}"),
            Self::Any => f.write_str("*"),
        }
    }
}
