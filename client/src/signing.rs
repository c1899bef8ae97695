//! `POST /sign`: many URLs in one request, each with its own outcome.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Presigned;

/// Many of a kind: what is asked, or in the same order what came of each.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Batch<T> {
    /// One after the other.
    pub items: Vec<T>,
}

/// What is to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Wanted {
    /// A URL to read an object by.
    Download(Download),
    /// A URL for the scanner: one version of what is pending.
    Scan(Scan),
    /// A URL for one PUT.
    Put(Upload),
    /// A form for a browser to post.
    Form(Upload),
}

/// An object to read, and how it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// The bucket's role.
    pub bucket: String,
    /// The object's key: 1 to 1,024 bytes.
    pub key: String,
    /// For which method; a URL for one is refused for the other.
    #[serde(default)]
    pub method: Method,
    /// The name to save it under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// To be saved or shown; without it a file name means saving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
    /// The content type to send it with, in place of what is stored.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// One version of it; else the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How many seconds the URL lasts: at most the bucket's `expiry_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The same URL for a while, so that it can be cached.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stable: bool,
}

/// A method by which an object is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Its content.
    #[default]
    Get,
    /// Its fields alone.
    Head,
}

/// What a browser does with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// It saves it.
    Attachment,
    /// It shows it, unless it would run it.
    Inline,
}

/// A version of what is pending, for the scanner.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// The bucket's role.
    pub bucket: String,
    /// The key that it will have when it is released.
    pub key: String,
    /// Which version, as `complete` says.
    pub version: String,
    /// How many seconds the URL lasts: at most the bucket's `expiry_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// An object to be, in one PUT or one form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// The bucket's role.
    pub bucket: String,
    /// The object's key: 1 to 1,024 bytes. Where the bucket has a `pending` prefix the object lands below that.
    pub key: String,
    /// Its content type, one of the bucket's `types`.
    #[serde(rename = "type")]
    pub content_type: String,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256 in lower-case hexadecimal, which binds the body of a PUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many seconds the upload may begin: at most the bucket's `expiry_max`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// What came of one item.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A URL.
    Signed(Signed),
    /// A form.
    Form(Form),
    /// Nothing.
    Refused(Refused),
}

/// A request that anyone may send.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Signed {
    /// The method.
    pub method: String,
    /// The URL.
    pub url: Presigned,
    /// The fields that have to be sent just so. `Content-Length` is not among them, as clients write it by the body.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The length of the body, in bytes, where it has one. Another is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// When the URL stops working (RFC 3339).
    pub expires_at: String,
}

/// A form for `multipart/form-data`: these fields in this order, and then `file`.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Form {
    /// Where it is posted.
    pub url: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
    /// When it stops working (RFC 3339).
    pub expires_at: String,
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("url", &self.url).field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// Why nothing is signed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Refused {
    /// What is wrong, and what would be right.
    pub error: String,
    /// The same as a word.
    pub code: String,
}
