//! What of a message passes: answers before the request's end, informational ones, trailers.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::{OK, Script};
use crate::gateway::{Gateway, assert_good, assert_problem, rest};

#[tokio::test]
async fn informational_answers_are_never_the_answer() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say("HTTP/1.1 102 Processing\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        line.say("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 103 Early").await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        line.say(format!(" Hints\r\nlink: </b.css>; rel=preload\r\n\r\n{OK}")).await;
    };
    let (answer, ()) = tokio::join!(gateway.get("/"), app);
    assert_good(&answer);
    assert!(answer.ends_with("\r\n\r\nok") && !answer.contains("preload"), "{answer}");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_passed_on() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say("HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nstop").await;
        line.until("the rest").await;
        // It is not used again: nobody knows where the next request would begin.
        let mut next = script.accept().await;
        next.head().await;
        next.say(OK).await;
    };
    let client = async {
        let mut stream = gateway.connect().await;
        stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nabc").await.expect("written");
        let mut answer = vec![0; 4096];
        let n = stream.read(&mut answer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..n]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        stream.write_all(b"the rest").await.expect("still open");
        assert_good(&gateway.get("/next").await);
    };
    tokio::join!(app, client);
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        let mut line = script.accept().await;
        let head = line.head().await;
        assert!(head.contains("te: trailers\r\n") && head.contains("trailer: x-sum, x-forwarded-for\r\n"), "{head}");
        let body = line.until("x-sum: 1\r\n\r\n").await;
        assert_eq!(body, "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n", "and nothing that a client may not say");
        line.say("HTTP/1.1 200 OK\r\ntrailer: x-answer\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-answer: 2\r\n\r\n").await;
        // Its connection is used again.
        assert!(line.head().await.starts_with("GET /next "));
        line.say(OK).await;
    };
    let client = async {
        let answer = gateway
            .say("POST / HTTP/1.1\r\nhost: a\r\nconnection: close, te\r\nte: trailers\r\ntrailer: x-sum, x-forwarded-for\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\nx-forwarded-for: 192.0.2.1\r\n\r\n")
            .await;
        assert!(answer.ends_with("2\r\nok\r\n0\r\nx-answer: 2\r\n\r\n"), "{answer}");
        assert_good(&gateway.get("/next").await);
    };
    tokio::join!(app, client);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_told_so_and_a_silent_connection_ends() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "timeouts.head = \"500ms\"");
    let began = Instant::now();
    let (mut dripping, mut silent) = (gateway.connect().await, gateway.connect().await);
    let drip = async {
        for byte in b"GET / HTTP/1.1\r\nhost: a\r\nx-long: " {
            if dripping.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        rest(&mut dripping).await
    };
    let quiet = async { rest(&mut silent).await };
    // One that has been used, and is in use for longer than a head may take, lives on.
    let used = async {
        let mut stream = gateway.connect().await;
        for _ in 0..2 {
            let app = async {
                let mut line = script.accept().await;
                line.head().await;
                tokio::time::sleep(Duration::from_millis(1500)).await;
                line.say(OK.replace("content-length", "connection: close\r\ncontent-length")).await;
            };
            let client = async {
                stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
                let mut answer = Vec::new();
                while !answer.ends_with(b"\r\n\r\nok") {
                    assert!(stream.read_buf(&mut answer).await.expect("read") > 0, "it goes on");
                }
            };
            tokio::join!(app, client);
        }
        rest(&mut stream).await
    };
    let (dripped, quiet, used) = tokio::join!(drip, quiet, used);
    assert!(dripped.starts_with("HTTP/1.1 408 ") && dripped.contains("connection: close"), "{dripped}");
    assert_eq!((quiet.as_str(), used.as_str()), ("", ""), "nothing is said where nothing was asked");
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn an_offence_in_the_second_part_of_a_head_is_told_too() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let mut stream = gateway.connect().await;
    for part in ["GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\nna", "me : 2\r\n\r\n"] {
        stream.write_all(part.as_bytes()).await.expect("written");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
}

#[tokio::test]
async fn via_names_us_and_a_circle_ends() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let ask =
        |via: &str| format!("GET / HTTP/1.1\r\nhost: a\r\naccept: application/json\r\nconnection: close\r\n{via}\r\n");
    let app = async {
        for seen in ["via: 1.1 origin\r\n", "via: 1.0 fred, 1.1 origin\r\nvia: 1.1 origin\r\n"] {
            let mut line = script.accept().await;
            let head = line.head().await;
            assert!(head.contains(seen), "{head}");
            line.say(OK).await;
        }
    };
    let client = async {
        assert_good(&gateway.say(&ask("")).await);
        assert_good(&gateway.say(&ask("via: 1.0 fred, 1.1 origin\r\n")).await);
        let circle = "via: 1.1 origin, 1.1 origin\r\nvia: 2.0 origin, 1.1 origin\r\n";
        assert_problem(&gateway.say(&ask(circle)).await, 508, "loop");
    };
    tokio::join!(app, client);
}
