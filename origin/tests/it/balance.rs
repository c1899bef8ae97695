//! Several upstreams for one app.

use std::time::Duration;

use crate::app::{Mood, Script, Server};
use crate::gateway::{Gateway, assert_good, assert_problem};

fn both(a: &Server, b: &Server) -> String {
    format!("[\"{}\", \"{}\"]", a.address, b.address)
}

async fn ask(gateway: &Gateway, times: usize) {
    for n in 0..times {
        assert_good(&gateway.get(&format!("/{n}")).await);
    }
}

#[tokio::test]
async fn one_that_fails_is_ejected_and_readmitted() {
    let (bad, good) = (Server::start(Mood::Mute).await, Server::start(Mood::Good).await);
    let gateway = Gateway::before(&both(&bad, &good), "limits.failures = 3\ntimeouts.ejected = \"1s\"");
    ask(&gateway, 60).await;
    assert_eq!(bad.seen().len(), 3, "ejected after three, each of which the other has answered");
    bad.set(Mood::Good);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    ask(&gateway, 60).await;
    assert!(bad.seen().len() > 10, "{}", bad.seen().len());
}

#[tokio::test]
async fn the_last_one_is_never_ejected() {
    let (a, b) = (Server::start(Mood::Mute).await, Server::start(Mood::Mute).await);
    let gateway = Gateway::before(&both(&a, &b), "limits.failures = 2\ntimeouts.ejected = \"1m\"");
    for n in 0..20 {
        assert_problem(&gateway.post(&format!("/{n}")).await, 502, "app-unreachable");
    }
    let (few, many) = (a.seen().len().min(b.seen().len()), a.seen().len().max(b.seen().len()));
    assert!(few == 2 && many == 18, "{few} and {many}");
    a.set(Mood::Good);
    b.set(Mood::Good);
    ask(&gateway, 5).await;
}

#[tokio::test]
async fn one_that_is_down_costs_no_request_and_when_all_are_they_wait() {
    let (a, b) = (Server::start(Mood::Good).await, Server::start(Mood::Good).await);
    let gateway = Gateway::before(&both(&a, &b), "timeouts.ejected = \"100ms\"");
    ask(&gateway, 10).await;
    a.stopped().await;
    for n in 0..20 {
        assert_good(&gateway.post(&format!("/{n}")).await);
    }
    b.stopped().await;
    let restart = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Server::on(a.address, Mood::Good).await
    };
    let (answer, a) = tokio::join!(gateway.post("/held"), restart);
    assert_good(&answer);
    assert_eq!(a.seen(), ["POST /held HTTP/1.1"]);
}

#[tokio::test]
async fn weights_count_and_so_does_what_is_under_way() {
    let (light, heavy) = (Script::new().await, Script::new().await);
    let app = format!("[\"{}\", {{address = \"{}\", weight = 3}}]", light.address(), heavy.address());
    let gateway = std::sync::Arc::new(Gateway::before(&app, ""));
    let mut lines = Vec::new();
    let mut counts = [0, 0];
    for n in 0..8 {
        let gateway = std::sync::Arc::clone(&gateway);
        tokio::spawn(async move { gateway.get(&format!("/{n}")).await });
        // None is answered, so all stay under way.
        tokio::select! {
            line = light.accept() => { counts[0] += 1; lines.push(line) }
            line = heavy.accept() => { counts[1] += 1; lines.push(line) }
        }
    }
    assert_eq!(counts, [2, 6]);
}

#[tokio::test]
async fn one_whose_checks_fail_gets_no_requests_until_they_succeed() {
    let (ill, well) = (Server::start(Mood::Busy).await, Server::start(Mood::Good).await);
    let app = format!("{}\ncheck = \"/healthz\"\ncheck_every = \"50ms\"", both(&ill, &well));
    let gateway = Gateway::before(&app, "");
    tokio::time::sleep(Duration::from_millis(400)).await;
    ask(&gateway, 20).await;
    assert!(ill.seen().iter().all(|line| line == "GET /healthz HTTP/1.1"));
    ill.set(Mood::Good);
    tokio::time::sleep(Duration::from_millis(400)).await;
    ask(&gateway, 20).await;
    assert!(ill.seen().iter().any(|line| line != "GET /healthz HTTP/1.1"));
}

#[tokio::test]
async fn a_connection_serves_on_after_a_hand_off() {
    let app = Server::start(Mood::HandsOff).await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, "READER:0123456789abcdef0123456789abcdef").expect("written");
    let bucket = format!("[bucket.files]\nurl = \"http://127.0.0.1:1/files\"\ncredentials_file = {key:?}");
    let gateway = Gateway::before(&format!("\"{}\"", app.address), &bucket);
    for _ in 0..3 {
        let answer = gateway.get("/").await;
        assert!(answer.contains("http://127.0.0.1:1/files/in/a?X-Amz-Algorithm="), "{answer}");
    }
    assert_eq!((app.seen().len(), app.connections()), (3, 1));
}

#[tokio::test]
async fn a_name_will_do() {
    let app = Server::start(Mood::Good).await;
    let gateway = Gateway::before(&format!("\"localhost:{}\"", app.address.port()), "");
    ask(&gateway, 3).await;
    assert_eq!(app.connections(), 1, "and its connection is kept");
}
