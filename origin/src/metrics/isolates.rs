//! What isolates of the Worker have counted, added up ([`contract::counts`], [`edge::counts`]). It comes with their exchanges, seldom, so one lock is
//! enough.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::counts::Batch;
use edge::counts::{Counts, Kind};

/// So many isolates are known at least, to tell a batch that comes again. Each takes 16 bytes and a little; the oldest are forgotten.
const ISOLATES: usize = 4_096;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What they have counted since this process began.
#[derive(Debug, Default)]
pub(crate) struct Isolates(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    sums: Counts,
    /// The number of the last batch by isolate, of those that came lately and of those before.
    last: HashMap<u64, u64>,
    before: HashMap<u64, u64>,
    outcomes: [u64; OUTCOMES.len()],
    /// Days since 1970, and requests that were told of on that day.
    today: (u64, u64),
}

/// What became of batches, as a label.
const OUTCOMES: [&str; 3] = ["counted", "repeated", "refused"];

/// What there is to say in a scrape.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) sums: Counts,
    pub(super) batches: [(&'static str, u64); OUTCOMES.len()],
    /// Requests of the UTC day in which it is `now`.
    pub(super) today: u64,
}

impl Isolates {
    /// Takes a batch over, unless it is one again; `now` is in seconds since 1970.
    pub(crate) fn take(&self, field: &str, now: u64) {
        let mut known = self.lock();
        let outcome = match Batch::parse(field) {
            None => 2,
            Some(batch) if known.is_again(&batch) => 1,
            Some(batch) => {
                let mut new = Counts::default();
                new.take(&batch);
                let requests: u64 = new.of(Kind::Cache).map(|(_, count)| count).sum();
                known.today = (now / DAY, known.requests(now).saturating_add(requests));
                known.sums.take(&batch);
                0
            }
        };
        known.outcomes[outcome] += 1;
    }

    pub(super) fn told(&self, now: u64) -> Told {
        let known = self.lock();
        let mut batches = OUTCOMES.map(|outcome| (outcome, 0));
        batches.iter_mut().zip(known.outcomes).for_each(|((_, sum), count)| *sum = count);
        Told { sums: known.sums.clone(), batches, today: known.requests(now) }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_again(&mut self, batch: &Batch<'_>) -> bool {
        let last = self.last.get(&batch.from).or_else(|| self.before.get(&batch.from));
        if last.is_some_and(|last| batch.number <= *last) {
            return true;
        }
        if self.last.len() >= ISOLATES {
            self.before = std::mem::take(&mut self.last);
        }
        self.last.insert(batch.from, batch.number);
        false
    }

    fn requests(&self, now: u64) -> u64 {
        let (day, requests) = self.today;
        if day == now / DAY { requests } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY, ISOLATES, Isolates, Kind};

    fn field(from: u64, number: u64, hits: u64) -> String {
        format!("from=\"{from:016x}\", batch={number}, cache.hit={hits}")
    }

    #[test]
    fn a_batch_counts_once_and_nonsense_not_at_all() {
        let counts = Isolates::default();
        for (from, number) in [(1, 0), (1, 0), (2, 0), (1, 1), (1, 0)] {
            counts.take(&field(from, number, 10), 7);
        }
        counts.take("cache.hit=10", 7);
        counts.take("from=\"0000000000000001\", batch=2, cache.hit=-10, made.up=5", 7);
        let told = counts.told(7);
        assert_eq!(told.sums.of(Kind::Cache).collect::<Vec<_>>(), [("hit", 30)]);
        assert_eq!(told.batches, [("counted", 3), ("repeated", 2), ("refused", 2)]);
    }

    #[test]
    fn a_day_ends_at_midnight() {
        let counts = Isolates::default();
        counts.take(&field(1, 0, 10), 10 * DAY - 1);
        assert_eq!((counts.told(10 * DAY - 1).today, counts.told(10 * DAY).today), (10, 0));
        counts.take(&field(1, 1, 5), 10 * DAY);
        assert_eq!(counts.told(10 * DAY + 9).today, 5);
        assert_eq!(counts.told(0).sums.of(Kind::Cache).collect::<Vec<_>>(), [("hit", 15)]);
    }

    #[test]
    fn as_many_isolates_are_known_as_there_is_room_for() {
        let counts = Isolates::default();
        let isolates = 3 * ISOLATES as u64;
        for from in 0..isolates {
            counts.take(&field(from, 0, 1), 7);
        }
        let known = counts.lock();
        assert!(known.last.len() <= ISOLATES && known.before.len() <= ISOLATES);
        drop(known);
        for from in isolates - ISOLATES as u64..isolates {
            counts.take(&field(from, 0, 1), 7);
        }
        assert_eq!(counts.told(7).today, isolates, "the newest are told apart");
    }
}
