//! What an isolate of the Worker counts, and how it comes to the gateway ([`contract::counts`]): with its exchanges, in batches.
//!
//! Nothing is counted twice: a batch stays as it was sent, under its number, until the gateway has answered, and the gateway knows the number again.
//! What may be lost: the counts of an isolate that ends within [`WAIT`], or while the gateway can't be reached; and of requests for which the code
//! did not come to its end. Twice is only what a gateway counted that has been replaced before the isolate heard its answer.

use std::collections::BTreeMap;

use cache::{Phase, Stale};
use contract::Problem;
use contract::counts::{Batch, MAX_COUNT};

/// So long counts wait for an exchange that there is anyway, in ms. Then there is one for them. A Worker may go on for 30 s after an answer.
pub const WAIT: u32 = 20_000;
/// So much later one that was to carry them must have begun, or its time has been taken away, in ms.
const LATE: u64 = 10_000;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Requests, all of them: by what the cache did, as logs call it.
    Cache,
    /// Requests that a rule of the filter matched, by what it did.
    Filter,
    /// Requests that got a problem for an answer.
    Problem,
    /// Times that the gateway was asked for an answer in vain, also where one from the store stood in.
    Gateway,
    /// What else there is to know of a request.
    More,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Cache, Self::Filter, Self::Problem, Self::Gateway, Self::More];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Filter => "filter",
            Self::Problem => "problem",
            Self::Gateway => "gateway",
            Self::More => "more",
        }
    }

    /// What it is counted by. There are no other words, so there are few counts, whatever clients and senders say.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let (words, problems): (&[&str], &[Problem]) = match self {
            Self::Cache => (&Phase::WORDS, &[]),
            Self::Filter => (&["block", "challenge", "limit", "log", "bypass-cache", "redirect", "dry-run"], &[]),
            Self::Problem => (&[], &Problem::ALL),
            Self::Gateway => (&[], &[Problem::GatewayUnreachable, Problem::GatewayTimeout]),
            Self::More => (&More::WORDS, &[]),
        };
        let none = (self == Self::Cache).then_some("none");
        words.iter().copied().chain(problems.iter().map(|problem| problem.as_str())).chain(none)
    }
}

/// What else there is to know of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// A stale answer stood in for a gateway or an app that failed.
    StoodIn,
    /// A hit, and whether it had been purged was not to be known.
    Unsure,
    /// A challenge was passed.
    Passed,
}

impl More {
    const WORDS: [&'static str; 3] = [Self::StoodIn.as_str(), Self::Unsure.as_str(), Self::Passed.as_str()];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StoodIn => "stood-in",
            Self::Unsure => "purge-unknown",
            Self::Passed => "challenge-passed",
        }
    }
}

/// Counts by kind and word; what is 0 is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<(Kind, &'static str), u64>);

impl Counts {
    /// Counts something; `word` is one of the kind's.
    pub fn add(&mut self, kind: Kind, word: &'static str) {
        let count = self.0.entry((kind, word)).or_default();
        *count = MAX_COUNT.min(*count + 1);
    }

    /// Counts a request: what the cache did, where it was asked, and what its problem was.
    pub fn request(&mut self, phase: Option<Phase>, problem: Option<Problem>) {
        self.add(Kind::Cache, phase.map_or("none", Phase::as_str));
        if let Some(problem) = problem {
            self.add(Kind::Problem, problem.as_str());
        }
        let more = match phase {
            Some(Phase::Stale { why: Stale::IfError, .. }) => More::StoodIn,
            Some(Phase::Unsure { .. }) => More::Unsure,
            _ => return,
        };
        self.add(Kind::More, more.as_str());
    }

    /// Takes a batch's counts over, as far as they are known here.
    pub fn take(&mut self, batch: &Batch<'_>) {
        let known = Kind::ALL.into_iter().flat_map(|kind| kind.words().map(move |word| (kind, word)));
        for (kind, word) in known {
            let named =
                |name: &str| name.strip_prefix(kind.as_str()).and_then(|rest| rest.strip_prefix('.')) == Some(word);
            if let Some((_, count)) = batch.counts.iter().find(|(name, count)| *count > 0 && named(name)) {
                let sum = self.0.entry((kind, word)).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
    }

    /// The counts of a kind, by word.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().filter(move |((of, _), _)| *of == kind).map(|((_, word), count)| (*word, *count))
    }

    fn batch(&self, from: u64, number: u64) -> String {
        let named: Vec<(String, u64)> =
            self.0.iter().map(|((kind, word), count)| (format!("{}.{word}", kind.as_str()), *count)).collect();
        let counts = named.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        Batch { from, number, counts }.to_string()
    }
}

/// The counts of an isolate, and which of them the gateway has.
#[derive(Debug, Default)]
pub struct Counting {
    /// By which the gateway tells isolates apart; 0 before the first batch.
    from: u64,
    /// Those of the batch that is sent next, with its number.
    open: Counts,
    number: u64,
    /// Those of the batch before it, as long as the gateway may not have them.
    sent: Option<Counts>,
    /// When they are carried if nothing else does, in ms since 1970; 0 where nothing is planned.
    due: u64,
}

impl Counting {
    /// Counts, at a time. Whoever is given a number is to see to it that [`Counting::waits`] is asked with it after [`WAIT`].
    #[must_use]
    pub fn count(&mut self, now: u64, what: impl FnOnce(&mut Counts)) -> Option<u64> {
        what(&mut self.open);
        let planned = self.due > 0 && now < self.due + LATE;
        if !planned {
            self.due = now + u64::from(WAIT);
        }
        (!planned).then_some(self.number)
    }

    /// Counts what belongs to a request that is counted later, or one that can't be spoken for.
    pub fn only_count(&mut self, what: impl FnOnce(&mut Counts)) {
        what(&mut self.open);
    }

    /// Whether what was counted when this number was given out has still not been carried. Then it should be now.
    pub fn waits(&mut self, number: u64) -> bool {
        let waits = self.number == number && self.open != Counts::default();
        if waits {
            // Should it fail, the next one who counts plans anew.
            self.due = 0;
        }
        waits
    }

    /// What an exchange is to carry, and its number; `drawn` is a random number.
    pub fn batch(&mut self, drawn: u64) -> Option<(String, u64)> {
        if self.from == 0 {
            self.from = drawn;
        }
        if self.sent.is_none() {
            if self.open == Counts::default() {
                return None;
            }
            self.sent = Some(std::mem::take(&mut self.open));
            self.number += 1;
            self.due = 0;
        }
        let number = self.number - 1;
        self.sent.as_ref().map(|sent| (sent.batch(self.from, number), number))
    }

    /// Whether the gateway has all that was sent.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.sent.is_none()
    }

    /// The gateway has answered an exchange that carried the batch of this number.
    pub fn carried(&mut self, number: u64) {
        if number + 1 == self.number {
            self.sent = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Counting, Counts, Kind, More, WAIT};
    use crate::filter::rule::Action;
    use cache::{Phase, Stale};
    use contract::Problem;
    use contract::counts::Batch;
    use proptest::prelude::*;

    #[test]
    fn every_word_of_the_filters_is_counted() {
        let page = None;
        for action in [
            Action::Block { status: 403, page },
            Action::Challenge,
            Action::Limit("a".into()),
            Action::Log,
            Action::BypassCache,
            Action::Redirect("/".into()),
        ] {
            assert!(Kind::Filter.words().any(|word| word == action.as_str()), "{}", action.as_str());
        }
    }

    #[test]
    fn a_request_is_counted_by_what_came_of_it() {
        let mut counts = Counts::default();
        counts.request(Some(Phase::Hit { ttl: 1 }), None);
        counts.request(Some(Phase::Unsure { ttl: 1 }), None);
        counts.request(Some(Phase::Stale { ttl: -1, why: Stale::IfError }), None);
        counts.request(Some(Phase::Stale { ttl: -1, why: Stale::WhileRevalidate }), None);
        counts.request(None, Some(Problem::Blocked));
        let of = |kind| counts.of(kind).collect::<Vec<_>>();
        assert_eq!(of(Kind::Cache), [("hit", 2), ("none", 1), ("stale", 2)]);
        assert_eq!(of(Kind::Problem), [("blocked", 1)]);
        assert_eq!(of(Kind::More), [(More::Unsure.as_str(), 1), (More::StoodIn.as_str(), 1)]);
    }

    #[test]
    fn only_known_words_are_taken_over() {
        let mut counts = Counts::default();
        let text = "from=\"0000000000000001\", batch=0, cache.hit=2, cache.=1, cache.sung=3, hit=4, problem.hit=5, more.stood-in=0";
        counts.take(&Batch::parse(text).expect("good"));
        let all: Vec<_> = Kind::ALL.into_iter().flat_map(|kind| counts.of(kind)).collect();
        assert_eq!(all, [("hit", 2)]);
    }

    #[test]
    fn all_there_is_fits_into_one_field() {
        let mut counting = Counting::default();
        let all = |counts: &mut Counts| {
            for kind in Kind::ALL {
                counts.0.extend(kind.words().map(|word| ((kind, word), contract::counts::MAX_COUNT)));
            }
        };
        assert!(counting.count(1, all).is_some());
        let (text, _) = counting.batch(u64::MAX).expect("a batch");
        let mut read = Counts::default();
        read.take(&Batch::parse(&text).expect("good"));
        assert_eq!(
            Kind::ALL.map(|kind| read.of(kind).count()),
            Kind::ALL.map(|kind| kind.words().count()),
            "{}",
            text.len()
        );
    }

    #[test]
    fn what_waits_is_carried_once_and_planned_anew_where_that_failed() {
        let hit = |counts: &mut Counts| counts.add(Kind::Cache, "hit");
        let mut counting = Counting::default();
        assert_eq!(counting.batch(7), None);
        let planned = counting.count(1_000, hit).expect("the first plans");
        assert_eq!(counting.count(1_001, hit), None);
        // An exchange comes by.
        let (_, number) = counting.batch(8).expect("a batch");
        assert!(!counting.waits(planned));
        counting.carried(number);
        assert_eq!(counting.batch(8), None);
        let planned = counting.count(2_000, hit).expect("the next plans");
        assert!(counting.waits(planned));
        // It fails: the same batch is sent again, and what comes meanwhile is for the next.
        let first = counting.batch(8).expect("a batch");
        let next = counting.count(30_000, hit).expect("planned anew");
        assert_eq!(counting.batch(8), Some(first.clone()));
        assert!(counting.waits(next));
        counting.carried(first.1);
        counting.carried(first.1);
        let (text, number) = counting.batch(8).expect("the next");
        assert!(text.starts_with("from=\"0000000000000007\"") && number == first.1 + 1, "{text}");
        // A plan whose time was taken away.
        let mut lost = Counting::default();
        assert!(lost.count(1, hit).is_some() && lost.count(u64::from(WAIT) + 9_000, hit).is_none());
        assert!(lost.count(u64::from(WAIT) + 11_000, hit).is_some());
    }

    proptest! {
        /// Isolates count, exchanges overlap, get lost on either way and overtake one another: at the end the gateway has each count once.
        #[test]
        fn each_count_arrives_once(steps in prop::collection::vec((0usize..6, 0usize..9), 1..200)) {
            let (mut counting, mut total) = (Counting::default(), 0);
            let mut known = std::collections::BTreeSet::new();
            let mut sums = Counts::default();
            let mut under_way: Vec<(String, u64)> = Vec::new();
            let mut answers: Vec<u64> = Vec::new();
            let mut receive = |(text, number): (String, u64)| {
                let batch = Batch::parse(&text).expect("good");
                if known.insert((batch.from, batch.number)) {
                    sums.take(&batch);
                }
                number
            };
            for (step, which) in steps {
                match step {
                    0 | 1 => {
                        let _ = counting.count(1, |counts| counts.add(Kind::Cache, "hit"));
                        total += 1;
                    }
                    2 => under_way.extend(counting.batch(5)),
                    3 if !under_way.is_empty() => answers.push(receive(under_way.remove(which % under_way.len()))),
                    4 if !answers.is_empty() => counting.carried(answers.remove(which % answers.len())),
                    // Lost on the way there, or back.
                    5 if which < 4 => drop(under_way.pop()),
                    5 => drop(answers.pop()),
                    _ => {}
                }
            }
            while let Some(batch) = counting.batch(5) {
                counting.carried(receive(batch));
            }
            prop_assert_eq!(sums.of(Kind::Cache).map(|(_, count)| count).sum::<u64>(), total);
        }
    }
}
