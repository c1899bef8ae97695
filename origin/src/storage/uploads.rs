//! Uploads in parts, at the storage: begun, listed, completed and given up. All that is to be known of one is in the app's hands and in the bucket;
//! nothing is kept here, so a restart of the gateway ends no upload.

use std::collections::HashMap;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::{Plan, Refused, Store, StoreError, Trouble, Upload, media};
use crate::config::Bucket;

/// In whose field of an object's metadata the mark of its upload stands.
const MARK: &str = "upload";
/// Versions of a key that are looked through for the one of an upload, at most: others came in the moment in which it was completed.
const VERSIONS: usize = 20;

/// Why an upload does not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The bucket does not take it.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The storage does not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The storage knows no such upload.
    #[error("there is no such upload: it was completed, aborted, or given up by the bucket's rules")]
    UploadUnknown,
    /// Something has not arrived.
    #[error("{0}")]
    Incomplete(String),
    /// What is there is something else.
    #[error("what is stored is not what was announced: {0}")]
    Differs(String),
    /// There is no such version, or another object by now.
    #[error("there is no such version under `pending`, or by now another object")]
    VersionUnknown,
}

impl Failure {
    /// As a word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.as_str(),
            Self::Store(error) => match error.trouble() {
                Trouble::Busy => "storage-busy",
                Trouble::Slow => "storage-timeout",
                Trouble::Unreachable => "storage-unreachable",
                _ => "storage-failed",
            },
            Self::UploadUnknown => "upload-unknown",
            Self::Incomplete(_) => "upload-incomplete",
            Self::Differs(_) => "upload-differs",
            Self::VersionUnknown => "version-unknown",
        }
    }
}

/// An upload in parts.
#[derive(Clone, Copy, Debug)]
pub struct InParts<'a> {
    /// The object to be.
    pub upload: Upload<'a>,
    /// What the storage calls the upload.
    pub id: &'a str,
    /// How it is cut.
    pub plan: Plan,
    /// By what the object is known to be of this upload.
    pub mark: &'a str,
}

/// A part at the storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its number.
    pub number: u16,
    /// Its length in bytes.
    pub length: u64,
    /// Its `ETag`, where the storage says it.
    pub etag: Option<String>,
}

/// An object as the storage describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its version, where there are versions.
    pub version: Option<String>,
    /// Its `ETag`, with the quotation marks.
    pub etag: String,
    /// Its length in bytes.
    pub length: u64,
    /// Its content type.
    pub content_type: String,
    /// `Content-Disposition`, where it has one.
    pub(super) disposition: Option<String>,
    /// Its metadata.
    pub(super) metadata: HashMap<String, String>,
}

impl From<HeadObjectOutput> for Found {
    fn from(head: HeadObjectOutput) -> Self {
        Self {
            version: head.version_id.filter(|version| version != "null"),
            etag: head.e_tag.unwrap_or_default(),
            length: head.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default(),
            content_type: head.content_type.unwrap_or_default(),
            disposition: head.content_disposition,
            metadata: head.metadata.unwrap_or_default(),
        }
    }
}

impl Store {
    /// Begins an upload in parts; says what the storage calls it.
    ///
    /// # Errors
    /// What the bucket does not take; a storage that does not do it.
    pub async fn begin(&self, bucket: &Bucket, upload: &Upload<'_>, mark: &str) -> Result<String, Failure> {
        let lands = upload.check(bucket)?;
        let disposition = media::is_active(upload.content_type).then(|| "attachment".to_owned());
        let begun = self.client().create_multipart_upload().bucket(self.name()).key(lands);
        let begun = begun.content_type(upload.content_type).set_content_disposition(disposition).metadata(MARK, mark);
        let begun = begun.send().await.map_err(|e| self.failed("beginning an upload", e))?;
        begun.upload_id.ok_or_else(|| Failure::Differs("the storage gave the upload no id".to_owned()))
    }

    /// The parts that have arrived whole, in order.
    ///
    /// # Errors
    /// An upload that is unknown; a storage that does not do it.
    pub async fn list(&self, bucket: &Bucket, upload: &InParts<'_>) -> Result<Vec<Arrived>, Failure> {
        let lands = bucket.lands(upload.upload.key)?;
        let pages = self.client().list_parts().bucket(self.name()).key(lands).upload_id(upload.id).into_paginator();
        let mut pages = pages.send();
        let mut parts = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| match e.code() {
                // Ceph calls it by the key.
                Some("NoSuchUpload" | "NoSuchKey") => Failure::UploadUnknown,
                _ => self.failed("listing parts", e).into(),
            })?;
            parts.extend(page.parts.unwrap_or_default().into_iter().filter_map(|part| {
                let number = part.part_number.and_then(|number| u16::try_from(number).ok())?;
                let length = part.size.and_then(|size| u64::try_from(size).ok())?;
                Some(Arrived { number, length, etag: part.e_tag })
            }));
            if parts.len() > usize::from(super::MOST_PARTS) {
                break;
            }
        }
        parts.retain(|part| upload.plan.length_of(part.number) == Some(part.length));
        parts.sort_by_key(|part| part.number);
        parts.dedup_by_key(|part| part.number);
        Ok(parts)
    }

    /// Makes the object of its parts, and looks whether it is what was announced. It may be asked again.
    ///
    /// # Errors
    /// Parts that are missing, an object that differs; a storage that does not do it.
    pub async fn complete(&self, bucket: &Bucket, upload: &InParts<'_>) -> Result<Found, Failure> {
        let lands = upload.upload.check(bucket)?;
        let listed = match self.list(bucket, upload).await {
            Err(Failure::UploadUnknown) => None,
            listed => Some(listed?),
        };
        let wanted = upload.plan.parts().map_or(0, usize::from);
        let parts = listed.as_deref().unwrap_or_default();
        if parts.len() < wanted {
            // Perhaps it was completed before, and the answer got lost.
            if let Some(found) = self.marked(&lands, upload.mark).await? {
                return agrees(found, &upload.upload);
            }
            let missing = wanted - parts.len();
            return Err(listed.as_ref().map_or(Failure::UploadUnknown, |_| {
                Failure::Incomplete(format!("{missing} of {wanted} parts have not arrived"))
            }));
        }
        let parts = parts
            .iter()
            .map(|part| CompletedPart::builder().part_number(part.number.into()).set_e_tag(part.etag.clone()).build());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let done = self.client().complete_multipart_upload().bucket(self.name()).key(&*lands).upload_id(upload.id);
        match done.multipart_upload(parts).send().await {
            Ok(_) => {}
            // Somebody else completed it meanwhile, or the first try of this call did.
            Err(e) if e.code() == Some("NoSuchUpload") => {}
            Err(e) => return Err(self.failed("completing an upload", e).into()),
        }
        let found = self.marked(&lands, upload.mark).await?.ok_or(Failure::UploadUnknown)?;
        agrees(found, &upload.upload)
    }

    /// Gives an upload up, with what has arrived of it. It may be asked again.
    ///
    /// # Errors
    /// A storage that does not do it.
    pub async fn abort(&self, bucket: &Bucket, key: &str, id: &str) -> Result<(), Failure> {
        let lands = bucket.lands(key)?;
        let done = self.client().abort_multipart_upload().bucket(self.name()).key(lands).upload_id(id).send().await;
        match done {
            Err(e) if e.code() != Some("NoSuchUpload") => Err(self.failed("aborting an upload", e).into()),
            _ => Ok(()),
        }
    }

    /// What was uploaded in one go, if it is what was announced.
    ///
    /// # Errors
    /// Nothing there, or something else; a storage that does not answer.
    pub async fn arrived(&self, bucket: &Bucket, upload: &Upload<'_>) -> Result<Found, Failure> {
        let lands = upload.check(bucket)?;
        match self.head(&lands, None).await? {
            Some(found) => agrees(found, upload),
            None => Err(Failure::Incomplete("nothing has arrived".to_owned())),
        }
    }

    /// What the storage has at a key, or one version of it.
    ///
    /// # Errors
    /// A storage that does not answer.
    pub async fn head(&self, key: &str, version: Option<&str>) -> Result<Option<Found>, Failure> {
        let asked = self.client().head_object().bucket(self.name()).key(key).set_version_id(version.map(Into::into));
        match asked.send().await {
            Ok(head) => Ok(Some(head.into())),
            Err(e) => {
                // A version that can't be is none: 400 at some servers, which say no more to HEAD.
                let status = e.raw_response().map(|answer| answer.status().as_u16());
                match self.failed("asking for an object", e) {
                    _ if version.is_some() && status == Some(400) => Ok(None),
                    error if error.trouble() == Trouble::Missing => Ok(None),
                    error => Err(error.into()),
                }
            }
        }
    }

    /// The object of this mark: the newest, as a rule.
    async fn marked(&self, key: &str, mark: &str) -> Result<Option<Found>, Failure> {
        let is_it = |found: &Found| found.metadata.get(MARK).is_some_and(|known| known == mark);
        let Some(newest) = self.head(key, None).await? else { return Ok(None) };
        if is_it(&newest) {
            return Ok(Some(newest));
        }
        if newest.version.is_none() {
            return Ok(None);
        }
        let listed = self.client().list_object_versions().bucket(self.name()).prefix(key).max_keys(100).send().await;
        let listed = listed.map_err(|e| self.failed("listing versions", e))?;
        let versions = listed.versions.unwrap_or_default();
        let versions = versions.into_iter().filter(|version| version.key.as_deref() == Some(key));
        for version in versions.filter_map(|version| version.version_id).take(VERSIONS) {
            if let Some(found) = self.head(key, Some(&version)).await?.filter(is_it) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Whether it is what was announced.
fn agrees(found: Found, upload: &Upload<'_>) -> Result<Found, Failure> {
    if found.length != upload.length {
        let (is, was) = (found.length, upload.length);
        return Err(Failure::Differs(format!("it has {is} bytes, and not {was}")));
    }
    if !found.content_type.eq_ignore_ascii_case(upload.content_type) {
        let is: String = found.content_type.chars().take(127).collect();
        return Err(Failure::Differs(format!("its content type is `{is}`, and not `{}`", upload.content_type)));
    }
    Ok(found)
}
