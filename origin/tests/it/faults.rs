//! Apps that fail: what the client sees, and how often the app is asked.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use crate::app::{Mood, OK, Script, Server};
use crate::gateway::{Gateway, assert_good, assert_problem, rest};

#[tokio::test]
async fn a_stale_connection_is_not_the_clients_problem() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say(OK).await;
        // The next request is read, and the connection closed without a word.
        assert!(line.head().await.starts_with("GET /second "));
        drop(line);
        let mut fresh = script.accept().await;
        assert!(fresh.head().await.starts_with("GET /second "));
        fresh.say(OK).await;
        // The same with a POST: the app may have acted on it.
        assert!(fresh.head().await.starts_with("POST /third "));
        drop(fresh);
        assert!(script.is_left_alone(Duration::from_millis(300)).await, "a POST is sent once");
    };
    let client = async {
        assert_good(&gateway.get("/first").await);
        assert_good(&gateway.get("/second").await);
        assert_problem(&gateway.post("/third").await, 502, "app-unreachable");
    };
    tokio::join!(app, client);
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_nothing() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say(OK).await;
        drop(line);
        let mut fresh = script.accept().await;
        assert!(fresh.head().await.starts_with("POST /second "));
        fresh.say(OK).await;
    };
    let client = async {
        assert_good(&gateway.get("/first").await);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_good(&gateway.post("/second").await);
    };
    tokio::join!(app, client);
}

#[tokio::test]
async fn an_unused_connection_is_closed_in_time() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "timeouts.idle_upstream = \"200ms\"");
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say(OK).await;
        let since = Instant::now();
        assert_eq!(line.head().await, "", "it is closed");
        since.elapsed()
    };
    let (took, answer) = tokio::join!(app, gateway.get("/"));
    assert_good(&answer);
    assert!((Duration::from_millis(190)..Duration::from_secs(2)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn retries_are_a_fifth_of_the_requests_at_most() {
    let app = Server::start(Mood::Half).await;
    let gateway = Gateway::before(&format!("\"{}\"", app.address), "");
    let requests = 400;
    let mut failed = 0;
    for n in 0..requests {
        let answer = gateway.get(&format!("/{n}")).await;
        if !answer.starts_with("HTTP/1.1 200 ") {
            assert_problem(&answer, 502, "app-unreachable");
            failed += 1;
        }
    }
    let extra = app.seen().len() - requests;
    println!("an app that fails every second request: {extra} extra of {requests}, {failed} failed");
    assert!(extra * 5 <= requests, "{extra} extra");
    assert!(extra >= 10 && failed > 0, "{extra} extra, {failed} failed");
}

#[tokio::test]
async fn an_answer_that_breaks_off_shows() {
    let cases = [
        "content-length: 100\r\n\r\npart",
        "transfer-encoding: chunked\r\n\r\n4\r\npart\r\n",
        "transfer-encoding: chunked\r\n\r\n8\r\npart",
    ];
    for body in cases {
        let script = Script::new().await;
        let gateway = Gateway::before(&script.app(), "");
        let app = async {
            let mut line = script.accept().await;
            line.head().await;
            line.say(format!("HTTP/1.1 200 OK\r\n{body}")).await;
        };
        let (answer, ()) = tokio::join!(gateway.get("/"), app);
        assert!(!answer.contains("\r\n0\r\n"), "as if it were whole: {answer}");
        assert!(!answer.contains("content-length: 4\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_that_stops_is_cut_off() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "timeouts.idle = \"300ms\"");
    let began = Instant::now();
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        for _ in 0..4 {
            // Slow, but not silent.
            tokio::time::sleep(Duration::from_millis(150)).await;
            line.say("4\r\npart\r\n").await;
        }
        assert_eq!(line.head().await, "", "and the app learns of it");
    };
    let (answer, ()) = tokio::join!(gateway.get("/"), app);
    let took = began.elapsed();
    assert_eq!(answer.matches("part").count(), 4, "{answer}");
    assert!(!answer.contains("\r\n0\r\n"), "{answer}");
    assert!((Duration::from_millis(850)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn what_is_no_answer_is_never_passed_on() {
    let huge = format!("HTTP/1.1 200 OK\r\nx-huge: {}\r\ncontent-length: 0\r\n\r\n", "a".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(12_000));
    for (what, said) in [
        ("garbage", "\x01\x02 this is not HTTP\r\n\r\n"),
        ("HTTP/0.9", "<html>hello</html>"),
        ("another protocol", "SSH-2.0-OpenSSH_9.2\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        ("an upgrade that nobody asked for", "HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
        ("a head of 70 kB", huge.as_str()),
        ("a head of many fields", many.as_str()),
    ] {
        let script = Script::new().await;
        let gateway = Gateway::before(&script.app(), "");
        let app = async {
            let mut line = script.accept().await;
            line.head().await;
            line.say(said).await;
            line.head().await;
        };
        let (answer, ()) = tokio::join!(gateway.get("/"), app);
        println!("{what}");
        assert_problem(&answer, 502, "app-invalid");
    }
}

#[tokio::test]
async fn a_head_of_nearly_64_kib_is_fine() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say(format!("HTTP/1.1 200 OK\r\nx-large: {}\r\ncontent-length: 2\r\n\r\nok", "a".repeat(65_000))).await;
    };
    let (answer, ()) = tokio::join!(gateway.get("/"), app);
    assert_good(&answer);
}

#[tokio::test]
async fn a_head_that_drips_or_never_comes_has_its_time() {
    for drip in [true, false] {
        let script = Script::new().await;
        let gateway = Gateway::before(&script.app(), "timeouts.answer = \"400ms\"");
        let began = Instant::now();
        let app = async {
            let mut line = script.accept().await;
            line.head().await;
            for byte in "HTTP/1.1 200 OK\r\nx: ".bytes().filter(|_| drip) {
                line.say([byte]).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            line.head().await;
        };
        let (answer, ()) = tokio::join!(gateway.get("/"), app);
        assert_problem(&answer, 504, "app-timeout");
        assert!(began.elapsed() >= Duration::from_millis(400));
    }
}

#[tokio::test]
async fn the_time_for_an_answer_begins_when_the_body_has_been_sent() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "timeouts.answer = \"400ms\"");
    let head =
        "POST / HTTP/1.1\r\nhost: a\r\naccept: application/json\r\nconnection: close\r\ncontent-length: 6\r\n\r\n";
    for answered in [true, false] {
        let app = async {
            let mut line = script.accept().await;
            line.head().await;
            line.until("abcdef").await;
            if answered {
                line.say("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").await;
            } else {
                assert_eq!(line.head().await, "", "it is cut off");
            }
        };
        let client = async {
            let mut stream = gateway.connect().await;
            stream.write_all(head.as_bytes()).await.expect("written");
            for piece in ["ab", "cd", "ef"] {
                tokio::time::sleep(Duration::from_millis(300)).await;
                stream.write_all(piece.as_bytes()).await.expect("written");
            }
            let sent = Instant::now();
            (rest(&mut stream).await, sent.elapsed())
        };
        let ((), (answer, took)) = tokio::join!(app, client);
        if answered {
            assert_good(&answer);
        } else {
            assert_problem(&answer, 504, "app-timeout");
            assert!((Duration::from_millis(350)..Duration::from_secs(2)).contains(&took), "{took:?}");
        }
    }
}

#[tokio::test]
async fn an_app_that_takes_nothing_of_a_body_has_its_time() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "timeouts.answer = \"400ms\"");
    let app = async {
        let _line = script.accept().await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    let client = async {
        let (mut read, mut write) = gateway.connect().await.into_split();
        let length = 32 << 20;
        let head =
            format!("POST / HTTP/1.1\r\nhost: a\r\naccept: application/json\r\ncontent-length: {length}\r\n\r\n");
        write.write_all(head.as_bytes()).await.expect("written");
        let upload = tokio::spawn(async move { write.write_all(&vec![b'a'; length]).await });
        let mut head = vec![0; 1024];
        let n = tokio::io::AsyncReadExt::read(&mut read, &mut head).await.expect("an answer");
        upload.abort();
        String::from_utf8_lossy(&head[..n]).into_owned()
    };
    let ((), answer) = tokio::join!(app, client);
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
}
