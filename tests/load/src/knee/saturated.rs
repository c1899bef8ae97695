//! What had no more to give in a round: what is seen of gateway, machine and generator, put in words.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::outcome::{Round, Second, count};
use crate::target::Target;
use crate::watch::{GENERATOR, Usage};

/// Of a thread, or of all cores: from here on it is taken to be busy all the time.
const BUSY: f64 = 0.9;

/// The seconds after warming up, but for the last, in which nothing may have been due any more.
fn measured(round: &Round, warming: Duration) -> &[Second] {
    let from = usize::try_from(warming.as_secs() + 1).unwrap_or(0).min(round.seconds.len().saturating_sub(1));
    let to = round.seconds.len().saturating_sub(1).max(from + 1).min(round.seconds.len());
    &round.seconds[from..to]
}

pub(super) fn means(round: &Round, warming: Duration) -> BTreeMap<String, Usage> {
    let seconds = measured(round, warming);
    let mut means: BTreeMap<String, Usage> = BTreeMap::new();
    for (name, usage) in seconds.iter().flat_map(|second| &second.processes) {
        let mean = means.entry(name.clone()).or_default();
        mean.cpu_cores += usage.cpu_cores / count(seconds.len() as u64);
        mean.busiest_thread += usage.busiest_thread / count(seconds.len() as u64);
        mean.descriptors = mean.descriptors.max(usage.descriptors);
    }
    means
}

/// Requests a second that were due, on average.
pub(super) fn due(round: &Round, warming: Duration) -> f64 {
    let seconds = measured(round, warming);
    count(seconds.iter().map(|second| second.due).sum()) / count(seconds.len().max(1) as u64)
}

/// What had no more to give in a round, the surest first.
pub(super) fn saturated(round: &Round, warming: Duration, target: &Target) -> Vec<String> {
    let mut found = Vec::new();
    let means = means(round, warming);
    let seconds = measured(round, warming);
    let counted = |name: &str| counters(round, name).map(|(_, by)| by).sum::<f64>();
    let labels = |name: &str| {
        counters(round, name).map(|(labels, by)| format!("{by:.0} {labels}")).collect::<Vec<_>>().join(", ")
    };
    let errors = |kind: &str| round.routes.iter().filter_map(|route| route.errors.get(kind)).sum::<u64>();
    // Counters grow in phases that are not judged, too; what nobody got in one that is has broken nothing.
    let got = |status: &str| round.routes.iter().any(|route| route.statuses.contains_key(status));
    if counted("origin_rate_limited_total") > 0.0 && got("429") {
        found.push(format!(
            "limiter: the gateway refused what came too often ({})",
            labels("origin_rate_limited_total")
        ));
    }
    if counted("origin_requests_shed_total") > 0.0 && got("503") {
        found.push(format!("upstream queue: the gateway shed requests ({})", labels("origin_requests_shed_total")));
    }
    if counted("origin_connections_refused_total") > 0.0 {
        found
            .push(format!("connections: the gateway closed new ones ({})", labels("origin_connections_refused_total")));
    }
    for (name, usage) in &means {
        let most = target.processes.get(name).and_then(|pid| descriptors_allowed(*pid)).unwrap_or(f64::MAX);
        if count(usage.descriptors) >= BUSY * most {
            found.push(format!("connections: {name} has {} of {most:.0} file descriptors open", usage.descriptors));
        }
    }
    let (late, generator) = (round.generator_late.p99_ms, means.get(GENERATOR).copied().unwrap_or_default());
    if late > 5.0 || generator.busiest_thread >= BUSY {
        found.push(format!(
            "load generator: it used {:.2} cores and was late by {late:.1} ms (p99), so the knee may be its own: ask from another machine",
            generator.cpu_cores
        ));
    }
    let busy = seconds.iter().map(|second| second.machine_busy).sum::<f64>() / count(seconds.len().max(1) as u64);
    let mut by_cpu: Vec<(&String, &Usage)> = means.iter().collect();
    by_cpu.sort_by(|(_, a), (_, b)| b.cpu_cores.total_cmp(&a.cpu_cores));
    let shown: Vec<String> = by_cpu.iter().map(|(name, usage)| format!("{name} {:.2}", usage.cpu_cores)).collect();
    if busy >= BUSY {
        found.push(format!("CPU of this machine: {:.0} % busy; cores used by {}", busy * 100.0, shown.join(", ")));
    }
    for (name, usage) in by_cpu.iter().filter(|(name, usage)| *name != GENERATOR && usage.busiest_thread >= BUSY) {
        found.push(format!(
            "CPU of {name}: a thread of it was busy for {:.0} % of the time",
            usage.busiest_thread * 100.0
        ));
    }
    let (waited, answers) = (counted("origin_app_answer_seconds_sum"), counted("origin_app_answer_seconds_count"));
    let all = counted("origin_request_head_seconds_sum");
    if answers > 0.0 && waited > all / 2.0 {
        let mean = waited / answers * 1e3;
        found.push(format!(
            "app: {:.0} % of the time to the head of an answer was the app's; it took {mean:.1} ms on average",
            waited / all * 100.0
        ));
    }
    if errors("not sent: too many under way") > 0 {
        found.push("bounds.in_flight: more would have been under way than the scenario allows".to_owned());
    }
    if errors("connect") > 0 {
        found.push(format!("connections: {} could not be opened", errors("connect")));
    }
    if found.is_empty() {
        found.push(format!(
            "nothing that shows here: neither CPU (cores used by {}) nor a limit; look at what the app waits for",
            shown.join(", ")
        ));
    }
    found
}

/// The series of a counter: labels, and by how much it grew.
fn counters<'a>(round: &'a Round, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    round.counters.iter().filter_map(move |(series, by)| {
        let (family, labels) = series.split_once('{').unwrap_or((series, ""));
        (family == name).then_some((labels.trim_end_matches('}'), *by))
    })
}

fn descriptors_allowed(pid: u32) -> Option<f64> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{RouteOutcome, Times};

    const WARMING: Duration = Duration::from_secs(1);

    /// Nothing of it is at its end.
    fn quiet() -> Round {
        let usage =
            |cores: f64| Usage { cpu_cores: cores, busiest_thread: cores / 2.0, descriptors: 9, ..Usage::default() };
        let processes =
            [("gateway", 0.4), ("app", 0.3), (GENERATOR, 0.2)].map(|(name, cores)| (name.to_owned(), usage(cores)));
        let second = Second { machine_busy: 0.45, processes: processes.into(), ..Second::default() };
        let route = RouteOutcome {
            route: "r".to_owned(),
            count: 100,
            errors: BTreeMap::new(),
            statuses: BTreeMap::new(),
            bytes: 0,
            hits: 0,
            misses: 0,
            from_due: Times::default(),
            from_sent: Times::default(),
        };
        let counters = [
            ("origin_app_answer_seconds_sum", 1.0),
            ("origin_app_answer_seconds_count", 100.0),
            ("origin_request_head_seconds_sum", 3.0),
        ];
        Round {
            phases: Vec::new(),
            routes: vec![route],
            seconds: vec![second; 6],
            generator_late: Times::default(),
            connections: 0,
            counters: counters.map(|(name, by)| (name.to_owned(), by)).into(),
        }
    }

    fn usage(round: &mut Round, name: &str, change: impl Fn(&mut Usage)) {
        round.seconds.iter_mut().filter_map(|second| second.processes.get_mut(name)).for_each(change);
    }

    fn counted(round: &mut Round, series: &str, by: f64) {
        round.counters.insert(series.to_owned(), by);
    }

    fn answered(round: &mut Round, status: &str) {
        round.routes[0].statuses.insert(status.to_owned(), 1);
    }

    fn failed(round: &mut Round, kind: &str) {
        round.routes[0].errors.insert(kind.to_owned(), 3);
    }

    /// The test's own process stands for the gateway, so that its limit is known.
    fn target() -> Target {
        Target { processes: [("gateway".to_owned(), std::process::id())].into(), ..Target::default() }
    }

    /// What is told, and what was done to a quiet round that it is told of.
    type Cause = (&'static str, fn(&mut Round));

    /// In the order in which they are told.
    const CAUSES: [Cause; 10] = [
        ("limiter: the gateway refused what came too often (7 limit=\"all\")", |round| {
            counted(round, "origin_rate_limited_total{limit=\"all\"}", 7.0);
            answered(round, "429");
        }),
        ("upstream queue: the gateway shed requests (12 reason=\"in-flight\")", |round| {
            counted(round, "origin_requests_shed_total{reason=\"in-flight\"}", 12.0);
            answered(round, "503");
        }),
        ("connections: the gateway closed new ones (2 )", |round| {
            counted(round, "origin_connections_refused_total", 2.0);
        }),
        ("connections: gateway has ", |round| {
            usage(round, "gateway", |usage| usage.descriptors = u64::MAX);
        }),
        ("load generator: it used 0.20 cores and was late by 6.0 ms (p99)", |round| round.generator_late.p99_ms = 6.0),
        ("CPU of this machine: 95 % busy; cores used by gateway 0.40, app 0.30, load generator 0.20", |round| {
            round.seconds.iter_mut().for_each(|second| second.machine_busy = 0.95);
        }),
        ("CPU of app: a thread of it was busy for 97 % of the time", |round| {
            usage(round, "app", |usage| usage.busiest_thread = 0.97);
        }),
        ("app: 67 % of the time to the head of an answer was the app's; it took 20.0 ms on average", |round| {
            counted(round, "origin_app_answer_seconds_sum", 2.0);
        }),
        ("bounds.in_flight: more would have been under way", |round| failed(round, "not sent: too many under way")),
        ("connections: 3 could not be opened", |round| failed(round, "connect")),
    ];

    #[test]
    fn each_cause_is_told_and_no_other() {
        for (told, happen) in CAUSES {
            let mut round = quiet();
            happen(&mut round);
            let found = saturated(&round, WARMING, &target());
            assert!(found.len() == 1 && found[0].starts_with(told), "{told}: {found:#?}");
        }
        // What was refused in phases that are not judged only.
        let mut outage = quiet();
        counted(&mut outage, "origin_requests_shed_total{reason=\"held\"}", 854.0);
        let found = saturated(&outage, WARMING, &target());
        assert!(found.len() == 1 && found[0].starts_with("nothing that shows here: "), "{found:#?}");
        let mut busy = quiet();
        usage(&mut busy, GENERATOR, |usage| usage.busiest_thread = 0.95);
        let found = saturated(&busy, WARMING, &target());
        assert!(found.len() == 1 && found[0].starts_with("load generator: "), "{found:#?}");
        let found = saturated(&quiet(), WARMING, &target());
        assert!(found.len() == 1 && found[0].starts_with("nothing that shows here: "), "{found:#?}");
    }

    #[test]
    fn all_of_them_are_told_the_surest_first() {
        let mut round = quiet();
        CAUSES.iter().for_each(|(_, happen)| happen(&mut round));
        let found = saturated(&round, WARMING, &target());
        assert_eq!(found.len(), CAUSES.len(), "{found:#?}");
        for ((told, _), found) in CAUSES.iter().zip(found) {
            assert!(found.starts_with(told), "{told}: {found}");
        }
    }

    /// What happens while it warms up, or in the last second, says nothing of the rate.
    #[test]
    fn only_what_was_measured_counts() {
        let mut round = quiet();
        for second in [0, 1, 5] {
            round.seconds[second].machine_busy = 1.0;
        }
        assert!(saturated(&round, WARMING, &target())[0].starts_with("nothing that shows here"));
        for second in 2..5 {
            round.seconds[second].machine_busy = 0.9;
        }
        assert!(saturated(&round, WARMING, &target())[0].starts_with("CPU of this machine: 90 %"));
    }
}
