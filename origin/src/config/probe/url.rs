//! The address of a probe: https, or http on loopback.

use std::net::IpAddr;
use std::path::PathBuf;

use http::{HeaderValue, Uri};

use super::section::ProbeSection;

/// An address that is asked, as whom, and by which authority it is known.
#[derive(Clone, Debug)]
pub struct Url {
    /// The address: https, or http on loopback.
    pub uri: Uri,
    /// What it is shown; marked as sensitive.
    pub bearer: Option<HeaderValue>,
    /// A PEM file of authorities; else the system's.
    pub ca: Option<PathBuf>,
}

/// Whether a URL's host is this machine.
pub(in crate::config) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

pub(super) fn url(section: &ProbeSection, fault: &mut impl FnMut(&str, String)) -> Option<Url> {
    let uri = section.url.as_deref()?.parse::<Uri>().ok().filter(|uri| {
        let loopback = uri.host().is_some_and(is_loopback);
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        plain && (uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && loopback))
    });
    if uri.is_none() {
        // Not repeated: a token may stand in it.
        fault("url", "is not an https URL, as in \"https://status.example/api/v2/summary.json\"".to_owned());
    }
    let bearer = match section.token_file.as_deref().map(|path| (path, std::fs::read_to_string(path))) {
        None => None,
        Some((path, Err(e))) => {
            fault("token_file", format!("`{}` cannot be read: {e}", path.display()));
            None
        }
        Some((path, Ok(text))) => match HeaderValue::try_from(format!("Bearer {}", text.trim())) {
            Ok(mut value) if !text.trim().is_empty() => {
                value.set_sensitive(true);
                Some(value)
            }
            _ => {
                fault("token_file", format!("`{}` does not hold a token in one line", path.display()));
                None
            }
        },
    };
    if let Some(ca) = &section.ca
        && let Err(e) = std::fs::File::open(ca)
    {
        fault("ca", format!("`{}` cannot be read: {e}", ca.display()));
    }
    Some(Url { uri: uri?, bearer, ca: section.ca.clone() })
}
