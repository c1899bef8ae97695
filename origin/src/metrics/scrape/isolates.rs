//! What the Worker has counted.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use edge::counts::{Kind, More};

use super::none;
use crate::gateway::Gateway;
use crate::metrics::families::Families;

pub(super) fn write(out: &mut Families<'_>, gateway: &Gateway) -> fmt::Result {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let told = gateway.metrics.isolates.told(now);
    let by =
        |kind: Kind, label: &'static str| told.sums.of(kind).map(move |(word, count)| (vec![(label, word)], count));
    let help = "Requests to the Worker, by what its cache did";
    out.counters("origin_edge_requests", help, by(Kind::Cache, "result"))?;
    let help = "Those of the current day in UTC that this process has heard of";
    out.gauges("origin_edge_requests_today", help, [(none(), told.today)])?;
    let help = "Requests that a rule of the filter matched at the Worker, by what it did";
    out.counters("origin_edge_filter_hits", help, by(Kind::Filter, "action"))?;
    let help = "Answers that the Worker gave in place of gateway and app";
    out.counters("origin_edge_problems", help, by(Kind::Problem, "reason"))?;
    let help = "How often the Worker had no answer from the gateway, or not in time";
    out.counters("origin_edge_gateway_failures", help, by(Kind::Gateway, "reason"))?;
    let more = |what: More| {
        let count = told.sums.of(Kind::More).find(|(word, _)| *word == what.as_str()).map_or(0, |(_, count)| count);
        [(none(), count)]
    };
    let help = "Requests to the Worker for which a stale answer stood in, since gateway or app failed";
    out.counters("origin_edge_stood_in", help, more(More::StoodIn))?;
    let help = "Hits at the Worker of which it was not to be known whether they had been purged";
    out.counters("origin_edge_purge_unknown", help, more(More::Unsure))?;
    out.counters("origin_edge_challenges_passed", "Challenges passed at the Worker", more(More::Passed))?;
    let batches = told.batches.into_iter().map(|(outcome, count)| (vec![("outcome", outcome)], count));
    out.counters("origin_edge_batches", "Batches of the Worker's counts, and what came of them", batches)
}
