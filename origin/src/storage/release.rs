//! From pending to where it is read: one version is copied to its final key, at the storage. What somebody uploads afterwards, with a form or a URL
//! that still works, is another version under the pending prefix, and nobody is led there.

use std::collections::HashMap;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MetadataDirective};
use percent_encoding::utf8_percent_encode;

use super::download::check_version;
use super::sigv4::{PATH, QUERY};
use super::{Failure, Found, LARGEST_PUT, Refused, Store};
use crate::config::Bucket;

/// In whose field of a released object's metadata stands which pending one it is.
const RELEASED: &str = "released";

/// How an object is copied: at once, or in pieces. S3 copies no more than 5 GiB at once.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    /// The longest that is copied at once, in bytes: up to 5 GiB.
    pub at_once: u64,
    /// The length of a piece of a longer one, 5 MiB to 5 GiB. No more than 10,000 may be needed.
    pub piece: u64,
}

impl Default for Pieces {
    /// A piece of 1 GiB takes a storage seconds, and 5 TiB are half as many as may be.
    fn default() -> Self {
        Self { at_once: LARGEST_PUT, piece: 1 << 30 }
    }
}

/// Which pending object is meant.
#[derive(Clone, Copy, Debug)]
pub struct Pending<'a> {
    /// The key that it is to have.
    pub key: &'a str,
    /// Its version, where the bucket has versions.
    pub version: Option<&'a str>,
    /// Its `ETag`.
    pub etag: Option<&'a str>,
}

impl Store {
    /// Gives a pending object its key, and removes it from where it was. It may be asked again.
    ///
    /// # Errors
    /// Where there is no such version, or another object by now; a storage that does not do it.
    pub async fn release(&self, bucket: &Bucket, pending: &Pending<'_>, pieces: Pieces) -> Result<Found, Failure> {
        let Pending { key, version, etag } = *pending;
        let lands = pending_key(bucket, key)?;
        version.map_or(Ok(()), check_version)?;
        let Some(mark) = version.or(etag).map(|mark| mark.trim_matches('"').to_owned()) else {
            return Err(Refused::Version.into());
        };
        let Some(source) = self.head(&lands, version).await?.filter(|found| etag.is_none_or(|etag| found.etag == etag))
        else {
            // Perhaps it was released before, and the answer got lost.
            let released = self.head(key, None).await?;
            let released = released.filter(|found| found.metadata.get(RELEASED) == Some(&mark));
            return released.ok_or(Failure::VersionUnknown);
        };
        let metadata = HashMap::from([(RELEASED.to_owned(), mark)]);
        let copy = Copy { store: self, from: &lands, version, source: &source, to: key, metadata };
        let made =
            if source.length <= pieces.at_once { copy.at_once().await? } else { copy.in_pieces(pieces.piece).await? };
        let released = self.head(key, made.as_deref()).await?.ok_or(Failure::VersionUnknown)?;
        if released.length != source.length {
            let (is, was) = (released.length, source.length);
            return Err(Failure::Differs(format!("the copy has {is} bytes, and not {was}")));
        }
        if let Err(error) = self.discard(bucket, key, version).await {
            // It is only in the way of nobody: the bucket's rules take it.
            tracing::warn!(bucket = self.role(), %error, "what was released is still pending, too");
        }
        Ok(released)
    }

    /// Removes a pending object. It may be asked again.
    ///
    /// # Errors
    /// A bucket where nothing is pending; a storage that does not do it.
    pub async fn discard(&self, bucket: &Bucket, key: &str, version: Option<&str>) -> Result<(), Failure> {
        let lands = pending_key(bucket, key)?;
        version.map_or(Ok(()), check_version)?;
        let asked = self.client().delete_object().bucket(self.name()).key(lands);
        match asked.set_version_id(version.map(Into::into)).send().await {
            Err(e) if !matches!(e.code(), Some("NoSuchKey" | "NoSuchVersion")) => {
                Err(self.failed("removing a pending object", e).into())
            }
            _ => Ok(()),
        }
    }
}

fn pending_key(bucket: &Bucket, key: &str) -> Result<String, Refused> {
    let lands = bucket.lands(key)?;
    if bucket.pending.is_none() { Err(Refused::NothingPends) } else { Ok(lands.into_owned()) }
}

/// A copy to be made.
struct Copy<'a> {
    store: &'a Store,
    from: &'a str,
    version: Option<&'a str>,
    source: &'a Found,
    to: &'a str,
    metadata: HashMap<String, String>,
}

impl Copy<'_> {
    /// `BUCKET/KEY`, as the field wants it.
    fn source(&self) -> String {
        let from = format!("{}/{}", self.store.name(), utf8_percent_encode(self.from, PATH));
        self.version.map_or(from.clone(), |version| format!("{from}?versionId={}", utf8_percent_encode(version, QUERY)))
    }

    /// Gives the copy's version, where there is one.
    async fn at_once(self) -> Result<Option<String>, Failure> {
        let asked = self.store.client().copy_object().bucket(self.store.name()).key(self.to).copy_source(self.source());
        let asked = asked
            // Without versions this is what pins it.
            .copy_source_if_match(&self.source.etag)
            .metadata_directive(MetadataDirective::Replace)
            .content_type(&self.source.content_type)
            .set_content_disposition(self.source.disposition.clone())
            .set_metadata(Some(self.metadata.clone()));
        match asked.send().await {
            Ok(copied) => Ok(copied.version_id.filter(|version| version != "null")),
            Err(e) if gone(e.code()) => Err(Failure::VersionUnknown),
            Err(e) => Err(self.store.failed("copying an object", e).into()),
        }
    }

    async fn in_pieces(self, piece: u64) -> Result<Option<String>, Failure> {
        let begun = self.store.client().create_multipart_upload().bucket(self.store.name()).key(self.to);
        let begun = begun
            .content_type(&self.source.content_type)
            .set_content_disposition(self.source.disposition.clone())
            .set_metadata(Some(self.metadata.clone()));
        let begun = begun.send().await.map_err(|e| self.store.failed("beginning a copy", e))?;
        let id = begun.upload_id.unwrap_or_default();
        match self.pieces(&id, piece).await {
            Ok(version) => Ok(version),
            Err(failure) => {
                let given_up = self.store.client().abort_multipart_upload().bucket(self.store.name()).key(self.to);
                // What stays of it, the bucket's rules remove.
                let _ = given_up.upload_id(id).send().await;
                Err(failure)
            }
        }
    }

    async fn pieces(&self, id: &str, piece: u64) -> Result<Option<String>, Failure> {
        let (client, name) = (self.store.client(), self.store.name());
        let mut parts = Vec::new();
        let mut begin = 0;
        while begin < self.source.length {
            let (number, end) = (parts.len() + 1, self.source.length.min(begin.saturating_add(piece.max(1))));
            let number = i32::try_from(number).unwrap_or(i32::MAX);
            let asked = client.upload_part_copy().bucket(name).key(self.to).upload_id(id).part_number(number);
            let asked = asked
                .copy_source(self.source())
                .copy_source_if_match(&self.source.etag)
                .copy_source_range(format!("bytes={begin}-{}", end - 1));
            let copied = asked.send().await.map_err(|e| match e.code() {
                code if gone(code) => Failure::VersionUnknown,
                _ => self.store.failed("copying a piece", e).into(),
            })?;
            let etag = copied.copy_part_result.and_then(|part| part.e_tag);
            parts.push(CompletedPart::builder().part_number(number).set_e_tag(etag).build());
            begin = end;
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let done = client.complete_multipart_upload().bucket(name).key(self.to).upload_id(id).multipart_upload(parts);
        let done = done.send().await.map_err(|e| self.store.failed("completing a copy", e))?;
        Ok(done.version_id.filter(|version| version != "null"))
    }
}

/// Whether the source is not what it was.
fn gone(code: Option<&str>) -> bool {
    matches!(code, Some("NoSuchKey" | "NoSuchVersion" | "PreconditionFailed"))
}
