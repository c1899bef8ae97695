//! What has been purged, as all cores see it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use cache::purge::{Log, Scope, Verdict};
use cache::{Key, Meta};

/// The purge log of this gateway.
#[derive(Debug, Default)]
pub struct Purges {
    /// The number of the newest one, so that a hit needs no lock.
    newest: AtomicU64,
    log: RwLock<Log>,
}

impl Purges {
    /// The number of the newest purge.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Adds purges; gives the number of the last.
    pub fn add(&self, scopes: &[Scope], soft: bool) -> u64 {
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        for scope in scopes {
            log.add(scope, soft);
        }
        self.newest.store(log.newest(), Ordering::Release);
        log.newest()
    }

    /// What they say of an entry.
    #[must_use]
    pub fn verdict(&self, key: &Key, stored: &Meta) -> Verdict {
        if stored.sequence() >= self.newest() {
            return Verdict::Valid;
        }
        self.log.read().unwrap_or_else(PoisonError::into_inner).verdict(key, stored)
    }
}
