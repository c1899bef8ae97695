//! When requests are due: a phase's rate, steady, as a ramp or in steps, turned into moments.

use std::time::Duration;

use crate::scenario::Phase;

/// The moments of one phase, from its beginning, in order.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// Stretches in which the rate changes evenly: when each begins, its rates, how long it lasts, in seconds.
    stretches: Vec<Stretch>,
    place: usize,
    /// The number of the next request within its stretch; halves, so that nothing falls on a border.
    next: f64,
}

#[derive(Clone, Copy, Debug)]
struct Stretch {
    begins: f64,
    from: f64,
    to: f64,
    lasts: f64,
}

impl Schedule {
    pub(crate) fn new(phase: &Phase) -> Self {
        let (from, to, lasts) = (phase.rate, phase.to.unwrap_or(phase.rate), phase.lasts.0.as_secs_f64());
        let stretches = match phase.steps {
            None => vec![Stretch { begins: 0.0, from, to, lasts }],
            Some(steps) => {
                let each = lasts / f64::from(steps);
                let last = f64::from(steps.max(2) - 1);
                let step = |n: u32| {
                    let rate = from + (to - from) * f64::from(n) / last;
                    Stretch { begins: each * f64::from(n), from: rate, to: rate, lasts: each }
                };
                (0..steps).map(step).collect()
            }
        };
        Self { stretches, place: 0, next: 0.5 }
    }

    /// How many requests it has.
    pub(crate) fn total(&self) -> f64 {
        self.stretches.iter().map(Stretch::requests).sum()
    }
}

impl Stretch {
    fn requests(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.lasts
    }

    /// When `n` requests have left: where the area under the rate is `n`.
    fn when(&self, n: f64) -> f64 {
        let slope = (self.to - self.from) / self.lasts;
        // The root of from·t + slope·t²/2 = n that lies in the stretch, in the form that is good for a small slope.
        let root = self.from.mul_add(self.from, 2.0 * slope * n).max(0.0).sqrt();
        2.0 * n / (self.from + root)
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        loop {
            let stretch = self.stretches.get(self.place)?;
            let left = stretch.requests() - self.next;
            if left < 0.0 {
                self.next = -left;
                self.place += 1;
                continue;
            }
            let at = stretch.begins + stretch.when(self.next);
            self.next += 1.0;
            return Duration::try_from_secs_f64(at).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Span;

    fn phase(rate: f64, to: Option<f64>, steps: Option<u32>, seconds: u64) -> Schedule {
        let lasts = Span(Duration::from_secs(seconds));
        Schedule::new(&Phase { name: "a".to_owned(), rate, to, steps, lasts, judged: true })
    }

    #[test]
    fn a_steady_rate_is_even() {
        let all: Vec<Duration> = phase(200.0, None, None, 2).collect();
        assert_eq!(all.len(), 400);
        for pair in all.windows(2) {
            assert!((pair[1] - pair[0]).abs_diff(Duration::from_millis(5)) < Duration::from_micros(1), "{pair:?}");
        }
    }

    #[test]
    fn a_ramp_has_its_mean_and_grows_evenly() {
        let schedule = phase(0.0, Some(100.0), None, 10);
        let all: Vec<Duration> = schedule.clone().collect();
        assert_eq!(all.len(), 500);
        // A quarter of the requests in the first half.
        let early = all.iter().filter(|at| **at < Duration::from_secs(5)).count();
        assert!(early.abs_diff(125) <= 1, "{early}");
        assert!(all.is_sorted() && all.last() < Some(&Duration::from_secs(10)));
        assert!((schedule.total() - 500.0).abs() < 1e-9);
        assert_eq!(phase(100.0, Some(0.0), None, 10).count(), 500);
    }

    #[test]
    fn steps_stand_still_between_jumps() {
        let all: Vec<Duration> = phase(10.0, Some(30.0), Some(3), 9).collect();
        let within = |second: u64| all.iter().filter(|at| at.as_secs() == second).count();
        assert_eq!([0, 1, 3, 4, 6, 8].map(within), [10, 10, 20, 20, 30, 30]);
        assert_eq!(all.len(), 180);
    }
}
