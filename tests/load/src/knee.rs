//! The knee: the highest rate at which a scenario's objectives are kept, and what had no more to give above it.

mod saturated;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::amount::Span;
use crate::faults::Hand;
use crate::judge::judge;
use crate::outcome::{Judged, Round, count};
use crate::run::{OnSecond, Ran, Setting};
use crate::scenario::{Phase, Scenario};
use crate::target::Target;
use saturated::{due, means, saturated};

/// A scenario with faults takes so many times as long as one rate is held: before, meanwhile, and two parts to come back and stay.
const WITH_FAULTS: u32 = 4;

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// The first rate, in requests a second.
    pub from: f64,
    /// The highest that is tried.
    pub to: f64,
    /// How long each rate is held, after a warming-up of a quarter of it; four times as long where the scenario has faults.
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
    /// Requests a second that were due in the seconds that `cpu_cores` is of.
    #[serde(default)]
    pub due: f64,
    /// Cores' worth of CPU, by process.
    pub cpu_cores: BTreeMap<String, f64>,
}

/// What a search leaves.
pub(crate) struct Found {
    pub(crate) knee: Knee,
    /// Those that were measured at the knee and where it broke.
    pub(crate) rounds: Vec<Round>,
    /// What there is to note about these two.
    pub(crate) notes: Vec<String>,
    /// It ended at `bounds.requests`, or could not go on.
    pub(crate) cut_short: bool,
}

/// What a search needs besides.
pub struct Ground<'a> {
    /// The scenario whose mix is asked.
    pub scenario: &'a Scenario,
    /// Who brings its faults about.
    pub(crate) hand: &'a Hand,
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
    /// twice in a row.
    ///
    /// # Errors
    /// A round could not run.
    pub(crate) async fn run(&self, ground: &Ground<'_>) -> Result<Found, String> {
        let mut steps = Vec::new();
        let (mut low, mut high): (f64, Option<(f64, Ran)>) = (0.0, None);
        let (mut best, mut over, mut stuck) = (None, None, None);
        let mut rate = self.from;
        while !ground.stop.load(Ordering::Relaxed) {
            let (tried, ran) = match self.twice(ground, rate, &mut steps).await {
                // What was found is kept.
                Err(why) if !steps.is_empty() => {
                    stuck = Some(format!("ended early at {rate:.0}/s: {why}"));
                    break;
                }
                tried => tried?,
            };
            if ran.over_bounds {
                over = Some((rate, ran));
                break;
            }
            if ground.stop.load(Ordering::Relaxed) {
                // What was cut short says nothing of its rate.
                break;
            }
            if tried.kept {
                (low, best) = (rate, Some(ran));
            } else {
                high = Some((rate, ran));
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
            Some((rate, ran)) => {
                let verdict = judge(scenario, std::slice::from_ref(&ran.round));
                (
                    Some(*rate),
                    verdict.into_iter().filter(|j| !j.kept).collect(),
                    saturated(&ran.round, self.warming(), ground.target),
                )
            }
        };
        let knee =
            Knee { rate: low, broke_at, broken, saturated, head_room: scenario.plan.map(|plan| low / plan), steps };
        let cut_short = over.is_some() || stuck.is_some();
        let at_the_knee = best.map(|ran| (low, ran)).into_iter();
        let (mut rounds, mut notes) = (Vec::new(), Vec::new());
        for (rate, ran) in at_the_knee.chain(high).chain(over) {
            notes.extend(ran.notes.into_iter().map(|note| format!("at {rate:.0}/s: {note}")));
            if !ran.over_bounds {
                rounds.push(ran.round);
            }
        }
        notes.extend(stuck);
        Ok(Found { knee, rounds, notes, cut_short })
    }

    /// Tries a rate, and again if it broke.
    async fn twice(&self, ground: &Ground<'_>, rate: f64, steps: &mut Vec<Tried>) -> Result<(Tried, Ran), String> {
        let (tried, ran) = self.step(ground, rate).await?;
        steps.push(tried.clone());
        if tried.kept || ran.over_bounds || ground.stop.load(Ordering::Relaxed) {
            return Ok((tried, ran));
        }
        let (tried, ran) = self.step(ground, rate).await?;
        steps.push(tried.clone());
        Ok((tried, ran))
    }

    /// Whether a scenario's bounds let the highest rate be tried.
    ///
    /// # Errors
    /// By which of them they do not.
    pub fn may_try(&self, scenario: &Scenario) -> Result<(), String> {
        let lasts = if scenario.fault.is_empty() { self.each } else { self.each * WITH_FAULTS };
        scenario.may_hold(self.to, lasts + self.warming())
    }

    fn warming(&self) -> Duration {
        self.each / 4
    }

    /// What is asked to try a rate: the visitors at that rate, or all that happens with it as the highest, after some time to warm up.
    fn at(&self, scenario: &Scenario, rate: f64) -> Result<Scenario, String> {
        let mut scenario = if scenario.fault.is_empty() {
            scenario.at_rate("held", rate, self.each)
        } else {
            scenario.within(rate, self.each * WITH_FAULTS)?
        };
        let warming = Phase {
            name: "warming up".to_owned(),
            rate: scenario.phase.first().map_or(rate, |phase| phase.rate),
            to: None,
            steps: None,
            lasts: Span(self.warming()),
            judged: false,
        };
        scenario.phase.insert(0, warming);
        scenario.fault.iter_mut().for_each(|fault| fault.at.0 += self.warming());
        Ok(scenario)
    }

    async fn step(&self, ground: &Ground<'_>, rate: f64) -> Result<(Tried, Ran), String> {
        let scenario = self.at(ground.scenario, rate)?;
        let setting = Setting {
            scenario: &scenario,
            target: ground.target,
            yes: ground.yes,
            hand: ground.hand,
            stop: ground.stop,
            on_second: ground.on_second,
            counts_tasks: false,
        };
        let ran = setting.round().await?;
        let round = &ran.round;
        let verdict = judge(&scenario, std::slice::from_ref(round));
        let slowest = verdict.iter().filter(|j| j.what == "p99").map(|j| j.measured / j.allowed).fold(0.0, f64::max);
        let (all, failed) = round.routes.iter().fold((0, 0), |(all, failed), r| (all + r.count, failed + r.failed()));
        let tried = Tried {
            rate,
            kept: all > 0 && verdict.iter().all(|judged| judged.kept),
            slowest,
            errors: if all == 0 { 1.0 } else { count(failed) / count(all) },
            due: due(round, self.warming()),
            cpu_cores: means(round, self.warming()).into_iter().map(|(name, usage)| (name, usage.cpu_cores)).collect(),
        };
        (ground.on_step)(&tried);
        Ok((tried, ran))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_comes_when_its_phase_does() {
        let search = Search { from: 1.0, to: 1.0, each: Duration::from_secs(8), within: 0.1 };
        let outage = Scenario::open("origin-outage").unwrap();
        let tried = search.at(&outage, 500.0).unwrap();
        let (warm, before) = (tried.phase[0].lasts.0, tried.phase[1].lasts.0);
        assert_eq!((warm.as_secs(), tried.phase[2].name.as_str()), (2, "the app is gone"));
        assert_eq!((tried.fault[0].at.0, tried.fault[0].lasts.unwrap().0), (warm + before, tried.phase[2].lasts.0));
        assert!(tried.phase.iter().all(|phase| phase.rate == 500.0));
        // Each phase is rounded to nanoseconds.
        let lasts = tried.lasts() - warm;
        assert!(lasts.abs_diff(search.each * WITH_FAULTS) < Duration::from_micros(1), "{lasts:?}");
    }
}
