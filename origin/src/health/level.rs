//! How well something is, in three words, and when a figure is worth which.

use serde::{Deserialize, Serialize};

/// How well a part is. What comes later in this list is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// It does what it should.
    Operational,
    /// It works, and something about it is not as it should be.
    Degraded,
    /// It does not work.
    #[serde(rename = "Issues Detected")]
    Down,
}

impl Level {
    /// The word for the monitor and for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operational => "Operational",
            Self::Degraded => "Degraded",
            Self::Down => "Issues Detected",
        }
    }

    /// The word of `application/health+json` (draft-inadarei-api-health-check-06, section 3.1).
    #[must_use]
    pub const fn in_health_json(self) -> &'static str {
        match self {
            Self::Operational => "pass",
            Self::Degraded => "warn",
            Self::Down => "fail",
        }
    }

    /// One byte, for what is kept and for metrics: 0, 1 or 2.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    pub(super) const fn of_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Operational),
            1 => Some(Self::Degraded),
            2 => Some(Self::Down),
            _ => None,
        }
    }
}

/// From which figure on a part is degraded, and from which it is down.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bounds {
    /// Degraded from here on.
    pub degraded: Option<f64>,
    /// Down from here on.
    pub down: Option<f64>,
    /// Whether less is worse, as of days that are left.
    pub less_is_worse: bool,
}

impl Bounds {
    /// What a figure is worth.
    #[must_use]
    pub fn judge(&self, figure: f64) -> Level {
        let reached = |bound: Option<f64>| {
            bound.is_some_and(|bound| if self.less_is_worse { figure <= bound } else { figure >= bound })
        };
        match (reached(self.degraded), reached(self.down)) {
            (_, true) => Level::Down,
            (true, false) => Level::Degraded,
            (false, false) => Level::Operational,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounds, Level};

    #[test]
    fn a_figure_is_judged_from_the_bound_on() {
        let times = Bounds { degraded: Some(500.0), down: Some(2000.0), less_is_worse: false };
        let judged = [0.0, 499.9, 500.0, 1999.0, 2000.0].map(|ms| times.judge(ms));
        assert_eq!(judged, [0, 0, 1, 1, 2].map(|code| Level::of_code(code).expect("a level")));
        let days = Bounds { degraded: Some(14.0), down: Some(2.0), less_is_worse: true };
        assert_eq!([15.0, 14.0, 2.0].map(|left| days.judge(left).code()), [0, 1, 2]);
        assert_eq!(Bounds::default().judge(1e9), Level::Operational, "no bounds, no judgement");
    }
}
