//! Port 80: everyone is sent to https.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{Plan, World};

async fn say(world: &World, request: &str) -> String {
    let mut stream = TcpStream::connect(world.http).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
    let _ = read.await.expect("the connection is closed");
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_is_sent_to_https() {
    let world = World::start(Plan::default()).await;
    let get = |host: &str, path: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    for (request, to) in [
        (get("makenot.work", "/"), "https://makenot.work/"),
        (get("makenot.work", "/a//b?c=%20d&e"), "https://makenot.work/a//b?c=%20d&e"),
        (get("makenot.work:80", "/a"), "https://makenot.work/a"),
        (get("MakeNot.work", "/a"), "https://MakeNot.work/a"),
        (get("creator.example", "//evil.test/"), "https://creator.example//evil.test/"),
        (
            get("creator.example", "/.well-known/acme-challenge/x"),
            "https://creator.example/.well-known/acme-challenge/x",
        ),
        ("GET http://makenot.work/a HTTP/1.1\r\nhost: makenot.work\r\n\r\n".to_owned(), "https://makenot.work/a"),
        ("HEAD /a HTTP/1.0\r\nhost: makenot.work\r\n\r\n".to_owned(), "https://makenot.work/a"),
        ("POST /a HTTP/1.1\r\nhost: makenot.work\r\ncontent-length: 3\r\n\r\nabc".to_owned(), "https://makenot.work/a"),
    ] {
        let answer = say(&world, &request).await;
        let status = answer.split(' ').nth(1);
        let location = answer.lines().find_map(|l| l.strip_prefix("location: "));
        assert_eq!((status, location), (Some("308"), Some(to)), "{request}{answer}");
    }
    let long = "a".repeat(9 << 10);
    for (request, status) in [
        (get("elsewhere.test", "/"), "421"),
        (get("127.0.0.1", "/"), "421"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nhost: makenot.work\r\nhost: makenot.work\r\n\r\n".to_owned(), "400"),
        ("GET http://elsewhere.test/ HTTP/1.1\r\nhost: makenot.work\r\n\r\n".to_owned(), "400"),
        ("OPTIONS * HTTP/1.1\r\nhost: makenot.work\r\n\r\n".to_owned(), "400"),
        ("CONNECT makenot.work:443 HTTP/1.1\r\nhost: makenot.work:443\r\n\r\n".to_owned(), "400"),
        (
            get("makenot.work\r\nx-long: ".to_owned().as_str(), "/").replace("x-long: ", &format!("x-long: {long}")),
            "431",
        ),
        (get("makenot.work", &format!("/{long}")), "431"),
        ("\x16\x03\x01\x02\x00\x01\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = say(&world, &request).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{request:.60}: {answer}");
        assert!(!answer.contains("location"), "{answer}");
    }
    assert_eq!((world.app.asked().len(), world.ca.orders()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_not_waited_for() {
    let world = World::start(Plan::default()).await;
    let began = Instant::now();
    let answer = say(&world, "GET / HTTP/1.1\r\nhost: makenot.work\r\n").await;
    let took = began.elapsed();
    assert!(!answer.contains("308"), "{answer}");
    assert!((Duration::from_secs(8)..Duration::from_secs(25)).contains(&took), "{took:?}");
}
