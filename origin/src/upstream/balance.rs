//! Which of several upstreams gets a request: of two taken at random, the one with fewer requests for its weight. One that
//! fails again and again is ejected for a time that doubles; the last one never is.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::state::MemberState;

/// The time of ejection doubles so often at most.
const DOUBLINGS: u32 = 5;
/// Checks in a row that make an upstream ill, and well again.
const FALL: u32 = 3;
const RISE: u32 = 2;

/// The upstreams of an app that has several, as all cores see them.
#[derive(Debug)]
pub(super) struct Balance {
    members: Mutex<Vec<Member>>,
    /// Failures in a row that eject.
    failures: u32,
    /// The first ejection's time.
    ejected: Duration,
}

#[derive(Clone, Debug)]
struct Member {
    weight: u32,
    in_flight: u32,
    failures: u32,
    /// Ejections in a row, and when the last ends.
    ejections: u32,
    until: Option<Instant>,
    /// What the checks say; `streak` of them in a row said otherwise.
    ill: bool,
    streak: u32,
}

/// What has become of an upstream, where that is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It gets no requests for a while.
    Ejected(Duration),
    /// It is back after an ejection and has answered.
    Readmitted,
    /// Its checks fail.
    Ill,
    /// Its checks succeed again.
    Well,
}

impl Member {
    const fn new(weight: u32) -> Self {
        Self { weight, in_flight: 0, failures: 0, ejections: 0, until: None, ill: false, streak: 0 }
    }

    fn ejected(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    fn available(&self, now: Instant) -> bool {
        !self.ill && !self.ejected(now)
    }
}

/// The place of a bit that is set, after so many others that are.
fn nth(mut bits: u64, others: u32) -> usize {
    for _ in 0..others {
        bits &= bits - 1;
    }
    bits.trailing_zeros() as usize
}

impl Balance {
    /// Upstreams with these weights.
    pub(super) fn new(weights: impl Iterator<Item = u32>, failures: u32, ejected: Duration) -> Self {
        Self { members: Mutex::new(weights.map(Member::new).collect()), failures, ejected }
    }

    fn members(&self) -> MutexGuard<'_, Vec<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The upstream for a request, counted as its own until [`left`](Self::left). Bits of `tried` are not asked again; the
    /// ones that are out are asked last. `random` decides between equals.
    pub(super) fn pick(&self, tried: u64, now: Instant, random: u64) -> Option<usize> {
        let mut members = self.members();
        // An app has 64 upstreams at most: a bit for each.
        let untried = u64::MAX.checked_shr(64 - members.len().min(64) as u32).unwrap_or(0) & !tried;
        let bit = |(n, member): (usize, &Member)| u64::from(member.available(now)) << n;
        let up = untried & members.iter().take(64).enumerate().map(bit).fold(0, |all, bit| all | bit);
        let choice = if up == 0 { untried } else { up };
        let n = match choice.count_ones() {
            0 => return None,
            1 => nth(choice, 0),
            many => {
                let first = nth(choice, (random >> 32) as u32 % many);
                let second = nth(choice & !(1 << first), random as u32 % (many - 1));
                // Compared as fractions, with the request that it would get.
                let load =
                    |n: usize, other: usize| (u64::from(members[n].in_flight) + 1) * u64::from(members[other].weight);
                if load(second, first) < load(first, second) { second } else { first }
            }
        };
        members[n].in_flight += 1;
        Some(n)
    }

    /// A request is no longer with upstream `n`.
    pub(super) fn left(&self, n: usize) {
        let member = &mut self.members()[n];
        member.in_flight = member.in_flight.saturating_sub(1);
    }

    /// Upstream `n` has answered, whatever it said.
    pub(super) fn succeeded(&self, n: usize, now: Instant) -> Option<Change> {
        let member = &mut self.members()[n];
        member.failures = 0;
        if member.ejected(now) {
            // An answer from before.
            return None;
        }
        let back = member.until.take()?;
        // One that stumbles again soon is out for longer.
        if now - back >= self.ejected {
            member.ejections = 0;
        } else {
            member.until = Some(back);
            return None;
        }
        Some(Change::Readmitted)
    }

    /// Upstream `n` could not be connected to, or broke off, or did not answer in time.
    pub(super) fn failed(&self, n: usize, now: Instant) -> Option<Change> {
        let mut members = self.members();
        let others = (0..members.len()).any(|other| other != n && members[other].available(now));
        let member = &mut members[n];
        member.failures += 1;
        if member.failures < self.failures || member.ejected(now) || !others {
            return None;
        }
        let time = self.ejected * (1 << member.ejections.min(DOUBLINGS));
        member.failures = 0;
        member.ejections += 1;
        member.until = Some(now + time);
        Some(Change::Ejected(time))
    }

    /// How each is.
    pub(super) fn state(&self, now: Instant) -> Vec<MemberState> {
        let state = |member: &Member| MemberState {
            weight: member.weight,
            in_flight: member.in_flight,
            failures_in_a_row: member.failures,
            ejected_for: member.until.and_then(|until| until.checked_duration_since(now)).filter(|t| !t.is_zero()),
            ill: member.ill,
        };
        self.members().iter().map(state).collect()
    }

    /// A check of upstream `n` went so.
    pub(super) fn checked(&self, n: usize, well: bool) -> Option<Change> {
        let member = &mut self.members()[n];
        if well != member.ill {
            member.streak = 0;
            return None;
        }
        member.streak += 1;
        if member.streak < if well { RISE } else { FALL } {
            return None;
        }
        (member.ill, member.streak) = (!well, 0);
        Some(if well { Change::Well } else { Change::Ill })
    }
}

#[cfg(test)]
mod tests {
    use super::{Balance, Change};
    use std::time::{Duration, Instant};

    const FIRST: Duration = Duration::from_secs(10);

    fn balance(weights: &[u32]) -> Balance {
        Balance::new(weights.iter().copied(), 5, FIRST)
    }

    /// Requests that stay, and how they spread.
    fn spread(balance: &Balance, requests: usize, now: Instant) -> Vec<usize> {
        let mut count = vec![0; balance.members().len()];
        for _ in 0..requests {
            count[balance.pick(0, now, rand::random()).expect("one")] += 1;
        }
        count
    }

    fn eject(balance: &Balance, n: usize, now: Instant) -> Option<Change> {
        (0..5).filter_map(|_| balance.failed(n, now)).last()
    }

    #[test]
    fn the_less_loaded_of_two_by_weight() {
        let now = Instant::now();
        let even = spread(&balance(&[1, 1]), 100, now);
        assert_eq!(even, [50, 50], "of two, both are compared every time");
        let weighted = spread(&balance(&[1, 3]), 400, now);
        assert!((95..=105).contains(&weighted[0]), "{weighted:?}");
        let many = spread(&balance(&[1; 8]), 800, now);
        assert!(many.iter().all(|n| (95..=105).contains(n)), "{many:?}");
    }

    /// What was tried, or is out, is never chosen, and all else is, each as often.
    #[test]
    fn all_of_64_get_their_share_and_no_other() {
        let (now, most) = (Instant::now(), balance(&[1; 64]));
        (0..64).step_by(2).for_each(|n| assert!(eject(&most, n, now).is_some()));
        // Half are out, of which these may be asked when all else was tried.
        let tried = 0xffff_0000_0000_0000;
        let mut count = [0; 64];
        for _ in 0..24_000 {
            let n = most.pick(tried, now, rand::random()).expect("one");
            count[n] += 1;
            most.left(n);
        }
        for (n, count) in count.into_iter().enumerate() {
            // A thousand each; six standard deviations are 190.
            let right = if n < 48 && n % 2 == 1 { 800..1200 } else { 0..1 };
            assert!(right.contains(&count), "{n}: {count}");
        }
        let odd = 0xaaaa_aaaa_aaaa_aaaa;
        assert!(most.pick(odd, now, rand::random()).is_some_and(|n| n % 2 == 0));
        assert_eq!(most.pick(u64::MAX, now, 7), None);
    }

    #[test]
    fn what_leaves_makes_room() {
        let (now, two) = (Instant::now(), balance(&[1, 1]));
        spread(&two, 20, now);
        (0..5).for_each(|_| two.left(1));
        for _ in 0..5 {
            assert_eq!(two.pick(0, now, rand::random()), Some(1));
        }
    }

    #[test]
    fn five_failures_in_a_row_eject_and_four_do_not() {
        let (now, two) = (Instant::now(), balance(&[1, 1]));
        for _ in 0..4 {
            assert_eq!(two.failed(0, now), None);
        }
        two.succeeded(0, now);
        for _ in 0..4 {
            assert_eq!(two.failed(0, now), None);
        }
        assert_eq!(two.failed(0, now), Some(Change::Ejected(FIRST)));
        assert_eq!(spread(&two, 10, now), [0, 10]);
        let later = now + FIRST;
        assert_eq!(spread(&two, 10, later), [10, 0], "readmitted when the time is over, and the less loaded");
    }

    #[test]
    fn the_time_doubles_up_to_a_bound_and_starts_anew_after_a_good_while() {
        let (mut now, two) = (Instant::now(), balance(&[1, 1]));
        for expected in [10, 20, 40, 80, 160, 320, 320] {
            let time = Duration::from_secs(expected);
            assert_eq!(eject(&two, 0, now), Some(Change::Ejected(time)));
            now += time;
            // It answers, but not for long.
            assert_eq!(two.succeeded(0, now), None);
        }
        now += FIRST;
        assert_eq!(two.succeeded(0, now), Some(Change::Readmitted));
        assert_eq!(two.succeeded(0, now), None);
        assert_eq!(eject(&two, 0, now), Some(Change::Ejected(FIRST)));
    }

    #[test]
    fn the_last_one_is_never_ejected() {
        let (now, three) = (Instant::now(), balance(&[1, 1, 1]));
        assert!(eject(&three, 0, now).is_some());
        assert!(eject(&three, 1, now).is_some());
        for _ in 0..20 {
            assert_eq!(three.failed(2, now), None);
        }
        assert_eq!(spread(&three, 5, now), [0, 0, 5]);
    }

    #[test]
    fn what_was_tried_is_not_tried_again_and_the_ejected_come_last() {
        let (now, two) = (Instant::now(), balance(&[1, 1]));
        eject(&two, 0, now);
        assert_eq!(two.pick(0b10, now, 7), Some(0), "out, but better than nothing");
        assert_eq!(two.pick(0b11, now, 7), None);
    }

    #[test]
    fn three_failed_checks_make_ill_and_two_good_ones_well() {
        let (now, two) = (Instant::now(), balance(&[1, 1]));
        let checks = [false, false, true, false, false, false, true, false, true, true, true];
        let changes: Vec<_> = checks.iter().map(|well| two.checked(0, *well)).collect();
        assert_eq!(changes.iter().position(|c| *c == Some(Change::Ill)), Some(5));
        assert_eq!(changes.iter().position(|c| *c == Some(Change::Well)), Some(9));
        assert_eq!(changes.iter().flatten().count(), 2);
        assert_eq!((0..3).filter_map(|_| two.checked(1, false)).last(), Some(Change::Ill));
        assert_eq!(spread(&two, 4, now), [4, 0]);
        assert_eq!((0..3).filter_map(|_| two.checked(0, false)).last(), Some(Change::Ill));
        assert_eq!(spread(&two, 4, now), [0, 4], "where all are ill, all are asked; the less loaded first");
    }
}
