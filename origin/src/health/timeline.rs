//! What was when: spans of one level each, and the arithmetic over them. Times are whole seconds since the epoch.
//!
//! What no span covers is unknown: neither up nor down. It counts in no percentage, and is said where it is shown.

use super::level::Level;

/// Spans of one timeline at most; the oldest go first. At one change a minute, three days.
pub const MOST_SPANS: usize = 5_000;

/// A stretch of time at one level: from its first second up to, and without, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first second.
    pub from: u64,
    /// The second after its last.
    pub to: u64,
    /// How it was.
    pub level: Level,
}

/// Spans in order, none over another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline(Vec<Span>);

/// How long it was what, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Operational.
    pub operational: u64,
    /// Degraded.
    pub degraded: u64,
    /// Down.
    pub down: u64,
    /// Not known.
    pub unknown: u64,
}

impl Shares {
    /// Hundredths of a percent of the known time in which it served, operational or degraded. Rounded down, so that 100 % is only said
    /// where there was no second of anything else. `None` where nothing is known.
    #[must_use]
    pub fn uptime(&self) -> Option<u64> {
        let serving = self.operational + self.degraded;
        (serving * 10_000).checked_div(serving + self.down)
    }

    /// The worst of it; `None` where nothing is known.
    #[must_use]
    pub fn worst(&self) -> Option<Level> {
        match self {
            Self { down: 1.., .. } => Some(Level::Down),
            Self { degraded: 1.., .. } => Some(Level::Degraded),
            Self { operational: 1.., .. } => Some(Level::Operational),
            _ => None,
        }
    }
}

/// A time in which something was not operational.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incident {
    /// When it began.
    pub from: u64,
    /// When it was over; `None` while it lasts.
    pub to: Option<u64>,
    /// The worst of it.
    pub worst: Level,
}

impl Timeline {
    /// From spans in any order. Where two overlap, the one that began later counts from its beginning on: it is of the process that took
    /// over.
    #[must_use]
    pub fn of(mut spans: Vec<Span>) -> Self {
        spans.retain(|span| span.from < span.to);
        spans.sort_by_key(|span| (span.from, span.to));
        let mut all = Self(Vec::with_capacity(spans.len()));
        for span in spans {
            if let Some(last) = all.0.last_mut()
                && last.to > span.from
            {
                last.to = span.from;
                if last.from == last.to {
                    all.0.pop();
                }
            }
            all.push(span);
        }
        all
    }

    /// Adds what comes next. A span that goes on where the last ended, at the same level, lengthens it.
    pub(super) fn push(&mut self, span: Span) {
        match self.0.last_mut() {
            Some(last) if last.to == span.from && last.level == span.level => last.to = span.to,
            _ => self.0.push(span),
        }
        if self.0.len() > MOST_SPANS {
            self.0.drain(..self.0.len() - MOST_SPANS);
        }
    }

    /// Lengthens the last span up to `to`.
    pub(super) fn extend(&mut self, to: u64) {
        if let Some(last) = self.0.last_mut() {
            last.to = last.to.max(to);
        }
    }

    /// Forgets what ended before `from`.
    pub(super) fn forget_before(&mut self, from: u64) {
        self.0.retain(|span| span.to > from);
    }

    /// The spans in order.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// What it was between two seconds, the second one not counted.
    #[must_use]
    pub fn shares(&self, from: u64, to: u64) -> Shares {
        let mut shares = Shares::default();
        let first = self.0.partition_point(|span| span.to <= from);
        for span in self.0.iter().skip(first).take_while(|span| span.from < to) {
            let seconds = span.to.min(to).saturating_sub(span.from.max(from));
            *match span.level {
                Level::Operational => &mut shares.operational,
                Level::Degraded => &mut shares.degraded,
                Level::Down => &mut shares.down,
            } += seconds;
        }
        let known = shares.operational + shares.degraded + shares.down;
        shares.unknown = to.saturating_sub(from).saturating_sub(known);
        shares
    }

    /// Several as one, each with the most that it counts for. A second is as bad as the worst that is known of it.
    #[must_use]
    pub fn worst(of: &[(&Self, Level)]) -> Self {
        if let [(one, Level::Down)] = of {
            return (*one).clone();
        }
        let mut edges: Vec<u64> = of.iter().flat_map(|(one, _)| &one.0).flat_map(|span| [span.from, span.to]).collect();
        edges.sort_unstable();
        edges.dedup();
        let mut at = vec![0; of.len()];
        let mut all = Self::default();
        for pair in edges.windows(2) {
            let &[from, to] = pair else { continue };
            let mut level = None;
            for ((one, most), at) in of.iter().zip(&mut at) {
                while one.0.get(*at).is_some_and(|span| span.to <= from) {
                    *at += 1;
                }
                let here = one.0.get(*at).filter(|span| span.from <= from).map(|span| span.level.min(*most));
                level = level.max(here);
            }
            if let Some(level) = level {
                all.push(Span { from, to, level });
            }
        }
        all
    }

    /// When it was not operational, the last first. One that goes on after a time of which nothing is known is one.
    #[must_use]
    pub fn incidents(&self, most: usize) -> Vec<Incident> {
        let mut all: Vec<Incident> = Vec::new();
        let mut spans = self.0.iter().rev().peekable();
        let mut end = None;
        while all.len() < most {
            let Some(span) = spans.next() else { break };
            if span.level == Level::Operational {
                end = Some(span.from);
                continue;
            }
            let mut incident = Incident { from: span.from, to: end.map(|_| span.to), worst: span.level };
            while let Some(before) = spans.next_if(|before| before.level != Level::Operational) {
                incident.from = before.from;
                incident.worst = incident.worst.max(before.level);
            }
            all.push(incident);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Incident, Level, Shares, Span, Timeline};

    fn span(from: u64, to: u64, code: u8) -> Span {
        Span { from, to, level: Level::of_code(code).expect("a level") }
    }

    fn timeline(spans: &[(u64, u64, u8)]) -> Timeline {
        Timeline::of(spans.iter().map(|&(from, to, code)| span(from, to, code)).collect())
    }

    #[test]
    fn every_second_counts_once() {
        let line = timeline(&[(10, 20, 0), (20, 25, 2), (30, 40, 1)]);
        let shares = line.shares(0, 50);
        assert_eq!(shares, Shares { operational: 10, degraded: 10, down: 5, unknown: 25 });
        assert_eq!(shares.uptime(), Some(8_000));
        assert_eq!(line.shares(24, 31), Shares { operational: 0, degraded: 1, down: 1, unknown: 5 });
        assert_eq!((line.shares(40, 60).uptime(), line.shares(40, 60).worst()), (None, None));
        let nearly = Shares { operational: 86_399, down: 1, ..Shares::default() };
        assert_eq!(nearly.uptime(), Some(9_999), "never rounded up");
    }

    #[test]
    fn who_took_over_is_believed() {
        let line = timeline(&[(10, 100, 0), (90, 120, 2)]);
        assert_eq!(line.spans(), [span(10, 90, 0), span(90, 120, 2)]);
    }

    #[test]
    fn the_worst_of_several_with_what_each_may_count_for() {
        let (app, mail) = (timeline(&[(0, 100, 0)]), timeline(&[(20, 40, 2), (40, 60, 0)]));
        let both = [(&app, Level::Down), (&mail, Level::Degraded)];
        assert_eq!(Timeline::worst(&both).spans(), [span(0, 20, 0), span(20, 40, 1), span(40, 100, 0)]);
    }

    #[test]
    fn an_incident_goes_on_over_a_restart() {
        let line = timeline(&[(0, 10, 0), (10, 20, 1), (20, 30, 2), (50, 60, 2), (60, 70, 0), (70, 80, 2)]);
        let expected = [
            Incident { from: 70, to: None, worst: Level::Down },
            Incident { from: 10, to: Some(60), worst: Level::Down },
        ];
        assert_eq!(line.incidents(10), expected);
        assert_eq!(line.incidents(1), expected[..1]);
    }

    proptest! {
        /// However the time is cut, its parts are the whole.
        #[test]
        fn parts_make_the_whole(spans in prop::collection::vec((0u64..200, 0u64..50, 0u8..3), 0..30), cut in 0u64..300) {
            let line = Timeline::of(spans.into_iter().map(|(from, length, code)| span(from, from + length, code)).collect());
            for pair in line.spans().windows(2) {
                prop_assert!(pair[0].from < pair[0].to && pair[0].to <= pair[1].from);
            }
            let (a, b, whole) = (line.shares(0, cut), line.shares(cut, 300), line.shares(0, 300));
            prop_assert_eq!(a.operational + b.operational, whole.operational);
            prop_assert_eq!(a.down + b.down, whole.down);
            prop_assert_eq!(a.unknown + b.unknown, whole.unknown);
            prop_assert_eq!(whole.operational + whole.degraded + whole.down + whole.unknown, 300);
        }
    }
}
