//! Object storage: the app decides who may read or write an object, the gateway signs the URL. File bytes go between bucket and client and never
//! through here.

mod client;
mod download;
mod handoff;
pub mod key;
mod lfs;
pub mod media;
mod multipart;
mod policy;
mod release;
mod sigv4;
mod transport;
mod upload;
mod uploads;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

pub(crate) use client::add_md5;
pub use client::{Store, StoreError, Trouble};
pub use download::{Download, Scan, Signed};
pub use handoff::{Handoff, HandoffError, Redirect};
pub use lfs::{is_oid, lfs_key, lfs_upload};
pub use multipart::Plan;
pub use policy::Form;
pub use release::{Pending, Pieces};
pub use sigv4::{Permit, Place, Signer};
pub use transport::Transport;
pub use upload::{Part, Put, Upload};
pub use uploads::{Arrived, Failure, Found, InParts};

use crate::config::Bucket;

/// The most that S3 takes in one upload or part: 5 GiB.
pub const LARGEST_PUT: u64 = 5 << 30;
/// The longest object of S3: 5 TiB.
pub const LARGEST_OBJECT: u64 = 5 << 40;
/// The least that a part has which is not the last: 5 MiB.
pub const LEAST_PART: u64 = 5 << 20;
/// The most parts of one object.
pub const MOST_PARTS: u16 = 10_000;

/// Why nothing is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It can't be an object's key.
    #[error("the key {0}")]
    Key(&'static str),
    /// The bucket's section does not name its prefix.
    #[error("the key is under none of the bucket's `prefixes`")]
    Prefix,
    /// It lies where uploads wait.
    #[error("the key is under the bucket's `pending`, where nothing is read or written before it is released")]
    Pending,
    /// It would be too long where uploads wait.
    #[error("the key is longer than the 1,024 bytes that S3 allows, with the bucket's `pending` before it")]
    TooLong,
    /// The bucket has no place where uploads wait.
    #[error("the bucket has no `pending` prefix: what is uploaded is there at once")]
    NothingPends,
    /// A version that can't be.
    #[error("the version is empty or over 256 bytes")]
    Version,
    /// Not a content type, or not one of the bucket's.
    #[error("the content type `{0}` is not among the bucket's `types`")]
    Type(String),
    /// More than the bucket takes.
    #[error("the length is over the bucket's `upload_max`, {0} bytes")]
    TooLarge(u64),
    /// More than S3 takes in one go.
    #[error("the length is over the 5 GiB that S3 takes in one go: upload it in parts")]
    TooLargeForOne,
    /// Neither a SHA-256 nor nothing.
    #[error(
        "the hash is not a SHA-256 of 64 lower-case hexadecimal digits, or is asked of a form, which can't bind it"
    )]
    Hash,
    /// A part that can't be.
    #[error("a part has a number from 1 to 10,000 that its upload has, and its upload's id")]
    Part,
    /// PUT is signed by a write-only key alone.
    #[error(
        "the bucket has no `write_credentials_file`, and a PUT signed by a key that can read lets old servers copy any object"
    )]
    NoWriter,
}

impl Refused {
    /// As a word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Key(_) | Self::Prefix | Self::Pending | Self::TooLong => "key-refused",
            Self::Type(_) => "type-refused",
            Self::TooLarge(_) | Self::TooLargeForOne => "length-refused",
            Self::Hash => "hash-refused",
            Self::Part => "part-refused",
            Self::Version => "version-refused",
            Self::NothingPends => "nothing-pends",
            Self::NoWriter => "no-write-key",
        }
    }
}

impl Bucket {
    /// Whether it may sign for this key, which is not one of what is pending.
    fn check_key(&self, key: &str) -> Result<(), Refused> {
        key::check(key).map_err(Refused::Key)?;
        if self.pending.as_deref().is_some_and(|pending| key::covers(pending, key)) {
            return Err(Refused::Pending);
        }
        let covered = self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| key::covers(prefix, key));
        if covered { Ok(()) } else { Err(Refused::Prefix) }
    }

    /// Where an upload lands that is to have this key: there, or under the pending prefix.
    ///
    /// # Errors
    /// A key that is none, or not of this bucket.
    pub fn lands<'a>(&self, key: &'a str) -> Result<Cow<'a, str>, Refused> {
        self.check_key(key)?;
        let Some(pending) = &self.pending else { return Ok(key.into()) };
        let lands = format!("{pending}{key}");
        if lands.len() > 1024 { Err(Refused::TooLong) } else { Ok(lands.into()) }
    }

    /// How long a URL lasts that is asked to last so long, in seconds.
    fn lasts(&self, asked: Option<u64>) -> u64 {
        asked.map_or(self.expiry, |asked| asked.clamp(1, self.expiry_max))
    }
}

/// The tag that every stored answer bears which leads to an object: of 128 bits of SHA-256, as keys are long and nobody else's affair.
#[must_use]
pub fn object_tag(role: &str, key: &str) -> String {
    let mut tag = "object:".to_owned();
    // No role holds the byte between.
    for byte in Sha256::new().chain_update(role).chain_update([0]).chain_update(key).finalize().iter().take(16) {
        // Writing to a String does not fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag
}

/// Seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A moment as RFC 3339 writes it, from seconds since the Unix epoch.
pub(crate) fn instant(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
}
