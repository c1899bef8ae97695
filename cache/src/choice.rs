//! What is done with a stored answer that a request has selected (RFC 9111 section 4).

use crate::meta::Terms;
use crate::phase::{Forwarded, Stale};
use crate::purge::Verdict;
use crate::{Ask, Meta, Timestamp};

/// What an operator decides, and no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The most seconds that a guessed lifetime may be.
    pub heuristic_cap: u64,
    /// Seconds that an answer may be stale when the origin fails and neither side has said how long.
    pub stale_on_failure: u64,
}

impl Default for Settings {
    /// A day, and a week.
    fn default() -> Self {
        Self { heuristic_cap: 86_400, stale_on_failure: 7 * 86_400 }
    }
}

/// What to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Answer with it.
    Fresh,
    /// Answer with it, though it is stale, and, but for `max-stale`, validate it meanwhile.
    Stale(Stale),
    /// Ask the origin whether it still holds.
    Validate(Forwarded),
    /// It may not be used at all.
    Nothing,
}

/// Chooses. `purged` is what the purge log says of it.
#[must_use]
pub fn choose(ask: &Ask, stored: &Meta, now: Timestamp, purged: Verdict) -> Choice {
    if purged == Verdict::Gone || !stored.is_for(ask) {
        return Choice::Nothing;
    }
    let (age, ttl) = (stored.age(now), stored.ttl(now));
    let wanted = ask.no_cache
        || ask.max_age.is_some_and(|most| age > most || most == 0)
        || ask.min_fresh.is_some_and(|least| ttl < i64::try_from(least).unwrap_or(i64::MAX));
    if wanted {
        return Choice::Validate(Forwarded::Request);
    }
    if stored.terms.has(Terms::NO_CACHE) {
        return Choice::Validate(Forwarded::Stale);
    }
    let never_stale = stored.terms.has(Terms::REVALIDATE);
    if purged == Verdict::Doubtful {
        return if never_stale { Choice::Validate(Forwarded::Stale) } else { Choice::Stale(Stale::Purged) };
    }
    if ttl > 0 {
        return Choice::Fresh;
    }
    let stale = u64::try_from(ttl.saturating_neg()).unwrap_or(0);
    if !never_stale && stale < stored.stale_while_revalidate {
        return Choice::Stale(Stale::WhileRevalidate);
    }
    if !never_stale && !stored.terms.has(Terms::S_MAXAGE) && ask.max_stale.is_some_and(|most| stale <= most) {
        return Choice::Stale(Stale::MaxStale);
    }
    Choice::Validate(Forwarded::Stale)
}

#[cfg(test)]
mod tests {
    use super::{Choice, Settings, choose};
    use crate::phase::{Forwarded, Stale};
    use crate::purge::Verdict;
    use crate::response::{Times, storable};
    use crate::{Ask, Meta, Timestamp};
    use proptest::prelude::*;

    fn stored(control: &str) -> Meta {
        let at = Timestamp::from_secs(1000);
        let times = Times { requested: at, received: at };
        let fields = [("cache-control", control), ("etag", "\"a\"")];
        storable(&Ask::default(), 200, &fields[..], times, 0, &Settings::default()).expect("storable")
    }

    fn at(control: &str, ask: Ask, seconds: u64) -> Choice {
        choose(&ask, &stored(control), Timestamp::from_secs(1000 + seconds), Verdict::Valid)
    }

    #[test]
    fn stale_within_its_window_and_not_a_second_longer() {
        let of = |seconds| at("max-age=10, stale-while-revalidate=5", Ask::default(), seconds);
        assert_eq!(of(9), Choice::Fresh);
        assert_eq!((of(10), of(14)), (Choice::Stale(Stale::WhileRevalidate), Choice::Stale(Stale::WhileRevalidate)));
        assert_eq!(of(15), Choice::Validate(Forwarded::Stale));
        let strict = at("max-age=10, stale-while-revalidate=5, must-revalidate", Ask::default(), 12);
        assert_eq!(strict, Choice::Validate(Forwarded::Stale));
        assert_eq!(
            at("s-maxage=10, stale-while-revalidate=5", Ask::default(), 12),
            Choice::Stale(Stale::WhileRevalidate)
        );
    }

    #[test]
    fn what_a_request_wants() {
        let fresh = |ask, seconds| at("max-age=10", ask, seconds) == Choice::Fresh;
        assert!(
            fresh(Ask { max_age: Some(5), ..Ask::default() }, 5)
                && !fresh(Ask { max_age: Some(5), ..Ask::default() }, 6)
        );
        assert!(!fresh(Ask { max_age: Some(0), ..Ask::default() }, 0));
        assert!(
            fresh(Ask { min_fresh: Some(4), ..Ask::default() }, 6)
                && !fresh(Ask { min_fresh: Some(5), ..Ask::default() }, 6)
        );
        assert!(!fresh(Ask { no_cache: true, ..Ask::default() }, 0));
        let stale = |control, most| at(control, Ask { max_stale: Some(most), ..Ask::default() }, 13);
        assert_eq!(stale("max-age=10", 3), Choice::Stale(Stale::MaxStale));
        for (control, most) in [
            ("max-age=10", 2),
            ("max-age=10, must-revalidate", 9),
            ("max-age=10, proxy-revalidate", 9),
            ("s-maxage=10", 9),
        ] {
            assert_eq!(stale(control, most), Choice::Validate(Forwarded::Stale), "{control}");
        }
        assert_eq!(at("max-age=10, no-cache", Ask::default(), 0), Choice::Validate(Forwarded::Stale));
    }

    #[test]
    fn who_may_have_it() {
        let signed_in = Ask { cookie: true, ..Ask::default() };
        assert_eq!(at("max-age=10", signed_in, 0), Choice::Nothing);
        for control in ["public, max-age=10", "s-maxage=10"] {
            assert_eq!(at(control, signed_in, 0), Choice::Fresh);
        }
        let authorized = Ask { authorized: true, ..Ask::default() };
        assert_eq!(at("max-age=10", authorized, 0), Choice::Nothing);
        assert_eq!(at("max-age=10, must-revalidate", authorized, 0), Choice::Fresh);
    }

    #[test]
    fn who_stands_in_for_a_failing_origin() {
        let stands = |control: &str, seconds: u64, stale_if_error| {
            let ask = Ask { stale_if_error, ..Ask::default() };
            let settings = Settings { stale_on_failure: 100, ..Settings::default() };
            stored(control).stands_in(&ask, Timestamp::from_secs(1000 + seconds), &settings)
        };
        assert!(stands("max-age=10", 110, None) && !stands("max-age=10", 111, None));
        assert!(stands("max-age=10, stale-if-error=5", 14, None) && !stands("max-age=10, stale-if-error=5", 15, None));
        assert!(stands("s-maxage=10, stale-if-error=5", 14, None) && !stands("s-maxage=10", 11, None));
        assert!(stands("max-age=10, stale-if-error=0", 13, Some(5)));
        for never in
            ["max-age=10, must-revalidate", "max-age=10, proxy-revalidate, stale-if-error=9", "max-age=10, no-cache"]
        {
            assert!(!stands(never, 11, Some(9)), "{never}");
        }
    }

    #[test]
    fn purged() {
        let of = |control, verdict| choose(&Ask::default(), &stored(control), Timestamp::from_secs(1001), verdict);
        assert_eq!(of("max-age=10", Verdict::Gone), Choice::Nothing);
        assert_eq!(of("max-age=10", Verdict::Doubtful), Choice::Stale(Stale::Purged));
        assert_eq!(of("max-age=10, must-revalidate", Verdict::Doubtful), Choice::Validate(Forwarded::Stale));
    }

    proptest! {
        #[test]
        fn once_stale_never_fresh_again(lifetime in 0u64..100, swr in 0u64..100, a in 0u64..300, b in 0u64..300) {
            let control = format!("max-age={lifetime}, stale-while-revalidate={swr}");
            let rank = |seconds| match at(&control, Ask::default(), seconds) {
                Choice::Fresh => 0,
                Choice::Stale(_) => 1,
                _ => 2,
            };
            prop_assert!(rank(a.min(b)) <= rank(a.max(b)));
        }
    }
}
