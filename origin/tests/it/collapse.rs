//! Many clients on one key: the app is asked once, whatever becomes of the answer and of the client that asked first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use crate::app::{OK, Script};
use crate::gateway::{Gateway, assert_problem, get, rest};

const STORABLE: &str = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 10\r\n\r\n";

fn clients(gateway: &Arc<Gateway>, count: usize) -> JoinSet<String> {
    let mut all = JoinSet::new();
    for _ in 0..count {
        let gateway = Arc::clone(gateway);
        all.spawn(async move { gateway.get("/cold").await });
    }
    all
}

/// Until all of them wait: the gateway has taken their heads.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(700)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_clients_make_one_request() {
    let script = Script::new().await;
    let gateway = Arc::new(Gateway::before(&script.app(), "listen.cores = 2"));
    let all = clients(&gateway, 500);
    let mut line = script.accept().await;
    line.head().await;
    settle().await;
    line.say(STORABLE).await;
    line.say("0123456789").await;
    let answers = all.join_all().await;
    for answer in &answers {
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n0123456789"), "{answer}");
    }
    let said = |what: &str| answers.iter().filter(|answer| answer.contains(what)).count();
    assert_eq!(said("cache-status: gateway; fwd=uri-miss; stored\r\n"), 1);
    assert_eq!(said("; collapsed") + said("; hit"), 499);
    assert!(script.is_left_alone(Duration::from_millis(300)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_storable_makes_no_convoy() {
    let script = Script::new().await;
    let gateway = Arc::new(Gateway::before(&script.app(), ""));
    let all = clients(&gateway, 20);
    let mut first = script.accept().await;
    first.head().await;
    settle().await;
    first.say(OK).await;
    // All the others ask at once, and so do those of the next seconds.
    let mut lines = Vec::new();
    while lines.len() < 19 {
        let mut line = script.accept().await;
        line.head().await;
        lines.push(line);
    }
    for line in &mut lines {
        line.say(OK).await;
    }
    for answer in all.join_all().await {
        assert!(answer.ends_with("\r\n\r\nok") && answer.contains("detail=never-fresh"), "{answer}");
    }
}

#[tokio::test]
async fn the_first_client_may_leave() {
    let script = Script::new().await;
    let gateway = Arc::new(Gateway::before(&script.app(), ""));
    let mut first = gateway.connect().await;
    first.write_all(get("/cold").as_bytes()).await.expect("open");
    let mut line = script.accept().await;
    line.head().await;
    let others = clients(&gateway, 3);
    settle().await;
    drop(first);
    settle().await;
    line.say(STORABLE).await;
    line.say("0123456789").await;
    for answer in others.join_all().await {
        assert!(answer.ends_with("0123456789"), "{answer}");
    }
    assert!(script.is_left_alone(Duration::from_millis(300)).await);
}

/// Everyone reads what is there, and the end as it comes; also when the one that it began with has gone.
#[tokio::test]
async fn a_body_is_read_while_it_grows() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let mut first = gateway.connect().await;
    first.write_all(get("/cold").as_bytes()).await.expect("open");
    let mut line = script.accept().await;
    line.head().await;
    line.say(STORABLE).await;
    line.say("01234").await;
    let mut begun = [0; 20];
    first.read_exact(&mut begun).await.expect("the head");
    let mut second = gateway.connect().await;
    second.write_all(get("/cold").as_bytes()).await.expect("open");
    let mut seen = String::new();
    while !seen.ends_with("01234") {
        seen.push(char::from(second.read_u8().await.expect("an answer")));
    }
    assert!(seen.contains("cache-status: gateway; hit; ttl="), "{seen}");
    drop(first);
    tokio::time::sleep(Duration::from_millis(200)).await;
    line.say("56789").await;
    assert_eq!(rest(&mut second).await, "56789");
    assert!(gateway.get("/cold").await.ends_with("0123456789"));
    assert!(script.is_left_alone(Duration::from_millis(200)).await);
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_off_for_all_and_is_not_stored() {
    let script = Script::new().await;
    let gateway = Arc::new(Gateway::before(&script.app(), ""));
    let all = clients(&gateway, 3);
    let mut line = script.accept().await;
    line.head().await;
    settle().await;
    line.say(STORABLE).await;
    line.say("01234").await;
    settle().await;
    drop(line);
    for answer in all.join_all().await {
        assert!(answer.contains("content-length: 10") && answer.ends_with("\r\n\r\n01234"), "{answer}");
    }
    let answer = gateway
        .say("GET /cold HTTP/1.1\r\nhost: a\r\ncache-control: only-if-cached\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

#[tokio::test]
async fn a_body_that_outgrows_the_limit_reaches_everyone_and_is_not_stored() {
    let script = Script::new().await;
    let gateway = Arc::new(Gateway::before(&script.app(), "cache.object = \"1MiB\""));
    let all = clients(&gateway, 3);
    let mut line = script.accept().await;
    line.head().await;
    settle().await;
    line.say("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nconnection: close\r\n\r\n").await;
    line.say("01234").await;
    settle().await;
    line.say(vec![b'x'; 3 << 20]).await;
    drop(line);
    for answer in all.join_all().await {
        assert!(answer.len() > 3 << 20, "{} bytes", answer.len());
    }
    let answer = gateway
        .say("GET /cold HTTP/1.1\r\nhost: a\r\ncache-control: only-if-cached\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
}

/// Where something is stored that may stand in, nobody waits long for an app that is silent; and it is asked on, for whoever comes next.
#[tokio::test]
async fn a_silent_app_is_stood_in_for_within_a_second() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let answering = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say("HTTP/1.1 200 OK\r\ncache-control: max-age=1\r\netag: \"a\"\r\ncontent-length: 3\r\n\r\nold").await;
    };
    let (first, ()) = tokio::join!(gateway.get("/page"), answering);
    assert!(first.ends_with("old"), "{first}");
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let began = Instant::now();
    let silent = async {
        let mut line = script.accept().await;
        assert!(line.head().await.contains("if-none-match: \"a\""));
        line
    };
    let (stale, _line) = tokio::join!(gateway.get("/page"), silent);
    assert!(stale.ends_with("old") && stale.contains("detail=stale-if-error"), "{stale}");
    assert!((900..3_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    let mut line = script.accept().await;
    line.head().await;
    line.say("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 3\r\n\r\nnew").await;
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let answer = gateway
            .say("GET /page HTTP/1.1\r\nhost: a\r\ncache-control: only-if-cached\r\nconnection: close\r\n\r\n")
            .await;
        if answer.ends_with("new") {
            break;
        }
        assert!(Instant::now() < until, "{answer}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_failure_is_everyones_and_the_app_is_not_stormed() {
    let script = Script::new().await;
    let gateway = Arc::new(Gateway::before(&script.app(), "timeouts.answer = \"2s\""));
    let all = clients(&gateway, 10);
    let mut line = script.accept().await;
    line.head().await;
    for answer in all.join_all().await {
        assert_problem(&answer, 504, "app-timeout");
    }
    assert!(script.is_left_alone(Duration::from_millis(300)).await);
}
