//! Faults on demand: each does exactly what its name says, also on a connection that served well before.

use std::time::{Duration, Instant};

use demo::pattern;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{App, field};

/// Sends a good request and then the faulty one on the same connection; returns what came after the good answer until the
/// connection closed, or until 700 ms passed without a byte (then `[still open]` ends it).
async fn on_a_used_connection(app: &App, target: &str) -> Vec<u8> {
    let mut socket = TcpStream::connect(app.address).await.expect("a connection");
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("sent");
    let mut good = Vec::new();
    while !good.ends_with(b"\r\n\r\nok\n") {
        assert_ne!(socket.read_buf(&mut good).await.expect("an answer"), 0, "closed early");
    }
    socket.write_all(format!("GET /misbehave/{target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    loop {
        let read = tokio::time::timeout(Duration::from_millis(700), socket.read_buf(&mut answer)).await;
        match read {
            Ok(Ok(0) | Err(_)) => return answer,
            Ok(Ok(_)) => {}
            Err(_quiet) => {
                assert!(!answer.is_empty(), "{target}: neither an answer nor an end");
                answer.extend_from_slice(b"[still open]");
                return answer;
            }
        }
    }
}

/// Head and body of an answer, still chunked if it was.
fn split(answer: &[u8]) -> (String, &[u8]) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..end]).into_owned(), &answer[end + 4..])
}

#[tokio::test]
async fn cut_breaks_its_promise_after_exactly_that_many_bytes() {
    let app = App::start().await;
    for after in [0, 1, 1000, 65_536, 200_000] {
        let answer = on_a_used_connection(&app, &format!("cut?after={after}")).await;
        let (head, body) = split(&answer);
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains(&format!("content-length: {}", after * 2 + 1)),
            "{head}"
        );
        assert_eq!(body.len(), after);
        assert!(body.starts_with(&pattern(0, (after as u64).min(100))));
    }
}

#[tokio::test]
async fn cut_chunked_ends_without_the_last_chunk() {
    let app = App::start().await;
    let answer = on_a_used_connection(&app, "cut-chunked?after=10").await;
    let (head, body) = split(&answer);
    assert!(head.contains("transfer-encoding: chunked"), "{head}");
    assert_eq!(body, [&b"A\r\n"[..], &pattern(0, 10), b"\r\n"].concat());
}

#[tokio::test]
async fn close_says_nothing_and_garbage_says_nonsense() {
    let app = App::start().await;
    assert_eq!(on_a_used_connection(&app, "close").await, b"");
    let garbage = on_a_used_connection(&app, "garbage").await;
    assert!(garbage.starts_with(b"\x16\x03\x01") && garbage.ends_with(b"nor is this\r\n"), "{garbage:?}");
    assert!(app.get("/misbehave/garbage").send().await.is_err());
}

#[tokio::test]
async fn a_panic_costs_its_connection_and_no_other() {
    let app = App::start().await;
    assert_eq!(on_a_used_connection(&app, "panic").await, b"");
    assert_eq!(app.fetch("/healthz").await.status(), 200);
}

#[tokio::test]
async fn early_hints_come_before_the_answer_and_the_connection_lives() {
    let app = App::start().await;
    let answer = String::from_utf8(on_a_used_connection(&app, "early-hints").await).expect("text");
    let (hints, rest) = answer.split_once("\r\n\r\n").expect("a first head");
    assert!(hints.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </static/site."), "{hints}");
    assert!(rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("the final answer\n[still open]"), "{rest}");
}

#[tokio::test]
async fn drip_takes_its_time_for_the_head_only() {
    let app = App::start().await;
    let start = Instant::now();
    let answer = on_a_used_connection(&app, "drip-headers?ms=3").await;
    let (head, body) = split(&answer);
    assert!(start.elapsed() > Duration::from_millis(3) * u32::try_from(head.len()).expect("a short head"), "too fast");
    assert_eq!(body, b"the head took its time\n[still open]");
}

#[tokio::test]
async fn stall_and_slow_are_late_and_whole() {
    let app = App::start().await;
    for target in ["stall?after=5&ms=400", "slow?ms=400"] {
        let start = Instant::now();
        let mut answer = app.fetch(&format!("/misbehave/{target}")).await;
        let head_after = start.elapsed();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.expect("a body") {
            body.extend_from_slice(&chunk);
        }
        assert!(start.elapsed() >= Duration::from_millis(400), "{target}");
        if target.starts_with("stall") {
            assert!(head_after < Duration::from_millis(350), "the head waited too");
            assert_eq!(body, pattern(0, 5 + 1024));
        } else {
            assert_eq!(body, b"late, but here\n");
        }
    }
}

#[tokio::test]
async fn statuses_and_huge_headers_are_as_ordered_on_any_method() {
    let app = App::start().await;
    for status in [200, 418, 503, 520, 999] {
        let answer = app.post(&format!("/misbehave/status/{status}")).send().await.expect("an answer");
        assert_eq!(answer.status(), status);
    }
    for bad in ["100", "101", "1000", "x"] {
        assert_eq!(app.fetch(&format!("/misbehave/status/{bad}")).await.status(), 400, "{bad}");
    }
    let huge = app.fetch("/misbehave/huge-headers?bytes=9000").await;
    assert_eq!(field(&huge, "demo-huge").len(), 9000);
}
