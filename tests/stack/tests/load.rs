//! `cargo load` with nginx and HAProxy in the gateway's place: it runs, and what it leaves has the shape that docs/load.md tells of. What the
//! figures are, nobody looks at here.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::ValueEnum as _;
use load::Session;
use load::local::Local;
use load::peer::Kind;
use load::report::Report;
use load::scenario::Scenario;
use stack::toolchain::program;
use tokio::sync::{Mutex, MutexGuard};

/// Held by the test whose turn it is: each starts a whole stack, and measures.
static TURN: Mutex<()> = Mutex::const_new(());

/// Its turn, with the programs there.
async fn turn() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().await;
    for (name, package) in [("nginx", "nginx-light"), ("haproxy", "haproxy")] {
        let remedy = "Install the packages `nginx-light` and `haproxy` (on Debian: `apt install nginx-light haproxy`).";
        let found = tokio::task::block_in_place(|| program("load", name, package, remedy, &|line| eprintln!("{line}")));
        found.unwrap_or_else(|error| panic!("{error}"));
    }
    turn
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_runs_through_each_peer() {
    let _turn = turn().await;
    for kind in Kind::value_variants() {
        let scenario = Scenario::open("steady-week").and_then(|scenario| scenario.scaled(1.0, 20.0)).expect("sound");
        let mut local = Local::start(true, "").await.expect("a stack");
        local.through(*kind).await.expect("a peer");
        let target = local.target(false).expect("a target");
        let stack = Arc::new(Mutex::new(local));
        let stop = Arc::new(AtomicBool::new(false));
        let session = Session { scenario, target, yes: Vec::new(), stack: Some(Arc::clone(&stack)), stop };
        let outcome = session.run(1, &|_| {}).await;
        drop(session);
        Arc::into_inner(stack).expect("nobody else has it").into_inner().stop().await;
        let outcome = outcome.expect("it runs");

        let (round, name) = (&outcome.rounds[0], kind.as_str());
        // What visitors ask for in their first seconds.
        for route in ["home", "static", "API", "OTA check"] {
            let seen = round.routes.iter().find(|seen| seen.route == route);
            let seen = seen.unwrap_or_else(|| panic!("{name}: no {route}"));
            assert!(seen.count > 0 && seen.errors.is_empty(), "{name}: {route}: {seen:?}");
        }
        let used = |second: &load::outcome::Second| second.processes.get(name).is_some_and(|it| it.memory_bytes > 0);
        assert!(round.seconds.iter().all(used), "{name} is watched in the gateway's place");
        assert!(!round.seconds[0].processes.contains_key("gateway") && round.counters.is_empty(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_looked_for_through_all_three() {
    let _turn = turn().await;
    let measured = load::limits::measure(&[], true).await.expect("it runs");
    let folder = tempfile::tempdir().expect("a folder");
    measured.write(folder.path()).expect("written");
    let text = std::fs::read_to_string(folder.path().join("limits.json")).expect("it is there");
    let report: Report = serde_json::from_str(&text).expect("as it was written");
    assert_eq!((report.benchmark.as_str(), report.command.as_str()), ("limits", "cargo load limits --quick"));
    for subject in ["gateway", "nginx", "HAProxy"] {
        let of = |unit: &str| report.cases.iter().find(|case| case.subject == subject && case.unit == unit);
        let knee = of("requests/s at the knee").unwrap_or_else(|| panic!("no knee of {subject}: {text}"));
        assert_eq!((knee.name.as_str(), knee.less_is_better, knee.samples.len()), ("steady-week", false, 1));
        // One rate was tried: a busy machine may break it, and then it has no cost either.
        let cost = of("µs CPU of it/request there").map(|cost| cost.samples[0]);
        assert!(if knee.samples[0] > 0.0 { cost.is_some_and(|us| us > 0.0) } else { cost.is_none() }, "{text}");
        assert!(report.notes.iter().any(|note| note.starts_with(&format!("steady-week, {subject}: "))), "{text}");
        assert!(subject == "gateway" || report.versions.contains_key(subject), "{:?}", report.versions);
    }
}
