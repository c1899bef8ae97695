//! The knee: the highest rate at which a scenario's objectives are kept, and what had no more to give above it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::amount::Span;
use crate::faults::Hand;
use crate::judge::judge;
use crate::outcome::{Judged, Round, Second, count};
use crate::run::{OnSecond, Setting};
use crate::scenario::{Phase, Scenario};
use crate::target::Target;
use crate::watch::{GENERATOR, Usage};

/// Of a thread, or of all cores: from here on it is taken to be busy all the time.
const BUSY: f64 = 0.9;

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The first rate, in requests a second.
    pub from: f64,
    /// The highest that is tried.
    pub to: f64,
    /// How long each rate is held, after a warming-up of a quarter of it.
    pub each: Duration,
    /// How close the two ends must come, as in 0.05.
    pub within: f64,
}

/// What a search has found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Knee {
    /// The highest rate that kept all objectives, in requests a second; 0 where none did.
    pub rate: f64,
    /// The lowest that did not, twice; nothing where all did.
    pub broke_at: Option<f64>,
    /// What was broken there.
    pub broken: Vec<Judged>,
    /// What had no more to give there, the likeliest first.
    pub saturated: Vec<String>,
    /// The knee over the plan.
    pub head_room: Option<f64>,
    /// Every rate that was tried, in order.
    pub steps: Vec<Tried>,
}

/// A rate that was tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tried {
    /// In requests a second.
    pub rate: f64,
    /// Whether all objectives were kept.
    pub kept: bool,
    /// The slowest route's p99 over what it may be.
    pub slowest: f64,
    /// Share of requests that failed.
    pub errors: f64,
    /// Cores' worth of CPU, by process.
    pub cpu_cores: BTreeMap<String, f64>,
}

/// What a search needs besides.
pub struct Ground<'a> {
    /// The scenario whose mix is asked.
    pub scenario: &'a Scenario,
    /// Whom.
    pub target: &'a Target,
    /// Hosts that may be loaded.
    pub yes: &'a [String],
    /// To end early.
    pub stop: &'a Arc<AtomicBool>,
    /// Takes each second.
    pub on_second: OnSecond<'a>,
    /// Takes each rate that was tried.
    pub on_step: &'a (dyn Fn(&Tried) + Sync),
}

impl Search {
    /// Searches: twice as much each time until something breaks, then halving what lies between. A rate counts as too much when it broke
    /// twice in a row. Also the rounds that were measured at the knee and where it broke.
    ///
    /// # Errors
    /// A round could not run.
    pub async fn run(&self, ground: &Ground<'_>) -> Result<(Knee, Vec<Round>), String> {
        let mut steps = Vec::new();
        let (mut low, mut high): (f64, Option<(f64, Round)>) = (0.0, None);
        let mut best = None;
        let mut rate = self.from;
        while !ground.stop.load(Ordering::Relaxed) {
            let (mut tried, mut round) = self.step(ground, rate).await?;
            steps.push(tried.clone());
            if !tried.kept && !ground.stop.load(Ordering::Relaxed) {
                (tried, round) = self.step(ground, rate).await?;
                steps.push(tried.clone());
            }
            if ground.stop.load(Ordering::Relaxed) {
                // What was cut short says nothing of its rate.
                break;
            }
            if tried.kept {
                (low, best) = (rate, Some(round));
            } else {
                high = Some((rate, round));
            }
            rate = match &high {
                None if rate >= self.to => break,
                None => (rate * 2.0).min(self.to),
                // Below the first rate everything is open.
                Some((high, _)) if low == 0.0 && *high > 1.0 => high / 2.0,
                Some((high, _)) if *high / low <= 1.0 + self.within || *high <= 1.0 => break,
                Some((high, _)) => (high * low).sqrt(),
            };
        }
        let scenario = ground.scenario;
        let (broke_at, broken, saturated) = match &high {
            None => (None, Vec::new(), Vec::new()),
            Some((rate, round)) => {
                let verdict = judge(scenario, std::slice::from_ref(round));
                (
                    Some(*rate),
                    verdict.into_iter().filter(|j| !j.kept).collect(),
                    saturated(round, self.warming(), ground.target),
                )
            }
        };
        let head_room = scenario.plan.map(|plan| low / plan);
        let rounds = best.into_iter().chain(high.map(|(_, round)| round)).collect();
        Ok((Knee { rate: low, broke_at, broken, saturated, head_room, steps }, rounds))
    }

    fn warming(&self) -> Duration {
        self.each / 4
    }

    async fn step(&self, ground: &Ground<'_>, rate: f64) -> Result<(Tried, Round), String> {
        let mut scenario = ground.scenario.at_rate("held", rate, self.each);
        let warming = Phase {
            name: "warming up".to_owned(),
            rate,
            to: None,
            steps: None,
            lasts: Span(self.warming()),
            judged: false,
        };
        scenario.phase.insert(0, warming);
        let hand = Hand::Commands(BTreeMap::new());
        let setting = Setting {
            scenario: &scenario,
            target: ground.target,
            yes: ground.yes,
            hand: &hand,
            stop: ground.stop,
            on_second: ground.on_second,
            counts_tasks: false,
        };
        let (round, _) = setting.round().await?;
        let verdict = judge(&scenario, std::slice::from_ref(&round));
        let slowest = verdict.iter().filter(|j| j.what == "p99").map(|j| j.measured / j.allowed).fold(0.0, f64::max);
        let (all, failed) = round.routes.iter().fold((0, 0), |(all, failed), r| (all + r.count, failed + r.failed()));
        let tried = Tried {
            rate,
            kept: all > 0 && verdict.iter().all(|judged| judged.kept),
            slowest,
            errors: if all == 0 { 1.0 } else { count(failed) / count(all) },
            cpu_cores: means(&round, self.warming()).into_iter().map(|(name, usage)| (name, usage.cpu_cores)).collect(),
        };
        (ground.on_step)(&tried);
        Ok((tried, round))
    }
}

/// The seconds after warming up, but for the last, in which nothing may have been due any more.
fn measured(round: &Round, warming: Duration) -> &[Second] {
    let from = usize::try_from(warming.as_secs() + 1).unwrap_or(0).min(round.seconds.len().saturating_sub(1));
    let to = round.seconds.len().saturating_sub(1).max(from + 1).min(round.seconds.len());
    &round.seconds[from..to]
}

fn means(round: &Round, warming: Duration) -> BTreeMap<String, Usage> {
    let seconds = measured(round, warming);
    let mut means: BTreeMap<String, Usage> = BTreeMap::new();
    for (name, usage) in seconds.iter().flat_map(|second| &second.processes) {
        let mean = means.entry(name.clone()).or_default();
        mean.cpu_cores += usage.cpu_cores / count(seconds.len() as u64);
        mean.busiest_thread += usage.busiest_thread / count(seconds.len() as u64);
        mean.descriptors = mean.descriptors.max(usage.descriptors);
    }
    means
}

/// What had no more to give in a round, the surest first.
fn saturated(round: &Round, warming: Duration, target: &Target) -> Vec<String> {
    let mut found = Vec::new();
    let means = means(round, warming);
    let seconds = measured(round, warming);
    let counted = |name: &str| counters(round, name).map(|(_, by)| by).sum::<f64>();
    let labels = |name: &str| {
        counters(round, name).map(|(labels, by)| format!("{by:.0} {labels}")).collect::<Vec<_>>().join(", ")
    };
    let errors = |kind: &str| round.routes.iter().filter_map(|route| route.errors.get(kind)).sum::<u64>();
    if counted("origin_rate_limited_total") > 0.0 {
        found.push(format!(
            "limiter: the gateway refused what came too often ({})",
            labels("origin_rate_limited_total")
        ));
    }
    if counted("origin_requests_shed_total") > 0.0 {
        found.push(format!("upstream queue: the gateway shed requests ({})", labels("origin_requests_shed_total")));
    }
    if counted("origin_connections_refused_total") > 0.0 {
        found
            .push(format!("connections: the gateway closed new ones ({})", labels("origin_connections_refused_total")));
    }
    for (name, usage) in &means {
        let most = target.processes.get(name).and_then(|pid| descriptors_allowed(*pid)).unwrap_or(f64::MAX);
        if count(usage.descriptors) >= BUSY * most {
            found.push(format!("connections: {name} has {} of {most:.0} file descriptors open", usage.descriptors));
        }
    }
    let (late, generator) = (round.generator_late.p99_ms, means.get(GENERATOR).copied().unwrap_or_default());
    if late > 5.0 || generator.busiest_thread >= BUSY {
        found.push(format!(
            "load generator: it used {:.2} cores and was late by {late:.1} ms (p99), so the knee may be its own: ask from another machine",
            generator.cpu_cores
        ));
    }
    let busy = seconds.iter().map(|second| second.machine_busy).sum::<f64>() / count(seconds.len().max(1) as u64);
    let mut by_cpu: Vec<(&String, &Usage)> = means.iter().collect();
    by_cpu.sort_by(|(_, a), (_, b)| b.cpu_cores.total_cmp(&a.cpu_cores));
    let shown: Vec<String> = by_cpu.iter().map(|(name, usage)| format!("{name} {:.2}", usage.cpu_cores)).collect();
    if busy >= BUSY {
        found.push(format!("CPU of this machine: {:.0} % busy; cores used by {}", busy * 100.0, shown.join(", ")));
    }
    for (name, usage) in by_cpu.iter().filter(|(name, usage)| *name != GENERATOR && usage.busiest_thread >= BUSY) {
        found.push(format!(
            "CPU of {name}: a thread of it was busy for {:.0} % of the time",
            usage.busiest_thread * 100.0
        ));
    }
    let (waited, answers) = (counted("origin_app_answer_seconds_sum"), counted("origin_app_answer_seconds_count"));
    let all = counted("origin_request_head_seconds_sum");
    if answers > 0.0 && waited > all / 2.0 {
        let mean = waited / answers * 1e3;
        found.push(format!(
            "app: {:.0} % of the time to the head of an answer was the app's; it took {mean:.1} ms on average",
            waited / all * 100.0
        ));
    }
    if errors("not sent: too many under way") > 0 {
        found.push("bounds.in_flight: more would have been under way than the scenario allows".to_owned());
    }
    if errors("connect") > 0 {
        found.push(format!("connections: {} could not be opened", errors("connect")));
    }
    if found.is_empty() {
        found.push(format!(
            "nothing that shows here: neither CPU (cores used by {}) nor a limit; look at what the app waits for",
            shown.join(", ")
        ));
    }
    found
}

/// The series of a counter: labels, and by how much it grew.
fn counters<'a>(round: &'a Round, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    round.counters.iter().filter_map(move |(series, by)| {
        let (family, labels) = series.split_once('{').unwrap_or((series, ""));
        (family == name).then_some((labels.trim_end_matches('}'), *by))
    })
}

fn descriptors_allowed(pid: u32) -> Option<f64> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}
