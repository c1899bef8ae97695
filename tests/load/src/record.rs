//! What was measured: by phase and route from when each request was due, and second by second.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// The longest time that is told from longer ones, in microseconds: ten minutes.
const LONGEST: u64 = 600_000_000;

/// What a request that was given up is called.
pub(crate) const TIMEOUT: &str = "timeout";

/// One request that has ended, in whatever way.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub(crate) phase: usize,
    pub(crate) route: usize,
    /// When it should have left.
    pub(crate) due: Instant,
    /// When it did: a connection was free.
    pub(crate) sent: Instant,
    pub(crate) ended: Instant,
    /// The status of an answer that was read to its end.
    pub(crate) status: Option<u16>,
    /// Why it counts as failed.
    pub(crate) error: Option<&'static str>,
    pub(crate) bytes: u64,
    /// What `Cache-Status` says: answered from a cache or not; nothing where no cache spoke.
    pub(crate) hit: Option<bool>,
}

/// What one route did in one phase.
#[derive(Clone, Debug)]
pub(crate) struct RouteRecord {
    pub(crate) count: u64,
    /// Times of what was answered as it should be, and of what was given up: a quick failure must not make a server look quick.
    pub(crate) due: Histogram<u64>,
    pub(crate) sent: Histogram<u64>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) bytes: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

impl Default for RouteRecord {
    fn default() -> Self {
        Self {
            count: 0,
            due: histogram(),
            sent: histogram(),
            errors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            bytes: 0,
            hits: 0,
            misses: 0,
        }
    }
}

impl RouteRecord {
    pub(crate) fn add(&mut self, other: &Self) {
        self.count += other.count;
        // The same bounds: it fits.
        let _ = self.due.add(&other.due);
        let _ = self.sent.add(&other.sent);
        for (kind, count) in &other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        self.bytes += other.bytes;
        self.hits += other.hits;
        self.misses += other.misses;
    }
}

/// One second.
#[derive(Clone, Debug)]
pub(crate) struct SecondRecord {
    pub(crate) due: u64,
    pub(crate) ended: u64,
    pub(crate) failed: u64,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) times: Histogram<u64>,
}

/// All of it, in one place under a lock.
pub(crate) struct Recorder {
    began: Instant,
    /// By phase, then route.
    pub(crate) routes: Vec<Vec<RouteRecord>>,
    pub(crate) seconds: Vec<SecondRecord>,
    /// How late the generator itself was.
    pub(crate) late: Histogram<u64>,
}

impl Recorder {
    pub(crate) fn new(began: Instant, phases: usize, routes: usize) -> Self {
        Self {
            began,
            routes: vec![vec![RouteRecord::default(); routes]; phases],
            seconds: Vec::new(),
            late: histogram(),
        }
    }

    pub(crate) fn take(&mut self, seen: &Observation) {
        let from_due = micros(seen.ended.saturating_duration_since(seen.due));
        let from_sent = micros(seen.ended.saturating_duration_since(seen.sent));
        let timed = matches!(seen.error, None | Some(TIMEOUT));
        if let Some(record) = self.routes.get_mut(seen.phase).and_then(|routes| routes.get_mut(seen.route)) {
            record.count += 1;
            if timed {
                record.due.saturating_record(from_due);
                record.sent.saturating_record(from_sent);
            }
            if let Some(kind) = seen.error {
                *record.errors.entry(kind).or_default() += 1;
            }
            if let Some(status) = seen.status {
                *record.statuses.entry(status).or_default() += 1;
            }
            record.bytes += seen.bytes;
            record.hits += u64::from(seen.hit == Some(true));
            record.misses += u64::from(seen.hit == Some(false));
        }
        self.second(seen.due).due += 1;
        let second = self.second(seen.ended);
        second.ended += 1;
        second.failed += u64::from(seen.error.is_some());
        second.hits += u64::from(seen.hit == Some(true));
        second.misses += u64::from(seen.hit == Some(false));
        if timed {
            second.times.saturating_record(from_due);
        }
    }

    fn second(&mut self, at: Instant) -> &mut SecondRecord {
        let place = usize::try_from(at.saturating_duration_since(self.began).as_secs()).unwrap_or(usize::MAX);
        let fresh = || SecondRecord { due: 0, ended: 0, failed: 0, hits: 0, misses: 0, times: coarse() };
        if self.seconds.len() <= place {
            self.seconds.resize_with(place + 1, fresh);
        }
        &mut self.seconds[place]
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).unwrap_or_else(|_| unreachable!("fixed bounds that are in range"))
}

/// To the hundredth, which a chart does not show, in an eighth of the memory.
fn coarse() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 2).unwrap_or_else(|_| unreachable!("fixed bounds that are in range"))
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(LONGEST)
}
