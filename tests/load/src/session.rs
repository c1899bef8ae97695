//! One use of the tool: a scenario, whom it is for, and what is made of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use crate::compare::rounds_needed;
use crate::faults::Hand;
use crate::judge::judge;
use crate::knee::{Ground, Search, Tried};
use crate::local::Local;
use crate::outcome::{FORMAT, Outcome};
use crate::report::Machine;
use crate::run::{OnSecond, Ran, Setting};
use crate::scenario::Scenario;
use crate::soak::growth;
use crate::target::Target;
use crate::watch::{is_hidden, metrics};
use crate::way::Way;

/// A scenario and its target.
pub struct Session {
    /// What is asked.
    pub scenario: Scenario,
    /// Whom.
    pub target: Target,
    /// Hosts that whoever runs it has named.
    pub yes: Vec<String>,
    /// The local stack, where it is the target.
    pub stack: Option<Arc<Mutex<Local>>>,
    /// Set to end early.
    pub stop: Arc<AtomicBool>,
}

/// Whether a run was told to end.
#[must_use]
pub fn is_interrupted(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}

impl Session {
    /// Runs the scenario so many times.
    ///
    /// # Errors
    /// A round could not run.
    pub async fn run(&self, rounds: usize, on_second: OnSecond<'_>) -> Result<Outcome, String> {
        let mut outcome = self.outcome("run");
        let hand = Hand::find(&self.scenario, &self.target, self.stack.as_ref())?;
        self.reach().await?;
        for _ in 0..rounds {
            match self.round(&self.scenario, &hand, on_second, false).await {
                // What was measured is kept.
                Err(why) if !outcome.rounds.is_empty() => {
                    outcome.ended_early = true;
                    outcome.notes.push(format!("ended early: {why}"));
                }
                ran => take(&mut outcome, ran?),
            }
            if is_interrupted(&self.stop) || outcome.ended_early {
                break;
            }
        }
        self.ended(&mut outcome);
        let needed = rounds_needed(&outcome);
        if rounds > 1 && rounds < needed {
            outcome
                .notes
                .push(format!("`compare` can tell nothing of so few rounds with so many routes: --rounds {needed}"));
        }
        outcome.verdict = judge(&self.scenario, &outcome.rounds);
        Ok(outcome)
    }

    /// Searches for the knee.
    ///
    /// # Errors
    /// A round could not run.
    pub async fn knee(
        &self,
        search: Search,
        on_second: OnSecond<'_>,
        on_step: &(dyn Fn(&Tried) + Sync),
    ) -> Result<Outcome, String> {
        let mut outcome = self.outcome("knee");
        let hand = Hand::find(&self.scenario, &self.target, self.stack.as_ref())?;
        let ground = Ground {
            scenario: &self.scenario,
            hand: &hand,
            target: &self.target,
            yes: &self.yes,
            stop: &self.stop,
            on_second,
            on_step,
        };
        self.reach().await?;
        let found = search.run(&ground).await?;
        outcome.notes = found.notes;
        outcome.ended_early = found.cut_short;
        (outcome.knee, outcome.rounds) = (Some(found.knee), found.rounds);
        self.ended(&mut outcome);
        Ok(outcome)
    }

    /// Holds one rate for long.
    ///
    /// # Errors
    /// The round could not run, or may not.
    pub async fn soak(
        &self,
        rate: f64,
        lasts: std::time::Duration,
        on_second: OnSecond<'_>,
    ) -> Result<Outcome, String> {
        let mut outcome = self.outcome("soak");
        let hand = Hand::Commands(std::collections::BTreeMap::new());
        self.scenario.may_hold(rate, lasts)?;
        self.reach().await?;
        let scenario = self.scenario.at_rate("held", rate, lasts);
        let ran = self.round(&scenario, &hand, on_second, true).await?;
        outcome.soak = growth(&ran.round);
        take(&mut outcome, ran);
        outcome.verdict = judge(&scenario, &outcome.rounds);
        self.ended(&mut outcome);
        Ok(outcome)
    }

    fn ended(&self, outcome: &mut Outcome) {
        if is_interrupted(&self.stop) {
            outcome.ended_early = true;
            outcome.notes.push("ended early: interrupted".to_owned());
        }
    }

    /// Before anything is measured: who asks for long finds out at once.
    async fn reach(&self) -> Result<(), String> {
        Way::prepare(&self.target).await?.reach().await?;
        if let Some(admin) = &self.target.admin {
            metrics(admin).await?;
        }
        Ok(())
    }

    async fn round(
        &self,
        scenario: &Scenario,
        hand: &Hand,
        on_second: OnSecond<'_>,
        counts_tasks: bool,
    ) -> Result<Ran, String> {
        let (target, yes, stop) = (&self.target, self.yes.as_slice(), &self.stop);
        Setting { scenario, target, yes, hand, stop, on_second, counts_tasks }.round().await
    }

    fn outcome(&self, command: &str) -> Outcome {
        let edge = if self.target.edge.is_some() { ", as its edge" } else { "" };
        Outcome {
            format: FORMAT,
            kind: "load".to_owned(),
            command: command.to_owned(),
            title: self.scenario.title.clone(),
            asks: self.scenario.asks.clone(),
            target: format!("{}{edge}", self.target.url),
            began: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
            machine: Machine::this(),
            plan: self.scenario.plan,
            rounds: Vec::new(),
            verdict: Vec::new(),
            knee: None,
            soak: Vec::new(),
            notes: Vec::new(),
            ended_early: false,
        }
    }
}

/// Adds a round.
fn take(outcome: &mut Outcome, ran: Ran) {
    outcome.rounds.push(ran.round);
    outcome.notes.extend(ran.notes);
    outcome.ended_early |= ran.over_bounds;
}

/// What the scenario needs of the target's file and is not there, before anything is begun: a command for a fault, or a secret.
#[must_use]
pub fn is_missing(scenario: &Scenario, target: &Target, stack: bool) -> Option<String> {
    if let Some(secret) = scenario.secrets().find(|secret| !target.secrets.contains_key(*secret)) {
        return Some(format!(
            "the scenario asks with {{secret.{secret}}}, of which the target's file has nothing: name the file that it is in, as in \
             `secrets = {{ {secret} = \"{secret}.key\" }}`, or copy the scenario and leave that visitor out"
        ));
    }
    let gone =
        target.processes.iter().find_map(|(name, pid)| Some(format!("processes.{name}: {}", is_hidden(*pid, false)?)));
    if stack { None } else { gone.or_else(|| Hand::find(scenario, target, None).err()) }
}

/// What a soak needs of the target's file and is not there.
#[must_use]
pub fn soak_is_missing(target: &Target) -> Option<String> {
    let file = "the target's file names no [processes], so that no growth could be seen";
    let needs = || format!("{file}: name the server's, as in `gateway = 1234`, or add --stack");
    if target.processes.is_empty() {
        return Some(needs());
    }
    target.processes.iter().find_map(|(name, pid)| Some(format!("processes.{name}: {}", is_hidden(*pid, true)?)))
}
