//! What a run leaves: the JSON from which tables, charts, verdicts and comparisons are made. docs/load.md describes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::record::RouteRecord;
use crate::report::Machine;
use crate::watch::Usage;

/// The version of this format; a field that is added does not change it.
pub const FORMAT: u32 = 1;

/// One run: rounds of one scenario against one target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// [`FORMAT`].
    pub format: u32,
    /// Always `load`.
    pub kind: String,
    /// `run`, `knee` or `soak`.
    pub command: String,
    /// The scenario's title.
    pub title: String,
    /// Its question.
    pub asks: String,
    /// Whom.
    pub target: String,
    /// When it began, UTC.
    pub began: String,
    /// On which machine the generator ran.
    pub machine: Machine,
    /// The rate that is planned for, in requests a second.
    pub plan: Option<f64>,
    /// The rounds, in their order.
    pub rounds: Vec<Round>,
    /// Each objective, and whether it was kept.
    pub verdict: Vec<Judged>,
    /// The search for the knee.
    pub knee: Option<crate::knee::Knee>,
    /// What grew in a soak.
    pub soak: Vec<crate::soak::Growth>,
    /// What whoever reads the figures must know.
    pub notes: Vec<String>,
    /// Whether it was told to end before its time: then nothing says that the objectives were kept.
    #[serde(default)]
    pub ended_early: bool,
}

/// All phases, once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Round {
    /// The phases.
    pub phases: Vec<PhaseOutcome>,
    /// Each route over all phases that are judged.
    pub routes: Vec<RouteOutcome>,
    /// Second by second.
    pub seconds: Vec<Second>,
    /// How late the generator sent what was due, in milliseconds.
    pub generator_late: Times,
    /// Connections that were opened.
    pub connections: u64,
    /// How much the gateway's counters grew, by series.
    pub counters: BTreeMap<String, f64>,
}

/// A phase.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PhaseOutcome {
    /// Its name.
    pub name: String,
    /// When it began in its round, in seconds.
    pub at_s: f64,
    /// How long it lasted, in seconds.
    pub lasts_s: f64,
    /// Whether objectives count in it.
    pub judged: bool,
    /// Requests a second that were due.
    pub wanted_rate: f64,
    /// Requests a second that were answered as they should be.
    pub good_rate: f64,
    /// Its routes.
    pub routes: Vec<RouteOutcome>,
}

/// A route.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RouteOutcome {
    /// Its name.
    pub route: String,
    /// Requests that have ended.
    pub count: u64,
    /// Those that failed, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Answers by status.
    pub statuses: BTreeMap<String, u64>,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Answered from a cache, by Cache-Status.
    pub hits: u64,
    /// Not so, though a cache was asked.
    pub misses: u64,
    /// From when it was due until the last byte: what a visitor waits.
    pub from_due: Times,
    /// From when it was sent: what a closed loop would have seen.
    pub from_sent: Times,
}

/// A distribution, in milliseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// The mean.
    pub mean_ms: f64,
    /// Half of them.
    pub p50_ms: f64,
    /// 90 %.
    pub p90_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// 99.9 %.
    pub p999_ms: f64,
    /// All of them.
    pub max_ms: f64,
    /// Share of requests and the time that they took at most, for a curve.
    pub curve: Vec<(f64, f64)>,
}

/// One second.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Second {
    /// From the beginning of the round.
    pub at_s: u64,
    /// Requests that were due in it.
    pub due: u64,
    /// Requests that ended in it.
    pub ended: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// Answered from a cache.
    pub hits: u64,
    /// Not so, though a cache was asked.
    pub misses: u64,
    /// Of those that ended in it, from when they were due.
    pub p50_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// Requests under way at its end.
    pub in_flight: usize,
    /// Event streams and WebSockets open at its end.
    pub streams: usize,
    /// Visitors here at its end.
    pub visitors: usize,
    /// Connections of visitors that are open at its end.
    #[serde(default)]
    pub connections: usize,
    /// Tasks of the gateway that have not ended, in a soak, where its metrics can be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<f64>,
    /// Share of the machine's CPU that was busy.
    pub machine_busy: f64,
    /// The processes that were watched.
    pub processes: BTreeMap<String, Usage>,
}

/// An objective.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// The route.
    pub route: String,
    /// As in `p99`.
    pub what: String,
    /// What is allowed: milliseconds, or a share.
    pub allowed: f64,
    /// What was measured: the median of the rounds.
    pub measured: f64,
    /// Whether it was kept.
    pub kept: bool,
}

impl Times {
    /// From microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "under ten minutes in microseconds")]
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        if histogram.is_empty() {
            return Self::default();
        }
        let quantiles = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999, 1.0];
        Self {
            count: histogram.len(),
            mean_ms: histogram.mean() / 1e3,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: at(1.0),
            curve: quantiles.map(|quantile| (quantile, at(quantile))).to_vec(),
        }
    }
}

impl RouteOutcome {
    pub(crate) fn of(route: &str, record: &RouteRecord) -> Self {
        Self {
            route: route.to_owned(),
            count: record.count,
            errors: record.errors.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect(),
            statuses: record.statuses.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
            bytes: record.bytes,
            hits: record.hits,
            misses: record.misses,
            from_due: Times::of(&record.due),
            from_sent: Times::of(&record.sent),
        }
    }

    /// Requests that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Their share.
    #[must_use]
    pub fn failed_share(&self) -> f64 {
        if self.count == 0 { 0.0 } else { count(self.failed()) / count(self.count) }
    }
}

impl Outcome {
    /// What was asked, in words: the command and the first round's phases.
    #[must_use]
    pub fn asked(&self) -> String {
        let phases = self.rounds.first().into_iter().flat_map(|round| &round.phases);
        let rates: Vec<String> = phases
            .map(|phase| format!("{} at {:.0}/s for {:.0} s", phase.name, phase.wanted_rate, phase.lasts_s))
            .collect();
        format!("{} of {}", self.command, rates.join(", "))
    }

    /// Whether the other asked for the same: the same command, and phases as long and, within a tenth, as fast. Visitors are dealt by chance,
    /// so that the rates of two runs are never quite alike.
    #[must_use]
    pub fn asks_like(&self, other: &Self) -> bool {
        fn phases(outcome: &Outcome) -> &[PhaseOutcome] {
            outcome.rounds.first().map_or(&[], |round| &round.phases)
        }
        let near = |a: f64, b: f64| (a - b).abs() <= 0.1 * a.max(b);
        let (ours, others) = (phases(self), phases(other));
        self.command == other.command
            && ours.len() == others.len()
            && ours
                .iter()
                .zip(others)
                .all(|(a, b)| a.name == b.name && near(a.lasts_s, b.lasts_s) && near(a.wanted_rate, b.wanted_rate))
    }

    /// Whether it came to its end, all objectives were kept, nothing grew, and the knee is not below the plan.
    #[must_use]
    pub fn kept(&self) -> bool {
        let room =
            self.knee.as_ref().is_none_or(|knee| knee.rate > 0.0 && knee.head_room.is_none_or(|room| room >= 1.0));
        let shown = self.knee.is_some() || !self.verdict.is_empty();
        !self.ended_early
            && room
            && shown
            && self.verdict.iter().all(|judged| judged.kept)
            && self.soak.iter().all(|growth| !growth.grows)
    }

    /// Reads one that was written.
    ///
    /// # Errors
    /// It can't be read, or is of another format.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: cannot be read: {e}"))?;
        let outcome: Self =
            serde_json::from_str(&text).map_err(|e| format!("{name}: not written by cargo load: {e}"))?;
        match (outcome.format, outcome.kind.as_str()) {
            (FORMAT, "load") => Ok(outcome),
            (format, _) => Err(format!("{name}: format {format}; this program reads {FORMAT}")),
        }
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let failed = |e: &dyn std::fmt::Display| format!("{}: cannot be written: {e}", path.display());
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| failed(&e))?;
        }
        let json = serde_json::to_string_pretty(self).map_err(|e| failed(&e))?;
        std::fs::write(path, json + "\n").map_err(|e| failed(&e))
    }
}

/// A count as a number with a fraction.
#[expect(clippy::cast_precision_loss, reason = "counts of requests stay far below 2^53")]
pub(crate) fn count(count: u64) -> f64 {
    count as f64
}

/// Seconds, to the millisecond.
pub(crate) fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

/// The median; NaN without any.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2));
    low.zip(high).map_or(f64::NAN, |(low, high)| f64::midpoint(*low, *high))
}
