//! What stays open: server-sent events, the WebSocket, and uploads.

use std::time::Duration;

use bytes::Bytes;
use demo::Options;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use reqwest::Body;
use serde_json::Value;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::{App, field};

/// Reads an event stream until it holds `count` times `needle`.
async fn read_until(mut response: reqwest::Response, needle: &str, count: usize) -> String {
    let mut text = String::new();
    let reading = async {
        while text.matches(needle).count() < count {
            let chunk = response.chunk().await.expect("a stream").expect("an endless one");
            text.push_str(str::from_utf8(&chunk).expect("UTF-8"));
        }
    };
    tokio::time::timeout(Duration::from_secs(5), reading).await.expect("events in time");
    text
}

#[tokio::test]
async fn the_feed_starts_at_once_and_counts() {
    let app = App::with(Options { sse_interval: Duration::from_millis(20), ..Options::default() }).await;
    let feed = app.fetch("/api/sync/subscribe?app_id=demo").await;
    assert_eq!((field(&feed, "content-type"), field(&feed, "cache-control")), ("text/event-stream", "no-store"));
    let text = read_until(feed, "\n\n", 3).await;
    let datas: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).expect("JSON"))
        .collect();
    assert_eq!([&datas[0]["sequence"], &datas[1]["sequence"], &datas[2]["sequence"]], [1, 2, 3]);
    assert!(datas[0]["time"].as_u64() > Some(1_600_000_000_000), "milliseconds since 1970");
    assert!(text.starts_with("event: changed\nid: 1\ndata: {"), "{text}");

    let resumed = app.get("/api/sync/subscribe?app_id=demo").header("Last-Event-ID", "41").send().await;
    let text = read_until(resumed.expect("an answer"), "\n\n", 1).await;
    assert!(text.contains("\"sequence\":42,"), "{text}");
    assert_eq!(app.fetch("/api/sync/subscribe").await.status(), 400);
}

#[tokio::test]
async fn a_quiet_feed_is_kept_alive() {
    let options =
        Options { sse_interval: Duration::from_secs(3600), keepalive: Duration::from_millis(20), ..Options::default() };
    let app = App::with(options).await;
    let text = read_until(app.fetch("/api/sync/subscribe?app_id=demo").await, ": keepalive\n\n", 2).await;
    assert_eq!(text.matches("event: changed").count(), 1, "{text}");
}

#[tokio::test]
async fn the_socket_says_back_what_it_hears() {
    let app = App::start().await;
    let (mut socket, _) = connect_async(format!("ws://{}/ws", app.address)).await.expect("a handshake");
    for (said, heard) in [
        (Message::text("grüezi"), Message::text("You said: grüezi")),
        (Message::binary(vec![0, 255]), Message::binary(vec![0, 255])),
    ] {
        socket.send(said).await.expect("sent");
        assert_eq!(socket.next().await.expect("an answer").expect("a message"), heard);
    }
    assert_ne!(app.fetch("/ws").await.status(), 200, "not without an upgrade");
}

#[tokio::test]
async fn uploads_are_counted_and_hashed_past_any_body_limit() {
    let app = App::start().await;
    // 3 MiB of zeros, chunked: more than axum's extractors take.
    let chunks = stream::iter((0..48).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 64 * 1024]))));
    let sent = app.post("/api/upload").body(Body::wrap_stream(chunks)).send().await.expect("an answer");
    assert_eq!(field(&sent, "cache-control"), "no-store");
    let digest: Value = sent.json().await.expect("JSON");
    assert_eq!(digest["bytes"], 3 * 1024 * 1024);
    assert_eq!(digest["sha256"], "bbd05cf6097ac9b1f89ea29d2542c1b7b67ee46848393895f5a9e43fa1f621e5");
    let empty: Value = app.post("/api/upload").send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(empty["bytes"], 0);
}
