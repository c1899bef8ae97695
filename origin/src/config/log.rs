//! `[log]`: which requests are logged.

use std::time::Duration;

use edge::Sampling;
use serde::{Deserialize, Serialize};

use super::Fault;
use super::value::Span;

/// `[log]` as written.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LogSection {
    sample: f64,
    slow: Span,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { sample: 1.0, slow: Span(Duration::from_secs(1)) }
    }
}

pub(super) fn check(section: &LogSection, faults: &mut Vec<Fault>) -> Option<Sampling> {
    let share = share("log.sample", section.sample, faults)?;
    Some(Sampling { share, slow: section.slow.0 })
}

/// A share of all requests.
pub(super) fn share(key: &str, share: f64, faults: &mut Vec<Fault>) -> Option<f64> {
    if (0.0..=1.0).contains(&share) {
        return Some(share);
    }
    let what = format!("{share} is no share: write 0.0 (none) to 1.0 (all), as in 0.1 for one in ten");
    faults.push(Fault::new(key, what));
    None
}
