//! The tables of docs/load.md, from the figures: a test compares them with what stands there.

use std::fmt::Write as _;

use super::need::{RESOURCES, Stay};
use super::spelled;
use crate::report::Report;

/// A column: its title, and whose figure in which unit it shows, with so many places.
type Column = (&'static str, &'static str, &'static str, usize);

const REQUESTS: [Column; 8] = [
    ("at Cloudflare", "at Cloudflare", "requests/day", 0),
    ("at the Worker", "at the Worker", "requests/day", 0),
    ("% of the free ones there", "the Worker", "% of the free requests a day", 1),
    ("at the gateway", "at the gateway", "requests/day", 0),
    ("of them for orders", "questions for orders among them", "requests/day", 0),
    ("at the app", "at the app", "requests/day", 0),
    ("USD", "the Worker", "USD/month", 2),
    ("EUR", "traffic and storage", "EUR/month, without the servers", 2),
];
const BYTES: [Column; 7] = [
    ("VPS to edges: what may be stored", "VPS to edges: what may be stored", "GB/day", 3),
    ("for one client", "VPS to edges: for one client", "GB/day", 3),
    ("heads", "VPS to edges: heads", "GB/day", 3),
    ("edges to visitors: what may be stored", "edges to visitors: what may be stored", "GB/day", 3),
    ("for one client", "edges to visitors: for one client", "GB/day", 3),
    ("static files", "edges to visitors: static files", "GB/day", 3),
    ("buckets to visitors", "buckets to visitors", "GB/day", 3),
];
const BUSIEST: [Column; 7] = [
    ("cores", "gateway", "cores", 3),
    ("Mbit/s to the edges", "VPS to edges", "Mbit/s", 2),
    ("connections from edges", "from edges", "connections", 0),
    ("streams", "streams as in the scenario", "connections", 0),
    ("streams of an hour", "streams of an hour", "connections", 0),
    ("MiB", "gateway, streams as in the scenario", "MiB", 0),
    ("MiB, streams of an hour", "gateway, streams of an hour", "MiB", 0),
];
const RELEASE: [Column; 11] = [
    ("at the Worker", "at the Worker", "requests", 0),
    ("% of a day's free ones there", "the Worker", "% of the free requests a day", 1),
    ("at the gateway", "at the gateway", "requests", 0),
    ("at the app", "at the app", "requests", 0),
    ("GB from the buckets", "buckets to visitors", "GB", 0),
    ("cores", "gateway", "cores", 3),
    ("Mbit/s to the edges", "VPS to edges", "Mbit/s", 2),
    ("connections", "from edges", "connections", 0),
    ("MiB", "gateway, streams as in the scenario", "MiB", 0),
    ("USD", "the Worker", "USD in that month", 2),
    ("EUR", "traffic and storage", "EUR in that month, without the servers", 2),
];
const VIEWS: &str = " page views a day";
const CLIENTS: &str = " clients, all within 300 s";

/// All of them, in Markdown, but for those without a row.
#[must_use]
pub fn tables(report: &Report) -> Vec<String> {
    let mut tables = vec![
        of_sizes(report, "page views a day", |name| name.strip_suffix(VIEWS), &REQUESTS),
        of_sizes(report, "page views a day", |name| name.strip_suffix(VIEWS), &BYTES),
        of_sizes(report, "page views a day", |name| name.strip_suffix(VIEWS), &BUSIEST),
        of_limits(report, "page views/day"),
        of_sizes(report, "clients", |name| name.strip_prefix("a release to ")?.strip_suffix(CLIENTS), &RELEASE),
        of_limits(report, "clients of a release"),
    ];
    tables.retain(|table| table.lines().count() > 2);
    tables
}

/// A row for each size.
fn of_sizes(report: &Report, title: &str, size: fn(&str) -> Option<&str>, columns: &[Column]) -> String {
    // What was not asked yet when the figures were made has no column.
    let is_known = |(_, subject, unit, _): &&Column| {
        let mut cases = report.cases.iter().filter(|case| size(&case.name).is_some());
        cases.any(|case| case.subject == *subject && case.unit == *unit)
    };
    let columns: Vec<&Column> = columns.iter().filter(is_known).collect();
    let mut text = head(title, columns.iter().map(|(title, ..)| *title));
    let mut before = "";
    for (name, size) in report.cases.iter().filter_map(|case| Some((&*case.name, size(&case.name)?))) {
        if name == before {
            continue;
        }
        before = name;
        let _ = write!(text, "| {size} |");
        for (_, subject, unit, places) in &columns {
            let of = |case: &&crate::report::Case| case.name == name && case.subject == *subject && case.unit == *unit;
            let figure = report.cases.iter().find(of).map_or(f64::NAN, crate::report::Case::median);
            let _ = write!(text, " {} |", if *places == 0 { spelled(figure) } else { fraction(figure, *places) });
        }
        text.push('\n');
    }
    text
}

/// A row for each thing that is not enough any more, with the size at which it is so, and of what there is no more first.
fn of_limits(report: &Report, unit: &str) -> String {
    let mut text = head(&format!("reached at, in {unit}"), RESOURCES.into_iter().chain(["first"]));
    let mut names: Vec<&str> = Vec::new();
    for case in report.cases.iter().filter(|case| case.unit == unit) {
        if !names.contains(&&*case.name) {
            names.push(&case.name);
        }
    }
    for name in names {
        let _ = write!(text, "| {} |", name.strip_suffix(&format!(", {}", Stay::AsAsked.as_str())).unwrap_or(name));
        let mut first: Option<(f64, &str)> = None;
        for of in RESOURCES.into_iter().chain(["requests"]) {
            let case = report.cases.iter().find(|case| case.name == name && case.unit == unit && case.subject == of);
            let at = case.map(crate::report::Case::median);
            first = first.into_iter().chain(at.map(|at| (at, of))).min_by(|a, b| a.0.total_cmp(&b.0));
            if RESOURCES.contains(&of) {
                let _ = write!(text, " {} |", at.map_or_else(String::new, rounded));
            }
        }
        let first = first.map_or_else(String::new, |(at, of)| format!("{of}, at {}", rounded(at)));
        let _ = writeln!(text, " {first} |");
    }
    text
}

fn head<'a>(first: &str, titles: impl Iterator<Item = &'a str>) -> String {
    let titles: Vec<&str> = titles.collect();
    format!("| {first} | {} |\n| --- |{}\n", titles.join(" | "), " ---: |".repeat(titles.len()))
}

/// To two figures, as it is no surer.
fn rounded(figure: f64) -> String {
    let unit = 10f64.powf(figure.log10().floor() - 1.0);
    spelled((figure / unit).round() * unit)
}

/// As in `12,345.67`.
fn fraction(figure: f64, places: usize) -> String {
    let text = format!("{figure:.places$}");
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    format!("{}.{rest}", spelled(whole.parse().unwrap_or(f64::NAN)))
}

#[cfg(test)]
mod tests {
    use super::{fraction, rounded};

    #[test]
    fn numbers_are_as_sure_as_they_are() {
        assert_eq!([120_604_321.0, 40_499.0, 7.0].map(rounded), ["120,000,000", "40,000", "7"]);
        assert_eq!([fraction(1_234.5, 2), fraction(0.0004, 3)], ["1,234.50", "0.000"]);
    }
}
