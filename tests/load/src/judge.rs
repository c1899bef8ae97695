//! Objectives against what was measured.

use crate::outcome::{Judged, Round, RouteOutcome, count, median};
use crate::scenario::Scenario;

/// Each route's objectives, by the median of the rounds.
#[must_use]
pub fn judge(scenario: &Scenario, rounds: &[Round]) -> Vec<Judged> {
    let mut verdict = Vec::new();
    for route in scenario.routes() {
        let seen: Vec<&RouteOutcome> =
            rounds.iter().flat_map(|round| &round.routes).filter(|seen| seen.route == route).collect();
        if seen.is_empty() {
            continue;
        }
        let (p99, errors) = scenario.objective(&route);
        let allowed = p99.as_secs_f64() * 1e3;
        // Where all have failed there is no time, rather than a good one.
        let timed = seen.iter().filter(|route| route.from_due.count > 0);
        let slow = median(timed.map(|route| route.from_due.p99_ms));
        let failed = median(seen.iter().map(|route| route.failed_share()));
        if slow.is_finite() {
            let (route, what, kept) = (route.clone(), "p99".to_owned(), slow <= allowed);
            verdict.push(Judged { route, what, allowed, measured: slow, kept });
        }
        // A single failure of few requests is more than a small share of them, and shows nothing.
        let most = seen.iter().map(|route| count(route.count)).fold(0.0, f64::max);
        let kept = failed <= errors.max(if errors > 0.0 { 1.0 / most.max(1.0) } else { 0.0 });
        verdict.push(Judged { route, what: "errors".to_owned(), allowed: errors, measured: failed, kept });
    }
    verdict
}
