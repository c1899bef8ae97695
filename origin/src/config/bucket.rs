//! `[bucket.ROLE]`: where objects of a role live, and with which key their URLs are signed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Fault;
use super::value::Span;

/// A bucket as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BucketSection {
    url: String,
    region: Option<String>,
    credentials_file: Option<PathBuf>,
    expiry: Option<Span>,
}

/// A bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Its role, the name by which the app's hand-offs call it.
    pub role: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port of its endpoint.
    pub host: String,
    /// What stands before an object's key: empty, or `/bucket` in path style.
    pub prefix: String,
    /// The region in the signature's scope.
    pub region: String,
    /// How long a URL works, in seconds, 1 to 604,800.
    pub expiry: u64,
    /// The key that signs.
    pub credentials: Credentials,
}

/// An access key. The secret never shows.
#[derive(Clone)]
pub struct Credentials {
    /// The access key's id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Long enough to begin a download, short enough for a link that was passed on.
const DEFAULT_EXPIRY: Duration = Duration::from_secs(900);

/// The most that S3 accepts: seven days.
const MAX_EXPIRY: u64 = 604_800;

pub(super) fn check(role: &str, section: BucketSection, faults: &mut Vec<Fault>) -> Option<Bucket> {
    let before = faults.len();
    let mut fault = |key: &str, what: String| faults.push(Fault::new(format!("bucket.{role}{key}"), what));
    if role.is_empty() || !role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        fault("", "a role is lower-case letters, digits and dashes, as in [bucket.user-files]".to_owned());
    }
    let (scheme, rest) = match section.url.split_once("://") {
        Some(("https", rest)) => ("https", rest),
        Some(("http", rest)) => ("http", rest),
        _ => ("", ""),
    };
    let (host, path) = rest.split_once('/').map_or((rest, ""), |(h, p)| (h, p.trim_end_matches('/')));
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':' | b'[' | b']' | b'/');
    if host.is_empty() || !rest.bytes().all(plain) {
        // Not repeated: a key may stand in it.
        let key = if rest.contains('@') { "; the key goes into credentials_file" } else { "" };
        fault(
            ".url",
            format!(
                "is not a bucket's address: write \"https://BUCKET.ENDPOINT\", or \"https://ENDPOINT/BUCKET\" for path style{key}"
            ),
        );
    }
    let lasts = section.expiry.map_or(DEFAULT_EXPIRY, |e| e.0);
    let expiry = lasts.as_secs();
    if expiry == 0 || expiry > MAX_EXPIRY {
        let lasts = humantime::format_duration(lasts);
        fault(".expiry", format!("{lasts} is out of range: a presigned URL lasts 1 s to 7 days, as in \"15m\""));
    }
    let credentials = match read_credentials(role, section.credentials_file.as_deref()) {
        Ok(credentials) => Some(credentials),
        Err(what) => {
            fault(".credentials_file", what);
            None
        }
    };
    let region = section.region.unwrap_or_else(|| guess_region(host));
    if faults.len() > before {
        return None;
    }
    let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
    Some(Bucket {
        role: role.to_owned(),
        scheme,
        host: host.to_owned(),
        prefix,
        region,
        expiry,
        credentials: credentials?,
    })
}

/// Hetzner's hosts name their location, which is the region; elsewhere `us-east-1` is what servers expect by default.
fn guess_region(host: &str) -> String {
    let location = host.strip_suffix(".your-objectstorage.com").and_then(|h| h.rsplit('.').next());
    location.unwrap_or("us-east-1").to_owned()
}

/// From the file named, or from the systemd credential `bucket-ROLE`.
fn read_credentials(role: &str, file: Option<&Path>) -> Result<Credentials, String> {
    let path = match (file, std::env::var_os("CREDENTIALS_DIRECTORY")) {
        (Some(file), _) => file.to_owned(),
        (None, Some(dir)) => Path::new(&dir).join(format!("bucket-{role}")),
        (None, None) => {
            return Err(format!(
                "is missing, and there is no systemd credential: name a file that holds ID:SECRET, or add LoadCredential=bucket-{role}:FILE to the unit"
            ));
        }
    };
    let text = std::fs::read_to_string(&path).map_err(|e| format!("`{}` cannot be read: {e}", path.display()))?;
    match text.trim().split_once(':') {
        Some((id, secret)) if !id.is_empty() && secret.len() >= 16 && !text.trim().contains(char::is_whitespace) => {
            Ok(Credentials { id: id.to_owned(), secret: secret.to_owned() })
        }
        _ => Err(format!(
            "`{}` does not hold one line ID:SECRET with a secret of at least 16 characters",
            path.display()
        )),
    }
}
