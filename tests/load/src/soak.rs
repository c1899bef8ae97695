//! A soak: a steady rate for long, and whether memory, descriptors or threads of a process grow.

use serde::{Deserialize, Serialize};

use crate::outcome::{Round, Second, median};
use crate::watch::{GENERATOR, Usage};

/// Share of a soak in which caches fill and pools grow, and nothing is concluded.
const WARMING: f64 = 0.3;

/// One figure of one process, before and after.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Growth {
    /// Whose.
    pub process: String,
    /// `memory`, `descriptors` or `threads`.
    pub what: String,
    /// The median of the first third after warming up.
    pub first: f64,
    /// The median of the last third.
    pub last: f64,
    /// How much it may grow.
    pub allowed: f64,
    /// Whether it grew by more.
    pub grows: bool,
}

/// Looks at a round.
#[must_use]
pub fn growth(round: &Round) -> Vec<Growth> {
    let all = &round.seconds;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a length"
    )]
    let warm = &all[((all.len() as f64 * WARMING) as usize).min(all.len())..];
    let third = warm.len() / 3;
    let (first, last) = (&warm[..third], &warm[warm.len() - third..]);
    let names = all.first().into_iter().flat_map(|second| second.processes.keys()).filter(|name| *name != GENERATOR);
    let of = |name: &str, seconds: &[Second], figure: fn(&Usage) -> f64| {
        median(seconds.iter().filter_map(|second| second.processes.get(name).map(figure)))
    };
    let mut found = Vec::new();
    for name in names {
        for (what, figure, share, least) in FIGURES {
            let (first, last) = (of(name, first, *figure), of(name, last, *figure));
            let allowed = (first * share).max(*least);
            let (process, what) = (name.clone(), (*what).to_owned());
            // Without figures nothing was shown.
            let grows = (last - first).partial_cmp(&allowed).is_none_or(std::cmp::Ordering::is_gt);
            found.push(Growth { process, what, first, last, allowed, grows });
        }
    }
    found
}

/// A figure, by which share it may grow, and by how much at least.
type Figure = (&'static str, fn(&Usage) -> f64, f64, f64);

#[expect(clippy::cast_precision_loss, reason = "bytes and counts stay below 2^53")]
const FIGURES: &[Figure] = &[
    ("memory", |usage| usage.memory_bytes as f64, 0.05, 4_194_304.0),
    ("descriptors", |usage| usage.descriptors as f64, 0.05, 20.0),
    ("threads", |usage| usage.threads as f64, 0.0, 2.0),
];
