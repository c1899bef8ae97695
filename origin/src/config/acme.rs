//! `[acme]`: where certificates of creators' own domains come from, and where they are kept.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use serde::{Deserialize, Serialize};

use super::Fault;
use super::site::Trust;
use super::value::Span;

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The section as written.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AcmeSection {
    directory: Option<String>,
    contact: Option<String>,
    storage: Option<PathBuf>,
    ca: Option<PathBuf>,
    wait: Option<Span>,
    asks: Option<u32>,
    orders: Option<u32>,
}

/// How certificates are had on first use (RFC 8555).
#[derive(Clone, Debug)]
pub struct Acme {
    /// The CA's directory, `https`.
    pub directory: Uri,
    /// A mail address that the CA may write to.
    pub contact: Option<String>,
    /// The folder of keys and certificates.
    pub storage: PathBuf,
    /// The authorities by which the CA's own server is known; the system's where it is none.
    pub ca: Option<PathBuf>,
    /// How long the first handshake of a name waits.
    pub wait: Duration,
    /// Names that the apps are asked for in a minute, at least 1.
    pub asks: u32,
    /// Certificates of new names that are ordered in an hour, at least 1.
    pub orders: u32,
}

pub(super) fn check(section: AcmeSection, faults: &mut Vec<Fault>) -> Option<Acme> {
    let before = faults.len();
    let mut fault = |key: &str, what: String| faults.push(Fault::new(format!("acme.{key}"), what));
    let directory = section.directory.as_deref().unwrap_or(DIRECTORY);
    let parsed = directory
        .parse::<Uri>()
        .ok()
        .filter(|url| url.scheme_str() == Some("https") && url.host().is_some() && !directory.contains('@'));
    if parsed.is_none() {
        // Not repeated: a secret may stand in it.
        fault("directory", format!("is not a CA's directory: write its URL, as in \"{DIRECTORY}\""));
    }
    if let Some(contact) = &section.contact
        && (!contact.contains('@') || contact.contains(':') || !contact.bytes().all(|b| b.is_ascii_graphic()))
    {
        fault("contact", format!("`{contact}` is not a mail address: write one, as in \"ops@makenot.work\""));
    }
    if let Some(ca) = &section.ca
        && let Err(e) = std::fs::File::open(ca)
    {
        fault("ca", format!("`{}` cannot be read: {e}", ca.display()));
    }
    for (key, value) in [("asks", section.asks), ("orders", section.orders)] {
        if value == Some(0) {
            fault(key, "0 is too few: write 1 or more".to_owned());
        }
    }
    let wait = section.wait.map_or(Duration::from_secs(20), |wait| wait.0);
    if wait > Duration::from_secs(120) {
        let wait = humantime::format_duration(wait);
        fault("wait", format!("{wait} is out of range: a client waits for 2 min at most, as in \"20s\""));
    }
    if faults.len() > before {
        return None;
    }
    Some(Acme {
        directory: parsed?,
        contact: section.contact,
        storage: section.storage.unwrap_or_else(|| "/var/lib/origin/acme".into()),
        ca: section.ca,
        wait,
        asks: section.asks.unwrap_or(60),
        orders: section.orders.unwrap_or(60),
    })
}

/// What else a site says that has `acme_ask`.
pub(super) struct Asked {
    pub(super) tls: bool,
    pub(super) certificate: bool,
    pub(super) paths: bool,
    pub(super) trust: Trust,
}

impl Asked {
    /// Where its app is asked, in plain `http`, as apps speak; or why it can't be.
    pub(super) fn at(&self, text: &str) -> Result<Uri, String> {
        let no = |why: &str| Err(why.to_owned());
        if !self.tls {
            return no("needs a [tls] section, whose certificate all other hosts show");
        }
        if self.certificate {
            return no("and cert exclude each other: the site shows the certificate of one of them");
        }
        if self.paths {
            return no("belongs to a site without paths: all sites of a host show the same certificate");
        }
        if self.trust.needs_certificate() {
            return Err(format!(
                "is for sites with trust = \"direct\": with \"{}\" clients see Cloudflare's certificate, not ours",
                self.trust.as_str()
            ));
        }
        let url = text.parse::<Uri>().ok();
        let whole =
            url.filter(|url| url.scheme_str() == Some("http") && url.host().is_some_and(|host| !host.is_empty()));
        // Not repeated: a secret may stand in it.
        whole.filter(|_| !text.contains('@')).ok_or_else(|| {
            "is not where an app can be asked: write an http URL without user, as in \"http://127.0.0.1:3000/internal/tls-ask\""
                .to_owned()
        })
    }
}
