//! The report that people read: one file with everything in it, for a wide or a narrow screen, light or dark.

use std::collections::BTreeSet;
use std::path::Path;

use askama::Template;

use crate::chart::{Chart, Plot, short};
use crate::face::milliseconds;
use crate::outcome::{Outcome, PhaseOutcome, Round, RouteOutcome, count};

/// Routes in the chart of percentiles, the busiest first.
const MOST_LINES: usize = 8;

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    outcome: &'a Outcome,
    kept: bool,
    rounds: Vec<RoundPage<'a>>,
    knee: Option<Chart>,
}

struct RoundPage<'a> {
    name: String,
    open: bool,
    charts: Vec<Chart>,
    phases: &'a [PhaseOutcome],
    round: &'a Round,
}

/// The whole page.
///
/// # Errors
/// The template could not be rendered.
pub fn render(outcome: &Outcome) -> Result<String, String> {
    let several = outcome.rounds.len() > 1;
    let rounds = outcome.rounds.iter().enumerate().map(|(number, round)| RoundPage {
        name: match (outcome.command.as_str(), number) {
            ("knee", 0) if outcome.knee.as_ref().is_some_and(|knee| knee.rate > 0.0) => "At the knee".to_owned(),
            ("knee", _) => "Where it broke".to_owned(),
            _ if several => format!("Round {}", number + 1),
            _ => "The run".to_owned(),
        },
        open: number == 0,
        charts: charts(round),
        phases: &round.phases,
        round,
    });
    let page =
        Page { outcome, kept: outcome.kept(), rounds: rounds.collect(), knee: outcome.knee.as_ref().and_then(knee) };
    page.render().map_err(|e| e.to_string())
}

/// Writes it.
///
/// # Errors
/// The file can't be written.
pub fn write(outcome: &Outcome, path: &Path) -> Result<(), String> {
    let page = render(outcome)?;
    std::fs::write(path, page).map_err(|e| format!("{}: cannot be written: {e}", path.display()))
}

fn charts(round: &Round) -> Vec<Chart> {
    let seconds = &round.seconds;
    let at: Vec<f64> = seconds.iter().map(|second| count(second.at_s)).collect();
    let last = at.last().copied().unwrap_or(0.0);
    let every = [5.0, 10.0, 30.0, 60.0, 300.0, 600.0].into_iter().find(|every| last / every <= 8.0).unwrap_or(1800.0);
    let columns = || {
        let ticks = std::iter::successors(Some(0.0), move |at| Some(at + every)).take_while(move |at| *at <= last);
        ticks
            .map(|at| {
                (at, if every >= 60.0 { format!("{} min", short(at / 60.0)) } else { format!("{} s", short(at)) })
            })
            .collect::<Vec<_>>()
    };
    let borders = || round.phases.iter().skip(1).map(|phase| (phase.at_s, phase.name.clone())).collect::<Vec<_>>();
    let line = |name: &str, figure: &dyn Fn(&crate::outcome::Second) -> f64| {
        (name.to_owned(), seconds.iter().map(figure).collect::<Vec<f64>>())
    };
    let over_time = |title: &'static str, unit: &'static str, lines: Vec<(String, Vec<f64>)>| {
        Plot { title, unit, at: &at, columns: columns(), borders: borders(), lines }.draw()
    };
    let nothing = f64::NAN;
    let shown = |second: &crate::outcome::Second, figure: f64| if second.ended == 0 { nothing } else { figure };
    let asked = |second: &crate::outcome::Second| second.hits + second.misses;
    let names: BTreeSet<&String> = seconds.iter().flat_map(|second| second.processes.keys()).collect();
    let by_process = |figure: fn(&crate::watch::Usage) -> f64| {
        let of = |name: &&String| {
            let name = *name;
            line(name, &|second| second.processes.get(name).map_or(nothing, figure))
        };
        names.iter().map(of).collect::<Vec<_>>()
    };
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory and few connections")]
    let all = [
        over_time(
            "Latency, from when requests were due",
            "ms",
            vec![line("p50", &|s| shown(s, s.p50_ms)), line("p99", &|s| shown(s, s.p99_ms))],
        ),
        percentiles(&round.routes),
        over_time("Throughput", "requests/s", vec![line("due", &|s| count(s.due)), line("ended", &|s| count(s.ended))]),
        over_time("Errors", "requests/s", vec![line("failed", &|s| count(s.failed))]),
        over_time("CPU", "cores", by_process(|usage| usage.cpu_cores)),
        over_time("Memory, resident", "MiB", by_process(|usage| usage.memory_bytes as f64 / 1_048_576.0)),
        over_time(
            "Answered from a cache, of what one was asked for",
            "%",
            vec![line("hits", &|s| if asked(s) == 0 { nothing } else { count(s.hits) / count(asked(s)) * 100.0 })],
        ),
        over_time(
            "At once",
            "",
            vec![
                line("requests under way", &|s| s.in_flight as f64),
                line("streams open", &|s| s.streams as f64),
                line("visitors", &|s| s.visitors as f64),
            ],
        ),
    ];
    all.into_iter().flatten().collect()
}

/// Time against the share of requests that took at most that; each nine takes as much room as the one before.
fn percentiles(routes: &[RouteOutcome]) -> Option<Chart> {
    let mut busiest: Vec<&RouteOutcome> = routes.iter().filter(|route| !route.from_due.curve.is_empty()).collect();
    busiest.sort_by_key(|route| std::cmp::Reverse(route.count));
    busiest.truncate(MOST_LINES);
    let place = |quantile: f64| -(1.0 - quantile.min(0.9999)).log10();
    let at: Vec<f64> =
        busiest.first()?.from_due.curve.iter().filter(|(q, _)| *q < 1.0).map(|(q, _)| place(*q)).collect();
    let words = [(0.0, "0"), (0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9"), (0.9999, "99.99 %")];
    let figures = |route: &RouteOutcome| {
        let enough = |quantile: f64| count(route.from_due.count) * (1.0 - quantile) >= 1.0;
        let curve = route.from_due.curve.iter().filter(|(q, _)| *q < 1.0);
        curve.map(|(q, ms)| if enough(*q) { *ms } else { f64::NAN }).collect()
    };
    Plot {
        title: "Percentiles by route",
        unit: "ms",
        at: &at,
        columns: words.into_iter().map(|(q, word)| (place(q), word.to_owned())).collect(),
        borders: Vec::new(),
        lines: busiest.iter().map(|route| (route.route.clone(), figures(route))).collect(),
    }
    .draw()
}

fn knee(knee: &crate::knee::Knee) -> Option<Chart> {
    let mut steps: Vec<&crate::knee::Tried> = knee.steps.iter().collect();
    steps.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    let at: Vec<f64> = steps.iter().map(|step| step.rate).collect();
    let mut columns: Vec<(f64, String)> = Vec::new();
    for rate in [at.first(), Some(&knee.rate), at.last()].into_iter().flatten() {
        columns.push((*rate, format!("{rate:.0}")));
    }
    columns.dedup_by(|a, b| a.1 == b.1);
    let capped = |share: f64| (share * 100.0).min(300.0);
    Plot {
        title: "Slowest route’s p99, of what it may be (cut off at 300), against the rate",
        unit: "%",
        at: &at,
        columns,
        borders: vec![(knee.rate, "knee".to_owned())],
        lines: vec![("p99".to_owned(), steps.iter().map(|step| capped(step.slowest)).collect())],
    }
    .draw()
}

/// A share of requests that were answered from a cache.
fn hits(route: &RouteOutcome) -> String {
    let asked = route.hits + route.misses;
    if asked == 0 { "–".to_owned() } else { format!("{:.0} %", count(route.hits) / count(asked) * 100.0) }
}

fn kinds(route: &RouteOutcome) -> String {
    let kinds = route.errors.iter().map(|(kind, count)| format!("{kind}: {count}"));
    let statuses =
        route.statuses.iter().filter(|_| route.failed() > 0).map(|(status, count)| format!("{status}: {count}"));
    kinds.chain(statuses).collect::<Vec<_>>().join(", ")
}

fn judged(judged: &crate::outcome::Judged, figure: f64) -> String {
    if judged.what == "errors" { format!("{} %", short(figure * 100.0)) } else { milliseconds(figure) }
}
