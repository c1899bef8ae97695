//! Streams of events, whose two connections are taken from hyper once the heads have been said: what is said on either of them goes by
//! the same rules as before and after.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::app::{Line, OK, Script};
use crate::gateway::{Gateway, assert_good, rest};
use crate::process::{Place, send};

const SUBSCRIBE: &str = "GET /events HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
/// Long enough for hyper to be let go.
const PAUSE: Duration = Duration::from_millis(50);

/// All up to and with `end`.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut all = Vec::new();
    while !all.ends_with(end.as_bytes()) {
        let byte = tokio::time::timeout(Duration::from_secs(10), stream.read_u8()).await;
        all.push(byte.expect("in time").unwrap_or_else(|e| panic!("{e} after {:?}", String::from_utf8_lossy(&all))));
    }
    String::from_utf8(all).expect("UTF-8")
}

/// A subscriber, whose request is `request`, and the app's end, which has said `head` and the first event.
async fn subscribed(script: &Script, gateway: &Gateway, request: &str, head: &str) -> (TcpStream, Line) {
    let mut client = gateway.connect().await;
    client.write_all(request.as_bytes()).await.expect("written");
    let mut line = script.accept().await;
    line.head().await;
    line.say(head).await;
    line.say("9\r\ndata: 1\n\n\r\n").await;
    let said = until(&mut client, "\r\n\r\n9\r\ndata: 1\n\n\r\n").await;
    assert_good(&said);
    assert!(said.contains("\r\ntransfer-encoding: chunked\r\n"), "{said}");
    tokio::time::sleep(PAUSE).await;
    (client, line)
}

#[tokio::test]
async fn events_come_as_they_are_said_and_the_connection_goes_on() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    // The app may say so much at once, and so little, as it likes; the last of them is read by hyper on both sides.
    let heads = [
        HEAD.to_owned(),
        format!("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n{HEAD}"),
        HEAD.replace("\r\ncontent", "\ncontent"),
    ];
    for head in heads {
        let (mut client, mut line) = subscribed(&script, &gateway, SUBSCRIBE, &head).await;
        line.say("9\r\ndata: 2\n\n\r\n9;a=b\r\nda").await;
        let second = until(&mut client, "da\r\n").await;
        line.say("ta: 3\n\n\r\n0\r\nx-sum: 1\r\n\r\n").await;
        let end = until(&mut client, "0\r\n\r\n").await;
        let data: String = (second + &end).split("\r\n").skip(1).step_by(2).collect();
        assert_eq!(data, "data: 2\n\ndata: 3\n\n");
        drop(line);
        // Two more requests, each with an answer of its own.
        for _ in 0..2 {
            client.write_all(GET.as_bytes()).await.expect("written");
            let mut line = script.accept().await;
            line.head().await;
            line.say(OK.replace("content-length", "connection: close\r\ncontent-length")).await;
            assert_good(&until(&mut client, "\r\n\r\nok").await);
        }
    }
}

/// The answer to HEAD has no chunks that could be waited for (RFC 9110 section 9.3.2).
#[tokio::test]
async fn an_answer_to_head_has_no_events() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let mut client = gateway.connect().await;
    client.write_all(SUBSCRIBE.replacen("GET", "HEAD", 1).as_bytes()).await.expect("written");
    let mut line = script.accept().await;
    line.head().await;
    line.say(HEAD).await;
    assert_good(&until(&mut client, "\r\n\r\n").await);
    // The app's connection is as good as before.
    client.write_all(GET.as_bytes()).await.expect("written");
    assert!(line.head().await.starts_with("GET / "));
    line.say(OK).await;
    assert_good(&until(&mut client, "\r\n\r\nok").await);
}

#[tokio::test]
async fn what_a_client_says_meanwhile_waits_for_the_end() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let (mut client, mut line) = subscribed(&script, &gateway, SUBSCRIBE, HEAD).await;
    let smuggled = "GET /2 HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n";
    client.write_all(format!("{GET}{smuggled}").as_bytes()).await.expect("written");
    assert!(script.is_left_alone(4 * PAUSE).await, "it is not its turn");
    line.say("9\r\ndata: 2\n\n\r\n0\r\n\r\n").await;
    assert_eq!(until(&mut client, "0\r\n\r\n").await, "9\r\ndata: 2\n\n\r\n0\r\n\r\n");
    let mut line = script.accept().await;
    assert!(line.head().await.starts_with("GET / HTTP/1.1\r\n"));
    line.say(OK).await;
    assert_good(&until(&mut client, "\r\n\r\nok").await);
    let last = rest(&mut client).await;
    assert!(last.starts_with("HTTP/1.1 400 "), "what is not well framed is refused, as always: {last}");
}

#[tokio::test]
async fn a_subscriber_who_leaves_leaves_the_app_too() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let (client, mut line) = subscribed(&script, &gateway, SUBSCRIBE, HEAD).await;
    drop(client);
    assert_eq!(line.head().await, "", "its connection has ended, without another event");
    let request = gateway.logged("request").await;
    assert_eq!(request["http.response.body.bytes"], 9, "{request}");
}

#[tokio::test]
async fn a_stream_that_breaks_off_shows() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    // An end in the middle, between two chunks, and before the trailers'; and what is no chunk.
    for said in [
        "9\r\ndat",
        "",
        "0\r\n",
        "nine\r\ndata: 2\n\n\r\n",
        "9\r\ndata: 2\n\n9\r\n",
        "0\r\n\n",
        "ffffffffffffffffff\r\na",
    ] {
        let (mut client, mut line) = subscribed(&script, &gateway, SUBSCRIBE, HEAD).await;
        line.say(said).await;
        drop(line);
        let last = rest(&mut client).await;
        assert!(!last.contains("0\r\n\r\n"), "as if it were whole, after {said:?}: {last:?}");
    }
}

#[tokio::test]
async fn what_was_subscribed_to_and_is_no_stream() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let mut client = gateway.connect().await;
    client.write_all(SUBSCRIBE.as_bytes()).await.expect("written");
    let mut line = script.accept().await;
    let answers = [
        OK.to_owned(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        format!("HTTP/1.1 100 Continue\r\n\r\n{OK}"),
    ];
    for answer in answers {
        assert!(line.head().await.starts_with("GET /events "), "on the same connection");
        // At once, in parts, and byte by byte.
        let (first, second) = answer.split_at(answer.len() - 1);
        line.say(first).await;
        tokio::time::sleep(PAUSE).await;
        line.say(second).await;
        let end = if answer.contains("204") {
            "\r\n\r\n"
        } else if answer.contains("chunked") {
            "ok\r\n0\r\n\r\n"
        } else {
            "\r\n\r\nok"
        };
        let said = until(&mut client, end).await;
        assert!(said.starts_with("HTTP/1.1 20"), "{said}");
        client.write_all(SUBSCRIBE.as_bytes()).await.expect("written");
    }
}

#[tokio::test]
async fn clients_of_every_kind_have_their_events() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    // One that says nothing of events, which is hyper's towards the app.
    let plain = SUBSCRIBE.replace("accept: text/event-stream\r\n", "");
    let closing = SUBSCRIBE.replace("accept", "connection: close\r\naccept");
    for request in [&plain, &closing] {
        let (mut client, mut line) = subscribed(&script, &gateway, request, HEAD).await;
        line.say("9\r\ndata: 2\n\n\r\n0\r\n\r\n").await;
        assert_eq!(until(&mut client, "0\r\n\r\n").await, "9\r\ndata: 2\n\n\r\n0\r\n\r\n");
        if *request == closing {
            assert_eq!(rest(&mut client).await, "", "it has said that it is the last");
        }
    }
    // In HTTP/1.0 there are no chunks.
    let mut old = gateway.connect().await;
    old.write_all(SUBSCRIBE.replace("HTTP/1.1", "HTTP/1.0").as_bytes()).await.expect("written");
    let mut line = script.accept().await;
    line.head().await;
    line.say(HEAD).await;
    line.say("9\r\ndata: 1\n\n\r\n0\r\n\r\n").await;
    let said = rest(&mut old).await;
    assert!(said.ends_with("\r\n\r\ndata: 1\n\n") && !said.contains("chunked"), "{said}");
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Whoever reads nothing for a while gets all of it afterwards, and the gateway takes no more of the app meanwhile than fits.
#[tokio::test]
async fn a_slow_subscriber_loses_nothing() {
    const EVENTS: usize = 40_000;
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let (mut client, mut line) = subscribed(&script, &gateway, SUBSCRIBE, HEAD).await;
    let before = resident(gateway.pid());
    let event = |n: usize| format!("data: {n} {}\n\n", "x".repeat(n % 997));
    let app = tokio::spawn(async move {
        for n in 0..EVENTS {
            let event = event(n);
            line.say(format!("{:x}\r\n{event}\r\n", event.len())).await;
        }
        line.say("0\r\n\r\n").await;
        line
    });
    tokio::time::sleep(10 * PAUSE).await;
    let grown = resident(gateway.pid()).saturating_sub(before);
    assert!(grown < 10 << 20, "the gateway holds {grown} bytes");
    let mut body = Vec::new();
    loop {
        let length = usize::from_str_radix(until(&mut client, "\r\n").await.trim_end(), 16).expect("a length");
        let mut data = vec![0; length + 2];
        client.read_exact(&mut data).await.expect("all of it");
        assert!(data.ends_with(b"\r\n"));
        if length == 0 {
            break;
        }
        body.extend_from_slice(&data[..length]);
    }
    assert!(body == (0..EVENTS).map(event).collect::<String>().into_bytes());
    let _line = app.await.expect("all said");
}

#[tokio::test]
async fn a_drain_ends_streams_whole() {
    let script = Script::new().await;
    let place = Place::new();
    place.configure("listen.http = [\"127.0.0.1:0\"]\ntimeouts.drain = \"4s\"\n", script.address());
    let mut gateway = place.start();
    let serving = gateway.serving(0).await;
    let mut client = TcpStream::connect(serving.at("http")).await.expect("it listens");
    client.write_all(SUBSCRIBE.as_bytes()).await.expect("written");
    let mut line = script.accept().await;
    line.head().await;
    line.say(HEAD).await;
    until(&mut client, "\r\n\r\n").await;
    tokio::time::sleep(PAUSE).await;
    // Said in two parts, and its second one never.
    line.say("9\r\ndata").await;
    until(&mut client, "data\r\n").await;
    send(serving.pid(), Signal::TERM);
    assert_eq!(rest(&mut client).await, "0\r\n\r\n");
    assert_eq!(line.head().await, "", "the app is left");
    assert_eq!(gateway.ended().await, Some(0));
    assert_eq!(gateway.lines("stopped").len(), 1, "nothing is cut off");
}

#[tokio::test]
async fn streams_and_their_connections_are_counted() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "admin.listen = \"127.0.0.1:0\"");
    let open = async || {
        let metrics = gateway.ask_admin("GET", "/metrics").await;
        let line = metrics.lines().find(|line| line.starts_with("origin_upstream_connections_open"));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).expect("a gauge")
    };
    let (client, mut line) = subscribed(&script, &gateway, SUBSCRIBE, HEAD).await;
    assert!((open().await - 1.0).abs() < 0.1);
    drop(client);
    assert_eq!(line.head().await, "");
    let until = Instant::now() + Duration::from_secs(10);
    while open().await > 0.0 {
        assert!(Instant::now() < until, "it is counted as open");
    }
}
