//! The knee of each shipped scenario, its faults included, with the gateway before the app, and with nginx and HAProxy in its place where they are
//! installed: docs/benchmarks/limits.json.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::ValueEnum as _;
use tokio::sync::Mutex;

use crate::face::Progress;
use crate::knee::{Knee, Search};
use crate::local::Local;
use crate::outcome::Judged;
use crate::peer;
use crate::report::{Case, Report};
use crate::scenario::{SHIPPED, Scenario};
use crate::session::Session;

/// Searches, of these scenarios or of all that are shipped; `quick` is only whether it works, with one scenario and one rate.
///
/// # Errors
/// The first search could not run: what is wrong is so for all. Of a later one it is a note.
pub async fn measure(scenarios: &[String], quick: bool) -> Result<Report, String> {
    let mut command = "cargo load limits".to_owned();
    scenarios.iter().for_each(|scenario| command += &format!(" {scenario}"));
    command += if quick { " --quick" } else { "" };
    let question = "At how many requests a second does a scenario break its objectives, on this machine with all of it on the same cores?";
    let mut report = Report::new("limits", question, &command);
    let installed = peer::Kind::value_variants().iter().copied().filter(|kind| kind.version().is_some());
    let subjects: Vec<Option<peer::Kind>> = std::iter::once(None).chain(installed.map(Some)).collect();
    for kind in subjects.iter().flatten() {
        report.versions.insert(kind.as_str().to_owned(), kind.version().unwrap_or_default());
    }
    let all = SHIPPED.iter().map(|(name, _)| *name).take(if quick { 1 } else { SHIPPED.len() });
    let named = scenarios.iter().map(String::as_str);
    let all: Vec<&str> = if scenarios.is_empty() { all.collect() } else { named.collect() };
    for mix in all {
        let scenario = Scenario::open(mix)?;
        for subject in &subjects {
            let name = subject.map_or("gateway", peer::Kind::as_str);
            if subject.is_some() && scenario.purges() {
                report.notes.push(format!("{mix}, {name}: not measured: there is no request that purges its cache"));
                continue;
            }
            let knee = match one(&scenario, *subject, quick).await {
                Ok(knee) => knee,
                // Half an hour's other figures are not lost with it.
                Err(error) if !report.cases.is_empty() => {
                    eprintln!("limits   {mix}, {name}: not measured: {error}");
                    report.notes.push(format!("{mix}, {name}: not measured: {error}"));
                    continue;
                }
                Err(error) => return Err(format!("{mix}, {name}: {error}")),
            };
            let told = told(&knee);
            eprintln!("limits   {mix}, {name}: {:.0} requests/s; {told}", knee.rate);
            report.notes.push(format!("{mix}, {name}: {told}"));
            let mut add = |unit: &str, less_is_better: bool, figure: f64| {
                report.cases.push(Case {
                    name: mix.to_owned(),
                    subject: name.to_owned(),
                    unit: unit.to_owned(),
                    less_is_better,
                    samples: vec![figure],
                });
            };
            add("requests/s at the knee", false, knee.rate);
            let at_the_knee = knee.steps.iter().rfind(|step| step.kept && step.rate >= knee.rate);
            if let Some((cores, due)) = at_the_knee.and_then(|step| Some((step.cpu_cores.get(name)?, step.due))) {
                add("µs CPU of it/request there", true, cores * 1e6 / due);
            }
        }
    }
    Ok(report)
}

async fn one(scenario: &Scenario, subject: Option<peer::Kind>, quick: bool) -> Result<Knee, String> {
    let mut scenario = scenario.clone();
    let mut local = Local::start(quick, "").await?;
    if let Some(kind) = subject {
        local.through(kind).await?;
        scenario = scenario.unverified();
    }
    let target = local.target(false)?;
    let stack = Arc::new(Mutex::new(local));
    let stop = Arc::new(AtomicBool::new(false));
    let session = Session { scenario, target, yes: Vec::new(), stack: Some(Arc::clone(&stack)), stop };
    let each = Duration::from_secs(if quick { 4 } else { 6 });
    let (from, to) = if quick { (20.0, 20.0) } else { (400.0, 20_000.0) };
    let progress = Progress::default();
    let search = Search { from, to, each, within: 0.15 };
    let outcome = session.knee(search, &|_| {}, &|tried| progress.step(tried)).await;
    drop(session);
    if let Some(stack) = Arc::into_inner(stack) {
        stack.into_inner().stop().await;
    }
    outcome?.knee.ok_or_else(|| "no knee was looked for".to_owned())
}

/// Where it broke, and what had no more to give.
fn told(knee: &Knee) -> String {
    let Some(rate) = knee.broke_at else { return "nothing broke up to the highest rate".to_owned() };
    let mut broken: Vec<&Judged> = knee.broken.iter().collect();
    broken.sort_by(|a, b| (b.measured / b.allowed).total_cmp(&(a.measured / a.allowed)));
    let broken = broken.iter().take(2).map(|judged| format!("{} of {}", judged.what, judged.route));
    let broken = broken.collect::<Vec<_>>().join(", ");
    let saturated = knee.saturated.first().map_or("nothing was seen to be at its end", String::as_str);
    format!("at {rate:.0}/s it broke {broken}; {saturated}")
}
