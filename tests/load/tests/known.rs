//! The tool against servers whose behaviour is known: its figures must be right within 1 % or 1 ms of what the server itself saw.
//!
//! Whoever else uses the machine delays both, and is no fault of the tool's: what is measured takes long enough that 1 % of it is more than a
//! busy machine's timers are late by, and a figure may be measured several times, and must be right once.

mod server;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use load::Session;
use load::outcome::{Outcome, RouteOutcome};
use load::scenario::{Scenario, Span};
use load::target::{Commands, Edge, Target};
use server::{Does, Leak, Server};

const TRIES: usize = 8;
/// What a slow server takes: 1 % of it are 4 ms.
const LONG: Duration = Duration::from_millis(400);

fn scenario(phases: &str, steps: &str, more: &str) -> Scenario {
    let text = format!(
        "title = \"a test\"\nasks = \"is it right?\"\nplan = 50\nphase = [{phases}]\n\
         visitor = [{{ name = \"v\", share = 1, step = [{steps}] }}]\n{more}"
    );
    Scenario::parse("test.toml", &text).unwrap()
}

/// The same by visitors who stay, so that all but their first requests find a connection open.
fn by_regulars(mut scenario: Scenario) -> Scenario {
    for visitor in &mut scenario.visitor {
        visitor.think = [Span(Duration::from_millis(100)); 2];
        visitor.step.iter_mut().for_each(|step| step.times = 1000);
    }
    scenario
}

fn session(scenario: Scenario, target: Target) -> Session {
    Session { scenario, target, yes: Vec::new(), stack: None, stop: Arc::new(AtomicBool::new(false)) }
}

async fn run(server: &Server, scenario: Scenario, change: impl FnOnce(&mut Target)) -> Outcome {
    let mut target = Target { url: server.url(), ..Target::default() };
    change(&mut target);
    session(scenario, target).run(1, &|_| {}).await.unwrap()
}

fn route<'a>(outcome: &'a Outcome, name: &str) -> &'a RouteOutcome {
    outcome.rounds[0].routes.iter().find(|route| route.route == name).unwrap_or_else(|| panic!("no route {name}"))
}

/// One test at a time, since they measure, and before what else this machine does, where the system lets us.
fn alone(test: impl Future<Output = ()>) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // Of this thread and all that it starts.
    let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    if let Some(thread) = thread.file_name() {
        let _ = Command::new("chrt").args(["--fifo", "--pid", "10"]).arg(thread).output();
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(test);
}

/// Within 1 % or 1 ms.
fn right(measured: f64, truth: f64) -> bool {
    (measured - truth).abs() <= (truth * 0.01).max(1.0)
}

/// Until `figures` are all right: name, measured, truth.
async fn measured(mut figures: impl AsyncFnMut() -> Vec<(&'static str, f64, f64)>) {
    let mut wrong = Vec::new();
    for _ in 0..TRIES {
        wrong = figures().await;
        wrong.retain(|(_, measured, truth)| !right(*measured, *truth));
        if wrong.is_empty() {
            return;
        }
    }
    panic!("wrong in {TRIES} tries (figure, measured, truth): {wrong:?}");
}

const A_SECOND: &str = r#"{ name = "p", rate = 200, lasts = "1500ms" }"#;
const GET: &str = r#"{ route = "r", path = "/" }"#;

#[test]
fn a_fixed_latency_is_measured_over_both_versions_of_http() {
    alone(async {
        for version in [1, 2] {
            measured(async || {
                let server = Server::start(Does::Waits(LONG)).await;
                let outcome =
                    run(&server, by_regulars(scenario(A_SECOND, GET, "")), |target| target.http = Some(version)).await;
                let (seen, truth) = (route(&outcome, "r"), server.times());
                assert_eq!((seen.count, truth.len(), seen.failed()), (300, 300, 0));
                vec![("p50", seen.from_due.p50_ms, truth.at(0.5)), ("p90", seen.from_due.p90_ms, truth.at(0.9))]
            })
            .await;
        }
    });
}

/// One connection, 100 requests a second for 3 s, and nobody is answered for 600 ms of them: 60 requests are due in that time, one of five, and
/// wait from 600 ms down. When each was due follows from the rate, when it was answered from the server's clock.
#[test]
fn a_stall_is_charged_to_all_that_it_kept_waiting() {
    alone(async {
        measured(async || {
            let stall = Duration::from_millis(600);
            let server = Server::start(Does::Stalls { after: Duration::from_secs(1), lasts: stall }).await;
            let keys = server::keys_file();
            let edge = Edge { keys_file: keys.path().to_path_buf(), certificate: None, key: None, connections: 1 };
            let phase = r#"{ name = "p", rate = 100, lasts = "3s" }"#;
            let outcome = run(&server, scenario(phase, GET, ""), |target| target.edge = Some(edge)).await;
            let (seen, truth) = (route(&outcome, "r"), server.since_due(100.0));
            assert_eq!((seen.count, truth.len(), seen.failed(), server.connections()), (300, 300, 0, 1));
            // A closed loop would have seen one slow request, and told of a p99 as good as ever.
            assert!(seen.from_sent.p99_ms < 60.0 && seen.from_due.p50_ms < 60.0, "{:?}", seen.from_sent);
            assert!(truth.at(0.9) > 280.0 && truth.at(0.98) > 500.0 && truth.at(1.0) > 580.0, "the stall itself");
            let at =
                |quantile: f64| seen.from_due.curve.iter().find(|(at, _)| (*at - quantile).abs() < 1e-9).unwrap().1;
            vec![
                ("p90", at(0.9), truth.at(0.9)),
                ("p95", at(0.95), truth.at(0.95)),
                ("p98", at(0.98), truth.at(0.98)),
                ("max", seen.from_due.max_ms, truth.at(1.0)),
            ]
        })
        .await;
    });
}

#[test]
fn errors_are_counted_to_the_last_one_by_kind() {
    alone(async {
        let server = Server::start(Does::Fails).await;
        let outcome = run(&server, scenario(A_SECOND, GET, ""), |_| {}).await;
        let (seen, truth) = (route(&outcome, "r"), server.failures());
        assert_eq!(seen.count, 300);
        let told = |kind: &str| seen.errors.get(kind).copied().unwrap_or(0);
        assert_eq!((told("status"), told("closed"), told("cut off")), (truth.statuses, truth.dropped, truth.cut));
        assert_eq!((truth.statuses, truth.dropped, truth.cut), (15, 15, 15), "one of twenty each");
        assert_eq!(seen.statuses["500"], 15);
        assert!((seen.failed_share() - 0.15).abs() < 1e-9);
        assert!(!outcome.kept() && outcome.verdict.iter().any(|judged| judged.what == "errors" && !judged.kept));
    });
}

#[test]
fn a_slow_body_counts_until_its_last_byte() {
    alone(async {
        measured(async || {
            let server = Server::start(Does::Drips { parts: 4, pause: LONG / 4 }).await;
            let outcome = run(&server, by_regulars(scenario(A_SECOND, GET, "")), |_| {}).await;
            let (seen, truth) = (route(&outcome, "r"), server.times());
            assert_eq!((seen.count, seen.bytes, seen.failed()), (300, 300 * 4 * 1000, 0));
            vec![("p50", seen.from_due.p50_ms, truth.at(0.5)), ("p90", seen.from_due.p90_ms, truth.at(0.9))]
        })
        .await;
    });
}

#[test]
fn what_never_answers_is_given_up_in_time() {
    alone(async {
        let server = Server::start(Does::Waits(Duration::from_secs(60))).await;
        let phase = r#"{ name = "p", rate = 50, lasts = "1s" }"#;
        let more = "[bounds]\ntimeout = \"400ms\"\nin_flight = 10\n";
        let outcome = run(&server, scenario(phase, GET, more), |_| {}).await;
        let seen = route(&outcome, "r");
        let (late, unsent) = (seen.errors["timeout"], seen.errors["not sent: too many under way"]);
        // Ten at once, 400 ms each: 10 at first, and 10 more 400 and 800 ms later, but for those that are due before there is room.
        assert_eq!(late + unsent, 50, "{:?}", seen.errors);
        assert!((25..=30).contains(&late), "{late}");
        assert!((400.0..500.0).contains(&seen.from_due.p50_ms), "{}", seen.from_due.p50_ms);
    });
}

#[test]
fn browsers_have_six_connections_each_and_the_edge_has_few_for_all() {
    alone(async {
        let server = Server::start(Does::Waits(Duration::from_millis(100))).await;
        let steps = r#"{ route = "r", path = "/", times = 1000 }"#;
        let phase = r#"{ name = "p", rate = 200, lasts = "1s" }"#;
        // One visitor at most, who does not think: as many requests at once as connections.
        let outcome = run(&server, scenario(phase, steps, "[bounds]\nvisitors = 1\n"), |_| {}).await;
        assert_eq!((server.connections(), server.clients()), (6, 1));
        assert_eq!(outcome.rounds[0].connections, 6);

        let server = Server::start(Does::Waits(Duration::from_millis(100))).await;
        let alone = scenario(phase, steps, "[bounds]\nvisitors = 1\n");
        let outcome = run(&server, alone, |target| target.http = Some(2)).await;
        assert_eq!((server.connections(), server.clients()), (1, 1), "all of a visitor's over one with HTTP/2");
        assert_eq!(
            (outcome.rounds[0].connections, route(&outcome, "r").count, route(&outcome, "r").failed()),
            (1, 200, 0)
        );

        for version in [1, 2] {
            let server = Server::start(Does::Waits(Duration::ZERO)).await;
            run(&server, scenario(phase, GET, ""), |target| target.http = Some(version)).await;
            assert_eq!((server.connections(), server.clients()), (200, 200), "each visit is somebody else's");
        }

        let keys = server::keys_file();
        for (version, most) in [(1, 4), (2, 4)] {
            let server = Server::start(Does::Waits(Duration::from_millis(20))).await;
            let edge = Edge { keys_file: keys.path().to_path_buf(), certificate: None, key: None, connections: 4 };
            let outcome = run(&server, scenario(phase, GET, ""), |target| {
                (target.edge, target.http) = (Some(edge), Some(version));
            })
            .await;
            assert!(server.connections() <= most, "{} connections over HTTP/{version}", server.connections());
            assert_eq!((route(&outcome, "r").failed(), server.signed()), (0, 200), "the edge's signature on each");
        }
    });
}

#[test]
fn streams_and_sockets_are_timed_and_held() {
    alone(async {
        measured(async || {
            let server = Server::start(Does::Streams(LONG)).await;
            let steps = r#"{ route = "events", path = "/events", stays = "events", lasts = "600ms" }"#;
            let phase = r#"{ name = "p", rate = 20, lasts = "2s" }"#;
            let outcome = run(&server, by_regulars(scenario(phase, steps, "")), |_| {}).await;
            let seen = route(&outcome, "events");
            assert_eq!((seen.count, seen.failed()), (40, 0), "{:?}", seen.errors);
            let held = outcome.rounds[0].seconds[1].streams;
            assert!((9..=14).contains(&held), "{held} streams: 20 a second for 600 ms are 12");
            vec![("the first event", seen.from_due.p50_ms, server.times().at(0.5))]
        })
        .await;
        let server = Server::start(Does::Streams(Duration::ZERO)).await;
        let steps = r#"{ route = "broken", path = "/broken", stays = "events", lasts = "10s" }"#;
        let outcome = run(&server, scenario(A_SECOND, steps, ""), |_| {}).await;
        assert_eq!(route(&outcome, "broken").errors["broke off"], 300);

        measured(async || {
            let server = Server::start_echo(LONG).await;
            let steps = r#"{ route = "ws", path = "/ws", stays = "websocket", lasts = "1900ms", every = "450ms" }"#;
            let phase = r#"{ name = "p", rate = 10, lasts = "2s" }"#;
            let outcome = run(&server, scenario(phase, steps, ""), |_| {}).await;
            let (opened, messages) = (route(&outcome, "ws"), route(&outcome, "ws, a message"));
            assert_eq!((opened.count, opened.failed(), messages.failed()), (20, 0, 0));
            // Four each, but for those for whom the end came first.
            assert!((20..=80).contains(&messages.count), "{}", messages.count);
            vec![("a message", messages.from_due.p50_ms, server.times().at(0.5))]
        })
        .await;
    });
}

#[test]
fn a_redirect_to_a_file_is_followed_with_its_range_and_timed_by_itself() {
    alone(async {
        let server = Server::start(Does::HandsOff).await;
        let steps = r#"{ route = "download", path = "/download", follow = true, range = "bytes=0-99" }"#;
        let outcome = run(&server, scenario(A_SECOND, steps, ""), |_| {}).await;
        let (sent, file) = (route(&outcome, "download"), route(&outcome, "download, the file"));
        assert_eq!((sent.statuses["302"], file.statuses["206"], file.bytes), (300, 300, 300 * 100));
        assert_eq!((file.hits, file.misses), (300, 0));

        // By its path alone, it is of the same server; of another, it needs permission, and the report says whose.
        let with = |path: &str, more: &str| format!(r#"{{ route = "r", path = "{path}", follow = true{more} }}"#);
        let outcome = run(&server, scenario(A_SECOND, &with("/relative", ""), ""), |_| {}).await;
        assert_eq!(route(&outcome, "r, the file").statuses["200"], 300);
        let outcome = run(&server, scenario(A_SECOND, &with("/elsewhere", ""), ""), |_| {}).await;
        assert_eq!(route(&outcome, "r, the file").errors["a redirect to where we may not go"], 300);
        let permission = "`I may load files.example` in the target's consent, and --yes-load files.example";
        assert!(outcome.notes.iter().any(|note| note.contains(permission)), "{:?}", outcome.notes);
        // Who is sent to sign in has not been handed a file.
        let outcome = run(&server, scenario(A_SECOND, &with("/sign-in", ", expect = [302]"), ""), |_| {}).await;
        assert_eq!(route(&outcome, "r").errors["status"], 300);
        assert!(outcome.rounds[0].routes.iter().all(|route| route.route == "r"), "{:?}", outcome.rounds[0].routes);
    });
}

/// Who says nothing more is counted, though the round ends first.
#[test]
fn a_message_that_is_never_answered_is_not_forgotten() {
    alone(async {
        let server = Server::start_echo(Duration::from_secs(60)).await;
        let steps = r#"{ route = "ws", path = "/ws", stays = "websocket", lasts = "30s", every = "100ms" }"#;
        let bounds = "[bounds]\ntimeout = \"2s\"\n";
        let outcome = run(&server, scenario(r#"{ name = "p", rate = 10, lasts = "1s" }"#, steps, bounds), |_| {}).await;
        let messages = route(&outcome, "ws, a message");
        // Of who opened it last, none may have been due yet.
        assert!(messages.count >= 8 && messages.errors["timeout"] == messages.count, "{messages:?}");
        assert!(!outcome.kept());
    });
}

/// Only so many streams are open at once.
#[test]
fn what_stays_open_is_bounded_too() {
    alone(async {
        let server = Server::start(Does::Streams(Duration::ZERO)).await;
        let steps = r#"{ route = "events", path = "/", stays = "events", lasts = "1m" }"#;
        let bounds = "[bounds]\nin_flight = 20\n";
        let outcome = run(&server, scenario(A_SECOND, steps, bounds), |_| {}).await;
        let events = route(&outcome, "events");
        let not_sent = events.errors["not sent: too many under way"];
        // Those that are being opened are counted by themselves.
        assert!(events.count - not_sent >= 20 && events.count - not_sent <= 40, "{events:?}");
        assert!(outcome.rounds[0].seconds.iter().all(|second| second.streams <= 40));
    });
}

/// What was measured before the server went is told.
#[test]
fn a_gateway_that_says_nothing_more_takes_nothing_from_what_was_measured() {
    alone(async {
        let server = Server::start(Does::Waits(Duration::ZERO)).await;
        // It answers who looks whether it is there, and whoever asks before the round; then it is gone.
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = admin.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            use std::io::{Read as _, Write as _};
            for _ in 0..2 {
                let (mut stream, _) = admin.accept().unwrap();
                let _ = stream.read(&mut [0; 4096]).unwrap();
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\nconnection: close\r\n\r\norigin_tasks 1\n";
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        let outcome = run(&server, scenario(A_SECOND, GET, ""), |target| {
            target.admin = Some(format!("http://{address}"));
        })
        .await;
        answering.join().unwrap();
        assert_eq!(route(&outcome, "r").count, 300);
        assert!(outcome.rounds[0].counters.is_empty());
        assert!(outcome.notes.iter().any(|note| note.contains("counters are missing")), "{:?}", outcome.notes);
    });
}

/// A server that does one thing at a time, in 20 ms, can do 50 a second and not one more.
#[test]
fn the_knee_is_where_the_server_has_no_more_to_give() {
    alone(async {
        let server = Server::start(Does::OneAtATime(Duration::from_millis(20))).await;
        let scenario = scenario(A_SECOND, GET, "[objectives]\np99 = \"200ms\"\n");
        let target = Target { url: server.url(), ..Target::default() };
        let search = load::knee::Search { from: 30.0, to: 500.0, each: Duration::from_secs(2), within: 0.15 };
        let outcome = session(scenario, target).knee(search, &|_| {}, &|_| {}).await.unwrap();
        let knee = outcome.knee.unwrap();
        // What it can do by its own clock: timers of this machine wake late.
        let most = server.served_a_second();
        assert!(knee.rate <= most * 1.08 && knee.rate >= most * 0.6, "{} of {most}", knee.rate);
        assert!(knee.broke_at.is_some_and(|rate| rate > knee.rate && rate <= knee.rate * 1.16), "{:?}", knee.broke_at);
        assert!(knee.broken.iter().any(|judged| judged.what == "p99"), "{:?}", knee.broken);
        // No gateway is asked for its metrics: nothing may be said of its limits.
        let of_a_gateway = ["limiter", "upstream queue", "app", "connections: the gateway"];
        let made_up = |what: &&String| of_a_gateway.iter().any(|word| what.starts_with(word));
        assert_eq!(knee.saturated.iter().find(made_up), None);
        assert_eq!(knee.head_room, Some(knee.rate / 50.0));
    });
}

/// Each rate is tried with all that goes wrong in the scenario.
#[test]
fn a_knee_is_looked_for_with_the_faults_of_its_scenario() {
    alone(async {
        let server = Server::start(Does::Waits(Duration::ZERO)).await;
        let phases = r#"{ name = "before", rate = 5, lasts = "8s" }, { name = "gone", rate = 10, lasts = "4s", judged = false },
            { name = "after", rate = 10, lasts = "4s" }"#;
        let fault = "fault = [{ does = \"outage\", at = \"8s\", lasts = \"4s\" }]\n[objectives]\np99 = \"9s\"\n";
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let tell = |word: &str| format!("echo {word} >> {}", told.display());
        let commands = Commands { begin: tell("down"), end: Some(tell("up")) };
        let mut target = Target { url: server.url(), ..Target::default() };
        let search = load::knee::Search { from: 40.0, to: 80.0, each: Duration::from_secs(1), within: 0.15 };
        let nobody = session(scenario(phases, GET, fault), target.clone()).knee(search, &|_| {}, &|_| {}).await;
        assert!(nobody.unwrap_err().contains("fault.outage"));
        target.fault.insert("outage".to_owned(), commands);
        let outcome = session(scenario(phases, GET, fault), target).knee(search, &|_| {}, &|_| {}).await.unwrap();
        assert_eq!(outcome.knee.map(|knee| (knee.rate, knee.steps.len())), Some((80.0, 2)));
        assert_eq!(std::fs::read_to_string(&told).unwrap(), "down\nup\ndown\nup\n");
        let phases = outcome.rounds[0].phases.iter();
        let phases: Vec<_> = phases.map(|p| (p.name.as_str(), p.lasts_s, p.wanted_rate, p.judged)).collect();
        let before = ("before", 2.0, 40.0, true);
        let expected =
            [("warming up", 0.25, 40.0, false), before, ("gone", 1.0, 80.0, false), ("after", 1.0, 80.0, true)];
        assert_eq!(phases, expected);
    });
}

/// The server is in this process, which is watched under another name.
#[test]
fn a_soak_finds_what_is_kept_of_each_request() {
    alone(async {
        for leak in [Leak::Nothing, Leak::Memory, Leak::Descriptor, Leak::Thread, Leak::Task] {
            let server = Server::start(Does::Leaks(leak)).await;
            let processes = [("server".to_owned(), std::process::id())].into();
            let target = Target { url: server.url(), admin: Some(server.url()), processes, ..Target::default() };
            let session = session(scenario(A_SECOND, GET, ""), target);
            let outcome = session.soak(50.0, Duration::from_secs(10), &|_| {}).await.unwrap();
            let grown: Vec<&str> = outcome.soak.iter().filter(|one| one.grows).map(|one| one.what.as_str()).collect();
            let expected: &[&str] = match leak {
                Leak::Nothing => &[],
                Leak::Memory => &["memory"],
                Leak::Descriptor => &["descriptors"],
                Leak::Thread => &["threads"],
                Leak::Task => &["tasks"],
            };
            assert_eq!(grown, expected, "{leak:?}: {:#?}", outcome.soak);
            assert_eq!(outcome.kept(), leak == Leak::Nothing, "{leak:?}");
        }
    });
}

#[test]
fn a_slower_server_is_told_from_noise_and_the_same_one_is_not() {
    alone(async {
        let phase = r#"{ name = "p", rate = 100, lasts = "500ms" }"#;
        let measure = async |ms: u64| {
            let server = Server::start(Does::Waits(Duration::from_millis(ms))).await;
            let target = Target { url: server.url(), ..Target::default() };
            session(scenario(phase, GET, ""), target).run(5, &|_| {}).await.unwrap()
        };
        let (before, again, slower) = (measure(20).await, measure(20).await, measure(40).await);
        let of = |a: &Outcome, b: &Outcome| {
            let found = load::compare::compare(a, b);
            found.into_iter().find(|one| one.figure == "r, p50 ms").unwrap().verdict
        };
        use load::compare::Verdict;
        assert_eq!((of(&before, &slower), of(&slower, &before)), (Verdict::Worse, Verdict::Better));
        assert_ne!(of(&before, &again), Verdict::TooFew);
        assert_eq!(of(&before, &before), Verdict::Same);
        let faster = Outcome { command: "soak".to_owned(), ..before.clone() };
        assert!(before.asks_like(&again) && !before.asks_like(&faster));
        let few = Outcome { rounds: before.rounds[..2].to_vec(), ..before.clone() };
        assert_eq!(of(&few, &slower), Verdict::TooFew);
        // Written and read, it is the same.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/run.json");
        before.write(&file).unwrap();
        assert_eq!(Outcome::read(&file).unwrap().rounds.len(), 5);
    });
}

#[test]
fn bounds_and_an_interruption_end_a_run() {
    alone(async {
        let server = Server::start(Does::Waits(Duration::ZERO)).await;
        let mut short = scenario(A_SECOND, GET, "[objectives]\np99 = \"9s\"\n");
        short.bounds.requests = 50;
        let outcome = run(&server, short.clone(), |_| {}).await;
        assert_eq!(route(&outcome, "r").count, 50);
        assert!(outcome.notes.iter().any(|note| note.contains("bounds.requests")), "{:?}", outcome.notes);
        // All that was asked went well, but not all was asked.
        assert!(outcome.verdict.iter().all(|judged| judged.kept) && outcome.ended_early && !outcome.kept());
        let several = session(short.clone(), Target { url: server.url(), ..Target::default() });
        assert_eq!(several.run(3, &|_| {}).await.unwrap().rounds.len(), 1);
        let search = load::knee::Search { from: 40.0, to: 500.0, each: Duration::from_secs(1), within: 0.15 };
        let outcome = several.knee(search, &|_| {}, &|_| {}).await.unwrap();
        // 40 for a second and 10 to warm up are just as many as may be; 100 are not.
        assert_eq!(outcome.knee.as_ref().map(|knee| (knee.rate, knee.broke_at)), Some((40.0, None)));
        assert!(outcome.ended_early && !outcome.kept() && outcome.rounds.len() == 1, "{:?}", outcome.notes);
        assert!(outcome.notes.iter().any(|note| note.starts_with("at 80/s: ended early")), "{:?}", outcome.notes);
        // What follows from a request is one, too: of the last, it is not sent any more.
        let handing = Server::start(Does::HandsOff).await;
        let steps = r#"{ route = "download", path = "/download", follow = true }"#;
        for (most, over) in [(500, true), (599, true), (600, false)] {
            let more = format!("[bounds]\nrequests = {most}\n");
            let outcome = run(&handing, scenario(A_SECOND, steps, &more), |_| {}).await;
            let (sent, files) = (route(&outcome, "download").count, route(&outcome, "download, the file").count);
            assert!(sent + files == most && files > 10, "{sent} and {files}");
            assert!(outcome.ended_early == over && !(over && outcome.kept()), "{most}: {:?}", outcome.notes);
        }
        let long = scenario(r#"{ name = "p", rate = 100, lasts = "60s" }"#, GET, "");
        let session = session(long, Target { url: server.url(), ..Target::default() });
        let stop = Arc::clone(&session.stop);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stop.store(true, Ordering::Relaxed);
        });
        let outcome = session.run(3, &|_| {}).await.unwrap();
        assert_eq!((outcome.rounds.len(), outcome.ended_early, outcome.kept()), (1, true, false));
        assert!(route(&outcome, "r").count < 200);
    });
}
