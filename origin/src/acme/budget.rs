//! How often something may be done: a bucket of tokens that fills up evenly.

use std::time::{Duration, Instant};

/// So many in a time, all at once or one by one.
#[derive(Debug)]
pub(super) struct Budget {
    most: f64,
    each: Duration,
    left: f64,
    filled: Instant,
}

impl Budget {
    /// `most` in every `time`, at least 1.
    pub(super) fn new(most: u32, time: Duration, now: Instant) -> Self {
        let most = most.max(1);
        Self { most: most.into(), each: time / most, left: most.into(), filled: now }
    }

    /// Takes one, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled);
        self.left = (self.left + since.div_duration_f64(self.each)).min(self.most);
        self.filled = now;
        let there = self.left >= 1.0;
        if there {
            self.left -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;
    use std::time::{Duration, Instant};

    #[test]
    fn so_many_in_a_time_and_never_more() {
        let mut now = Instant::now();
        let mut budget = Budget::new(6, Duration::from_secs(60), now);
        assert_eq!((0..20).filter(|_| budget.take(now)).count(), 6);
        now += Duration::from_secs(9);
        assert!(!budget.take(now), "the next is there after 10 s");
        now += Duration::from_secs(1);
        assert!(budget.take(now) && !budget.take(now));
        now += Duration::from_secs(86_400);
        assert_eq!((0..20).filter(|_| budget.take(now)).count(), 6, "what is not used is not saved up");
    }
}
