//! URLs to upload by. Every header that the client will send is signed.
//!
//! Old Ceph (CVE-2026-54330) copies from any object that the signing key can read where a client adds `x-amz-copy-source` to a presigned PUT. So
//! PUT and parts are signed by the bucket's write-only key and by nothing else; a form's policy refuses every field that it does not name, and
//! may be signed by either key.

use std::borrow::Cow;

use super::policy::{self, Form};
use super::{LARGEST_PUT, MOST_PARTS, Permit, Refused, media};
use crate::config::Bucket;

/// An object to be.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// The key that it is to have. Where the bucket has a pending prefix it lands below that.
    pub key: &'a str,
    /// Its content type.
    pub content_type: &'a str,
    /// Its length in bytes.
    pub length: u64,
    /// Its SHA-256 in lower-case hexadecimal. Nothing else can be uploaded then.
    pub sha256: Option<&'a str>,
    /// How long it may begin, in seconds: at most as the bucket allows.
    pub lasts: Option<u64>,
}

/// A URL, what must be sent with it, and when it stops working.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The URL.
    pub url: String,
    /// The fields that the client has to send just so.
    pub headers: Vec<(&'static str, String)>,
    /// In seconds since the Unix epoch.
    pub expires: u64,
}

impl Upload<'_> {
    /// For one PUT.
    ///
    /// # Errors
    /// What the bucket does not take, or a bucket without a write-only key.
    pub fn put(&self, bucket: &Bucket, now: u64) -> Result<Put, Refused> {
        let lands = self.check_one(bucket)?;
        let writer = bucket.writer.as_deref().ok_or(Refused::NoWriter)?;
        let disposition = media::is_active(self.content_type).then_some("attachment");
        let length = self.length.to_string();
        let all = [
            ("content-disposition", disposition),
            ("content-length", Some(length.as_str())),
            ("content-type", Some(self.content_type)),
            ("x-amz-content-sha256", self.sha256),
        ];
        let headers: Vec<_> = all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let lasts = bucket.lasts(self.lasts);
        let permit = Permit { method: "PUT", key: &lands, query: &[], headers: &headers, begins: now, lasts };
        Ok(Put {
            url: writer.presign(&permit),
            headers: headers.into_iter().map(|(name, value)| (name, value.to_owned())).collect(),
            expires: now + lasts,
        })
    }

    /// For a form that a browser posts (`multipart/form-data`).
    ///
    /// # Errors
    /// What the bucket does not take; a hash, which no policy binds.
    pub fn form(&self, bucket: &Bucket, now: u64) -> Result<Form, Refused> {
        let lands = self.check_one(bucket)?;
        if self.sha256.is_some() {
            return Err(Refused::Hash);
        }
        let signer = bucket.writer.as_deref().unwrap_or(&bucket.reader);
        Ok(policy::sign(signer, &lands, self.content_type, self.length, now, bucket.lasts(self.lasts)))
    }

    /// Where it lands in one go.
    fn check_one<'a>(&'a self, bucket: &Bucket) -> Result<Cow<'a, str>, Refused> {
        let lands = self.check(bucket)?;
        if self.length > LARGEST_PUT { Err(Refused::TooLargeForOne) } else { Ok(lands) }
    }

    /// Where it lands.
    ///
    /// # Errors
    /// What the bucket does not take.
    pub fn check<'a>(&'a self, bucket: &Bucket) -> Result<Cow<'a, str>, Refused> {
        let lands = bucket.lands(self.key)?;
        if !media::is_content_type(self.content_type) || !media::is_among(&bucket.types, self.content_type) {
            return Err(Refused::Type(self.content_type.to_owned()));
        }
        if self.length > bucket.upload_max {
            return Err(Refused::TooLarge(bucket.upload_max));
        }
        let hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if self.sha256.is_some_and(|hash| hash.len() != 64 || !hash.bytes().all(hexadecimal)) {
            return Err(Refused::Hash);
        }
        Ok(lands)
    }
}

/// One part of a multipart upload.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The key that the object is to have.
    pub key: &'a str,
    /// What the server called the upload.
    pub upload: &'a str,
    /// 1 to 10,000.
    pub number: u16,
    /// Its length in bytes.
    pub length: u64,
    /// How long it may begin, in seconds: at most as the bucket allows.
    pub lasts: Option<u64>,
}

impl Part<'_> {
    /// For one PUT.
    ///
    /// # Errors
    /// A key, number or length that can't be, or a bucket without a write-only key.
    pub fn sign(&self, bucket: &Bucket, now: u64) -> Result<Put, Refused> {
        let lands = bucket.lands(self.key)?;
        if self.number == 0 || self.number > MOST_PARTS || self.upload.is_empty() {
            return Err(Refused::Part);
        }
        if self.length > bucket.upload_max {
            return Err(Refused::TooLarge(bucket.upload_max));
        }
        if self.length > LARGEST_PUT {
            return Err(Refused::TooLargeForOne);
        }
        let writer = bucket.writer.as_deref().ok_or(Refused::NoWriter)?;
        let (length, number, lasts) = (self.length.to_string(), self.number.to_string(), bucket.lasts(self.lasts));
        let url = writer.presign(&Permit {
            method: "PUT",
            key: &lands,
            query: &[("partNumber", &number), ("uploadId", self.upload)],
            headers: &[("content-length", &length)],
            begins: now,
            lasts,
        });
        Ok(Put { url, headers: vec![("content-length", length)], expires: now + lasts })
    }
}
