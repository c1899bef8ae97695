//! How the gateway's end comes about, as everything that has to do with it sees it.

use std::time::Duration;

use tokio::sync::watch;

/// How long an open HTTP/1.1 connection may bring another request after the drain has begun. Whoever closes an idle one at
/// once closes it on requests that are on their way.
const LINGER: Duration = Duration::from_secs(2);

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It has not begun.
    Serving,
    /// What is in flight may end; nothing new is accepted.
    Draining,
    /// Everything ends now.
    Ending,
}

/// Tells when the gateway drains.
#[derive(Clone, Debug)]
pub struct Drain {
    phase: watch::Receiver<Phase>,
    linger: Duration,
}

impl Drain {
    /// A drain that whoever holds the sender begins. `within` is the time that it may take.
    #[must_use]
    pub fn new(within: Duration) -> (watch::Sender<Phase>, Self) {
        let (sender, phase) = watch::channel(Phase::Serving);
        (sender, Self { phase, linger: LINGER.min(within / 2) })
    }

    /// Whether it has begun. Costs no more than a load: for every request.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        // This receiver has not been asked to wait, so every change is news to it; an error says that the sender is gone.
        self.phase.has_changed().unwrap_or(true)
    }

    /// Ends when the drain has begun.
    pub(crate) async fn begun(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Ends when a connection that has no request should close: some time after the drain has begun, or after now if that is
    /// later.
    pub(crate) async fn lingered(&self) {
        self.begun().await;
        tokio::time::sleep(self.linger).await;
    }

    /// Ends when an endless answer should end: within a second of the drain's beginning, so that not all of its clients come back
    /// at the same time.
    pub(crate) async fn spread(self) {
        self.begun().await;
        tokio::time::sleep(self.linger.min(Duration::from_secs(1)).mul_f64(rand::random())).await;
    }

    /// Ends when nothing may be waited for any more.
    pub(crate) async fn over(&self) {
        self.reached(Phase::Ending).await;
    }

    async fn reached(&self, phase: Phase) {
        // Of a copy, so that `has_begun` stays true. An error means that the sender is gone, which it is only at the very end.
        let _ = self.phase.clone().wait_for(|now| *now >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::{Drain, Phase};
    use std::time::{Duration, Instant};

    #[tokio::test]
    async fn it_comes_in_steps() {
        let (sender, drain) = Drain::new(Duration::from_millis(100));
        assert!(!drain.has_begun());
        sender.send_replace(Phase::Draining);
        drain.begun().await;
        assert!(drain.has_begun(), "also after it has been waited for");
        drain.clone().spread().await;
        let late = Instant::now();
        drain.lingered().await;
        assert!(late.elapsed() >= Duration::from_millis(50), "counted from when it is asked");
        assert!(tokio::time::timeout(Duration::from_millis(20), drain.over()).await.is_err());
        sender.send_replace(Phase::Ending);
        drain.over().await;
    }

    #[test]
    fn a_short_drain_leaves_time_to_close() {
        let linger = |within| Drain::new(Duration::from_secs(within)).1.linger;
        assert_eq!([1, 30].map(linger), [Duration::from_millis(500), Duration::from_secs(2)]);
    }
}
