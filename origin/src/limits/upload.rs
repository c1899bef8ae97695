//! A client's body on its way to the app: bounded in length, whatever it announced, and in slowness.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use contract::header;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::body::BodyError;
use crate::metrics;

/// The time that a client may be slow before its rate counts.
const GRACE: Duration = Duration::from_secs(10);

/// A body with its bounds.
pub(crate) struct Upload {
    incoming: Incoming,
    left: u64,
    pace: Pace,
    alarm: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
}

/// How far a body has come, for the one who waits for the answer: an app has its time from the moment on from which only it
/// is waited for.
#[derive(Debug)]
pub(crate) struct Progress {
    begun: Instant,
    /// Milliseconds from then to the last piece that was passed on; [`CLIENT`] while the client is waited for.
    passed: AtomicU64,
}

const CLIENT: u64 = u64::MAX;

/// How long we have waited for how much. Time in which the app did not take anything is not the client's.
#[derive(Debug)]
struct Pace {
    /// Bytes a second.
    least: u64,
    bytes: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
}

impl Upload {
    /// Bounds a body: `most` bytes, and at least `least_rate` bytes a second once the grace is over.
    pub(crate) fn new(incoming: Incoming, most: u64, least_rate: u64) -> Self {
        let pace = Pace { least: least_rate.max(1), bytes: 0, waited: Duration::ZERO, waiting_since: None };
        let progress = Arc::new(Progress { begun: Instant::now(), passed: AtomicU64::new(0) });
        Self { incoming, left: most, pace, alarm: None, progress }
    }

    /// Bounds it to `most` bytes, where that is less than what is left.
    pub(crate) fn at_most(&mut self, most: u64) {
        self.left = self.left.min(most);
    }

    /// Tells how far it has come, also once it is on its way.
    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => {
                self.progress.passed.store(CLIENT, Ordering::Relaxed);
                let until = self.pace.wait(Instant::now());
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                if alarm.deadline() != until {
                    alarm.as_mut().reset(until);
                }
                alarm.as_mut().poll(cx).map(|()| Some(Err(BodyError::TooSlow)))
            }
            Poll::Ready(Some(Ok(mut frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                let now = Instant::now();
                metrics::count(|counts| counts.uploaded.add(length));
                self.pace.came(length, now);
                self.progress.pass(now);
                match self.left.checked_sub(length) {
                    Some(left) => self.left = left,
                    None => return Poll::Ready(Some(Err(BodyError::TooLarge))),
                }
                if let Some(trailers) = frame.trailers_mut() {
                    keep_what_passes(trailers);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(other) => {
                self.progress.pass(Instant::now());
                Poll::Ready(other.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// What a client may not say in a field, it may not say in a trailer.
fn keep_what_passes(trailers: &mut HeaderMap) {
    let refused = |name: &str| header::client_may_not_send(name) || header::is_hop_by_hop(name);
    let named: Vec<_> = trailers.keys().filter(|name| refused(name.as_str())).cloned().collect();
    for name in named {
        trailers.remove(name);
    }
}

impl Progress {
    fn pass(&self, now: Instant) {
        let passed = u64::try_from((now - self.begun).as_millis()).unwrap_or(CLIENT - 1);
        self.passed.store(passed, Ordering::Relaxed);
    }

    /// Until when the app has time that may take `within`, as it looks at `now`.
    pub(crate) fn until(&self, within: Duration, now: Instant) -> Instant {
        match self.passed.load(Ordering::Relaxed) {
            CLIENT => now + within,
            // A millisecond more for the one that was cut off.
            passed => self.begun + Duration::from_millis(passed + 1) + within,
        }
    }

    /// Whether nobody passes anything on any more: the body has been sent, or dropped. For one beside the body to ask.
    pub(crate) fn ended(self: &Arc<Self>) -> bool {
        Arc::strong_count(self) == 1
    }
}

impl Pace {
    /// We are waiting at `now`: until when?
    fn wait(&mut self, now: Instant) -> Instant {
        let since = *self.waiting_since.get_or_insert(now);
        #[expect(clippy::cast_precision_loss, reason = "a deadline to the millisecond")]
        let earned = Duration::from_secs_f64(self.bytes as f64 / self.least as f64);
        since + (GRACE + earned).saturating_sub(self.waited)
    }

    /// Bytes came at `now`.
    fn came(&mut self, bytes: u64, now: Instant) {
        self.bytes += bytes;
        if let Some(since) = self.waiting_since.take() {
            self.waited += now - since;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CLIENT, GRACE, Pace, Progress};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;
    use tokio::time::Instant;

    fn pace() -> Pace {
        Pace { least: 1000, bytes: 0, waited: Duration::ZERO, waiting_since: None }
    }

    #[test]
    fn an_apps_time_begins_when_the_client_has_done_its_part() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let progress = Arc::new(Progress { begun: start, passed: AtomicU64::new(CLIENT) });
        assert_eq!(progress.until(second, start + 60 * second), start + 61 * second, "we wait for the client");
        progress.pass(start + 70 * second);
        let until = progress.until(second, start + 90 * second);
        assert!((start + 71 * second..start + 72 * second).contains(&until), "the app has had its time");
        let body = Arc::clone(&progress);
        assert!(!progress.ended());
        drop(body);
        assert!(progress.ended());
        assert_ne!(progress.passed.load(Ordering::Relaxed), CLIENT);
    }

    #[test]
    fn a_silent_client_has_the_grace() {
        let now = Instant::now();
        let mut pace = pace();
        assert_eq!(pace.wait(now), now + GRACE);
        assert_eq!(pace.wait(now + Duration::from_secs(3)), now + GRACE, "asking again changes nothing");
    }

    #[test]
    fn a_dripping_client_runs_out_of_time_and_a_steady_one_does_not() {
        let start = Instant::now();
        for (bytes_a_second, within) in [(500, true), (2000, false)] {
            let mut pace = pace();
            let mut now = start;
            let mut cut = false;
            for _ in 0..60 {
                let until = pace.wait(now);
                now += Duration::from_secs(1);
                cut |= now > until;
                pace.came(bytes_a_second, now);
            }
            assert_eq!(cut, within, "{bytes_a_second} bytes a second");
        }
    }

    #[test]
    fn the_apps_slowness_is_not_the_clients() {
        let start = Instant::now();
        let mut pace = pace();
        pace.wait(start);
        pace.came(1, start + Duration::from_secs(1));
        // An hour in which nobody asked for more.
        let later = start + Duration::from_secs(3600);
        assert!(pace.wait(later) >= later + Duration::from_secs(9));
    }
}
