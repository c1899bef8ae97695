//! What isolates of the Worker have counted, added up ([`contract::counts`], [`edge::counts`]). It comes with their exchanges, seldom, so one lock is
//! enough.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::counts::Batch;
use edge::counts::{Counts, Kind};

use super::day::Day;
use crate::gateway::Gateway;

/// So many isolates are known at least, to tell a batch that comes again. Each takes 16 bytes and a little; the oldest are forgotten.
const ISOLATES: usize = 4_096;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// How often what is told of a day goes to its file.
const KEEP: Duration = Duration::from_secs(20);

/// What they have counted since this process began, and what is kept of the day.
#[derive(Debug, Default)]
pub(crate) struct Isolates(Mutex<Known>, Option<Day>);

#[derive(Debug, Default)]
struct Known {
    sums: Counts,
    /// The number of the last batch by isolate, of those that came lately and of those before.
    last: HashMap<u64, u64>,
    before: HashMap<u64, u64>,
    outcomes: [u64; OUTCOMES.len()],
    /// Days since 1970, and requests that were told of on that day and are not in its file yet.
    today: (u64, u64),
    /// The same, of what is in its file.
    kept: (u64, u64),
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
    /// Has a day's requests outlive the process, in a folder.
    pub(crate) fn kept_in(folder: Option<&Path>) -> Self {
        Self(Mutex::default(), folder.map(Day::in_folder))
    }

    /// Brings the day's file and what is known here together, again and again, until the gateway is gone.
    pub(crate) async fn watch(gateway: Arc<Gateway>) {
        let mut failed = false;
        while gateway.metrics.isolates.1.is_some() {
            let kept = Self::keep(&gateway).await;
            if let Err(error) = &kept
                && !failed
            {
                tracing::warn!(%error, "the Worker's requests of the day can't be kept in state.folder: a restart begins at 0");
            }
            failed = kept.is_err();
            tokio::time::sleep(KEEP).await;
        }
    }

    /// Once, now.
    pub(crate) async fn keep(gateway: &Arc<Gateway>) -> std::io::Result<()> {
        let gateway = Arc::clone(gateway);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // Files are not for who serves.
        tokio::task::spawn_blocking(move || gateway.metrics.isolates.keep_at(now)).await?
    }

    fn keep_at(&self, now: u64) -> std::io::Result<()> {
        let Some(file) = &self.1 else { return Ok(()) };
        let new = of_day(self.lock().today, now);
        let kept = file.add(now / DAY, new)?;
        let mut known = self.lock();
        // More may have come meanwhile; of another day that has ended nothing is asked any more.
        known.today = (now / DAY, of_day(known.today, now).saturating_sub(new));
        known.kept = (now / DAY, kept);
        Ok(())
    }

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
                known.today = (now / DAY, of_day(known.today, now).saturating_add(requests));
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
        of_day(self.today, now).saturating_add(of_day(self.kept, now))
    }
}

fn of_day((day, requests): (u64, u64), now: u64) -> u64 {
    if day == now / DAY { requests } else { 0 }
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
    fn a_day_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = [(); 2].map(|()| Isolates::kept_in(Some(folder.path())));
        let today = |counts: &Isolates, now: u64| counts.told(now).today;
        old.take(&field(1, 0, 10), 10 * DAY);
        old.keep_at(10 * DAY + 1).unwrap();
        old.take(&field(1, 1, 7), 10 * DAY + 2);
        assert_eq!((today(&old, 10 * DAY + 2), today(&new, 10 * DAY + 2)), (17, 0));
        new.keep_at(10 * DAY + 2).unwrap();
        assert_eq!(today(&new, 10 * DAY + 2), 10);
        new.take(&field(2, 0, 1), 10 * DAY + 3);
        old.keep_at(10 * DAY + 4).unwrap();
        new.keep_at(10 * DAY + 4).unwrap();
        old.keep_at(10 * DAY + 5).unwrap();
        assert_eq!((today(&old, 10 * DAY + 5), today(&new, 10 * DAY + 5)), (18, 18));
        new.keep_at(11 * DAY).unwrap();
        assert_eq!(today(&new, 11 * DAY), 0);
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
