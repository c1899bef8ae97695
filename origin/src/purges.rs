//! What has been purged, as all cores see it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use cache::purge::{Log, Scope, Verdict};
use cache::{Key, Meta};
use contract::news::News;

/// The purge log of this gateway.
#[derive(Debug)]
pub struct Purges {
    /// The number of the newest one, so that a hit needs no lock.
    newest: AtomicU64,
    log: RwLock<Log>,
    counts: [AtomicU64; KINDS.len()],
}

/// The kinds of scopes, as metrics call them.
const KINDS: [&str; 5] = ["url", "prefix", "tag", "group", "all"];

fn kind(scope: &Scope) -> usize {
    match scope {
        Scope::Url(_) => 0,
        Scope::Prefix(_) => 1,
        Scope::Tag(_) => 2,
        Scope::Group { .. } => 3,
        Scope::All => 4,
    }
}

impl Purges {
    /// None yet. The log is not kept when the process ends, as the cache is not: it counts on from the time in milliseconds, so that
    /// whoever follows it never sees a number go back, as long as there are fewer than a thousand purges a second.
    #[must_use]
    pub fn from_now_on() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = u64::try_from(now.as_millis()).unwrap_or(0);
        Self { newest: AtomicU64::new(start), log: RwLock::new(Log::starting_at(start)), counts: Default::default() }
    }

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
            self.counts[kind(scope)].fetch_add(1, Ordering::Relaxed);
        }
        self.newest.store(log.newest(), Ordering::Release);
        log.newest()
    }

    /// How many there were, by kind.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS.into_iter().zip(&self.counts).map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }

    /// What an edge has to know that knows those up to `after`.
    pub(crate) fn news(&self, after: u64) -> News {
        let log = self.log.read().unwrap_or_else(PoisonError::into_inner);
        edge::following::news(&log, after)
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
