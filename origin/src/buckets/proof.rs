//! Whether a write-only key really reads nothing: it is tried, on every bucket that it can see.
//!
//! Old Ceph says 404 of an object that is not there to whoever asks, so it takes one that is: of an empty bucket only the listings are tried.
//!
//! A copy is asked for on a condition that no object meets: who may not read is refused, and nothing has changed. Some servers look at the
//! condition first and say 412 to everyone; then it is asked for without, and what is copied is removed again, version and all.

use std::fmt;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::project::{Project, Writer};
use crate::storage::{Store, StoreError, Trouble};

/// What a copy would be called.
const COPY: &str = "origin-check/copy";
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// What one write-only key can read.
#[derive(Debug)]
pub struct Proof {
    roles: String,
    tried: usize,
    empty: usize,
    /// Buckets and the ways in which they are read: none, if all is well.
    pub reads: Vec<(String, Vec<&'static str>)>,
}

pub(super) async fn all(project: &Project<'_>) -> Result<Vec<Proof>, StoreError> {
    let mut proofs = Vec::new();
    for writer in &project.writers {
        let mut reads = Vec::new();
        let (mut tried, mut empty) = (0, 0);
        for name in &project.names {
            let owner = project.store.on(name);
            if !exists(&owner).await? {
                continue;
            }
            let key = some_key(&owner).await?;
            tried += 1;
            empty += usize::from(key.is_none());
            let ways = ways(writer, &owner, key.as_deref()).await?;
            if !ways.is_empty() {
                reads.push((name.clone(), ways));
            }
        }
        proofs.push(Proof { roles: writer.roles.join(" and "), tried, empty, reads });
    }
    Ok(proofs)
}

async fn exists(store: &Store) -> Result<bool, StoreError> {
    match store.reach().await {
        Ok(()) => Ok(true),
        Err(error) if matches!(error.trouble(), Trouble::Missing | Trouble::Denied) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Of an object that can be tried.
async fn some_key(owner: &Store) -> Result<Option<String>, StoreError> {
    let listed = owner.client().list_objects_v2().bucket(owner.name()).max_keys(1).send().await;
    let listed = listed.map_err(|error| owner.failed("listing objects", error))?;
    Ok(listed.contents().first().and_then(|object| object.key()).map(ToOwned::to_owned))
}

/// In which ways a bucket can be read.
async fn ways(writer: &Writer, owner: &Store, key: Option<&str>) -> Result<Vec<&'static str>, StoreError> {
    let store = writer.store.on(owner.name());
    let (client, name) = (store.client(), store.name());
    let mut ways = Vec::new();
    let got = client.list_objects_v2().bucket(name).max_keys(1).send().await.map(drop);
    ways.extend(reads(&store, got)?.then_some("list"));
    let got = client.list_object_versions().bucket(name).max_keys(1).send().await.map(drop);
    ways.extend(reads(&store, got)?.then_some("list of versions"));
    let Some(key) = key else { return Ok(ways) };
    let got = client.get_object().bucket(name).key(key).range("bytes=0-0").send().await.map(drop);
    ways.extend(reads(&store, got)?.then_some("GET"));
    let got = client.head_object().bucket(name).key(key).send().await.map(drop);
    ways.extend(reads(&store, got)?.then_some("HEAD"));
    let mut copied = false;
    for home in &writer.homes {
        copied |= copies(writer, owner, key, home).await?;
    }
    ways.extend(copied.then_some("copy"));
    Ok(ways)
}

/// Whether an object can be copied to where the key writes.
async fn copies(writer: &Writer, owner: &Store, key: &str, home: &str) -> Result<bool, StoreError> {
    let store = writer.store.on(home);
    let source = format!("{}/{}", owner.name(), utf8_percent_encode(key, PATH));
    let asked = || store.client().copy_object().bucket(home).key(COPY).copy_source(&source);
    let mut copied = asked().copy_source_if_match("\"no object's\"").send().await;
    if copied.as_ref().is_err_and(|error| error.raw_response().is_some_and(|raw| raw.status().as_u16() == 412)) {
        copied = asked().send().await;
    }
    if let Ok(copy) = &copied {
        let owner = owner.on(home);
        let removed = owner.client().delete_object().bucket(home).key(COPY);
        let removed = removed.set_version_id(copy.version_id().map(ToOwned::to_owned)).send().await;
        removed.map_err(|error| owner.failed("removing what the write-only key could copy", error))?;
    }
    reads(&store, copied.map(drop))
}

/// Whether that was an answer to somebody who may read.
fn reads<E>(store: &Store, asked: Result<(), SdkError<E, HttpResponse>>) -> Result<bool, StoreError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Err(error) = asked else { return Ok(true) };
    let error = store.failed("trying to read with the write-only key", error);
    match error.trouble() {
        Trouble::Denied | Trouble::Unsupported => Ok(false),
        Trouble::Missing | Trouble::Refused => Ok(true),
        _ => Err(error),
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { roles, tried, empty, reads } = self;
        if reads.is_empty() {
            let empty = if *empty > 0 { format!(", of which {empty} held nothing to try") } else { String::new() };
            return write!(f, "the write-only key of {roles} reads nothing in {tried} bucket(s): tried{empty}");
        }
        write!(f, "the write-only key of {roles} CAN READ, so its uploads can copy what is there:")?;
        reads.iter().try_for_each(|(name, ways)| write!(f, "\n  {name} by {}", ways.join(", ")))
    }
}
