//! `[bucket.ROLE]`: where objects of a role live, and with which key their URLs are signed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::upkeep::{self, Setting, Upkeep};
use super::value::{Size, Span};
use super::{Fault, Site};
use crate::storage::{LARGEST_OBJECT, LARGEST_PUT, LEAST_PART, Place, Signer, key, media};

/// A bucket as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BucketSection {
    url: String,
    region: Option<String>,
    credentials_file: Option<PathBuf>,
    write_credentials_file: Option<PathBuf>,
    expiry: Option<Span>,
    expiry_max: Option<Span>,
    #[serde(default)]
    prefixes: Vec<String>,
    types: Option<Vec<String>>,
    upload_max: Option<Size>,
    keep_versions: Option<Span>,
    keep_parts: Option<Span>,
    origins: Option<Vec<String>>,
    #[serde(default)]
    lacks: Vec<Setting>,
    write_principal: Option<String>,
    parts_from: Option<Size>,
    part_size: Option<Size>,
    pending: Option<String>,
}

/// A bucket.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Its role, the name by which the app's hand-offs call it.
    pub role: String,
    /// How long a URL works where nothing is said, in seconds, 1 to 604,800.
    pub expiry: u64,
    /// The longest that one may be asked to work.
    pub expiry_max: u64,
    /// Under which prefixes its keys are; empty for any.
    pub prefixes: Vec<String>,
    /// The content types that it takes and gives, as `type/subtype` or `type/*`.
    pub types: Vec<String>,
    /// The longest upload, in bytes.
    pub upload_max: u64,
    /// From how many bytes on an upload goes in parts.
    pub parts_from: u64,
    /// How long a part is, in bytes, unless there would be too many.
    pub part_size: u64,
    /// Under which prefix uploads land, where nothing is read until it is released.
    pub pending: Option<String>,
    /// The key that signs for reading, and forms.
    pub reader: Arc<Signer>,
    /// The key that can't read, which signs PUT.
    pub writer: Option<Arc<Signer>>,
    /// How the bucket itself is to be.
    pub upkeep: Upkeep,
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

/// The longest upload where nothing is said: what S3 takes in one go.
const UPLOAD_MAX: u64 = LARGEST_PUT;
/// A broken connection costs no more than this again.
const PARTS_FROM: u64 = 64 << 20;
/// Large enough to be few, small enough to be sent again.
const PART_SIZE: u64 = 16 << 20;

pub(super) fn check(role: &str, section: BucketSection, sites: &[Site], faults: &mut Vec<Fault>) -> Option<Bucket> {
    let before = faults.len();
    let written = upkeep::Written {
        keep_versions: section.keep_versions,
        keep_parts: section.keep_parts,
        origins: section.origins,
        lacks: section.lacks,
        write_principal: section.write_principal,
    };
    let upkeep = upkeep::check(role, written, sites, faults);
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
    let expiry = section.expiry.map_or(DEFAULT_EXPIRY, |e| e.0);
    let expiry_max = section.expiry_max.map_or(expiry, |e| e.0);
    for (key, lasts) in [(".expiry", expiry), (".expiry_max", expiry_max)] {
        if (lasts.as_secs() == 0 || lasts.as_secs() > MAX_EXPIRY) && (key == ".expiry" || section.expiry_max.is_some())
        {
            let lasts = humantime::format_duration(lasts);
            fault(key, format!("{lasts} is out of range: a presigned URL lasts 1 s to 7 days, as in \"15m\""));
        }
    }
    if expiry_max < expiry {
        let (most, usual) = (humantime::format_duration(expiry_max), humantime::format_duration(expiry));
        fault(".expiry_max", format!("{most} is less than `expiry`, {usual}: it is the most that the app may ask for"));
    }
    for (n, prefix) in section.prefixes.iter().enumerate() {
        if let Err(what) = key::check(prefix) {
            fault(
                &format!(".prefixes[{n}]"),
                format!("`{}` {what}: write one as in \"users/\"", prefix.escape_default()),
            );
        }
    }
    let types = section.types.unwrap_or_else(|| media::DEFAULT_TYPES.map(String::from).to_vec());
    for (n, kind) in types.iter().enumerate() {
        if !media::is_content_type(&kind.replace("/*", "/any")) || kind.contains(';') {
            fault(
                &format!(".types[{n}]"),
                format!("`{}` is no content type: write \"audio/*\" or \"audio/wav\"", kind.escape_default()),
            );
        }
    }
    let upload_max = section.upload_max.map_or(UPLOAD_MAX, |size| size.0);
    if upload_max == 0 || upload_max > LARGEST_OBJECT {
        fault(".upload_max", "is out of range: S3 takes objects of 1 B to 5 TiB, as in \"200MiB\"".to_owned());
    }
    let parts_from = section.parts_from.map_or(PARTS_FROM, |size| size.0);
    if parts_from == 0 || parts_from > LARGEST_PUT {
        fault(".parts_from", "is out of range: S3 takes 1 B to 5 GiB in one go, as in \"64MiB\"".to_owned());
    }
    let part_size = section.part_size.map_or(PART_SIZE, |size| size.0);
    if !(LEAST_PART..=LARGEST_PUT).contains(&part_size) {
        fault(".part_size", "is out of range: S3 takes parts of 5 MiB to 5 GiB, as in \"16MiB\"".to_owned());
    }
    if let Some(pending) = &section.pending
        && let Some(what) = pending_fault(pending, &section.prefixes)
    {
        fault(".pending", what);
    }
    let mut credentials = |key: &str, read: Result<Credentials, String>| read.map_err(|what| fault(key, what)).ok();
    let reads = credentials(".credentials_file", read_credentials(role, section.credentials_file.as_deref()));
    let writes = section.write_credentials_file.as_deref();
    let writes = writes.and_then(|file| credentials(".write_credentials_file", read_credentials(role, Some(file))));
    if let (Some(reads), Some(writes)) = (&reads, &writes)
        && reads.id == writes.id
    {
        let what = "holds the same key as `credentials_file`: name one that can write and can't read";
        fault(".write_credentials_file", what.to_owned());
    }
    let region = section.region.unwrap_or_else(|| guess_region(host));
    if faults.len() > before {
        return None;
    }
    let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
    let place = Place { scheme, host: host.to_owned(), prefix, region };
    Some(Bucket {
        role: role.to_owned(),
        expiry: expiry.as_secs(),
        expiry_max: expiry_max.as_secs(),
        prefixes: section.prefixes,
        types,
        upload_max,
        upkeep,
        parts_from,
        part_size,
        pending: section.pending,
        writer: writes.map(|key| Arc::new(Signer::new(place.clone(), key))),
        reader: Arc::new(Signer::new(place, reads?)),
    })
}

/// What is wrong with a pending prefix.
fn pending_fault(pending: &str, prefixes: &[String]) -> Option<String> {
    let shown = pending.escape_default();
    if let Err(what) = key::check(pending) {
        return Some(format!("`{shown}` {what}: write one as in \"pending/\""));
    }
    if !pending.ends_with('/') || pending.len() > 128 {
        return Some(format!("`{shown}` does not end with a slash within 128 bytes: write one as in \"pending/\""));
    }
    let inside = prefixes.iter().find(|prefix| key::covers(prefix, pending) || prefix.starts_with(pending))?;
    Some(format!(
        "`{shown}` and the prefix `{}` lie in each other: nothing under it may be read",
        inside.escape_default()
    ))
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
    // Some servers' ids hold colons; secrets do not.
    match text.trim().rsplit_once(':') {
        Some((id, secret)) if !id.is_empty() && secret.len() >= 16 && !text.trim().contains(char::is_whitespace) => {
            Ok(Credentials { id: id.to_owned(), secret: secret.to_owned() })
        }
        _ => Err(format!(
            "`{}` does not hold one line ID:SECRET with a secret of at least 16 characters",
            path.display()
        )),
    }
}
