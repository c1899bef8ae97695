//! Faults that the gateway must survive, smaller than `cargo faults` has them, and with bounds that a busy machine keeps.
//! docs/faults.md has the figures.

use std::time::{Duration, Instant};

use stack::faults::app::App;
use stack::faults::attack::Attack;
use stack::faults::pace::Pace;
use stack::faults::proxy::{Kind, Proxy, Setup};
use stack::faults::streams::Over;
use stack::faults::{self, Hole, Slow, SlowHeads};
use stack::frames::{Client, frame, get, kind};
use stack::idle::Idle;
use stack::link::Link;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, MutexGuard};

/// Held by the case whose turn it is: each wants the machine for itself.
static TURN: Mutex<()> = Mutex::const_new(());

/// The gateway before an app of a case's own.
async fn gateway(setup: impl FnOnce(Setup) -> Setup) -> (MutexGuard<'static, ()>, App, Proxy) {
    let turn = TURN.lock().await;
    let app = App::start().await.expect("an app");
    let setup = setup(Setup::before(app.address));
    let proxy = tokio::task::block_in_place(|| Proxy::start(Kind::Gateway, &setup)).expect("a gateway");
    (turn, app, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again() {
    let (_turn, _app, mut proxy) = gateway(|setup| setup).await;
    let seconds = faults::killed(&mut proxy).await.expect("it starts");
    println!("killed, and good again after {seconds:.3} s");
    assert!(seconds < 5.0, "{seconds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_a_black_hole() {
    let hole = Hole::new().await.expect("a hole");
    let connect = Duration::from_secs(1);
    let (_turn, _app, proxy) = gateway(|setup| Setup { hole: hole.address, connect, ..setup }).await;
    let (lost, _, during) = faults::hole(&proxy, 3).await;
    println!(
        "black hole: {:?} within {:.0} ms; the other site {:.1} ms",
        lost.by_status.keys(),
        lost.quantile(502, 1.0),
        during.p99()
    );
    // After some timeouts in a row only a few may wait for it; the others get 503 at once.
    let told = lost.count(502) + lost.count(503);
    assert_eq!((told, during.failed()), (lost.sent, 0), "{:?}", lost.by_status.keys());
    assert!(lost.count(502) >= 5, "{}", lost.count(502));
    // Who waits for the answer to another's request shares its patience: only the first ones take all of it.
    let longest = lost.quantile(502, 1.0);
    assert!((990.0..5000.0).contains(&longest), "{longest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads() {
    let (_turn, _app, proxy) = gateway(|setup| Setup { head: Duration::from_secs(3), ..setup }).await;
    let slow = SlowHeads::open(proxy.http1, 400).await;
    slow.drip(Duration::from_millis(100)).await;
    let good = Pace::good(proxy.http1, 1).run().await;
    assert_eq!((slow.len(), good.failed()), (400, 0));
    let closed = slow.closed(Duration::from_secs(20)).await.expect("closed");
    println!("400 slow heads: good traffic {:.1} ms, closed after {closed:.1} s", good.p99());
    assert!(closed >= 2.9, "{closed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_and_writers() {
    for (how, most) in [(Slow::Download, 20.0), (Slow::Download2, 20.0), (Slow::Upload, 20.0), (Slow::Upload2, 20.0)] {
        let (_turn, _app, proxy) = gateway(|setup| setup).await;
        let grown = faults::slow(&proxy, how, 10, 2).await;
        println!("10 × {how:?}: {grown:.1} MiB");
        assert!(grown < most, "{how:?}: {grown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_http2() {
    let (_turn, _app, proxy) = gateway(|setup| setup).await;
    for attack in Attack::ALL {
        let cost = faults::attacked(&proxy, attack, 1).await;
        println!("{}: {cost:?}", attack.as_str());
        let (sent, failed) = cost.good;
        assert!(failed * 10 <= sent, "{attack:?}: good requests failed: {cost:?}");
        assert!(cost.memory < 64.0, "{attack:?}: {cost:?}");
        let goes = match attack {
            // Nothing but reading and dropping, and bounded by what the attacker sends.
            Attack::Ping | Attack::Settings | Attack::WindowUpdate | Attack::Priority | Attack::TinyWindows => true,
            _ => cost.defence.connections > 1,
        };
        assert!(goes, "{attack:?} goes on for ever: {cost:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_app_can_carry() {
    let (_turn, _app, proxy) = gateway(|setup| setup).await;
    // Ten workers, 100 ms each: 100 a second.
    let (peak, over) = faults::overload(&proxy, "/work/100", 100, 4).await;
    let within = over.quantile(503, 0.99);
    println!(
        "five times what the app can carry: {} good, {} at its peak; 503 within {within:.0} ms",
        over.count(200),
        peak.count(200)
    );
    // The first second finds the limit.
    assert!(over.count(200) * 2 >= peak.count(200) && over.count(503) > 400, "{:?}", over.by_status.keys());
}

#[tokio::test(flavor = "multi_thread")]
async fn few_file_descriptors() {
    let (_turn, _app, proxy) =
        gateway(|setup| Setup { descriptors: Some(256), head: Duration::from_secs(30), ..setup }).await;
    let mut open = Vec::new();
    for _ in 0..400 {
        open.extend(TcpStream::connect(proxy.http1).await);
    }
    let (cpu, began) = (proxy.cpu(), Instant::now());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let used = (proxy.cpu() - cpu) / began.elapsed().as_secs_f64();
    println!("{} connections with 256 descriptors: {used:.2} s of CPU a second", open.len());
    assert!(used < 0.2, "it spins: {used}");
    drop(open);
    let until = Instant::now() + Duration::from_secs(10);
    while Pace::good(proxy.http1, 1).run().await.failed() > 0 {
        assert!(Instant::now() < until, "it does not recover");
    }
    let told = |what: &str| {
        proxy.gateway().and_then(|g| g.find(|line| line["message"].as_str().is_some_and(|m| m.contains(what))))
    };
    assert!(told("LimitNOFILE").is_some(), "it says that there are few");
    assert!(told("cannot accept").is_none(), "it has kept some for itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_http2_connection_ends() {
    let (_turn, _app, proxy) = gateway(|setup| Setup { head: Duration::from_secs(1), ..setup }).await;
    // One without a request, one after a request, and one in the middle of a head.
    let half = frame(kind::HEADERS, 0, 1, b"\x82");
    for (what, bytes, goodbye) in
        [("nothing", vec![], true), ("a request", get(1, "/"), true), ("half a head", half, false)]
    {
        let mut client = Client::connect(proxy.http2, &[]).await.expect("a connection");
        client.send(&bytes).await.expect("sent");
        let mut goaway = None;
        let ended = async {
            while let Some(frame) = client.next().await {
                goaway = frame.code().or(goaway);
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap_or_else(|_| panic!("{what}: it stays"));
        assert!(!goodbye || goaway == Some(0), "{what}: {goaway:?}");
    }
    // One that is used stays.
    let mut client = Client::connect(proxy.http2, &[]).await.expect("a connection");
    client.send(&get(1, "/later")).await.expect("sent");
    let stays = async { while client.next().await.is_some() {} };
    assert!(tokio::time::timeout(Duration::from_secs(4), stays).await.is_err(), "it is closed in use");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_take_little_memory() {
    const BATCH: u32 = 200;
    let (_turn, _app, proxy) = gateway(|setup| Setup { head: Duration::from_secs(60), ..setup }).await;
    assert!(faults::raise_descriptors() > 12 * BATCH as usize, "this test needs file descriptors");
    let link = Link { address: proxy.http1, tls: None };
    let mut all = Vec::new();
    let mut before = 0.0;
    for batch in 0..6 {
        all.push(Idle::open(&link, "/", 2, BATCH as usize).await.expect("connections"));
        // What has been freed is used again by the next, so that from the first batch on only what stays is added.
        tokio::time::sleep(Duration::from_secs(1)).await;
        if batch == 0 {
            before = proxy.memory();
        }
    }
    let each = (proxy.memory() - before) * 1024.0 / f64::from(5 * BATCH);
    println!("an idle connection takes {each:.1} KiB");
    assert!(each < 9.0, "it is 5, with one buffer of hyper's 10, and over 30 with hyper: {each}");
    for idle in &mut all {
        assert_eq!(idle.still_open().await, BATCH as usize);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_streams_by_the_thousand() {
    let _ = faults::raise_descriptors();
    for (over, most) in [(Over::Http1, 20.0), (Over::Http2, 30.0)] {
        let (_turn, app, proxy) = gateway(|setup| setup).await;
        let cost = faults::streams::subscribed(&proxy, &app, over, 1_000).await.expect("all have all events");
        println!(
            "1,000 streams, {over:?}: {:.1} KiB each, an event {:.1} µs, good traffic {:.1} ms",
            cost.memory,
            cost.event,
            cost.good[1].p99()
        );
        // It is 8 to 12 over HTTP/1.1, unoptimised, and over 40 where hyper keeps its buffers.
        assert!(cost.memory < most, "{over:?}: {}", cost.memory);
        assert_eq!(cost.good[1].failed(), 0, "{over:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slow_answer_of_a_hundred() {
    let (_turn, _app, proxy) = gateway(|setup| setup).await;
    let [before, meanwhile] = faults::one_of_a_hundred_slow(&proxy, 500, 5).await;
    println!("others, of which 99 % within {:.1} ms before, {:.1} meanwhile", before.p99(), meanwhile.p99());
    assert_eq!(meanwhile.failed(), 0);
    // A slow one takes 2 s; who waited for it would take as long.
    assert!(meanwhile.p99() < before.p99() + 500.0, "{} after {}", meanwhile.p99(), before.p99());
}

/// What is slow there is no queue that shedding would shorten: nobody may be refused.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_with_a_slow_database() {
    let (_turn, _app, proxy) = gateway(|setup| setup).await;
    let [before, slow] = faults::slow_database(&proxy, 150, 8).await;
    println!("400 ms later, 99 % within {:.1} ms, {} of {} refused", slow.p99(), slow.count(503), slow.sent);
    assert_eq!((before.failed(), slow.failed()), (0, 0));
    // 60 at once, where a gateway that took them for a queue would let in 32.
    assert!(slow.sent >= 1_000, "{}", slow.sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_found_again() {
    let (_turn, app, proxy) = gateway(|setup| setup).await;
    let (seconds, _app) = faults::recovered(&proxy, app, Duration::from_secs(2)).await.expect("it is");
    println!("an app that was gone for 2 s answers {seconds:.3} s after it listens");
    assert!(seconds < 5.0, "{seconds}");
}
