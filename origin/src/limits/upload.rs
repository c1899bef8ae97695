//! A client's body on its way to the app: bounded in length, whatever it announced, and in slowness.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::body::BodyError;

/// The time that a client may be slow before its rate counts.
const GRACE: Duration = Duration::from_secs(10);

/// A body with its bounds.
pub(crate) struct Upload {
    incoming: Incoming,
    left: u64,
    pace: Pace,
    alarm: Option<Pin<Box<Sleep>>>,
}

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
        Self { incoming, left: most, pace, alarm: None }
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => {
                let until = self.pace.wait(Instant::now());
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
                if alarm.deadline() != until {
                    alarm.as_mut().reset(until);
                }
                alarm.as_mut().poll(cx).map(|()| Some(Err(BodyError::TooSlow)))
            }
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                self.pace.came(length, Instant::now());
                match self.left.checked_sub(length) {
                    Some(left) => self.left = left,
                    None => return Poll::Ready(Some(Err(BodyError::TooLarge))),
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
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
    use super::{GRACE, Pace};
    use std::time::Duration;
    use tokio::time::Instant;

    fn pace() -> Pace {
        Pace { least: 1000, bytes: 0, waited: Duration::ZERO, waiting_since: None }
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
