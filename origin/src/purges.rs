//! What has been purged, as all cores see it.

mod journal;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cache::purge::{Log, Scope, Verdict};
use cache::{Key, Meta};
use contract::news::News;

use crate::gateway::Gateway;
use journal::Journal;

/// For so long a purge is not noticed that another process of ours has added.
const LOOK: Duration = Duration::from_millis(250);

/// The purge log of this gateway.
#[derive(Debug)]
pub struct Purges {
    /// The number of the newest one, so that a hit needs no lock.
    newest: AtomicU64,
    log: RwLock<Log>,
    /// Where it is kept. Locked after the log.
    journal: Option<Mutex<Journal>>,
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
    /// The log that is kept in a folder; without one, or where it can't be, one that ends with this process. What was before its beginning
    /// a log does not know, so all that is older counts as purged.
    ///
    /// It counts on from the time in milliseconds, so that whoever follows it never sees a number go back, as long as there are fewer
    /// than a thousand purges a second.
    #[must_use]
    pub fn of(folder: Option<&Path>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(0);
        let (journal, log) = match folder.map(|folder| (folder, Journal::open(folder, now))) {
            None => (None, Log::starting_at(now)),
            Some((folder, Ok((journal, log, fault)))) => {
                if let Some(fault) = fault {
                    tracing::error!(
                        folder = %folder.display(),
                        error = %fault,
                        "the purge log is damaged and was begun anew: all that edges have stored counts as purged"
                    );
                }
                (Some(Mutex::new(journal)), log)
            }
            Some((folder, Err(error))) => {
                tracing::error!(
                    folder = %folder.display(),
                    %error,
                    "purges are not kept: after a restart all that edges have stored counts as purged"
                );
                (None, Log::starting_at(now))
            }
        };
        Self { newest: AtomicU64::new(log.newest()), log: RwLock::new(log), journal, counts: Default::default() }
    }

    /// The number of the newest purge.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Adds purges; gives the number of the last. They are in force, and in the hands of the system; on the disk they are after
    /// [`Purges::keep`].
    pub fn add(&self, scopes: &[Scope], soft: bool) -> u64 {
        let mut log = self.log.write().unwrap_or_else(PoisonError::into_inner);
        match self.with_journal(|journal| journal.add(&mut log, scopes, soft)) {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::error!(%error, "a purge was not kept: it ends with this process"),
            None => {
                for scope in scopes {
                    log.add(scope, soft);
                }
            }
        }
        for scope in scopes {
            self.counts[kind(scope)].fetch_add(1, Ordering::Relaxed);
        }
        self.newest.store(log.newest(), Ordering::Release);
        log.newest()
    }

    /// Waits until all that was added is on the disk; without a disk, not at all.
    ///
    /// # Errors
    /// Where it can't be written there.
    pub async fn keep(&self) -> io::Result<()> {
        let Some(path) = self.with_journal(|journal| journal.path().to_owned()) else { return Ok(()) };
        tokio::task::spawn_blocking(move || Journal::keep(&path)).await?
    }

    /// Looks for what another process of ours adds while it hands over to us, or we to it.
    pub(crate) async fn watch(gateway: Arc<Gateway>) {
        let purges = &gateway.purges;
        while purges.journal.is_some() {
            tokio::time::sleep(LOOK).await;
            if purges.with_journal(|journal| journal.is_behind()) == Some(true) {
                let mut log = purges.log.write().unwrap_or_else(PoisonError::into_inner);
                if let Some(Err(error)) = purges.with_journal(|journal| journal.read(&mut log)) {
                    tracing::error!(%error, "the purge log can't be read");
                }
                purges.newest.store(log.newest(), Ordering::Release);
            }
        }
    }

    fn with_journal<T>(&self, what: impl FnOnce(&mut Journal) -> T) -> Option<T> {
        let journal = self.journal.as_ref()?;
        Some(what(&mut journal.lock().unwrap_or_else(PoisonError::into_inner)))
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
