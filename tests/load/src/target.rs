//! Who is asked: an address or a file, and whether we may.
//!
//! Loopback may always be loaded. Anything else must be named twice: by whoever wrote the file (`consent`) and by whoever runs it
//! (`--yes-load`). A redirect is followed only to hosts of which the same holds.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use http::Uri;
use serde::Deserialize;

use crate::scenario::Does;

/// A server and the way to it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Target {
    /// `http://` or `https://`, host and port.
    pub url: String,
    /// An address to connect to in place of what the host's name says; the port is the URL's.
    pub connect: Option<IpAddr>,
    /// One sentence for each host: `I may load HOST`, or `I may load HOST at ADDRESS`.
    pub consent: Vec<String>,
    /// PEM of the authorities that are trusted in place of the system's.
    pub ca: Option<PathBuf>,
    /// 1 or 2; over TLS, HTTP/2 is offered alone.
    pub http: Option<u8>,
    /// To come as Cloudflare's edge does.
    pub edge: Option<Edge>,
    /// The gateway's private listener, for its metrics: `http://127.0.0.1:9180`.
    pub admin: Option<String>,
    /// Files with one secret each, for `{secret.NAME}`.
    pub secrets: BTreeMap<String, PathBuf>,
    /// Processes of this machine whose CPU and memory are told.
    pub processes: BTreeMap<String, u32>,
    /// Commands (`sh -c`) for faults.
    pub fault: BTreeMap<String, Commands>,
}

/// What proves that we are the site's edge.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// The keys file that edge and gateway share; its first key signs.
    pub keys_file: PathBuf,
    /// The zone's client certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// Its key, PEM.
    pub key: Option<PathBuf>,
    /// Connections for all visitors together.
    #[serde(default = "few")]
    pub connections: usize,
}

fn few() -> usize {
    8
}

/// How a fault begins and ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Commands {
    /// Begins it; `{ms}` is how slow a slow database is.
    pub begin: String,
    /// Ends it.
    pub end: Option<String>,
}

impl Target {
    /// A URL, or a file that says more.
    ///
    /// # Errors
    /// What is wrong with it, or that nobody has said that it may be loaded.
    pub fn open(against: &str, yes: &[String]) -> Result<Self, String> {
        let target = if against.starts_with("http://") || against.starts_with("https://") {
            Self { url: against.trim_end_matches('/').to_owned(), ..Self::default() }
        } else {
            let failed =
                |e| format!("{against}: neither a URL (http://… or https://…) nor a file that can be read: {e}");
            let text = std::fs::read_to_string(against).map_err(failed)?;
            let mut target: Self = crate::amount::read_toml(against, &text)?;
            let folder = Path::new(against).parent().unwrap_or(Path::new("."));
            target.files().for_each(|file| *file = folder.join(&*file));
            target
        };
        target.check(yes).map_err(|what| format!("{against}: {what}"))?;
        Ok(target)
    }

    fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let edge = self.edge.iter_mut().flat_map(|edge| {
            [Some(&mut edge.keys_file), edge.certificate.as_mut(), edge.key.as_mut()].into_iter().flatten()
        });
        self.ca.iter_mut().chain(self.secrets.values_mut()).chain(edge)
    }

    fn check(&self, yes: &[String]) -> Result<(), String> {
        let uri = self.uri()?;
        let host = host(&uri);
        if self.connect.is_some() && host.parse::<IpAddr>().is_ok() {
            return Err(format!("connect: url has an address already ({host}); it is for a URL with a name"));
        }
        if !matches!(self.http, None | Some(1 | 2)) {
            return Err("http is 1 or 2".to_owned());
        }
        if let Some(edge) = &self.edge {
            if edge.connections == 0 {
                return Err("edge.connections is 1 or more".to_owned());
            }
            if edge.certificate.is_some() != edge.key.is_some() {
                return Err("edge.certificate and edge.key go together".to_owned());
            }
        }
        if let Some(fault) = self.fault.keys().find(|fault| does(fault).is_none()) {
            return Err(format!("fault.{fault}: there are outage, slow-database and purge"));
        }
        let loopback = self.connect.map_or_else(|| is_loopback(host), |address| address.is_loopback());
        if loopback || self.consents(host, self.connect, yes) {
            return Ok(());
        }
        let at = self.connect.map_or_else(String::new, |address| format!(" at {address}"));
        Err(format!(
            "{host}{at} is not this machine: whoever answers for it writes `consent = [\"I may load {host}{at}\"]` into the \
             target's file, and whoever runs it adds `--yes-load {host}`"
        ))
    }

    fn consents(&self, host: &str, address: Option<IpAddr>, yes: &[String]) -> bool {
        let at = address.map_or_else(String::new, |address| format!(" at {address}"));
        let sentence = format!("I may load {host}{at}");
        self.consent.contains(&sentence) && yes.iter().any(|yes| yes.eq_ignore_ascii_case(host))
    }

    /// Whether a redirect to it may be followed.
    #[must_use]
    pub fn may_follow(&self, uri: &Uri, yes: &[String]) -> bool {
        let host = host(uri);
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        known && (is_loopback(host) || self.consents(host, None, yes))
    }

    /// Whether it is this machine.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.connect.map_or_else(|| self.uri().is_ok_and(|uri| is_loopback(host(&uri))), |a| a.is_loopback())
    }

    /// Its URL, in parts.
    ///
    /// # Errors
    /// It is none.
    pub fn uri(&self) -> Result<Uri, String> {
        let wrong = || format!("url `{}`: write http://HOST:PORT or https://HOST, without a path", self.url);
        let uri: Uri = self.url.parse().map_err(|_| wrong())?;
        let whole = matches!(uri.scheme_str(), Some("http" | "https")) && matches!(uri.path(), "" | "/");
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if whole && plain && uri.query().is_none() { Ok(uri) } else { Err(wrong()) }
    }

    /// The secrets, read.
    ///
    /// # Errors
    /// A file that can't be read.
    pub fn read_secrets(&self) -> Result<BTreeMap<String, String>, String> {
        let read = |(name, path): (&String, &PathBuf)| {
            let text = std::fs::read_to_string(path).map_err(|e| format!("{}: cannot be read: {e}", path.display()))?;
            Ok((name.clone(), text.trim().to_owned()))
        };
        self.secrets.iter().map(read).collect()
    }
}

/// The fault of that name.
fn does(name: &str) -> Option<Does> {
    [Does::Outage, Does::SlowDatabase, Does::Purge].into_iter().find(|does| does.as_str() == name)
}

fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_matches(['[', ']'])
}

/// Names that resolve to this machine by somebody's word only are not.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str, connect: Option<&str>, consent: &[&str]) -> Target {
        let connect = connect.map(|address| address.parse().unwrap());
        Target {
            url: url.to_owned(),
            connect,
            consent: consent.iter().map(ToString::to_string).collect(),
            ..Target::default()
        }
    }

    #[test]
    fn this_machine_may_be_loaded_and_others_need_two_to_say_so() {
        let yes = |hosts: &[&str]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        for fine in ["http://127.0.0.1:8787", "https://localhost", "http://[::1]:80", "http://127.9.9.9"] {
            assert_eq!(target(fine, None, &[]).check(&[]), Ok(()), "{fine}");
        }
        let both = target("https://staging.example", None, &["I may load staging.example"]);
        assert_eq!(both.check(&yes(&["staging.example"])), Ok(()));
        for (consent, switch) in [(&["I may load staging.example"][..], &[][..]), (&[], &["staging.example"])] {
            let error = target("https://staging.example", None, consent).check(&yes(switch)).unwrap_err();
            assert!(error.contains("I may load staging.example") && error.contains("--yes-load"), "{error}");
        }
        // Whom we connect to counts, not what it is called.
        let elsewhere = target("https://localhost", Some("203.0.113.7"), &["I may load localhost"]);
        assert!(elsewhere.check(&yes(&["localhost"])).is_err());
        assert_eq!(target("https://makenot.work", Some("127.0.0.1"), &[]).check(&[]), Ok(()));
        assert!(target("https://203.0.113.7", Some("127.0.0.1"), &[]).check(&[]).is_err());
        for near in ["http://localhost.example", "http://127.0.0.1.example", "http://2130706433.example"] {
            assert!(target(near, None, &[]).check(&[]).is_err(), "{near}");
        }
    }

    #[test]
    fn a_redirect_leads_only_where_we_may_go() {
        let yes = ["bucket.example".to_owned()];
        let with = target("http://127.0.0.1", None, &["I may load bucket.example"]);
        let follows = |target: &Target, uri: &str| target.may_follow(&uri.parse().unwrap(), &yes);
        assert!(
            follows(&with, "https://bucket.example/key?X-Amz-Signature=1") && follows(&with, "http://127.0.0.1:9000/")
        );
        assert!(!follows(&with, "https://other.example/") && !follows(&with, "ftp://bucket.example/"));
        assert!(!follows(&target("http://127.0.0.1", None, &[]), "https://bucket.example/"));
    }

    #[test]
    fn what_is_no_url_is_said_so() {
        for bad in ["https://a.example/path", "ftp://a", "http://user:secret@127.0.0.1", "http://127.0.0.1/?q"] {
            let error = target(bad, None, &[]).check(&[]).unwrap_err();
            assert!(error.contains("http://HOST:PORT"), "{error}");
        }
    }
}
