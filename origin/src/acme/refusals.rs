//! Names for which there is no certificate now, and until when nobody is asked again. Bounded: a flood of names pushes out
//! others, it does not grow.

use std::time::{Duration, Instant};

use moka::sync::Cache;

/// Names remembered at most, about 100 bytes each.
const MOST: u64 = 10_000;
/// The longest that a refusal counts, and that failures are remembered for.
const LONGEST: Duration = Duration::from_secs(6 * 3600);

/// Why there is no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is no name that a CA could know.
    Name,
    /// The app says that the name is none of ours.
    NotOurs,
    /// The app does not answer.
    AppSilent,
    /// The CA does not issue it: it does not find us under the name, or refuses the name. It is tried again later.
    CaRefused,
    /// The CA is down, or our own disk is; that is not the name's fault.
    CaDown,
    /// Too many names are asked for, all in all or by one client.
    Busy,
    /// It is on its way and takes longer than a handshake waits.
    Waiting,
}

impl Refusal {
    /// The word for logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "not-issuable",
            Self::NotOurs => "app-says-no",
            Self::AppSilent => "app-silent",
            Self::CaRefused => "ca-refused",
            Self::CaDown => "ca-down",
            Self::Busy => "busy",
            Self::Waiting => "waiting",
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Refused {
    why: Refusal,
    until: Instant,
    /// In a row.
    failures: u32,
}

#[derive(Debug)]
pub(super) struct Refusals(Cache<String, Refused>);

impl Refusals {
    pub(super) fn new() -> Self {
        Self(Cache::builder().max_capacity(MOST).time_to_live(LONGEST * 2).build())
    }

    /// Why a name has no certificate, where that is known and still counts.
    pub(super) fn find(&self, name: &str, now: Instant) -> Option<Refusal> {
        self.0.get(name).filter(|refused| now < refused.until).map(|refused| refused.why)
    }

    /// Remembers why, for a time: a minute after the app's no, seconds where it or the CA is down, and longer with each
    /// refusal of the CA's in a row. A lack of room is not the name's fault, and is not remembered.
    pub(super) fn remember(&self, name: &str, why: Refusal, now: Instant) {
        let failures = if why == Refusal::CaRefused { self.0.get(name).map_or(0, |r| r.failures) + 1 } else { 0 };
        let time = match why {
            Refusal::NotOurs => Duration::from_secs(60),
            Refusal::AppSilent => Duration::from_secs(5),
            Refusal::CaDown => Duration::from_secs(10),
            Refusal::CaRefused => backoff(failures, Duration::from_secs(60), LONGEST),
            Refusal::Name | Refusal::Busy | Refusal::Waiting => return,
        };
        self.0.insert(name.to_owned(), Refused { why, until: now + time, failures });
    }

    pub(super) fn forget(&self, name: &str) {
        self.0.invalidate(name);
    }
}

/// `first` after one failure, twice as long after each further one, `longest` at most.
pub(super) fn backoff(failures: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(20)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::{MOST, Refusal, Refusals};
    use std::time::{Duration, Instant};

    #[test]
    fn a_no_counts_for_a_minute_and_failures_ever_longer() {
        let (refusals, now) = (Refusals::new(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        refusals.remember("a.example", Refusal::NotOurs, now);
        assert_eq!(refusals.find("a.example", after(59)), Some(Refusal::NotOurs));
        assert_eq!(refusals.find("a.example", after(60)), None);
        for (failure, lasts) in [60, 120, 240, 480].into_iter().enumerate() {
            refusals.remember("b.example", Refusal::CaRefused, now);
            assert_eq!(refusals.find("b.example", after(lasts - 1)), Some(Refusal::CaRefused), "{failure}");
            assert_eq!(refusals.find("b.example", after(lasts)), None, "{failure}");
        }
        for _ in 0..100 {
            refusals.remember("b.example", Refusal::CaRefused, now);
        }
        assert_eq!(refusals.find("b.example", after(6 * 3600)), None, "six hours are the longest");
        refusals.remember("c.example", Refusal::Busy, now);
        assert_eq!(refusals.find("c.example", now), None);
    }

    #[test]
    fn a_flood_does_not_grow_it() {
        let (refusals, now) = (Refusals::new(), Instant::now());
        for n in 0..3 * MOST {
            refusals.remember(&format!("{n}.example"), Refusal::NotOurs, now);
        }
        refusals.0.run_pending_tasks();
        assert!(refusals.0.entry_count() <= MOST, "{}", refusals.0.entry_count());
    }
}
