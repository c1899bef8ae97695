//! Objects as they were: what versions there are of them, and bringing back those of some moment. `origin objects` is this.
//!
//! The site calls the bucket's versions its backup of files, so this is the way back after somebody, or some program, deleted or overwrote
//! what it should not have.

mod copy;
mod restore;

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sdk_s3::primitives::DateTime;

pub use restore::{Done, Plan, Step};

use crate::storage::{Store, StoreError, key};

/// One version of an object, or the mark that it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// As the storage calls it.
    pub id: String,
    /// When it came, by the storage's clock.
    pub at: SystemTime,
    /// Its bytes; `None` for a mark of deletion.
    pub size: Option<u64>,
    /// Its `ETag`; empty for a mark of deletion.
    pub etag: String,
    /// Whether it is what a reader gets now.
    pub latest: bool,
}

/// A key with its versions, the newest first.
#[derive(Clone, Debug)]
pub struct History {
    /// The key.
    pub key: String,
    /// At least one.
    pub versions: Vec<Version>,
}

/// Which keys are meant: one, with all that lies below it as in a folder; empty for all. `users/1` does not mean `users/10`.
fn meant(under: &str, key: &str) -> bool {
    under.is_empty() || key::covers(under, key)
}

/// What S3 lists at once, at most.
pub const PAGE: i32 = 1_000;

/// Tells of every key that is meant, in their order, a page of the listing at a time: `page` is 1 to [`PAGE`] versions.
///
/// Where a version and a mark of deletion came in one second, and the storage's clock tells no more (Ceph 20.2), the version counts as the
/// newer one, so that it is rather brought back than not.
///
/// # Errors
/// A storage that does not list them.
pub async fn histories(store: &Store, under: &str, page: i32, mut each: impl FnMut(History)) -> Result<(), StoreError> {
    let (mut key_marker, mut version_marker): (Option<String>, Option<String>) = (None, None);
    let mut open: BTreeMap<String, Vec<Version>> = BTreeMap::new();
    loop {
        let asked = store.client().list_object_versions().bucket(store.name()).max_keys(page);
        let asked = asked
            .set_prefix(Some(under.to_owned()).filter(|under| !under.is_empty()))
            .set_key_marker(key_marker.clone())
            .set_version_id_marker(version_marker.clone());
        let page = asked.send().await.map_err(|error| store.failed("listing versions", error))?;
        let versions =
            page.versions().iter().map(|v| (v.key(), v.version_id(), v.last_modified(), v.is_latest(), Some(v)));
        let marks =
            page.delete_markers().iter().map(|m| (m.key(), m.version_id(), m.last_modified(), m.is_latest(), None));
        for (key, id, at, latest, version) in versions.chain(marks) {
            let Some(key) = key.filter(|key| meant(under, key)) else { continue };
            open.entry(key.to_owned()).or_default().push(Version {
                id: id.unwrap_or("null").to_owned(),
                at: at.and_then(|at: &DateTime| SystemTime::try_from(*at).ok()).unwrap_or(SystemTime::UNIX_EPOCH),
                size: version.map(|version| version.size().unwrap_or_default().unsigned_abs()),
                etag: version.and_then(|version| version.e_tag()).unwrap_or_default().to_owned(),
                latest: latest.unwrap_or_default(),
            });
        }
        let more = page.is_truncated() == Some(true);
        let before = (key_marker, version_marker);
        key_marker = page.next_key_marker().map(ToOwned::to_owned).filter(|_| more);
        version_marker = page.next_version_id_marker().map(ToOwned::to_owned).filter(|_| more);
        if let (Some(key), Some("null")) = (&key_marker, version_marker.as_deref()) {
            // Swift says that of every version, and goes on from none. The last of this page is the oldest that it has of its key.
            let last = open.get(key).filter(|versions| versions.iter().all(|version| version.id != "null"));
            let last = last.and_then(|versions| versions.iter().min_by_key(|version| (version.at, &version.id)));
            version_marker = last.map(|version| version.id.clone()).or(version_marker);
        }
        if more && before == (key_marker.clone(), version_marker.clone()) {
            return Err(store.wrong("listing versions", &"the listing does not go on"));
        }
        // A key's versions may go on upon the next page.
        let rest = key_marker.as_ref().map_or_else(BTreeMap::new, |marker| open.split_off(marker));
        for (key, mut versions) in std::mem::replace(&mut open, rest) {
            versions.sort_by_key(|version| std::cmp::Reverse((version.latest, version.at)));
            each(History { key, versions });
        }
        if key_marker.is_none() {
            return Ok(());
        }
    }
}

impl History {
    /// What a reader got at that moment: a version, or a mark of deletion, or nothing.
    #[must_use]
    pub fn at(&self, moment: SystemTime) -> Option<&Version> {
        self.versions.iter().find(|version| version.at <= moment)
    }
}
