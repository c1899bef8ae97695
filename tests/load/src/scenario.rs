//! What is asked, by whom, how often: one small TOML file. docs/load.md has each key; a shipped one is the best example.

mod check;
mod visitor;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::outcome::count;
use crate::schedule::Schedule;
use crate::words::words;

pub use crate::amount::{Share, Span};
pub use visitor::{Stays, Step, Visitor};

/// The scenarios that come with the tool: name and text.
pub const SHIPPED: &[(&str, &str)] = &[
    ("launch-day", include_str!("../scenarios/launch-day.toml")),
    ("steady-week", include_str!("../scenarios/steady-week.toml")),
    ("ota-release", include_str!("../scenarios/ota-release.toml")),
    ("origin-outage", include_str!("../scenarios/origin-outage.toml")),
    ("slow-database", include_str!("../scenarios/slow-database.toml")),
    ("bot-scan", include_str!("../scenarios/bot-scan.toml")),
    ("cold-after-purge", include_str!("../scenarios/cold-after-purge.toml")),
];

/// A scenario, read and checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// A few words.
    pub title: String,
    /// The question that it answers, in a sentence or two.
    pub asks: String,
    /// The rate that is planned for, in requests a second: head-room is told against it.
    pub plan: Option<f64>,
    /// What must never be exceeded.
    #[serde(default)]
    pub bounds: Bounds,
    /// What must be kept.
    #[serde(default)]
    pub objectives: Objectives,
    /// Words that paths and bodies take in `{word}`.
    #[serde(default)]
    pub choose: BTreeMap<String, Choice>,
    /// How fans sign in, before anything is measured.
    pub sign_in: Option<SignIn>,
    /// What happens, one after the other.
    pub phase: Vec<Phase>,
    /// Who comes.
    pub visitor: Vec<Visitor>,
    /// What goes wrong meanwhile.
    #[serde(default)]
    pub fault: Vec<Fault>,
}

/// Hard limits of a run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// The longest that all phases together may last.
    pub lasts: Span,
    /// The most requests of a round, with those that follow from others; the run ends there, and has not kept its objectives.
    pub requests: u64,
    /// The most that may be under way at once; one more is not sent, and counts as an error.
    pub in_flight: usize,
    /// The most visitors at once; one more request goes to who has waited longest, though they still think.
    pub visitors: usize,
    /// How long one request may take until it is given up.
    pub timeout: Span,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            lasts: Span(Duration::from_secs(3600)),
            requests: 10_000_000,
            in_flight: 5_000,
            visitors: 5_000,
            timeout: Span(Duration::from_secs(10)),
        }
    }
}

/// What must be kept for exit code 0.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objectives {
    /// For routes that are not named: 99 of 100 requests take at most this, from when they were due.
    pub p99: Span,
    /// Share of requests that may fail.
    pub errors: Share,
    /// Routes with objectives of their own.
    pub route: BTreeMap<String, RouteObjective>,
}

impl Default for Objectives {
    fn default() -> Self {
        Self { p99: Span(Duration::from_millis(500)), errors: Share(0.001), route: BTreeMap::new() }
    }
}

/// One route's objectives; what is absent is as for all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteObjective {
    /// As [`Objectives::p99`].
    pub p99: Option<Span>,
    /// As [`Objectives::errors`].
    pub errors: Option<Share>,
}

/// What stands for `{word}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// One of them; the nth is chosen as often as 1/n (Zipf's law), as pages of a site are.
    Words(Vec<String>),
    /// A number, each as often.
    Numbers {
        /// The least.
        from: u64,
        /// The greatest.
        to: u64,
    },
}

/// How people sign in: a form with a token, then a session cookie.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The path of the form, asked with GET and posted to.
    pub path: String,
    /// The name of the hidden field that has the token.
    pub token: String,
    /// The other fields, as they are posted; `{n}` is the session's number.
    pub fields: BTreeMap<String, String>,
    /// How many sessions.
    pub sessions: usize,
    /// Between two sign-ins, as a site limits them.
    pub every: Span,
}

/// Some time at some rate.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Its name in the report.
    pub name: String,
    /// Requests a second.
    pub rate: f64,
    /// Where the rate has got to at the end; it stays where there is none.
    pub to: Option<f64>,
    /// In so many steps instead of evenly.
    pub steps: Option<u32>,
    /// For how long.
    pub lasts: Span,
    /// Whether objectives count in it; a phase of warming up or of an outage may be told without them.
    #[serde(default = "yes")]
    pub judged: bool,
}

fn yes() -> bool {
    true
}

/// What goes wrong.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What: the stack does each of them itself; elsewhere the target's file has a command for it.
    pub does: Does,
    /// When, from the beginning of the round.
    pub at: Span,
    /// For how long; a purge takes none.
    pub lasts: Option<Span>,
    /// How slow the database is, for each answer that needs it.
    pub by: Option<Span>,
}

/// The faults there are.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// The app's process is gone.
    Outage,
    /// The app answers late.
    SlowDatabase,
    /// All that is cached is purged.
    Purge,
}

impl Does {
    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Outage => "outage",
            Self::SlowDatabase => "slow-database",
            Self::Purge => "purge",
        }
    }
}

impl Scenario {
    /// A shipped one by its name, or a file.
    ///
    /// # Errors
    /// What is wrong, with file and line; or which names there are.
    pub fn open(name: &str) -> Result<Self, String> {
        if let Some((_, text)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(name, text);
        }
        if !Path::new(name).exists() {
            let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "{name}: neither a file nor a scenario that comes with the tool: {}",
                names.join(", ")
            ));
        }
        let text = std::fs::read_to_string(name).map_err(|e| format!("{name}: cannot be read: {e}"))?;
        Self::parse(name, &text)
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// What is wrong, as `FILE:LINE: what`, or `FILE: key: what`.
    pub fn parse(file: &str, text: &str) -> Result<Self, String> {
        let scenario: Self = crate::amount::read_toml(file, text)?;
        scenario.check().map_err(|what| format!("{file}: {what}"))?;
        Ok(scenario)
    }

    /// How long its phases last together.
    #[must_use]
    pub fn lasts(&self) -> Duration {
        self.phase.iter().fold(Duration::ZERO, |all, phase| all.saturating_add(phase.lasts.0))
    }

    /// How many requests its phases have, without those that follow from others.
    #[must_use]
    pub fn requests(&self) -> f64 {
        self.phase.iter().map(|phase| Schedule::new(phase).total()).sum()
    }

    /// Whether its bounds let one rate be held for so long.
    ///
    /// # Errors
    /// By which of them they do not.
    pub fn may_hold(&self, rate: f64, lasts: Duration) -> Result<(), String> {
        let (requests, most) = (rate * lasts.as_secs_f64(), self.bounds.requests);
        if lasts > self.bounds.lasts.0 {
            return Err(format!("{} is longer than the scenario's bounds.lasts ({})", Span(lasts), self.bounds.lasts));
        }
        if requests > count(most) {
            return Err(format!(
                "{rate} requests a second for {} are {requests:.0}, more than the scenario's bounds.requests ({most})",
                Span(lasts)
            ));
        }
        Ok(())
    }

    /// The same with all rates multiplied, and all times of phases and faults divided.
    ///
    /// # Errors
    /// It exceeds its bounds then.
    pub fn scaled(mut self, rate: f64, faster: f64) -> Result<Self, String> {
        let shorter = |span: &mut Span| span.0 = span.0.div_f64(faster);
        for phase in &mut self.phase {
            phase.rate *= rate;
            phase.to = phase.to.map(|to| to * rate);
            shorter(&mut phase.lasts);
        }
        let over = self.lasts();
        for fault in &mut self.fault {
            shorter(&mut fault.at);
            // Each is rounded by itself, so that together they may be a moment longer.
            let left = over.saturating_sub(fault.at.0);
            fault.lasts.iter_mut().for_each(|lasts| lasts.0 = lasts.0.div_f64(faster).min(left));
        }
        self.check()?;
        Ok(self)
    }

    /// The same with this as the highest rate, and all phases and faults in so much time, if they take longer.
    ///
    /// # Errors
    /// It exceeds its bounds then.
    pub fn within(&self, highest: f64, lasts: Duration) -> Result<Self, String> {
        let rates = self.phase.iter().flat_map(|phase| [phase.rate, phase.to.unwrap_or_default()]);
        let faster = self.lasts().as_secs_f64() / lasts.as_secs_f64();
        self.clone().scaled(highest / rates.fold(0.0, f64::max), faster.max(1.0))
    }

    /// Whether something goes wrong meanwhile that takes a gateway with a purge.
    #[must_use]
    pub fn purges(&self) -> bool {
        self.fault.iter().any(|fault| fault.does == Does::Purge)
    }

    /// The same where nothing verifies who sends: what would be refused for its credentials (401) is taken instead, and may take the app's time.
    #[must_use]
    pub fn unverified(mut self) -> Self {
        for step in self.visitor.iter_mut().flat_map(|visitor| &mut visitor.step) {
            if step.expect.contains(&401) {
                step.expect.extend(200..300);
                self.objectives.route.entry(step.route.clone()).or_default().p99 = Some(self.bounds.timeout);
            }
        }
        self
    }

    /// Only its visitors, at one rate.
    #[must_use]
    pub fn at_rate(&self, name: &str, rate: f64, lasts: Duration) -> Self {
        let phase = Phase { name: name.to_owned(), rate, to: None, steps: None, lasts: Span(lasts), judged: true };
        Self { phase: vec![phase], fault: Vec::new(), ..self.clone() }
    }

    /// The objectives of a route.
    #[must_use]
    pub fn objective(&self, route: &str) -> (Duration, f64) {
        let own = self.objectives.route.get(route);
        let p99 = own.and_then(|own| own.p99).unwrap_or(self.objectives.p99);
        let errors = own.and_then(|own| own.errors).unwrap_or(self.objectives.errors);
        (p99.0, errors.0)
    }

    /// The secrets that its requests have in them, by name.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let visitors = self.visitor.iter();
        let texts =
            visitors.flat_map(|visitor| visitor.fields.values().chain(visitor.step.iter().flat_map(Step::texts)));
        let signing_in = self.sign_in.iter().flat_map(|sign_in| sign_in.fields.values());
        texts.chain(signing_in).flat_map(|text| words(text)).filter_map(|word| word.strip_prefix("secret."))
    }

    /// Every route that a run may count.
    #[must_use]
    pub fn routes(&self) -> Vec<String> {
        let mut routes: Vec<String> = Vec::new();
        for step in self.visitor.iter().flat_map(|visitor| &visitor.step) {
            let mut add = |route: String| {
                if !routes.contains(&route) {
                    routes.push(route);
                }
            };
            add(step.route.clone());
            if step.follow {
                add(format!("{}, the file", step.route));
            }
            if step.stays == Stays::Websocket {
                add(format!("{}, a message", step.route));
            }
        }
        routes
    }
}
