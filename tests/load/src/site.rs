//! docs/benchmarks as pages: every benchmark's figures in one place, made from its JSON and from nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use askama::Template;

use crate::audience::spelled;
use crate::chart::{Chart, Plot, short};
use crate::growth::amount;
use crate::outcome::count;
use crate::report::{Case, Report};

/// What stands between two pages.
struct Benchmark {
    report: Report,
    units: Vec<Unit>,
    wins: usize,
    losses: usize,
}

/// All that was measured in one unit.
struct Unit {
    name: String,
    less_is_better: bool,
    tasks: Vec<Task>,
}

/// One task, and who did it.
struct Task {
    name: String,
    bars: Vec<Bar>,
    /// Ours over the best other's, where there is one; and whether that is a loss.
    ratio: Option<(f64, bool)>,
    /// Against how much of something there is, where that is what is asked.
    plot: Option<Chart>,
}

struct Bar {
    subject: String,
    ours: bool,
    /// In hundredths of the longest.
    width: f64,
    median: String,
    spread: String,
    samples: String,
}

#[derive(Template)]
#[template(path = "benchmarks.html")]
struct Index<'a> {
    benchmarks: &'a [Benchmark],
}

#[derive(Template)]
#[template(path = "benchmark.html")]
struct One<'a> {
    benchmark: &'a Benchmark,
}

/// The pages of a folder of figures, by file name.
///
/// # Errors
/// A figure that can't be read, or a page that can't be made.
pub fn pages(folder: &Path) -> Result<BTreeMap<String, String>, String> {
    let failed = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let mut files: Vec<_> =
        std::fs::read_dir(folder).map_err(|e| failed(folder, &e))?.flatten().map(|e| e.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut benchmarks = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).map_err(|e| failed(&path, &e))?;
        let report: Report = serde_json::from_str(&text).map_err(|e| failed(&path, &e))?;
        benchmarks.push(Benchmark::of(report));
    }
    let mut pages = BTreeMap::new();
    for benchmark in &benchmarks {
        let page = One { benchmark }.render().map_err(|e| e.to_string())?;
        pages.insert(format!("{}.html", benchmark.report.benchmark), page);
    }
    pages.insert("index.html".to_owned(), Index { benchmarks: &benchmarks }.render().map_err(|e| e.to_string())?);
    Ok(pages)
}

impl Benchmark {
    fn of(report: Report) -> Self {
        let mut units: Vec<Unit> = Vec::new();
        for case in &report.cases {
            let known =
                units.iter().position(|unit| unit.name == case.unit && unit.less_is_better == case.less_is_better);
            let place = known.unwrap_or_else(|| {
                units.push(Unit { name: case.unit.clone(), less_is_better: case.less_is_better, tasks: Vec::new() });
                units.len() - 1
            });
            let tasks = &mut units[place].tasks;
            if !tasks.iter().any(|task| task.name == case.name) {
                let same = |other: &&Case| other.name == case.name && other.unit == case.unit;
                tasks.push(Task::of(&report.cases.iter().filter(same).collect::<Vec<_>>()));
            }
        }
        let compared = units.iter().flat_map(|unit| &unit.tasks).filter_map(|task| task.ratio);
        let (mut wins, mut losses) = (0, 0);
        for (ratio, lost) in compared {
            losses += usize::from(lost);
            wins += usize::from(!lost && (ratio - 1.0).abs() > f64::EPSILON);
        }
        Self { report, units, wins, losses }
    }
}

impl Task {
    fn of(cases: &[&Case]) -> Self {
        let most = cases.iter().map(|case| case.median()).filter(|median| median.is_finite()).fold(0.0, f64::max);
        let bars = cases.iter().map(|case| {
            let (low, high) = case.samples.iter().fold((f64::MAX, f64::MIN), |(l, h), s| (l.min(*s), h.max(*s)));
            Bar {
                subject: case.subject.clone(),
                ours: is_ours(&case.subject),
                // What never happened has no bar.
                width: if case.median() > 0.0 { (case.median() / most * 100.0).min(100.0) } else { 0.0 },
                median: short(case.median()),
                spread: if case.samples.len() > 1 {
                    format!("{}–{}", short(low), short(high))
                } else {
                    String::new()
                },
                samples: case.samples.iter().map(|sample| short(*sample)).collect::<Vec<_>>().join(", "),
            }
        });
        let bars = bars.collect();
        let name = cases.first().map_or_else(String::new, |case| case.name.clone());
        Self { plot: plot(&name, cases), name, bars, ratio: ratio(cases) }
    }
}

/// The figures of `gateway, N` against N, a power of ten as wide as the next.
fn plot(name: &str, cases: &[&Case]) -> Option<Chart> {
    let amounts: Vec<f64> = cases.iter().map(|case| amount(case).map(count)).collect::<Option<_>>()?;
    if amounts.len() < 2 || !amounts.is_sorted() {
        return None;
    }
    let at: Vec<f64> = amounts.iter().map(|amount| amount.log10()).collect();
    let line = |name: &str, figure: &dyn Fn(&Case) -> f64| {
        (name.to_owned(), cases.iter().map(|case| figure(case)).collect::<Vec<f64>>())
    };
    let of =
        |fold: fn(f64, f64) -> f64| move |case: &Case| case.samples.iter().copied().reduce(fold).unwrap_or(f64::NAN);
    Plot {
        title: name,
        unit: &cases.first()?.unit,
        at: &at,
        columns: at.iter().copied().zip(amounts.iter().copied().map(spelled)).collect(),
        borders: Vec::new(),
        lines: vec![
            line("median", &Case::median),
            line("lowest round", &of(f64::min)),
            line("highest round", &of(f64::max)),
        ],
    }
    .draw()
}

fn is_ours(subject: &str) -> bool {
    subject.starts_with("gateway") || subject.starts_with("our ") || subject == "origin"
}

/// The plain gateway against whoever is best of those who do the same.
fn ratio(cases: &[&Case]) -> Option<(f64, bool)> {
    let less = cases.first()?.less_is_better;
    let ours = cases.iter().find(|case| is_ours(&case.subject))?.median();
    // The app alone is what the others are measured on top of, and whoever only forwards does less.
    let others = cases
        .iter()
        .filter(|case| !is_ours(&case.subject) && !case.subject.contains("alone") && !case.subject.contains("only"));
    let others = others.map(|case| case.median());
    let best = if less { others.reduce(f64::min) } else { others.reduce(f64::max) }?;
    let lost = if less { ours > best } else { ours < best };
    (best > 0.0 && ours.is_finite()).then_some((ours / best, lost))
}
