//! Which requests are logged, where not all are: a share of those that went well, and every other one.

use core::fmt;
use core::time::Duration;

use contract::RequestId;

/// What the operator wants logged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// The share of requests that went well, from 0 to 1. Whether one is of it depends on its id alone, so that both hops keep the same.
    pub share: f64,
    /// The head of an answer that took so long is slow.
    pub slow: Duration,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// Its id.
    pub id: RequestId,
    /// The status of its answer.
    pub status: u16,
    /// Why we answered in place of the next hop; empty where we did not.
    pub reason: &'a str,
    /// Until the head of the answer was there.
    pub head: Duration,
    /// Whether there is something else about it that must not get lost: its body broke off, a rule of the filter matched, the operator asked.
    pub noted: bool,
}

impl Sampling {
    /// For how many of its kind a request stands that is logged: the share of them that are. `None` for one that is not.
    #[must_use]
    pub fn keeps(&self, ended: &Ended<'_>) -> Option<f64> {
        let well = ended.status < 400 && ended.reason.is_empty() && !ended.noted && ended.head < self.slow;
        if !well {
            return Some(1.0);
        }
        ended.id.is_of(self.share).then_some(self.share)
    }

    /// Reads the line that [`Display`](fmt::Display) writes; `None` where it is not one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (share, slow) = line.strip_prefix("log\t")?.split_once('\t')?;
        Some(Self { share: share.parse().ok()?, slow: Duration::from_millis(slow.parse().ok()?) })
    }
}

/// One line, as the Worker gets it.
impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "log\t{}\t{}", self.share, self.slow.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::{Ended, Sampling};
    use contract::RequestId;
    use core::time::Duration;

    const SAMPLING: Sampling = Sampling { share: 0.1, slow: Duration::from_secs(1) };
    /// One that is of no share below 1.
    const WELL: Ended<'_> = Ended {
        id: RequestId::from_random([0xff; 16]),
        status: 200,
        reason: "",
        head: Duration::from_millis(999),
        noted: false,
    };

    #[test]
    fn what_did_not_go_well_is_kept_whatever_the_share() {
        assert_eq!(SAMPLING.keeps(&WELL), None);
        for kept in [
            Ended { status: 404, ..WELL },
            Ended { status: 502, ..WELL },
            Ended { reason: "blocked", ..WELL },
            Ended { head: Duration::from_secs(1), ..WELL },
            Ended { noted: true, ..WELL },
        ] {
            assert_eq!(Sampling { share: 0.0, ..SAMPLING }.keeps(&kept), Some(1.0), "{kept:?}");
        }
    }

    #[test]
    fn of_the_others_the_share_is_kept() {
        let kept = |share: f64| {
            let sampling = Sampling { share, ..SAMPLING };
            let ids = (0..=255u8).map(|n| RequestId::from_random([n; 16]));
            ids.filter_map(|id| sampling.keeps(&Ended { id, ..WELL }))
                .inspect(|said| assert!((said - share).abs() < 1e-9))
                .count()
        };
        assert_eq!([0.0, 0.1, 0.5, 1.0].map(kept), [0, 26, 128, 256]);
    }

    #[test]
    fn is_read_as_it_is_written() {
        assert_eq!(SAMPLING.to_string(), "log\t0.1\t1000\n");
        assert_eq!(Sampling::parse("log\t0.1\t1000"), Some(SAMPLING));
        for line in ["", "log", "log\t1", "log\tx\t1", "headers\t1\t1"] {
            assert_eq!(Sampling::parse(line), None, "{line}");
        }
    }
}
