//! One look at something: how it went, in a level, a figure and a sentence for the operator.

mod app;
mod cause;
mod http;
mod machine;
mod postgres;
mod report;
mod store;
mod tls;

use std::time::{Duration, Instant};

use serde_json::Value;

use super::level::Level;
use super::{Around, Base};
use crate::config::{Probe, What};

/// What a look has shown.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) level: Level,
    /// What was measured, in the unit of the probe's kind.
    pub(super) figure: Option<Figure>,
    /// How long the answer took, in milliseconds, where something answers.
    pub(super) millis: Option<u64>,
    /// For the operator: what is wrong, or what was seen. No secret stands in it.
    pub(super) says: String,
    pub(super) more: More,
}

/// A number and what it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub(super) value: f64,
    pub(super) unit: &'static str,
}

impl Figure {
    /// The same in what metrics count in.
    pub(super) fn in_base(self) -> (f64, Base) {
        match self.unit {
            "percent" => (self.value / 100.0, Base::Ratio),
            "days" => (self.value * 86_400.0, Base::Seconds),
            _ => (self.value, Base::Seconds),
        }
    }
}

/// What else an answer held.
#[derive(Clone, Debug)]
pub(super) enum More {
    Nothing,
    /// An app's own services.
    Services(Vec<(String, Level)>),
    /// What the monitor says.
    Monitor(Value),
}

/// A look that found something to judge by the probe's bounds.
pub(super) struct Found {
    figure: Option<Figure>,
    /// At least as bad as this, whatever the figure.
    level: Level,
    answers: bool,
    says: String,
    more: More,
}

impl Found {
    /// Something answered as it should.
    fn good(says: impl Into<String>) -> Self {
        Self { figure: None, level: Level::Operational, answers: true, says: says.into(), more: More::Nothing }
    }

    /// A figure, to be judged.
    pub(super) fn figure(value: f64, unit: &'static str, says: impl Into<String>) -> Self {
        Self { figure: Some(Figure { value, unit }), answers: false, ..Self::good(says) }
    }

    fn at_least(mut self, level: Level) -> Self {
        self.level = self.level.max(level);
        self
    }
}

/// Looks once; takes no longer than the probe's `within`.
pub(super) async fn look(probe: &Probe, around: &Around) -> Seen {
    let began = Instant::now();
    let result = tokio::time::timeout(probe.within, find(probe, around))
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {}", humantime::format_duration(probe.within))));
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(found) => {
            let millis = found.answers.then_some(millis);
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a minute")]
            let judged = match (found.figure, millis) {
                (Some(figure), _) => probe.bounds.judge(figure.value),
                (None, Some(millis)) => probe.bounds.judge(millis as f64),
                (None, None) => Level::Operational,
            };
            Seen { level: judged.max(found.level), figure: found.figure, millis, says: found.says, more: found.more }
        }
        Err(says) => Seen { level: Level::Down, figure: None, millis: None, says, more: More::Nothing },
    }
}

async fn find(probe: &Probe, around: &Around) -> Result<Found, String> {
    match &probe.what {
        What::App { app, host, path, expect, health } => app::look(app, host, path.as_deref(), *expect, *health).await,
        What::Postgres { database, measure } => postgres::look(database, measure, probe.within).await,
        What::Bucket { role, canary } => store::look(around, role, canary.as_deref()).await,
        What::Http { url, expect } => http::look(url, *expect).await,
        What::StatusPage { url, component } => http::status_page(url, component.as_deref()).await,
        What::Monitor { url } => http::monitor(url).await,
        What::Clock { url } => http::clock(url).await,
        What::Report { file } => report::look(file).await,
        What::Certificates => around.certificates(),
        What::Disk { folder } => machine::disk(folder).await,
        What::Memory => machine::memory(),
        What::Descriptors => machine::descriptors(),
    }
}

/// One line of a text from elsewhere, cut.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// A duration for people.
fn span(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

impl Found {
    /// As seen, for who looks elsewhere: the level is given.
    pub(super) fn told(self, level: Level) -> Seen {
        Seen { level, figure: self.figure, millis: None, says: self.says, more: self.more }
    }
}
