//! One probe's results, one after the other, as levels that last: one blip is no incident. The clock is an argument.

use std::collections::VecDeque;

use super::level::Level;
use super::timeline::{Span, Timeline};

/// The seconds of one point of the chart of response times, and how many there are: a day.
pub const POINT: u64 = 600;
const POINTS: usize = 144;

/// How many results in a row it takes, and how long one lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Results in a row that are worse than how it is, for it to be worse.
    pub fall: u32,
    /// Results in a row that are better, for it to be better.
    pub rise: u32,
    /// Seconds after which a result says nothing any more.
    pub reach: u64,
}

/// Response times of [`POINT`] seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When they begin.
    pub from: u64,
    /// How many there were.
    pub count: u64,
    /// Their sum, in milliseconds.
    pub sum: u64,
}

/// What is known of one probe.
#[derive(Debug)]
pub struct Track {
    pace: Pace,
    past: Timeline,
    level: Option<Level>,
    pending: Option<Pending>,
    seen: u64,
    points: VecDeque<Point>,
}

/// Results in a row that are on the same side of how it is.
#[derive(Debug)]
struct Pending {
    from: u64,
    worse: bool,
    count: u32,
    /// Of results that are worse the best, of better ones the worst.
    bound: Level,
}

impl Track {
    /// Nothing is known.
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        Self { pace, past: Timeline::default(), level: None, pending: None, seen: 0, points: VecDeque::new() }
    }

    /// How it is; `None` before the first result, and once the last one is too old.
    #[must_use]
    pub fn level(&self, now: u64) -> Option<Level> {
        self.level.filter(|_| now <= self.seen + self.pace.reach)
    }

    /// The second of the last result; 0 where there was none.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// What was, without what may yet turn out otherwise.
    #[must_use]
    pub fn past(&self) -> &Timeline {
        &self.past
    }

    /// What was up to `now`: the last result lasts until the next one, and no longer than its reach.
    #[must_use]
    pub fn until(&self, now: u64) -> Timeline {
        let mut line = self.past.clone();
        if self.level.is_some() && self.pending.is_none() {
            line.extend(now.min(self.seen + self.pace.reach));
        }
        line
    }

    /// A day of response times.
    #[must_use]
    pub fn points(&self) -> &VecDeque<Point> {
        &self.points
    }

    /// Takes a result. `true` where it changes how it is.
    pub fn observe(&mut self, at: u64, result: Level, millis: Option<u64>) -> bool {
        // A clock that is set back does not undo what was.
        let at = at.max(self.seen);
        if let Some(millis) = millis {
            self.measured(at, millis);
        }
        if self.level.is_some() && at > self.seen + self.pace.reach {
            self.end(self.seen + self.pace.reach);
        }
        self.seen = at;
        let Some(level) = self.level else {
            // Nothing is known that could be kept to.
            self.level = Some(result);
            self.past.push(Span { from: at, to: at, level: result });
            return true;
        };
        if result == level {
            self.pending = None;
            self.past.extend(at);
            return false;
        }
        let worse = result > level;
        let pending = match self.pending.take().filter(|pending| pending.worse == worse) {
            Some(Pending { from, count, bound, .. }) => {
                let bound = if worse { bound.min(result) } else { bound.max(result) };
                Pending { from, worse, count: count + 1, bound }
            }
            None => {
                self.past.extend(at);
                Pending { from: at, worse, count: 1, bound: result }
            }
        };
        if pending.count < if worse { self.pace.fall } else { self.pace.rise } {
            self.pending = Some(pending);
            return false;
        }
        self.level = Some(pending.bound);
        self.past.push(Span { from: pending.from, to: at, level: pending.bound });
        true
    }

    /// Ends what is known at `now`: whoever watched stops watching.
    pub fn close(&mut self, now: u64) {
        self.end(now.min(self.seen + self.pace.reach));
    }

    fn end(&mut self, at: u64) {
        // What was on trial is not confirmed any more.
        if self.pending.take().is_some() || self.level.is_some() {
            self.past.extend(at);
        }
        self.level = None;
    }

    /// Puts what was kept before what is known now.
    pub fn remember(&mut self, kept: Vec<Span>, points: Vec<Point>) {
        let own = self.past.spans().to_vec();
        self.past = Timeline::of(kept.into_iter().chain(own).collect());
        for point in points.into_iter().rev() {
            if !self.points.iter().any(|own| own.from == point.from) {
                self.points.push_front(point);
            }
        }
        self.points.make_contiguous().sort_by_key(|point| point.from);
        self.bound_points();
    }

    /// Forgets what was before.
    pub fn forget_before(&mut self, from: u64) {
        self.past.forget_before(from);
    }

    fn measured(&mut self, at: u64, millis: u64) {
        let from = at - at % POINT;
        match self.points.back_mut() {
            Some(last) if last.from >= from => {
                last.count += 1;
                last.sum += millis;
            }
            _ => self.points.push_back(Point { from, count: 1, sum: millis }),
        }
        self.bound_points();
    }

    fn bound_points(&mut self) {
        while self.points.len() > POINTS {
            self.points.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Pace, Track};
    use crate::health::level::Level::{self, Degraded, Down, Operational};
    use crate::health::timeline::{Shares, Span, Timeline};

    const PACE: Pace = Pace { fall: 2, rise: 3, reach: 65 };

    /// Results every 30 s from `from` on.
    fn feed(track: &mut Track, from: u64, results: &[Level]) -> Vec<bool> {
        let at = (0..).map(|n| from + n * 30);
        at.zip(results).map(|(at, result)| track.observe(at, *result, Some(5))).collect()
    }

    #[test]
    fn one_blip_is_no_incident() {
        let mut track = Track::new(PACE);
        let changed = feed(&mut track, 1000, &[Operational, Down, Operational, Operational, Degraded, Operational]);
        assert_eq!(changed, [true, false, false, false, false, false]);
        assert_eq!(track.until(1150).spans(), [Span { from: 1000, to: 1150, level: Operational }]);
    }

    #[test]
    fn what_lasts_counts_from_its_first_result_on() {
        let mut track = Track::new(PACE);
        let results = [
            Operational,
            Degraded,
            Down,
            Down,
            Down,
            Operational,
            Down,
            Operational,
            Operational,
            Operational,
            Operational,
        ];
        let changed = feed(&mut track, 0, &results);
        // Of one degraded and one down the milder is sure; then two down.
        assert_eq!(changed.iter().filter(|changed| **changed).count(), 4, "{changed:?}");
        let spans = [(0, 30, Operational), (30, 90, Degraded), (90, 210, Down), (210, 300, Operational)];
        assert_eq!(track.past().spans(), spans.map(|(from, to, level)| Span { from, to, level }));
    }

    #[test]
    fn after_a_gap_nothing_is_kept_to() {
        let mut track = Track::new(PACE);
        feed(&mut track, 0, &[Operational, Operational]);
        assert_eq!((track.level(95), track.level(96)), (Some(Operational), None));
        assert!(track.observe(500, Down, None), "the first result after it decides");
        assert_eq!(track.until(510).shares(0, 510), Shares { operational: 95, degraded: 0, down: 10, unknown: 405 });
        track.close(520);
        assert_eq!(track.level(521), None);
        assert_eq!(track.past().shares(500, 600).down, 20);
    }

    #[test]
    fn a_clock_that_is_set_back_undoes_nothing() {
        let mut track = Track::new(PACE);
        feed(&mut track, 1000, &[Operational, Operational]);
        track.observe(10, Operational, None);
        assert_eq!(track.past().spans(), [Span { from: 1000, to: 1030, level: Operational }]);
    }

    /// A month at one result in 30 s, with outages and restarts at known seconds: the arithmetic is exact to the second, though the
    /// process forgets everything but what it has kept at each of 10 restarts.
    #[test]
    fn a_month_to_the_second() {
        const DAY: u64 = 86_400;
        let start = 1_700_000_000;
        // Down for 10 minutes each day at noon, degraded for an hour each third day.
        let truth = |at: u64| match (at - start) % DAY {
            43_200..43_800 => Down,
            60_000..63_600 if ((at - start) / DAY).is_multiple_of(3) => Degraded,
            _ => Operational,
        };
        let mut kept: Vec<Span> = Vec::new();
        let mut track = Track::new(PACE);
        let (mut at, mut restarts) = (start, 0);
        while at < start + 30 * DAY {
            track.observe(at, truth(at), Some(3));
            at += 30;
            // Every third day at 06:00 it is away for 90 s.
            if (at - start) % (3 * DAY) == 21_600 {
                track.close(at);
                kept.extend(track.past().spans());
                track = Track::new(PACE);
                track.remember(kept.clone(), Vec::new());
                (at, restarts) = (at + 90, restarts + 1);
            }
        }
        let end = start + 30 * DAY;
        let line = track.until(end);
        let month = line.shares(start, end);
        assert_eq!(restarts, 10);
        assert_eq!(month.down, 30 * 600);
        assert_eq!(month.degraded, 10 * 3_600);
        assert_eq!(month.unknown, restarts * 90);
        assert_eq!(month.operational, 30 * DAY - month.down - month.degraded - month.unknown);
        assert_eq!(line.incidents(100).len(), 40);
        let day = line.shares(end - DAY, end);
        assert_eq!((day.down, day.uptime()), (600, Some((DAY - 600) * 10_000 / DAY)));
        assert_eq!(track.points().len(), 144);
    }

    proptest! {
        /// Whatever comes, no second counts twice, and what is said of a time does not change once a later result has come that agrees.
        #[test]
        fn any_results_make_a_timeline(results in prop::collection::vec((1u64..100, 0u8..3), 1..200)) {
            let mut track = Track::new(PACE);
            let mut at = 0;
            for (later, code) in results {
                at += later;
                track.observe(at, Level::of_code(code).expect("a level"), None);
                let spans = track.until(at).spans().to_vec();
                let again = Timeline::of(spans.clone());
                prop_assert_eq!(again.shares(0, at), track.until(at).shares(0, at));
                prop_assert!(spans.last().is_none_or(|last| last.to <= at));
                for pair in spans.windows(2) {
                    prop_assert!(pair[0].to <= pair[1].from);
                }
            }
        }
    }
}
