//! Requests that wait for an app which accepts no connections: bounded in number and in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The waiting requests of all cores.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    most: u32,
    waiting: Arc<AtomicU32>,
}

/// A request's place among the waiting, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    waiting: Arc<AtomicU32>,
    until: Instant,
}

impl Held {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, waiting: Arc::default() }
    }

    /// A place for as long as `within`, or `None` where enough wait already.
    pub(super) fn enter(&self, within: Duration) -> Option<Place> {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place { waiting: Arc::clone(&self.waiting), until: Instant::now() + within })
    }
}

impl Place {
    /// When its patience ends.
    pub(super) const fn until(&self) -> Instant {
        self.until
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Held;
    use std::time::Duration;

    #[test]
    fn places_are_given_back() {
        let held = Held::new(1);
        let place = held.enter(Duration::from_secs(1)).expect("room");
        assert!(held.enter(Duration::from_secs(1)).is_none());
        drop(place);
        assert!(held.enter(Duration::from_secs(1)).is_some());
    }
}
