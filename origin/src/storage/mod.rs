//! Object storage: the app decides who may read or write an object, the gateway signs the URL. File bytes go between bucket and client and never
//! through here.

mod client;
mod download;
mod handoff;
pub mod key;
pub mod media;
mod policy;
mod sigv4;
mod transport;
mod upload;

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

pub(crate) use client::add_md5;
pub use client::{Store, StoreError, Trouble};
pub use download::{Download, Signed};
pub use handoff::{Handoff, HandoffError, Redirect};
pub use policy::Form;
pub use sigv4::{Permit, Place, Signer};
pub use transport::Transport;
pub use upload::{Part, Put, Upload};

use crate::config::Bucket;

/// Why nothing is signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It can't be an object's key.
    #[error("the key {0}")]
    Key(&'static str),
    /// The bucket's section does not name its prefix.
    #[error("the key is under none of the bucket's `prefixes`")]
    Prefix,
    /// Not a content type, or not one of the bucket's.
    #[error("the content type `{0}` is not among the bucket's `types`")]
    Type(String),
    /// More than the bucket takes.
    #[error("the length is over the bucket's `upload_max`, {0} bytes")]
    TooLarge(u64),
    /// Neither a SHA-256 nor nothing.
    #[error(
        "the hash is not a SHA-256 of 64 lower-case hexadecimal digits, or is asked of a form, which can't bind it"
    )]
    Hash,
    /// A part that can't be.
    #[error("a part has a number from 1 to 10,000 and its upload's id")]
    Part,
    /// PUT is signed by a write-only key alone.
    #[error(
        "the bucket has no `write_credentials_file`, and a PUT signed by a key that can read lets old servers copy any object"
    )]
    NoWriter,
}

impl Bucket {
    /// Whether it may sign for this key.
    fn check_key(&self, key: &str) -> Result<(), Refused> {
        key::check(key).map_err(Refused::Key)?;
        let covered = self.prefixes.is_empty() || self.prefixes.iter().any(|prefix| key::covers(prefix, key));
        if covered { Ok(()) } else { Err(Refused::Prefix) }
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

/// A moment as RFC 3339 writes it, from seconds since the Unix epoch.
fn instant(seconds: u64) -> String {
    let at = i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
}
