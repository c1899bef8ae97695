//! The shapes of Git LFS's batch API (git-lfs, `docs/api/batch.md`), for blobs that are called by their SHA-256.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Presigned;

/// What is to be done with some objects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Request {
    /// Which way.
    pub operation: Operation,
    /// The ways of transfer that the client knows; none for `basic`, which is the only one here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfers: Vec<String>,
    /// The objects.
    pub objects: Vec<Object>,
    /// How they are called; only `sha256` here, which it is where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_algo: Option<String>,
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// From the bucket.
    Download,
    /// To the bucket.
    Upload,
}

/// An object by its content.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Object {
    /// Its SHA-256 in lower-case hexadecimal.
    pub oid: String,
    /// Its length in bytes.
    pub size: u64,
}

/// What a client is to do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Response {
    /// How: `basic`.
    pub transfer: String,
    /// For each object, in the order of the request.
    pub objects: Vec<Answer>,
    /// How they are called: `sha256`.
    pub hash_algo: String,
}

/// What is to be done with one object. An object that is there already has no actions when it is to be uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Answer {
    /// Its SHA-256.
    pub oid: String,
    /// Its length in bytes.
    pub size: u64,
    /// The URLs hold all that shows who may use them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticated: Option<bool>,
    /// `download`, or `upload` and perhaps `verify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<BTreeMap<String, Action>>,
    /// Why there are no actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ObjectError>,
}

/// A request that the client sends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Action {
    /// Where to.
    pub href: Presigned,
    /// The fields to send with it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, String>,
    /// When the URL stops working (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// Why there is nothing to do for an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ObjectError {
    /// As HTTP's statuses: 404 it is not there, 409 what is there has another length, 422 it can't be.
    pub code: u16,
    /// What is wrong.
    pub message: String,
}
