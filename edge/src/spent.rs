//! Where a request's time goes: what a host notes on its way, and says in its log.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The parts of a request's way that may take long. Each is noted where it happens, perhaps by another task than the one that answers.
#[derive(Clone, Debug, Default)]
pub struct Spent {
    /// Being judged by the filter, with the reading of forms.
    pub filter: Stretch,
    /// Held, because the app accepts no connections.
    pub queue: Stretch,
    /// Connecting to the next hop, where no connection was there.
    pub connect: Stretch,
    /// From sending the request to the head of the next hop's answer, or to giving up: the last of several tries.
    pub answer: Stretch,
    /// How often it was sent.
    pub tries: Count,
    /// Which of the next hop's upstreams had it last: its number and one.
    pub upstream: Count,
}

/// A part of a request's time, to the microsecond, up to 71 minutes.
#[derive(Debug, Default)]
pub struct Stretch(AtomicU64);

impl Stretch {
    /// Notes it: when it began, counted from the request's beginning, and how long it took.
    pub fn note(&self, began: Duration, took: Duration) {
        let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        // Never 0, which says that there was none.
        let packed = (u64::from(micros(began)) << 32) | u64::from(micros(took).max(1));
        self.0.store(packed, Ordering::Relaxed);
    }

    /// When it began, and how long it took; `None` where there was none.
    pub fn get(&self) -> Option<(Duration, Duration)> {
        let packed = self.0.load(Ordering::Relaxed);
        let took = packed & u64::from(u32::MAX);
        (took > 0).then(|| (Duration::from_micros(packed >> 32), Duration::from_micros(took)))
    }
}

impl Clone for Stretch {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

/// A number.
#[derive(Debug, Default)]
pub struct Count(AtomicU32);

impl Count {
    /// Makes it `n`.
    pub fn set(&self, n: u32) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clone for Count {
    fn clone(&self) -> Self {
        Self(AtomicU32::new(self.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Stretch};

    #[test]
    fn a_stretch_is_as_it_was_noted() {
        let stretch = Stretch::default();
        assert_eq!(stretch.get(), None);
        stretch.note(Duration::from_micros(17), Duration::from_millis(3));
        assert_eq!(stretch.clone().get(), Some((Duration::from_micros(17), Duration::from_millis(3))));
        stretch.note(Duration::ZERO, Duration::from_nanos(3));
        assert_eq!(stretch.get(), Some((Duration::ZERO, Duration::from_micros(1))), "it was there");
        stretch.note(Duration::from_secs(9_000), Duration::from_secs(9_000));
        assert_eq!(stretch.get().map(|(began, _)| began.as_secs()), Some(4294));
    }
}
