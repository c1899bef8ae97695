//! The table of docs/load.md, from the figures: a test compares it with what stands there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::audience::spelled;
use crate::outcome::count;
use crate::report::{Case, Report};

/// How much of it there is, of a case of something that grows.
pub(crate) fn amount(case: &Case) -> Option<u64> {
    case.subject.strip_prefix("gateway, ")?.parse().ok()
}

/// What grows against how much of it, in Markdown: medians.
#[must_use]
pub fn table(report: &Report) -> String {
    let amounts: BTreeSet<u64> = report.cases.iter().filter_map(amount).collect();
    let titles: Vec<String> = amounts.iter().map(|amount| spelled(count(*amount))).collect();
    let mut text = format!("| by | {} |\n| --- |{}\n", titles.join(" | "), " ---: |".repeat(amounts.len()));
    let mut before = "";
    for name in report.cases.iter().map(|case| &*case.name) {
        if name == before {
            continue;
        }
        before = name;
        let shown = match name.split_once(", by ") {
            Some(("a hit", what)) => what.to_owned(),
            Some((other, what)) => format!("{what} ({other})"),
            None => name.to_owned(),
        };
        let _ = write!(text, "| {shown} |");
        for wanted in &amounts {
            let case = report.cases.iter().find(|case| case.name == name && amount(case) == Some(*wanted));
            let _ = write!(text, "{} |", case.map_or_else(String::new, |case| format!(" {:.1}", case.median())));
        }
        text.push('\n');
    }
    text
}
