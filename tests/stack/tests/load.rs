//! `cargo load` with the real stack, as browsers and as Cloudflare's edge come, and with nginx and HAProxy in the gateway's place: it runs, and what
//! it leaves has the shape that docs/load.md tells of. What the figures are, nobody looks at here.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::ValueEnum as _;
use load::Session;
use load::local::Local;
use load::outcome::{Outcome, RouteOutcome};
use load::peer::Kind;
use load::report::Report;
use load::scenario::{Scenario, Span};
use load::target::Target;
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

/// A steady week in six seconds, in which each kind of visitor does all that it ever does.
fn hurried() -> Scenario {
    let mut scenario = Scenario::open("steady-week").and_then(|scenario| scenario.scaled(1.0, 50.0)).expect("sound");
    for visitor in &mut scenario.visitor {
        (visitor.share, visitor.think) = (1.0, [Span(Duration::ZERO); 2]);
    }
    let sign_in = scenario.sign_in.as_mut().expect("there is a form");
    (sign_in.sessions, sign_in.every) = (3, Span(Duration::from_millis(50)));
    scenario
}

async fn asked(stack: &Arc<Mutex<Local>>, target: Target) -> Result<Outcome, String> {
    let (stop, stack) = (Arc::new(AtomicBool::new(false)), Some(Arc::clone(stack)));
    Session { scenario: hurried(), target, yes: Vec::new(), stack, stop }.run(1, &|_| {}).await
}

/// Everything is answered as it should be: what a sender signs and what it does not, files from the bucket, streams and sockets.
fn all_is_well(outcome: &Outcome, how: &str) {
    let round = &outcome.rounds[0];
    let of = |name: &str| -> &RouteOutcome {
        let seen = round.routes.iter().find(|seen| seen.route == name);
        seen.unwrap_or_else(|| panic!("{how}: nobody asked for {name}"))
    };
    for name in hurried().routes() {
        let seen = of(&name);
        assert!(seen.count > 0 && seen.errors.is_empty(), "{how}: {name}: {:?}, {:?}", seen.errors, seen.statuses);
    }
    for (name, status) in
        [("download, the file", "206"), ("listen, the file", "206"), ("webhook", "200"), ("forged webhook", "401")]
    {
        let seen = of(name);
        assert_eq!(seen.statuses, [(status.to_owned(), seen.count)].into(), "{how}: {name}");
    }
    let counted = |outcome: &str| {
        let series = round.counters.iter().filter(|(series, _)| {
            series.starts_with("origin_webhooks_total{")
                && series.contains("\"payments\"")
                && series.contains(&format!("\"{outcome}\""))
        });
        series.map(|(_, by)| *by).sum::<f64>()
    };
    let (passed, refused) = (of("webhook").count as f64, of("forged webhook").count as f64);
    assert_eq!((counted("passed"), counted("webhook-credentials")), (passed, refused), "{how}: {:?}", round.counters);
}

/// By TLS with the zone's client certificate and the Worker's signature, over few connections; and neither is there for show.
#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_is_driven_as_the_edge_would() {
    let _turn = TURN.lock().await;
    let stack = Arc::new(Mutex::new(Local::start(true, "").await.expect("a stack")));
    let browsers = stack.lock().await.target(false).expect("a target");
    let edge = stack.lock().await.target(true).expect("a target");
    assert!(edge.url.starts_with("https://") && edge.edge.as_ref().is_some_and(|edge| edge.certificate.is_some()));
    let with = |change: &dyn Fn(&mut Target)| {
        let mut target = edge.clone();
        change(&mut target);
        target
    };
    let forged = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(forged.path(), "dev-1:c29tZXRoaW5nIHRoYXQgaXMgbG9uZyBlbm91Z2ggZm9yIGEga2V5").expect("written");
    let mut said = Vec::new();
    for (how, target) in [
        ("as browsers", browsers),
        ("as the edge", edge.clone()),
        ("as the edge, HTTP/2", with(&|target| target.http = Some(2))),
        (
            "without a certificate",
            with(&|target| {
                target.edge.iter_mut().for_each(|edge| (edge.certificate, edge.key) = (None, None));
            }),
        ),
        (
            "signed by another",
            with(&|target| target.edge.iter_mut().for_each(|edge| edge.keys_file = forged.path().to_owned())),
        ),
        ("neither", with(&|target| target.edge = None)),
    ] {
        said.push((how, asked(&stack, target).await));
    }
    Arc::into_inner(stack).expect("nobody else has it").into_inner().stop().await;
    for (how, outcome) in said.drain(..3) {
        let outcome = outcome.unwrap_or_else(|error| panic!("{how}: {error}"));
        all_is_well(&outcome, how);
        // Eight for all visitors together, besides those of sockets and of files.
        let own = |name: &str| {
            outcome.rounds[0].routes.iter().filter(|seen| seen.route == name).map(|seen| seen.count).sum::<u64>()
        };
        let others = own("chat") + own("download, the file") + own("listen, the file") + own("events");
        let edges = how != "as browsers";
        assert!(!edges || outcome.rounds[0].connections <= 8 + others, "{how}: {}", outcome.rounds[0].connections);
    }
    for (how, outcome) in said {
        assert!(outcome.is_err(), "{how}: somebody signed in");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_runs_through_each_peer() {
    let _turn = turn().await;
    for kind in Kind::value_variants() {
        let scenario = Scenario::open("steady-week").and_then(|scenario| scenario.scaled(1.0, 20.0)).expect("sound");
        let scenario = scenario.unverified();
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
        assert_eq!((knee.name.as_str(), knee.less_is_better, knee.samples.len()), ("launch-day", false, 1));
        // One rate was tried: a busy machine may break it, and then it has no cost either.
        let cost = of("µs CPU of it/request there").map(|cost| cost.samples[0]);
        assert!(if knee.samples[0] > 0.0 { cost.is_some_and(|us| us > 0.0) } else { cost.is_none() }, "{text}");
        assert!(report.notes.iter().any(|note| note.starts_with(&format!("launch-day, {subject}: "))), "{text}");
        assert!(subject == "gateway" || report.versions.contains_key(subject), "{:?}", report.versions);
    }
}
