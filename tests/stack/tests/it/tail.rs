//! `wrangler tail`, the real one, at a double of Cloudflare's end of it; and what `origin explain` makes of what it prints.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::SinkExt as _;
use serde_json::json;
use stack::toolchain::Toolchain;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::site::Site;

cases![what_wrangler_prints_is_explained on Worker];

/// Cloudflare's API for tails, and the socket to which it sends: each event, and then the end.
async fn cloudflare(listener: TcpListener, events: Vec<String>) {
    let address = listener.local_addr().expect("an address");
    loop {
        let (mut stream, _) = listener.accept().await.expect("it listens");
        let mut start = [0; 4];
        // Enough to see the method.
        while stream.peek(&mut start).await.expect("it says something") < start.len() {}
        if &start == b"GET " {
            send(stream, &events).await;
            continue;
        }
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a head"));
        }
        let head = String::from_utf8_lossy(&head);
        let right = head
            .starts_with("POST /client/v4/accounts/an-account/workers/scripts/makenotwork-edge/tails HTTP/1.1\r\n")
            || head.starts_with("DELETE /client/v4/accounts/an-account/workers/scripts/makenotwork-edge/tails/one ");
        assert!(right && head.to_ascii_lowercase().contains("authorization: bearer a-token"), "{head}");
        let result = json!({ "id": "one", "url": format!("ws://{address}/one"), "expires_at": "2099-01-01T00:00:00Z" });
        let body = json!({ "success": true, "errors": [], "messages": [], "result": result }).to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.expect("it reads");
    }
}

#[expect(clippy::result_large_err, reason = "the library's type")]
async fn send(stream: TcpStream, events: &[String]) {
    let version = |request: &Request, mut response: Response| {
        assert_eq!(request.headers()["sec-websocket-protocol"], "trace-v1");
        response.headers_mut().insert("sec-websocket-protocol", "trace-v1".parse().expect("a value"));
        Ok(response)
    };
    let mut socket = tokio_tungstenite::accept_hdr_async(stream, version).await.expect("a WebSocket");
    for event in events {
        socket.send(Message::binary(event.clone().into_bytes())).await.expect("it reads");
    }
    // With the code that says that all is well.
    let code = tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode::Normal;
    let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame { code, reason: "".into() };
    socket.close(Some(frame)).await.expect("open");
}

/// What Cloudflare sends of a request (developers.cloudflare.com, "Tail Workers", `TraceItem`).
fn event(path: &str, line: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    json!({
        "scriptName": "makenotwork-edge",
        "outcome": "ok",
        "eventTimestamp": now,
        "event": { "request": { "url": format!("https://makenot.work{path}"), "method": "GET", "headers": {}, "cf": {} }, "response": { "status": 200 } },
        "logs": [{ "message": [line], "level": "log", "timestamp": now }],
        "exceptions": [],
        "diagnosticsChannelEvents": [],
    })
    .to_string()
}

async fn what_wrangler_prints_is_explained(site: &Site) {
    let blocked = site.fetch("/.env").await;
    let other = site.fetch("/echo").await;
    let mut events = Vec::new();
    for (answer, path) in [(&other, "/echo"), (&blocked, "/.env")] {
        events.push(event(path, &site.worker_line(answer.field("x-request-id")).await.to_string()));
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let api = format!("http://{}/client/v4", listener.local_addr().expect("an address"));
    let root = Toolchain::workspace();
    let say = |line: &str| println!("{line}");
    // With the Node that it needs.
    let toolchain = tokio::task::block_in_place(|| Toolchain::prepare(&root, &say)).expect("it was prepared before");
    let mut tail = Command::new(root.join("node_modules/.bin/wrangler"));
    tail.env("PATH", toolchain.path());
    tail.args(["tail", "--env", "", "--format", "json", "--config"])
        .arg(root.join("wrangler.toml"))
        .envs([("CLOUDFLARE_API_BASE_URL", api.as_str()), ("CLOUDFLARE_API_TOKEN", "a-token")])
        .envs([("CLOUDFLARE_ACCOUNT_ID", "an-account"), ("WRANGLER_SEND_METRICS", "false")])
        .envs([("WRANGLER_HIDE_BANNER", "true"), ("CLOUDFLARE_CF_FETCH_ENABLED", "false")])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let printed = tokio::select! {
        printed = tokio::time::timeout(Duration::from_secs(60), tail.output()) => printed.expect("it ends").expect("it runs"),
        () = cloudflare(listener, events) => unreachable!("it goes on"),
    };
    let text = String::from_utf8_lossy(&printed.stdout);
    assert!(text.contains(".env"), "{text}{}", String::from_utf8_lossy(&printed.stderr));

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tail.json");
    std::fs::write(&file, &printed.stdout).expect("written");
    let id = blocked.field("x-request-id");
    let origin = tokio::task::block_in_place(|| stack::gateway::build(&root, &say)).expect("it was built before");
    let mut explain = Command::new(origin);
    let told = explain.args(["explain", id, "--log"]).arg(&file).output().await.expect("it runs");
    let said = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{said}{}", String::from_utf8_lossy(&told.stderr));
    assert!(
        said.contains("/.env") && said.contains("At the Worker: answered 4") && said.contains("The filter's rule"),
        "{said}"
    );
    assert!(!said.contains(other.field("x-request-id")) && said.contains("the Worker answered by itself"), "{said}");
}
