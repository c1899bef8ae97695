//! An old version, copied at the storage to be the newest.

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::storage::{Store, StoreError};

/// The most that S3 copies in one go.
const LARGEST: u64 = 5 << 30;
/// A piece of what is longer.
const PIECE: u64 = 1 << 30;
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Copies a version of an object, with its fields, over the object.
pub(super) async fn over(store: &Store, key: &str, version: &str, size: u64) -> Result<(), StoreError> {
    pieces(store, key, version, size, LARGEST, PIECE).await
}

async fn pieces(
    store: &Store,
    key: &str,
    version: &str,
    size: u64,
    largest: u64,
    piece: u64,
) -> Result<(), StoreError> {
    const DOING: &str = "copying an old version";
    let (client, name) = (store.client(), store.name());
    let (path, id) = (utf8_percent_encode(key, PATH), utf8_percent_encode(version, QUERY));
    let source = format!("{name}/{path}?versionId={id}");
    if size <= largest {
        let copied = client.copy_object().bucket(name).key(key).copy_source(source).send().await;
        return copied.map(drop).map_err(|error| store.failed(DOING, error));
    }
    let old = client.head_object().bucket(name).key(key).version_id(version).send().await;
    let old = old.map_err(|error| store.failed(DOING, error))?;
    let begun = client
        .create_multipart_upload()
        .bucket(name)
        .key(key)
        .set_content_type(old.content_type)
        .set_content_disposition(old.content_disposition)
        .set_content_encoding(old.content_encoding)
        .set_content_language(old.content_language)
        .set_cache_control(old.cache_control)
        .set_metadata(old.metadata);
    let begun = begun.send().await.map_err(|error| store.failed(DOING, error))?;
    let upload = begun.upload_id.unwrap_or_default();
    let mut parts = Vec::new();
    let mut begin = 0;
    while begin < size {
        let (number, end) = (parts.len() + 1, size.min(begin + piece));
        let number = i32::try_from(number).unwrap_or(i32::MAX);
        let copied = client
            .upload_part_copy()
            .bucket(name)
            .key(key)
            .upload_id(&upload)
            .part_number(number)
            .copy_source(&source)
            .copy_source_range(format!("bytes={begin}-{}", end - 1));
        // An upload that stays unfinished goes by the bucket's lifecycle.
        let copied = copied.send().await.map_err(|error| store.failed(DOING, error))?;
        let tag = copied.copy_part_result.and_then(|part| part.e_tag);
        parts.push(CompletedPart::builder().part_number(number).set_e_tag(tag).build());
        begin = end;
    }
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
    let done = client.complete_multipart_upload().bucket(name).key(key).upload_id(upload).multipart_upload(parts);
    done.send().await.map(drop).map_err(|error| store.failed(DOING, error))
}
