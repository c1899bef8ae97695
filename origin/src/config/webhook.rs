//! `[webhook.SENDER]`: who tells us of something by a request, and how it shows that it is who it says.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Fault;
use super::check::path_begins;
use super::value::{Size, Span, net};

/// A sender as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookSection {
    pub(super) path: String,
    scheme: SchemeName,
    secrets_file: Option<PathBuf>,
    tolerance: Option<Span>,
    signature: Option<String>,
    timestamp: Option<String>,
    body: Option<Size>,
    #[serde(default)]
    addresses: Vec<String>,
}

/// The name of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum SchemeName {
    Stripe,
    Hmac,
    Basic,
    Bearer,
}

/// A sender.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Its name, in logs and metrics.
    pub name: String,
    /// The path that it sends to, on every site.
    pub path: String,
    /// How it shows who it is.
    pub scheme: Scheme,
    /// What is shown or signed with; any of them will do.
    pub secrets: Secrets,
    /// Where it sends from; none for anywhere.
    pub addresses: Vec<IpNet>,
    /// Bytes of a delivery at most.
    pub body: u64,
}

/// How a sender shows who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `Stripe-Signature`: HMAC-SHA256 over time and body.
    Stripe {
        /// How far its time may be from ours.
        tolerance: Duration,
    },
    /// HMAC-SHA256 in a field of its own.
    Hmac {
        /// The field, which holds hexadecimal digits.
        signature: HeaderName,
        /// The field with the time, where the signature is over the time, a dot and the body, and not over the body alone.
        timestamp: Option<HeaderName>,
        /// How far its time may be from ours.
        tolerance: Duration,
    },
    /// A user and a password (RFC 7617).
    Basic,
    /// A token (RFC 6750).
    Bearer,
}

/// Secrets. They never show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Box<[u8]>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    #[cfg(test)]
    pub(crate) fn of(secrets: &[&str]) -> Self {
        Self(secrets.iter().map(|secret| secret.as_bytes().into()).collect())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|secret| &**secret)
    }
}

/// What others' libraries take, too.
pub(super) const TOLERANCE: Duration = Duration::from_secs(300);
/// Several times what any sender sends.
pub(super) const BODY: u64 = 1 << 20;
/// The least bytes of a secret.
const LEAST: usize = 16;

pub(super) fn check(name: &str, section: WebhookSection, faults: &mut Vec<Fault>) -> Option<Webhook> {
    let before = faults.len();
    let mut fault = |key: &str, what: String| faults.push(Fault::new(format!("webhook.{name}{key}"), what));
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        fault("", "a sender's name is lower-case letters, digits and dashes, as in [webhook.stripe]".to_owned());
    }
    if let Err(what) = path_begins(&section.path) {
        fault(".path", what.replace("the beginning of a path", "a path").replace("/git/", "/webhooks/stripe"));
    }
    let tolerance = section.tolerance.map_or(TOLERANCE, |t| t.0);
    if !(Duration::from_secs(1)..=Duration::from_secs(3_600)).contains(&tolerance) {
        let shown = humantime::format_duration(tolerance);
        fault(".tolerance", format!("{shown} is out of range: 1 s to 1 h, as in \"5m\""));
    }
    let mut field = |key: &str, text: Option<&str>| {
        let name = text.map(|text| HeaderName::try_from(text).map_err(|_| text)).transpose();
        name.unwrap_or_else(|text| {
            fault(key, format!("`{text}` is not a field's name, as in \"X-Hub-Signature-256\""));
            None
        })
    };
    let (signature, timestamp) =
        (field(".signature", section.signature.as_deref()), field(".timestamp", section.timestamp.as_deref()));
    let scheme = match section.scheme {
        SchemeName::Stripe => Some(Scheme::Stripe { tolerance }),
        SchemeName::Hmac => match signature {
            Some(signature) => Some(Scheme::Hmac { signature, timestamp, tolerance }),
            None => {
                if section.signature.is_none() {
                    let what = "is missing: name the field that holds the signature, as in \"X-Hub-Signature-256\"";
                    fault(".signature", what.to_owned());
                }
                None
            }
        },
        SchemeName::Basic => Some(Scheme::Basic),
        SchemeName::Bearer => Some(Scheme::Bearer),
    };
    if section.scheme != SchemeName::Hmac {
        for (key, given) in [("signature", &section.signature), ("timestamp", &section.timestamp)] {
            if given.is_some() {
                fault(&format!(".{key}"), "is for scheme = \"hmac\" only: take it out".to_owned());
            }
        }
    }
    let body = section.body.map_or(BODY, |body| body.0);
    if !(1 << 10..=16 << 20).contains(&body) {
        fault(".body", format!("{body} bytes is out of range: write 1 KiB to 16 MiB, as in \"1MiB\""));
    }
    let mut addresses = Vec::with_capacity(section.addresses.len());
    for (n, text) in section.addresses.iter().enumerate() {
        match net(text) {
            Some(net) => addresses.push(net),
            None => fault(
                &format!(".addresses[{n}]"),
                format!("`{text}` is no address: write \"192.0.2.1\", or \"192.0.2.0/24\" for many"),
            ),
        }
    }
    let secrets =
        read(name, section.secrets_file.as_deref(), section.scheme).map_err(|what| fault(".secrets_file", what)).ok();
    if faults.len() > before {
        return None;
    }
    Some(Webhook { name: name.to_owned(), path: section.path, scheme: scheme?, secrets: secrets?, addresses, body })
}

/// One secret a line, from the file named or from the systemd credential `webhook-NAME`.
fn read(name: &str, file: Option<&Path>, scheme: SchemeName) -> Result<Secrets, String> {
    let path = match (file, std::env::var_os("CREDENTIALS_DIRECTORY")) {
        (Some(file), _) => file.to_owned(),
        (None, Some(dir)) => Path::new(&dir).join(format!("webhook-{name}")),
        (None, None) => {
            return Err(format!(
                "is missing, and there is no systemd credential: name a file with a secret a line, or add LoadCredential=webhook-{name}:FILE to the unit"
            ));
        }
    };
    let shown = path.display();
    let text = std::fs::read_to_string(&path).map_err(|e| format!("`{shown}` cannot be read: {e}"))?;
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())).filter(|(_, line)| !line.is_empty());
    let mut secrets = Vec::new();
    for (n, line) in lines {
        let secret = match scheme {
            SchemeName::Basic => match line.split_once(':') {
                Some((_, password)) => password,
                None => return Err(format!("line {n} of `{shown}` is not USER:PASSWORD")),
            },
            _ => line,
        };
        if secret.len() < LEAST {
            return Err(format!("line {n} of `{shown}` is too short: a secret has at least {LEAST} characters"));
        }
        secrets.push(line.as_bytes().into());
    }
    if secrets.is_empty() {
        return Err(format!("`{shown}` holds no secret: write one a line"));
    }
    Ok(Secrets(secrets))
}
