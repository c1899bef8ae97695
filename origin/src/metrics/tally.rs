//! Numbers that one thread counts and any thread reads, without a lock or an instruction that locks a cache line.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number. Only one thread may change it: a second one's changes could get lost.
#[derive(Debug, Default)]
pub(crate) struct Tally(AtomicU64);

impl Tally {
    /// Counts `n` more.
    pub(crate) fn add(&self, n: u64) {
        self.set(self.get().wrapping_add(n));
    }

    /// Makes it `n`.
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number as it stands.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The upper bounds of a histogram's buckets, in microseconds: half a millisecond to a minute. One more bucket is for all above.
pub(super) const BOUNDS: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

/// How long something took, time after time.
#[derive(Debug, Default)]
pub(crate) struct Times {
    buckets: [Tally; BOUNDS.len() + 1],
    micros: Tally,
}

/// Several [`Times`] added up.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    pub(super) buckets: [u64; BOUNDS.len() + 1],
    pub(super) micros: u64,
}

impl Times {
    /// Counts one that took so long.
    pub(crate) fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add(1);
        }
        self.micros.add(micros);
    }
}

impl Sum {
    pub(super) fn add(&mut self, times: &Times) {
        for (sum, bucket) in self.buckets.iter_mut().zip(&times.buckets) {
            *sum += bucket.get();
        }
        self.micros += times.micros.get();
    }

    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS, Sum, Times};
    use std::time::Duration;

    #[test]
    fn a_time_is_counted_in_the_first_bucket_that_holds_it() {
        let times = Times::default();
        for micros in [0, 500, 501, 60_000_000, 60_000_001] {
            times.took(Duration::from_micros(micros));
        }
        let mut sum = Sum::default();
        sum.add(&times);
        sum.add(&times);
        assert_eq!((sum.count(), sum.micros), (10, 2 * 120_001_002));
        let filled: Vec<_> = (0..=BOUNDS.len()).filter(|n| sum.buckets[*n] > 0).map(|n| (n, sum.buckets[n])).collect();
        assert_eq!(filled, [(0, 4), (1, 2), (15, 2), (16, 2)]);
    }
}
