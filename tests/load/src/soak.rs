//! A soak: a steady rate for long, and whether memory, descriptors or threads of a process grow, or the gateway's tasks.

use serde::{Deserialize, Serialize};

use crate::outcome::{Round, Second, count, median};
use crate::watch::{GENERATOR, Usage};

/// Share of a soak in which caches fill and pools grow, and nothing is concluded.
const WARMING: f64 = 0.3;

/// One figure of one process, before and after.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Growth {
    /// Whose.
    pub process: String,
    /// `memory`, `descriptors`, `threads` or `tasks`.
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
    let mut found = Vec::new();
    let medians = |figure: &dyn Fn(&Second) -> Option<f64>| {
        [first, last].map(|seconds| median(seconds.iter().filter_map(figure)))
    };
    // How many visitors have connections is chance, and the server has as many.
    let [before, after] = medians(&|second| Some(count(second.connections as u64)));
    let theirs = (after - before).max(0.0);
    let mut look = |process: &str, figure: &Figure, of: &dyn Fn(&Second) -> Option<f64>| {
        let [first, last] = medians(of);
        let allowed = (first * figure.share).max(figure.least) + if figure.with_visitors { theirs } else { 0.0 };
        // Without figures nothing was shown, and who is gone has kept nothing.
        let there = first.is_finite() && last.is_finite();
        let process = if there { process.to_owned() } else { format!("{process} (gone)") };
        let [first, last, allowed] = [first, last, allowed].map(|figure| if figure.is_finite() { figure } else { 0.0 });
        let grows = !there || last - first > allowed;
        found.push(Growth { process, what: figure.what.to_owned(), first, last, allowed, grows });
    };
    let names = all.first().into_iter().flat_map(|second| second.processes.keys()).filter(|name| *name != GENERATOR);
    for (name, (figure, of)) in names.flat_map(|name| FIGURES.iter().map(move |figure| (name, figure))) {
        look(name, figure, &|second| second.processes.get(name).map(of));
    }
    if all.iter().any(|second| second.tasks.is_some()) {
        look("gateway", &TASKS, &|second| second.tasks);
    }
    found
}

/// A figure, by which share it may grow, by how much at least, and whether by as many as there are more connections of visitors.
struct Figure {
    what: &'static str,
    share: f64,
    least: f64,
    with_visitors: bool,
}

const TASKS: Figure = Figure { what: "tasks", share: 0.05, least: 20.0, with_visitors: true };
/// Where it stands.
type Of = fn(&Usage) -> f64;

#[expect(clippy::cast_precision_loss, reason = "bytes and counts stay below 2^53")]
const FIGURES: &[(Figure, Of)] = &[
    (Figure { what: "memory", share: 0.05, least: 4_194_304.0, with_visitors: false }, |usage| {
        usage.memory_bytes as f64
    }),
    (Figure { what: "descriptors", ..TASKS }, |usage| usage.descriptors as f64),
    // Those that wait for files come as they are needed, and go after 10 s.
    (Figure { what: "threads", share: 0.0, least: 8.0, with_visitors: false }, |usage| usage.threads as f64),
];
