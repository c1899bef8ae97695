//! The page for people, what keeps it up to date, and the past.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::apps::app;
use super::{read, request, until};
use crate::app::{OK, Script};
use crate::gateway::Gateway;
use crate::process::{Place, send};

/// What has been outlives a restart and a reload; a broken file does not keep the gateway from starting.
#[tokio::test]
async fn the_past_is_kept() {
    let (place, state) = (Place::new(), TempDir::new().expect("a folder"));
    let config = format!(
        "listen.http = [\"127.0.0.1:0\"]\nlisten.cores = 1\nhealth = {{}}\n[state]\nfolder = {:?}\n[probe.app]\nkind = \"app\"\nhost = \"*\"\nevery = \"1s\"\n",
        state.path()
    );
    // Nobody listens there.
    place.configure(&config, "127.0.0.1:1".parse().expect("an address"));
    let history = state.path().join("health.redb");
    let ask = async |address: std::net::SocketAddr| {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request("").as_bytes()).await.expect("written");
        read(&crate::gateway::rest(&mut stream).await).1
    };
    let first_seen = async |address: std::net::SocketAddr| {
        let began = Instant::now();
        loop {
            let health = ask(address).await;
            if let Some(from) = health["incidents"][0]["from"].as_str() {
                return from.to_owned();
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{health:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let gateway = place.start();
    let serving = gateway.serving(0).await;
    let from = first_seen(serving.at("http")).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    send(serving.pid(), Signal::HUP);
    let next = gateway.serving(1).await;
    let began = Instant::now();
    // The process before has kept what it saw when it drained; the new one reads that with its first writing.
    while first_seen(next.at("http")).await != from {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    send(next.pid(), Signal::TERM);
    let began = Instant::now();
    while !crate::process::command_line(next.pid()).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(gateway);

    let gateway = place.start();
    let serving = gateway.serving(0).await;
    let began = Instant::now();
    while first_seen(serving.at("http")).await != from {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(gateway);

    std::fs::write(&history, "no database").expect("written");
    let gateway = place.start();
    let serving = gateway.serving(0).await;
    assert_ne!(first_seen(serving.at("http")).await, from, "the past is gone");
    assert_eq!(std::fs::read_to_string(state.path().join("health.broken")).expect("moved aside"), "no database");
}

/// The page for people: only where it is wanted; it loads nothing, and as many as may have it kept up to date.
#[tokio::test]
async fn people_have_a_page() {
    let (script, without) = (Script::new().await, Script::new().await);
    let (says, said) = watch::channel(true);
    let address = script.app();
    app(script, said);
    let probe = "[probe.app]\nkind = \"app\"\nhost = \"*\"\npath = \"/healthz\"\nservice = \"The <app>\"\nevery = \"1s\"\nwithin = \"300ms\"\n";
    let gateway = Gateway::before(&address, &format!("health.subscribers = 1\n{probe}"));
    until(&gateway, "", |_, health| !health["checked_at"].is_null()).await;
    let page = gateway.get("/health").await;
    let (head, body) = page.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("\r\ncache-control: no-store"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'; style-src 'sha256-"), "{head}");
    assert!(body.contains("<h1>Everything works</h1>") && body.contains("The &#60;app&#62;"), "{body}");
    // A site of any host is called as it was asked for; what is no name does not get there, and nothing of it is markup.
    assert!(body.contains("<title>Operational · Status of a</title>"), "{body}");
    let other = gateway.say("GET /health HTTP/1.1\r\nhost: Status.Example:8443\r\nconnection: close\r\n\r\n").await;
    assert!(other.contains("<title>Operational · Status of Status.Example</title>"), "{other}");
    let markup = gateway.say("GET /health HTTP/1.1\r\nhost: <b>x</b>\r\nconnection: close\r\n\r\n").await;
    assert!(!markup.contains("<b>x</b>"), "{markup}");
    for outside in ["src=", "@import", "url(", "http://", "https://", " style=", "onload="] {
        assert!(!body.contains(outside), "{outside}: {body}");
    }

    let ask = "GET /health/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut stream = gateway.connect().await;
    stream.write_all(ask.as_bytes()).await.expect("written");
    let mut heard = Heard::of(stream);
    heard.until("<h1>Everything works</h1>").await;
    assert!(
        heard.all.contains("content-type: text/event-stream") && heard.all.contains("event: status\n"),
        "{}",
        heard.all
    );
    let second = gateway.say(ask).await;
    assert!(second.starts_with("HTTP/1.1 503 ") && second.contains("retry-after: 60"), "{second}");
    says.send_replace(false);
    heard.until("<h1>The site has trouble</h1>").await;
    assert!(gateway.get("/health").await.starts_with("HTTP/1.1 503 "));
    drop(heard);
    // The place is free again.
    let began = Instant::now();
    loop {
        let mut stream = gateway.connect().await;
        stream.write_all(ask.as_bytes()).await.expect("written");
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.expect("an answer");
        if &first == b"HTTP/1.1 200" {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Without the section it is a path of the app.
    let plain = Gateway::before(&without.app(), "");
    let app = async {
        let mut line = without.accept().await;
        assert!(line.head().await.starts_with("GET /health "));
        line.say(OK).await;
    };
    let (answer, ()) = tokio::join!(plain.get("/health"), app);
    assert!(answer.ends_with("ok"), "{answer}");
}

/// A drain ends the page's events as a stream ends, soon and whole, so that browsers ask again: they get the successor's.
#[tokio::test]
async fn events_end_with_a_drain() {
    let (app, place) = (Script::new().await, Place::new());
    let listen = "listen.http = [\"127.0.0.1:0\"]\nlisten.cores = 1\nhealth = {}\n";
    place.configure(listen, app.address());
    let mut gateway = place.start();
    let first = gateway.serving(0).await;
    let open = async |address: std::net::SocketAddr| {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(b"GET /health/events HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
        let mut heard = Heard::of(stream);
        heard.until("<h1>Everything works</h1>").await;
        heard
    };
    let whole = async |mut heard: Heard| {
        let began = Instant::now();
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), heard.stream.read_to_end(&mut rest)).await;
        read.expect("an end in time").expect("no reset");
        heard.all.push_str(&String::from_utf8_lossy(&rest));
        assert!(heard.all.ends_with("\r\n0\r\n\r\n"), "cut off: {}", heard.all);
        began.elapsed()
    };
    let heard = open(first.at("http")).await;
    send(first.pid(), Signal::HUP);
    let second = gateway.serving(1).await;
    println!("a reload: the events have ended after {:?}", whole(heard).await);
    let heard = open(second.at("http")).await;
    send(second.pid(), Signal::TERM);
    let took = whole(heard).await;
    println!("a stop: the events have ended after {took:?}");
    // Within a second, that not all come back at once, and the connection's own two.
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(gateway.ended().await, Some(0));
    let stopped = crate::process::eventually(|| (gateway.lines("stopped").len() == 2).then_some(())).await;
    assert!(stopped.is_some(), "something was cut off");
}

/// What a stream has said so far.
pub(super) struct Heard {
    stream: TcpStream,
    pub(super) all: String,
}

impl Heard {
    pub(super) const fn of(stream: TcpStream) -> Self {
        Self { stream, all: String::new() }
    }

    /// Hears on until this has been said, once more than before.
    pub(super) async fn until(&mut self, wanted: &str) {
        let before = self.all.len();
        while !self.all[before..].contains(wanted) {
            self.more().await;
        }
    }

    /// Hears some more.
    pub(super) async fn more(&mut self) {
        let mut bytes = vec![0; 64 << 10];
        let read = tokio::time::timeout(Duration::from_secs(30), self.stream.read(&mut bytes)).await;
        let read = read.unwrap_or_else(|_| panic!("{}", self.all)).expect("a stream");
        assert!(read > 0, "it ends: {}", self.all);
        self.all.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
}
