//! What is purged is not served any more, or served once more and asked for anew.

use std::process::Command;

use crate::app::Script;
use crate::gateway::{Gateway, get};
use crate::process::Place;

const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"";

async fn answered(script: &Script, body: &str) {
    let mut line = script.accept().await;
    line.head().await;
    let length = body.len();
    line.say(format!(
        "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncache-tag: t, u\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
    .await;
}

/// Stores `/page` anew.
async fn store(script: &Script, gateway: &Gateway, body: &str) {
    let (answer, ()) = tokio::join!(gateway.get("/page?a=1"), answered(script, body));
    assert!(answer.ends_with(body), "{answer}");
    let hit = gateway.get("/page?a=1").await;
    assert!(hit.contains("gateway; hit; ttl=") && hit.ends_with(body), "{hit}");
}

async fn purge(gateway: &Gateway, json: &str) -> String {
    let length = json.len();
    gateway
        .say_admin(&format!(
            "POST /purge HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{json}"
        ))
        .await
}

#[tokio::test]
async fn every_scope_hard_and_soft() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), ADMIN);
    store(&script, &gateway, "first").await;
    let mut last = 0;
    for scope in [
        r#""url": ["http://A/x/../page?a=1"]"#,
        r#""prefix": ["http://a/pa"]"#,
        r#""tag": ["none", "u"]"#,
        r#""all": true"#,
    ] {
        let other = purge(
            &gateway,
            r#"{"url": ["http://a/page", "http://b/page?a=1"], "prefix": ["https://a/"], "tag": ["a"]}"#,
        )
        .await;
        assert!(other.contains("\"scopes\":4"), "{other}");
        assert!(gateway.get("/page?a=1").await.contains("hit"), "{scope}");
        // Softly: answered at once, and asked for meanwhile.
        let done = purge(&gateway, &format!("{{{scope}, \"soft\": true}}")).await;
        assert!(done.starts_with("HTTP/1.1 200"), "{done}");
        let (stale, ()) = tokio::join!(gateway.get("/page?a=1"), answered(&script, "soft"));
        assert!(stale.contains("detail=purged"), "{stale}");
        let until = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !gateway.get("/page?a=1").await.ends_with("soft") {
            assert!(std::time::Instant::now() < until, "{scope} is not asked for anew");
        }
        let done = purge(&gateway, &format!("{{{scope}}}")).await;
        let sequence: u64 = done
            .split("\"sequence\":")
            .nth(1)
            .expect(&done)
            .split(',')
            .next()
            .expect("a number")
            .parse()
            .expect("a number");
        assert!(sequence > last);
        last = sequence;
        store(&script, &gateway, "hard").await;
    }
}

/// An answer that was asked for before a purge and comes after it is not served to those who ask after it.
#[tokio::test]
async fn what_was_on_its_way_is_purged_too() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), ADMIN);
    let asked = async {
        let mut line = script.accept().await;
        line.head().await;
        assert!(purge(&gateway, r#"{"tag": ["t"]}"#).await.starts_with("HTTP/1.1 200"));
        line.say("HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncache-tag: t\r\nconnection: close\r\ncontent-length: 3\r\n\r\nold").await;
    };
    let (old, ()) = tokio::join!(gateway.get("/page"), asked);
    assert!(old.ends_with("old"));
    let (new, ()) = tokio::join!(gateway.get("/page"), answered(&script, "new"));
    assert!(new.ends_with("new"), "{new}");
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), ADMIN);
    for (json, said) in [
        ("", "no such JSON"),
        ("{}", "at least one of url, prefix, tag or all"),
        (r#"{"urls": []}"#, "unknown field `urls`"),
        (r#"{"url": ["/page"]}"#, "as in https://makenot.work/c/mira"),
        (r#"{"tag": ["a b"]}"#, "one word"),
    ] {
        let answer = purge(&gateway, json).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains(said) && answer.contains("purge-refused"),
            "{answer}"
        );
    }
    assert!(gateway.ask_admin("GET", "/purge").await.starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn from_the_command_line() {
    let script = Script::new().await;
    let place = Place::new();
    let socket = place.path("admin.sock");
    place.configure(
        &format!("listen.http = [\"127.0.0.1:0\"]\nlisten.cores = 1\n[admin]\nlisten = \"unix:{}\"", socket.display()),
        script.address(),
    );
    let running = place.start();
    let serving = running.serving(0).await;
    let origin = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_origin"))
            .arg("purge")
            .args(arguments)
            .arg("--config")
            .arg(place.path("origin.toml"))
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), said)
    };
    let at = serving.at("http");
    let say = async |path: &str| {
        let mut stream = tokio::net::TcpStream::connect(at).await.expect("it listens");
        tokio::io::AsyncWriteExt::write_all(&mut stream, get(path).as_bytes()).await.expect("open");
        crate::gateway::rest(&mut stream).await
    };
    tokio::join!(say("/page"), answered(&script, "old"));
    assert!(say("/page").await.contains("hit"));
    let (code, said) = origin(&["--tag", "t", "--url", "http://b/"]);
    assert!(code == Some(0) && said.contains("2 purged"), "{said}");
    let (new, ()) = tokio::join!(say("/page"), answered(&script, "new"));
    assert!(new.ends_with("new"), "{new}");
    let (code, said) = origin(&["--url", "/page"]);
    assert!(code == Some(2) && said.contains("with scheme and host"), "{said}");
    assert_eq!(origin(&[]).0, Some(2));
    drop(running);
}
