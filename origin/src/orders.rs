//! What the operator has ordered, as all cores see it: purges, and standing orders.

mod journal;
mod link;
mod peer;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use cache::purge::{Scope, Verdict};
use cache::{Key, Meta};
use contract::news::{self, News};
use edge::{Standing, following};

use crate::gateway::Gateway;
use journal::{Journal, Known, Opened};
pub(crate) use link::{PATH, follow};
use peer::Peer;

/// For so long an order is not noticed that another process of ours has added.
const LOOK: Duration = Duration::from_millis(250);

/// The orders of this gateway. All are numbered as one, so that edges learn with each answer whether there are new ones.
#[derive(Debug)]
pub struct Orders {
    /// The number of the newest one, so that a hit needs no lock.
    newest: AtomicU64,
    /// The number up to which edges are told: the newest, unless another gateway has to know it first.
    told: AtomicU64,
    /// What is known of the other gateway, where there is one. Locked after what is known.
    peer: Option<Mutex<Peer>>,
    /// Tells this process from others, and what time it is for `peer`.
    instance: u64,
    began: Instant,
    known: RwLock<Known>,
    /// The standing ones once more, for every request to read.
    standing: ArcSwap<Standing>,
    /// Where it is kept. Locked after what is known.
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

impl Orders {
    /// What is kept in a folder; without one, or where it can't be, what ends with this process. What was before its beginning
    /// a log does not know, so all that is older counts as purged.
    ///
    /// It counts on from the time in milliseconds, so that whoever follows it never sees a number go back, as long as there are fewer
    /// than a thousand purges a second.
    ///
    /// `shared` says that there is another gateway before the same sites, which `follow` asks.
    #[must_use]
    pub fn of(folder: Option<&Path>, shared: bool) -> Self {
        let now = now();
        let (journal, known) = match folder.map(|folder| (folder, Journal::open(folder, now))) {
            None => (None, Known::starting_at(now)),
            Some((folder, Ok(Opened { journal, known, fault }))) => {
                if let Some(fault) = fault {
                    tracing::error!(
                        folder = %folder.display(),
                        error = %fault,
                        "the file of orders is damaged and was begun anew: all that edges have stored counts as purged, and no standing order holds"
                    );
                }
                (Some(Mutex::new(journal)), known)
            }
            Some((folder, Err(error))) => {
                tracing::error!(
                    folder = %folder.display(),
                    %error,
                    "orders are not kept: after a restart all that edges have stored counts as purged, and no standing order holds"
                );
                (None, Known::starting_at(now))
            }
        };
        let newest = known.log.newest();
        let standing = ArcSwap::from_pointee(known.standing.clone());
        Self {
            newest: AtomicU64::new(newest),
            told: AtomicU64::new(if shared { 0 } else { newest }),
            peer: shared.then(|| Mutex::new(Peer::new(newest, Duration::ZERO))),
            instance: rand::random(),
            began: Instant::now(),
            known: RwLock::new(known),
            standing,
            journal,
            counts: Default::default(),
        }
    }

    /// The number of the newest one.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// The number up to which edges, and entries of our own, may take all orders for known.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }

    /// Purges; gives the number of the last. They are in force, and in the hands of the system; on the disk they are after
    /// [`Orders::keep`].
    pub fn purge(&self, scopes: &[Scope], soft: bool) -> u64 {
        self.change(
            |known| {
                self.raise(known);
                for scope in scopes {
                    known.log.add(scope, soft);
                }
            },
            |journal, known| {
                self.raise(known);
                journal.purge(known, scopes, soft)
            },
        );
        for scope in scopes {
            self.counts[kind(scope)].fetch_add(1, Ordering::Relaxed);
        }
        self.newest()
    }

    /// The standing orders.
    pub fn standing<T>(&self, read: impl FnOnce(&Standing) -> T) -> T {
        read(&self.standing.load())
    }

    /// Changes them; gives the number of the change.
    pub fn stand(&self, change: impl Fn(&mut Standing)) -> u64 {
        self.change(
            |known| {
                self.raise(known);
                known.stand(&change);
            },
            |journal, known| {
                self.raise(known);
                journal.stand(known, &change)
            },
        );
        self.newest()
    }

    /// Where there is another gateway, numbers follow the clock, and keep what was promised to it.
    fn raise(&self, known: &mut Known) {
        if let Some(floor) = self.with_peer(|peer| peer.floor(now())) {
            known.log.learn(&[], floor);
        }
    }

    fn change(&self, alone: impl FnOnce(&mut Known), kept: impl FnOnce(&mut Journal, &mut Known) -> io::Result<()>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match &self.journal {
            None => alone(&mut known),
            Some(journal) => {
                if let Err(error) = kept(&mut journal.lock().unwrap_or_else(PoisonError::into_inner), &mut known) {
                    tracing::error!(%error, "an order was not kept: it ends with this process");
                }
            }
        }
        if known.standing.at > self.standing.load().at {
            self.standing.store(Arc::new(known.standing.clone()));
        }
        self.newest.store(known.log.newest(), Ordering::Release);
        if self.peer.is_none() {
            self.told.store(known.log.newest(), Ordering::Release);
        }
    }

    /// Waits until all that was added is on the disk; without a disk, not at all.
    ///
    /// # Errors
    /// Where it can't be written there.
    pub async fn keep(&self) -> io::Result<()> {
        let Some(path) = self.with_journal(|journal| journal.path().to_owned()) else { return Ok(()) };
        tokio::task::spawn_blocking(move || Journal::keep(&path)).await?
    }

    /// Looks for what another process of ours adds while it hands over to us, or we to it; and for what has ended.
    pub(crate) async fn watch(gateway: Arc<Gateway>) {
        let orders = &gateway.orders;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            if orders.standing(|standing| standing.has_ended(now)) {
                orders.stand(|standing| standing.expire(now));
            }
            if orders.with_journal(|journal| journal.is_behind()) == Some(true) {
                orders.change(|_| {}, |journal, known| journal.read(known));
            }
        }
    }

    fn with_journal<T>(&self, what: impl FnOnce(&mut Journal) -> T) -> Option<T> {
        let journal = self.journal.as_ref()?;
        Some(what(&mut journal.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn with_peer<T>(&self, what: impl FnOnce(&mut Peer) -> T) -> Option<T> {
        let peer = self.peer.as_ref()?;
        Some(what(&mut peer.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// How many there were, by kind.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS.into_iter().zip(&self.counts).map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }

    /// What an edge has to know that knows those up to `after`.
    pub(crate) fn news(&self, after: u64) -> News {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        held_back(&known, after, self.sequence())
    }

    /// What they say of an entry.
    #[must_use]
    pub fn verdict(&self, key: &Key, stored: &Meta) -> Verdict {
        if stored.sequence() >= self.newest() {
            return Verdict::Valid;
        }
        self.known.read().unwrap_or_else(PoisonError::into_inner).log.verdict(key, stored)
    }
}

/// The time in milliseconds.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(0)
}

/// What an edge has to know that knows those up to `after`, and may be told those up to `told`.
fn held_back(known: &Known, after: u64, told: u64) -> News {
    let mut news = following::news(&known.log, &known.standing, after, following::OF_AN_EDGE);
    if told >= news.sequence {
        return news;
    }
    news.sequence = told;
    news.standing = news.standing.filter(|standing| standing.at <= told);
    // One of everything may stand for others that are older.
    let everything = after < told && news.purges.iter().any(|purge| purge.at > told && purge.what == news::What::All);
    news.purges.retain(|purge| purge.at <= told);
    if everything {
        news.purges.insert(0, news::Purge { at: told, soft: false, what: news::What::All });
    }
    news
}
