//! Bodies stream: what has come goes on at once, nothing is held, and so neither the gateway's memory nor the Worker's WASM grows with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _, stream};
use reqwest::Body;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::answer::send;
use crate::own::{App, Own};
use crate::requests::hex;
use crate::site::{Host, Site};

cases![
    events_come_one_by_one,
    a_subscriber_who_leaves_is_let_go,
    a_web_socket_speaks_both_ways,
    an_upgrade_that_the_app_does_not_take,
    a_body_of_unknown_length,
    a_large_upload,
    a_large_download,
    slow_readers_cost_nothing,
    early_hints_are_not_the_answer,
    the_app_sees_that_the_client_has_gone on Native,
    trailers_do_no_harm on Native,
];

/// The most that the gateway may hold while it does all that at once. Debug build, and what other cases have put into its cache included.
const MEMORY: u64 = 64 << 20;

/// What the Worker's WASM may grow by while 160 MB pass: other cases, which run at the same time, may make it grow by their heads.
/// What a body takes there it keeps for good, so a body that went through it would show.
const WASM_GROWTH: u64 = 4 << 20;

async fn events_come_one_by_one(site: &Site) {
    let started = Instant::now();
    let mut response = site.get("/api/sync/subscribe?app_id=a").send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    for sequence in 1..=2 {
        let event = format!("\"sequence\":{sequence},");
        while !text.contains(&event) {
            let chunk = response.chunk().await.expect("an open stream").expect("no end");
            text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
        // The stream has no end, so an event that comes is one that nobody held back; one comes each second.
        assert!(started.elapsed() < Duration::from_secs(3 * sequence), "{text}");
        assert!(!text.contains(&format!("\"sequence\":{},", sequence + 1)), "{text}");
    }
}

async fn a_subscriber_who_leaves_is_let_go(site: &Site) {
    let mut response = site.get("/api/sync/subscribe?app_id=a").send().await.expect("an answer");
    let id = response.headers()["x-request-id"].to_str().expect("ASCII").to_owned();
    assert!(response.chunk().await.expect("an open stream").is_some());
    assert!(site.stack.gateway.find(|line| line["request.id"] == id.as_str()).is_none(), "the gateway has ended it");
    drop(response);
    // Its line is written when the gateway lets go of the app's connection.
    let line = site.gateway_line(&id);
    assert!(line["http.response.body.bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{line}");
}

async fn a_web_socket_speaks_both_ways(site: &Site) {
    let url = format!("ws://{}/ws", site.address());
    let (mut socket, response) = tokio_tungstenite::connect_async(&url).await.expect("a WebSocket");
    assert_eq!(response.status(), 101);
    for text in ["hello", "", "f\u{fc}nf \u{1f980}"] {
        socket.send(Message::text(text)).await.expect("an open socket");
        let answer = socket.next().await.expect("an answer").expect("a message");
        assert_eq!(answer, Message::text(format!("You said: {text}")));
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    socket.send(Message::binary(bytes.clone())).await.expect("an open socket");
    assert_eq!(socket.next().await.expect("an answer").expect("a message"), Message::binary(bytes));
    socket.close(None).await.expect("an open socket");
    let rest: Vec<_> = socket.collect().await;
    assert!(matches!(rest.as_slice(), [Ok(Message::Close(_))]), "{rest:?}");
}

async fn an_upgrade_that_the_app_does_not_take(site: &Site) {
    let url = format!("ws://{}/no/such/socket", site.address());
    match tokio_tungstenite::connect_async(&url).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => assert_eq!(response.status(), 404),
        other => panic!("{other:?}"),
    }
    // Without asking for an upgrade, the app says what it misses.
    let plain = site.fetch("/ws").await;
    assert!((400..500).contains(&plain.status), "{}", plain.head());
}

async fn a_body_of_unknown_length(site: &Site) {
    let answer = site.fetch("/bytes/300001?chunked").await;
    assert_eq!((answer.field("content-length"), answer.body.len()), ("", 300_001));
    assert!(answer.body.iter().zip((0..251u8).cycle()).all(|(got, want)| *got == want));
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

/// Watches memory from now on; says the most that it saw, in bytes.
struct Watch {
    most: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    fn gateway(site: &Site) -> Self {
        let most = Arc::new(AtomicU64::new(0));
        let (pid, seen) = (site.stack.gateway.pid(), Arc::clone(&most));
        let task = tokio::spawn(async move {
            loop {
                seen.fetch_max(resident(pid), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        Self { most, task }
    }

    #[track_caller]
    fn assert_small(self) {
        self.task.abort();
        let most = self.most.load(Ordering::Relaxed);
        assert!(most > 0 && most < MEMORY, "the gateway held {} MiB", most >> 20);
        println!("the gateway held {} MiB at most", most >> 20);
    }
}

/// Bytes of WASM memory, as the Worker's log says.
async fn wasm(site: &Site) -> u64 {
    match site.host {
        Host::Native => 0,
        Host::Worker => {
            let id = site.fetch("/echo").await.id().to_owned();
            site.worker_line(&id).await["wasm.memory_bytes"].as_u64().expect("a number")
        }
    }
}

#[derive(Deserialize)]
struct Receipt {
    bytes: u64,
    sha256: String,
}

async fn a_large_upload(site: &Site) {
    const CHUNK: u64 = 65_536;
    const CHUNKS: u64 = 480;
    let chunk = |n: u64| demo::pattern(n * CHUNK, CHUNK);
    let mut digest = Sha256::new();
    (0..CHUNKS).for_each(|n| digest.update(chunk(n)));
    let digest = hex(&digest.finalize());
    let (watch, before) = (Watch::gateway(site), wasm(site).await);
    for length in [Some(CHUNK * CHUNKS), None] {
        let body = Body::wrap_stream(stream::iter((0..CHUNKS).map(move |n| Ok::<_, std::io::Error>(chunk(n)))));
        let mut request = site.post("/api/upload").body(body);
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let answer = send(request).await;
        let receipt: Receipt = answer.json();
        assert_eq!((receipt.bytes, receipt.sha256.as_str()), (CHUNK * CHUNKS, digest.as_str()), "{length:?}");
    }
    watch.assert_small();
    assert_flat(before, wasm(site).await);
}

async fn a_large_download(site: &Site) {
    const LENGTH: u64 = 100_000_000;
    let (watch, before) = (Watch::gateway(site), wasm(site).await);
    let mut response = site.get(&format!("/bytes/{LENGTH}")).send().await.expect("an answer");
    assert_eq!(response.content_length(), Some(LENGTH));
    let mut got = 0;
    while let Some(chunk) = response.chunk().await.expect("an unbroken body") {
        for part in chunk.chunks(65_536) {
            assert!(*part == *demo::pattern(got, part.len() as u64), "wrong bytes after {got}");
            got += part.len() as u64;
        }
    }
    assert_eq!(got, LENGTH);
    watch.assert_small();
    assert_flat(before, wasm(site).await);
}

#[track_caller]
fn assert_flat(before: u64, after: u64) {
    assert!(after <= before + WASM_GROWTH, "WASM memory grew from {before} to {after} bytes");
}

async fn slow_readers_cost_nothing(site: &Site) {
    let watch = Watch::gateway(site);
    let request = format!("GET /bytes/50000000 HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", site.address());
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(site.address()).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("an open connection");
        let mut first = [0; 1024];
        stream.read_exact(&mut first).await.expect("a head");
        readers.push(stream);
    }
    // Time enough to take in all that anyone would take in.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(site.fetch("/echo").await.status, 200, "others are served meanwhile");
    let mut last = readers.pop().expect("a reader");
    drop(readers);
    let mut rest = Vec::new();
    last.read_to_end(&mut rest).await.expect("an unbroken body");
    let end = rest.len();
    assert!((50_000_000 - 1024..50_000_000).contains(&end), "{end}");
    watch.assert_small();
}

async fn early_hints_are_not_the_answer(site: &Site) {
    let answer = site.fetch("/misbehave/early-hints").await;
    assert_eq!((answer.status, answer.text()), (200, "the final answer\n"));
    assert_eq!(answer.all("link").count(), 0, "{}", answer.head());
}

async fn the_app_sees_that_the_client_has_gone(site: &Site) {
    let app = App::start().await;
    let own = Own::start(site, &format!("[[site]]\nhosts = [\"*\"]\napp = \"{}\"", app.address()));
    let answer = tokio::spawn(own.get("/events").send());
    let mut got = app.request().await;
    got.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n6\r\ndata:\n\r\n")
        .await;
    let mut response = answer.await.expect("no panic").expect("an answer");
    assert_eq!(response.chunk().await.expect("an open stream").as_deref(), Some(&b"data:\n"[..]));
    drop(response);
    got.hung_up().await;
}

async fn trailers_do_no_harm(site: &Site) {
    let app = App::start().await;
    let own = Own::start(site, &format!("[[site]]\nhosts = [\"*\"]\napp = \"{}\"", app.address()));
    let answer = tokio::spawn(send(own.get("/trailers")));
    let mut got = app.request().await;
    got.say("HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n")
        .await;
    let answer = answer.await.expect("no panic");
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(own.line(answer.id())["http.response.cut"], false);
}
