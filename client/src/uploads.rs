//! `/uploads`: in one go or in parts by size, and from pending to released.
//!
//! The gateway keeps nothing of an upload. The app keeps the [`Ticket`] and gives it back with each question; the parts are in the bucket.

use serde::{Deserialize, Serialize};

use crate::{Form, Outcome};

/// An upload to be begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NewUpload {
    /// The bucket's role.
    pub bucket: String,
    /// The object's key: 1 to 1,024 bytes. Where the bucket has a `pending` prefix it gets that key when it is released.
    pub key: String,
    /// Its content type, one of the bucket's `types`.
    #[serde(rename = "type")]
    pub content_type: String,
    /// Its length in bytes.
    pub length: u64,
    /// How many seconds the form may be posted: at most the bucket's `expiry_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// An upload that has begun.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Begun {
    /// What the app keeps.
    pub upload: Ticket,
    /// The form, where it goes in one go; else it goes in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
}

/// All that is to be known of an upload: the app keeps it as it is. It is no secret, and gives nobody any right.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The bucket's role.
    pub bucket: String,
    /// The key that was asked for.
    pub key: String,
    /// Its content type.
    #[serde(rename = "type")]
    pub content_type: String,
    /// Its length in bytes.
    pub length: u64,
    /// Where it goes in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multipart: Option<Multipart>,
}

/// How an upload goes in parts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Multipart {
    /// What the storage calls the upload.
    pub id: String,
    /// The length of every part but the last, in bytes.
    pub part_size: u64,
    /// How many there are, 1 to 10,000. They are numbered from 1.
    pub parts: u16,
    /// By what the finished object is known to be of this upload.
    pub mark: String,
}

/// A ticket, alone.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TicketOnly {
    /// The ticket.
    pub upload: Ticket,
}

/// Parts of an upload to be signed. The answer is a [`crate::Batch`] of [`Outcome`] in the same order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// Of which upload.
    pub upload: Ticket,
    /// Their numbers.
    pub parts: Vec<u16>,
    /// How many seconds each may begin: at most the bucket's `expiry_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// A part that has arrived.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Part {
    /// Its number.
    pub number: u16,
    /// Its length in bytes.
    pub length: u64,
    /// Its `ETag`, with the quotation marks, where the storage says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// Which parts are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Listed {
    /// Those that have arrived whole, in order.
    pub parts: Vec<Part>,
    /// The numbers of the others, in order.
    pub missing: Vec<u16>,
}

/// An object as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Stored {
    /// The bucket's role.
    pub bucket: String,
    /// The key that was asked for.
    pub key: String,
    /// Whether it is pending: nobody can read it but the scanner until it is released.
    pub pending: bool,
    /// Its version, where the bucket has versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its `ETag`, with the quotation marks.
    pub etag: String,
    /// Its length in bytes.
    pub length: u64,
    /// Its content type.
    #[serde(rename = "type")]
    pub content_type: String,
}

/// What is to be released: this version, or where the bucket has none the object with this `ETag`. Another that lies there by now is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The bucket's role.
    pub bucket: String,
    /// The key that it gets.
    pub key: String,
    /// The version, as `complete` said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The `ETag`, as `complete` said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

/// A pending version that nobody is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The bucket's role.
    pub bucket: String,
    /// The key that it would have got.
    pub key: String,
    /// The version, as `complete` said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Stored {
    /// What releases just this.
    #[must_use]
    pub fn release(&self) -> Release {
        let (version, etag) = (self.version.clone(), Some(self.etag.clone()));
        Release { bucket: self.bucket.clone(), key: self.key.clone(), version, etag }
    }

    /// What throws just this away.
    #[must_use]
    pub fn discard(&self) -> Version {
        Version { bucket: self.bucket.clone(), key: self.key.clone(), version: self.version.clone() }
    }
}

impl Outcome {
    /// The URL or form, or why there is none.
    ///
    /// # Errors
    /// Where it was refused.
    pub fn granted(self) -> Result<Self, crate::Refused> {
        match self {
            Self::Refused(refused) => Err(refused),
            granted => Ok(granted),
        }
    }
}
