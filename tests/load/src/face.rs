//! What people see in the terminal: a line for each second, and tables at the end.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use crate::compare::Compared;
use crate::knee::{Knee, Tried};
use crate::outcome::{Outcome, Second, count};

/// How many seconds the sparkline has.
const SPARKS: usize = 30;
/// Without a terminal, a line is written every so many seconds.
const EVERY: u64 = 5;

/// Shows a run as it goes.
#[derive(Default)]
pub struct Progress {
    rates: Mutex<VecDeque<u64>>,
}

impl Progress {
    /// A second has ended.
    pub fn second(&self, second: &Second) {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() == SPARKS {
            rates.pop_front();
        }
        rates.push_back(second.ended);
        let said = said(second, rates.make_contiguous(), std::io::stderr().is_terminal());
        // Who reads them has gone: the run is measured all the same.
        let _ = std::io::stderr().lock().write_all(said.as_bytes());
    }

    /// A rate of a search has been tried.
    pub fn step(&self, tried: &Tried) {
        self.rest();
        let word = if tried.kept { "kept  " } else { "broken" };
        eprintln!(
            "{word}  {:>7.0} req/s  slowest p99 at {:.0} % of what it may be, errors {:.2} %",
            tried.rate,
            tried.slowest * 100.0,
            tried.errors * 100.0
        );
    }

    /// Leaves the line of progress.
    pub fn rest(&self) {
        if std::io::stderr().is_terminal() {
            eprintln!();
        }
    }
}

/// What is written of a second: in a terminal in place of the last, else every few seconds with the CPU of each process.
fn said(second: &Second, rates: &[u64], terminal: bool) -> String {
    let line = format!(
        "{:>4} s  {:>6} req/s  p50 {:>8}  p99 {:>8}  errors {:>4}  under way {:>4}  streams {:>4}",
        second.at_s + 1,
        second.ended,
        milliseconds(second.p50_ms),
        milliseconds(second.p99_ms),
        second.failed,
        second.in_flight,
        second.streams
    );
    if terminal {
        return format!("\r\x1b[2K{line}  {}", sparkline(rates));
    }
    if !(second.at_s + 1).is_multiple_of(EVERY) {
        return String::new();
    }
    let cpu = second.processes.iter().map(|(name, usage)| format!("{name} {:.2}", usage.cpu_cores));
    format!("{line}  cores: {}\n", cpu.collect::<Vec<_>>().join(", "))
}

/// Eight heights, the highest being the most.
fn sparkline(figures: &[u64]) -> String {
    let most = figures.iter().max().copied().unwrap_or(0).max(1);
    let heights = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    figures.iter().map(|figure| heights[usize::try_from(figure * 7 / most).unwrap_or(7).min(7)]).collect()
}

/// A time as one reads it.
#[must_use]
pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 10_000.0 => format!("{:.1} s", ms / 1e3),
        ms if ms >= 100.0 => format!("{ms:.0} ms"),
        ms if ms >= 1.0 => format!("{ms:.1} ms"),
        ms => format!("{:.0} µs", ms * 1e3),
    }
}

/// All that a run has to say, as text.
#[must_use]
pub fn summary(outcome: &Outcome) -> String {
    let mut text = format!("\n{}: {}\n{}\n", outcome.title, outcome.target, outcome.asks);
    for (number, round) in outcome.rounds.iter().enumerate() {
        if outcome.rounds.len() > 1 {
            let _ = write!(text, "\nround {}\n", number + 1);
        }
        for phase in &round.phases {
            let _ = writeln!(
                text,
                "\n{} ({:.0} s, {:.1} req/s due, {:.1} answered as they should be{})",
                phase.name,
                phase.lasts_s,
                phase.wanted_rate,
                phase.good_rate,
                if phase.judged { "" } else { "; not judged" }
            );
            let _ = writeln!(
                text,
                "  {:<30} {:>8} {:>9} {:>9} {:>9} {:>9} {:>7} {:>6}",
                "route", "requests", "p50", "p90", "p99", "max", "errors", "hits"
            );
            for route in &phase.routes {
                let times = &route.from_due;
                let [p50, p90, p99, max] = [times.p50_ms, times.p90_ms, times.p99_ms, times.max_ms].map(milliseconds);
                let asked = route.hits + route.misses;
                let hits = if asked == 0 {
                    String::new()
                } else {
                    format!("{:.0} %", count(route.hits) / count(asked) * 100.0)
                };
                let _ = writeln!(
                    text,
                    "  {:<30} {:>8} {p50:>9} {p90:>9} {p99:>9} {max:>9} {:>7} {hits:>6}",
                    route.route,
                    route.count,
                    route.failed()
                );
                if !route.errors.is_empty() {
                    let kinds: Vec<String> = route.errors.iter().map(|(kind, n)| format!("{kind} {n}")).collect();
                    let statuses: Vec<String> =
                        route.statuses.iter().map(|(status, n)| format!("{status}: {n}")).collect();
                    let _ = writeln!(text, "    failed: {}; statuses {}", kinds.join(", "), statuses.join(", "));
                }
            }
        }
    }
    if let Some(knee) = &outcome.knee {
        text.push_str(&of_knee(knee, outcome.plan));
    }
    for growth in &outcome.soak {
        let word = if growth.grows { "GROWS" } else { "steady" };
        let _ = writeln!(
            text,
            "{word:>7}  {} of {}: {:.0} → {:.0} (may grow by {:.0})",
            growth.what, growth.process, growth.first, growth.last, growth.allowed
        );
    }
    if !outcome.verdict.is_empty() {
        text.push_str("\nobjectives\n");
    }
    for judged in &outcome.verdict {
        let word = if judged.kept { "kept" } else { "BROKEN" };
        let (measured, allowed) = match judged.what.as_str() {
            "errors" => (format!("{:.3} %", judged.measured * 100.0), format!("{:.3} %", judged.allowed * 100.0)),
            _ => (milliseconds(judged.measured), milliseconds(judged.allowed)),
        };
        let _ = writeln!(text, "  {word:<7} {:<30} {:<6} {measured:>9} of {allowed}", judged.route, judged.what);
    }
    for note in &outcome.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text
}

fn of_knee(knee: &Knee, plan: Option<f64>) -> String {
    let mut text = format!("\nknee: {:.0} req/s", knee.rate);
    match knee.broke_at {
        Some(rate) => {
            let _ = write!(text, "; broken at {rate:.0}");
        }
        None => text.push_str("; nothing broke up to there"),
    }
    if let (Some(plan), Some(room)) = (plan, knee.head_room) {
        let _ = write!(text, "; the plan is {plan:.0}, so head-room is {room:.1} times");
    }
    text.push('\n');
    for judged in &knee.broken {
        let _ = writeln!(text, "  broke: {} of {}", judged.what, judged.route);
    }
    for what in &knee.saturated {
        let _ = writeln!(text, "  saturated: {what}");
    }
    text
}

/// A comparison as a table.
#[must_use]
pub fn comparison(compared: &[Compared]) -> String {
    let mut text = format!("{:<44} {:>12} {:>12} {:>8} {:>8}\n", "", "A", "B", "B / A", "chance");
    for one in compared {
        let (a, b) = one.medians;
        let ratio = if a == 0.0 { "–".to_owned() } else { format!("{:.2}", b / a) };
        let verdict = one.verdict.as_str();
        let _ = writeln!(text, "{:<44} {a:>12.3} {b:>12.3} {ratio:>8} {:>8.3}  {verdict}", one.figure, one.chance);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::Usage;

    #[test]
    fn a_sparkline_is_as_high_as_its_most() {
        assert_eq!(sparkline(&[0, 1, 2, 3, 4, 5, 6, 7]), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[700, 350, 0, 699]), "█▄▁▇");
        assert_eq!((sparkline(&[0, 0]), sparkline(&[])), ("▁▁".to_owned(), String::new()));
    }

    #[test]
    fn a_line_is_as_its_reader_reads() {
        let usage = Usage { cpu_cores: 0.256, ..Usage::default() };
        let processes = [("app", usage), ("gateway", usage)].map(|(name, usage)| (name.to_owned(), usage)).into();
        let second = |at_s: u64| Second {
            at_s,
            ended: 1234,
            failed: 5,
            p50_ms: 0.25,
            p99_ms: 12_345.0,
            in_flight: 7,
            streams: 8,
            processes: std::collections::BTreeMap::clone(&processes),
            ..Second::default()
        };
        let line = "   5 s    1234 req/s  p50   250 µs  p99   12.3 s  errors    5  under way    7  streams    8";
        // A log gets one of five, whole.
        assert_eq!(said(&second(4), &[1, 2], false), format!("{line}  cores: app 0.26, gateway 0.26\n"));
        assert_eq!([0, 3, 5].map(|at_s| said(&second(at_s), &[1], false)), [""; 3]);
        // A terminal gets each in place of the last.
        assert_eq!(said(&second(4), &[1, 2], true), format!("\r\x1b[2K{line}  ▄█"));
    }
}
