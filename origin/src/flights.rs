//! Request collapsing: of many requests for what is not stored, one asks the app and the others wait for what comes of it.
//!
//! A key whose answer turned out not to be storable is remembered for a while, so that its requests do not wait in line for an
//! answer that each of them has to fetch for itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::Problem;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::watch;

/// How long a key is remembered as not storable after it was asked for last.
pub const ALONE: Duration = Duration::from_secs(10);

/// How many keys are, at most; past that, the longest unused is forgotten.
const MOST_ALONE: u64 = 10_000;

/// What came of a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// The answer is in the store: each follower looks there again.
    Stored,
    /// The answer can't be shared: each follower goes on its own.
    NotStored,
    /// We answered in place of the app: so do the followers.
    Failed(Problem),
    /// The leader gave up without an answer: each follower boards again, and one of them leads.
    Gone,
}

/// A request's part in what is asked for.
pub enum Boarding {
    /// It asks the app, and tells the others.
    Lead(Flight),
    /// Another asks already.
    Follow(Follow),
    /// It asks the app for itself: the last answer could not be shared.
    Alone,
}

/// The requests under way to the app, by what they ask for. Clones are the same, on all cores.
#[derive(Clone)]
pub struct Flights {
    aloft: Arc<Mutex<Aloft>>,
    alone: Cache<Arc<str>, ()>,
}

type Aloft = HashMap<Arc<str>, watch::Receiver<Option<Landing>>>;

impl Flights {
    /// None yet; keys that can't be shared are remembered for so long after they were asked for last (in practice [`ALONE`]).
    #[must_use]
    pub fn new(alone: Duration) -> Self {
        let alone =
            Cache::builder().max_capacity(MOST_ALONE).eviction_policy(EvictionPolicy::lru()).time_to_idle(alone);
        Self { aloft: Arc::default(), alone: alone.build() }
    }

    /// Gives a request its part in what is asked for under `key`. A leader whose client may leave flies in a task of its own.
    #[must_use]
    pub fn board(&self, key: &str) -> Boarding {
        if self.alone.get(key).is_some() {
            return Boarding::Alone;
        }
        let mut aloft = self.aloft();
        if let Some(landing) = aloft.get(key) {
            return Boarding::Follow(Follow { landing: landing.clone() });
        }
        let key = Arc::from(key);
        let (followers, landing) = watch::channel(None);
        aloft.insert(Arc::clone(&key), landing);
        Boarding::Lead(Flight { of: self.clone(), key, followers, landing: Landing::Gone })
    }

    /// A key that could not be shared can be after all.
    pub fn forget(&self, key: &str) {
        self.alone.invalidate(key);
    }

    fn aloft(&self) -> MutexGuard<'_, Aloft> {
        self.aloft.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The leader's part. Dropped before it has landed, it is [gone](Landing::Gone).
pub struct Flight {
    of: Flights,
    key: Arc<str>,
    followers: watch::Sender<Option<Landing>>,
    landing: Landing,
}

impl Flight {
    /// Whether anyone waits for it.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        // One is kept for those who will.
        self.followers.receiver_count() > 1
    }

    /// Tells the followers what came of it. What is stored has to be in the store before.
    pub fn land(mut self, landing: Landing) {
        self.landing = landing;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // In this order: whoever boards now goes alone, or follows this flight, or finds what it has stored.
        if self.landing == Landing::NotStored {
            self.of.alone.insert(Arc::clone(&self.key), ());
        }
        self.of.aloft().remove(&self.key);
        self.followers.send_replace(Some(self.landing));
    }
}

/// A follower's part.
pub struct Follow {
    landing: watch::Receiver<Option<Landing>>,
}

impl Follow {
    /// Waits for what comes of the flight. It ends when the leader does: bound it where that may be too late.
    pub async fn landed(mut self) -> Landing {
        let landing = self.landing.wait_for(Option::is_some).await;
        // A leader says what came of it even when it is dropped.
        landing.ok().and_then(|landing| *landing).unwrap_or(Landing::Gone)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;
    use std::time::Instant;

    use futures_util::future::join_all;

    use super::*;

    const THREADS: usize = 4;
    const EACH: usize = 125;

    fn lead(flights: &Flights, key: &str) -> Flight {
        match flights.board(key) {
            Boarding::Lead(flight) => flight,
            Boarding::Follow(_) => panic!("another leads"),
            Boarding::Alone => panic!("alone"),
        }
    }

    fn follow(flights: &Flights, key: &str) -> Follow {
        match flights.board(key) {
            Boarding::Follow(follow) => follow,
            Boarding::Lead(_) => panic!("nobody leads"),
            Boarding::Alone => panic!("alone"),
        }
    }

    fn on_one_core<T>(work: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        // The alarm first: it polls `work` too, which would then go on as if it had been woken.
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = tokio::time::sleep(Duration::from_secs(60)) => panic!("no end"),
                done = work => done,
            }
        })
    }

    /// 500 followers on several cores: what each of them makes of the landing, counted.
    fn followed<T: Ord + Send>(
        landing: Option<Landing>,
        then: impl Fn(&Flights, Landing) -> T + Sync,
    ) -> BTreeMap<T, usize> {
        let flights = Flights::new(ALONE);
        let flight = lead(&flights, "/");
        let aboard = Barrier::new(THREADS + 1);
        let counts = thread::scope(|scope| {
            let core = || {
                on_one_core(async {
                    let followers: Vec<_> = (0..EACH).map(|_| follow(&flights, "/")).collect();
                    aboard.wait();
                    join_all(followers.into_iter().map(async |f| then(&flights, f.landed().await))).await
                })
            };
            let cores: Vec<_> = (0..THREADS).map(|_| scope.spawn(core)).collect();
            aboard.wait();
            match landing {
                Some(landing) => flight.land(landing),
                None => drop(flight),
            }
            let mut counts = BTreeMap::new();
            for one in cores.into_iter().flat_map(|core| core.join().unwrap()) {
                *counts.entry(one).or_default() += 1;
            }
            counts
        });
        assert!(flights.aloft().is_empty());
        counts
    }

    #[test]
    fn all_followers_learn_what_came_of_it() {
        for landing in [Landing::Stored, Landing::NotStored, Landing::Failed(Problem::AppTimeout)] {
            let counts = followed(Some(landing), |_, landed| format!("{landed:?}"));
            assert_eq!(counts, BTreeMap::from([(format!("{landing:?}"), THREADS * EACH)]));
        }
    }

    #[test]
    fn what_is_not_stored_releases_all_at_once() {
        let counts = followed(Some(Landing::NotStored), |flights, _| matches!(flights.board("/"), Boarding::Alone));
        assert_eq!(counts, BTreeMap::from([(true, THREADS * EACH)]));
    }

    #[test]
    fn of_those_whose_leader_is_gone_one_leads() {
        let next = Mutex::new(None);
        let followers = AtomicUsize::new(0);
        let counts = followed(None, |flights, landed| {
            assert_eq!(landed, Landing::Gone);
            match flights.board("/") {
                Boarding::Lead(flight) => {
                    let before = next.lock().unwrap().replace(flight);
                    assert!(before.is_none());
                }
                Boarding::Follow(_) => {
                    followers.fetch_add(1, Ordering::Relaxed);
                }
                Boarding::Alone => panic!("alone"),
            }
            // The last one lets the new flight end.
            if followers.load(Ordering::Relaxed) == THREADS * EACH - 1
                && let Some(flight) = next.lock().unwrap().take()
            {
                flight.land(Landing::Stored);
            }
        });
        assert_eq!(counts[&()], THREADS * EACH);
        assert_eq!(followers.into_inner(), THREADS * EACH - 1);
    }

    #[test]
    fn everyone_boards_at_once_and_one_leads() {
        let flights = Flights::new(ALONE);
        let start = Barrier::new(THREADS);
        let core = || {
            start.wait();
            // Kept, so that no flight ends before all have boarded.
            let parts: Vec<_> = (0..EACH).map(|_| flights.board("/")).collect();
            start.wait();
            parts.iter().filter(|part| matches!(part, Boarding::Lead(_))).count()
        };
        let leaders: usize = thread::scope(|scope| {
            let cores: Vec<_> = (0..THREADS).map(|_| scope.spawn(core)).collect();
            cores.into_iter().map(|core| core.join().unwrap()).sum()
        });
        assert_eq!(leaders, 1);
        assert!(flights.aloft().is_empty());
    }

    #[test]
    fn keys_do_not_wait_for_each_other() {
        let flights = Flights::new(ALONE);
        let one = lead(&flights, "/1");
        let other = lead(&flights, "/2");
        let follower = follow(&flights, "/1");
        other.land(Landing::NotStored);
        one.land(Landing::Stored);
        assert_eq!(on_one_core(follower.landed()), Landing::Stored);
        assert!(matches!(flights.board("/2"), Boarding::Alone));
        // What is stored is asked for anew once it is not.
        lead(&flights, "/1").land(Landing::Failed(Problem::Overloaded));
        drop(lead(&flights, "/1"));
        assert!(flights.aloft().is_empty());
    }

    #[test]
    fn what_could_not_be_shared_is_tried_again_later() {
        const SHORT: Duration = Duration::from_millis(300);
        let flights = Flights::new(SHORT);
        lead(&flights, "/").land(Landing::NotStored);
        // As long as it is asked for.
        let (landed, mut last) = (Instant::now(), Instant::now());
        while landed.elapsed() < SHORT * 3 {
            if !matches!(flights.board("/"), Boarding::Alone) {
                assert!(last.elapsed() > SHORT / 2, "and this machine had nothing better to do");
                return;
            }
            last = Instant::now();
            thread::sleep(Duration::from_millis(10));
        }
        thread::sleep(SHORT * 2);
        assert!(matches!(flights.board("/"), Boarding::Lead(_)));
        // Or until one could be.
        lead(&flights, "/").land(Landing::NotStored);
        flights.forget("/");
        assert!(matches!(flights.board("/"), Boarding::Lead(_)));
    }

    #[test]
    fn a_flood_of_keys_is_not_remembered_for_ever() {
        let flights = Flights::new(Duration::from_secs(3600));
        for key in 0..2 * MOST_ALONE {
            lead(&flights, &key.to_string()).land(Landing::NotStored);
        }
        flights.alone.run_pending_tasks();
        assert!(flights.alone.entry_count() <= MOST_ALONE, "{}", flights.alone.entry_count());
        assert!(matches!(flights.board(&(2 * MOST_ALONE - 1).to_string()), Boarding::Alone), "the newest is");
    }
}
