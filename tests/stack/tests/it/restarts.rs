//! An app that restarts: waiting is not retrying. What has not been sent waits for it; what may have been sent is not sent twice.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::send;
use crate::own::{App, Own};
use crate::site::Site;

cases![
    an_app_restarts_under_load on Native,
    patience_has_an_end on Native,
    more_than_may_wait_are_told_at_once on Native,
    a_client_that_leaves_does_not_wait on Native,
    an_idle_connection_that_the_app_closes_costs_nothing on Native,
];

/// Serves the demo app until the handle is aborted, which cuts every connection, as a killed process does.
async fn serve(demo: &demo::Demo, address: SocketAddr) -> (JoinHandle<()>, SocketAddr) {
    let listener = TcpListener::bind(address).await.expect("the port is free");
    let address = listener.local_addr().expect("bound");
    (tokio::spawn(demo.clone().serve(listener)), address)
}

fn before(address: SocketAddr, more: &str) -> String {
    format!("{more}\n[[site]]\nhosts = [\"*\"]\napp = \"{address}\"")
}

/// 200 requests a second for four seconds, half of them POST; the app is killed for one second of them.
async fn an_app_restarts_under_load(site: &Site) {
    let demo = demo::Demo::new(demo::Options::default());
    let (app, address) = serve(&demo, ([127, 0, 0, 1], 0).into()).await;
    let own = Own::start(site, &before(address, ""));
    let mut requests = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(5));
    let mut running = Some(app);
    for n in 0..800 {
        ticks.tick().await;
        if n == 200 {
            running.take().expect("it runs").abort();
        }
        if n == 400 {
            running = Some(serve(&demo, address).await.0);
        }
        let request = match n % 2 {
            0 => own.get("/echo/get"),
            _ => own.request(Method::POST, "/api/upload").body("abc"),
        };
        requests.spawn(async move { (n % 2, send(request).await.status) });
    }
    let all = requests.join_all().await;
    let failed = all.iter().filter(|(_, status)| *status != 200).count();
    let posted = all.iter().filter(|(post, status)| *post == 1 && *status == 200).count() as u64;
    let seen = demo.counts().get("/api/upload").copied().unwrap_or_default();
    println!(
        "app killed for 1 s under 200 requests/s: {failed} of {} failed, {posted} POSTs answered, {seen} seen",
        all.len()
    );
    // What was with the app when it died is lost, and nothing else: nginx loses 222 of 1,600, HAProxy 2.
    assert!(failed <= 2, "{failed} failed");
    assert!(seen >= posted && seen <= posted + 2, "{seen} seen of {posted} answered: some twice?");
    running.expect("it runs again").abort();
}

async fn patience_has_an_end(site: &Site) {
    let own = Own::start(site, &before(([127, 0, 0, 1], 1).into(), "timeouts.hold = \"300ms\""));
    let started = Instant::now();
    send(own.request(Method::POST, "/").body("abc")).await.assert_problem(502, "app-unreachable");
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
}

async fn more_than_may_wait_are_told_at_once(site: &Site) {
    let more = "timeouts.hold = \"4s\"\nlimits.held = 1";
    let own = Own::start(site, &before(([127, 0, 0, 1], 1).into(), more));
    let timed = async |path| {
        let started = Instant::now();
        (send(own.get(path)).await, started.elapsed())
    };
    // Either may come first; one waits, the other is told at once.
    let (one, other) = tokio::join!(timed("/a"), timed("/b"));
    let ((told, soon), (waited, late)) = if one.1 < other.1 { (one, other) } else { (other, one) };
    told.assert_problem(503, "overloaded");
    assert_eq!(told.field("retry-after"), "5");
    waited.assert_problem(502, "app-unreachable");
    assert!(soon + Duration::from_secs(1) < late, "{soon:?}, {late:?}");
}

async fn a_client_that_leaves_does_not_wait(site: &Site) {
    let more = "timeouts.hold = \"20s\"\nlimits.held = 1";
    let own = Own::start(site, &before(([127, 0, 0, 1], 1).into(), more));
    for _ in 0..3 {
        // Each takes the only place, and gives it back by leaving.
        let left = tokio::time::timeout(Duration::from_millis(200), send(own.get("/"))).await;
        assert!(left.is_err(), "it was told {:?}", left.map(|a| a.status));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn an_idle_connection_that_the_app_closes_costs_nothing(site: &Site) {
    let app = App::start().await;
    let own = Own::start(site, &before(app.address(), "listen.cores = 1"));
    let answer = tokio::spawn(send(own.get("/first")));
    let mut got = app.request().await;
    got.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(answer.await.expect("an answer").status, 200);
    tokio::time::sleep(Duration::from_millis(300)).await;
    // The next GET goes out on it, and the app, which was about to close, does so without a word.
    let answer = tokio::spawn(send(own.get("/second")));
    got.next_head().await;
    drop(got);
    let mut again = app.request().await;
    assert!(again.head.starts_with("GET /second "), "{}", again.head);
    again.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let answer = answer.await.expect("an answer");
    assert_eq!(answer.status, 200);
    let line: Value = own.line(answer.id());
    assert_eq!(line["reason"], "");
    // A POST does not take that chance: it comes on a connection of its own.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let answer = tokio::spawn(send(own.request(Method::POST, "/third").body("abc")));
    let mut third = app.request().await;
    assert!(third.head.starts_with("POST /third "), "{}", third.head);
    third.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(answer.await.expect("an answer").status, 200);
}
