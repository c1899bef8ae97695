//! What is purged is not served any more, or served once more and asked for anew.

use std::process::Command;

use crate::api::api;
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
        ("{}", "at least one of url, prefix, tag, object or all"),
        (r#"{"urls": []}"#, "unknown field `urls`"),
        (r#"{"url": ["/page"]}"#, "as in https://makenot.work/c/mira"),
        (r#"{"tag": ["a b"]}"#, "one word"),
        (r#"{"object": ["a"]}"#, "write ROLE/KEY"),
        (r#"{"object": ["files/a"]}"#, "there is no bucket `files`"),
    ] {
        let answer = purge(&gateway, json).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && answer.contains(said) && answer.contains("purge-refused"),
            "{answer}"
        );
    }
    assert!(gateway.ask_admin("GET", "/purge").await.starts_with("HTTP/1.1 405"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_zones_own_cache_is_purged_too() {
    const TOKEN: &str = "planted-token-of-forty-characters-0123456";
    let script = Script::new().await;
    let place = Place::new();
    let (url, call) = api(&place, "}").await;
    std::fs::write(place.path("token"), TOKEN).expect("written");
    let (socket, token, ca) = (place.path("admin.sock"), place.path("token"), place.path("api.pem"));
    let (socket, token, ca) = (socket.display(), token.display(), ca.display());
    place.configure(
        &format!(
            "listen.http = [\"127.0.0.1:0\"]\nlisten.cores = 1\n[admin]\nlisten = \"unix:{socket}\"\n[cloudflare]\n\
             zone = \"0123456789abcdef0123456789abcdef\"\ntoken_file = \"{token}\"\napi = \"{url}\"\nca = \"{ca}\""
        ),
        script.address(),
    );
    let running = place.start();
    running.serving(0).await;
    let file = place.path("origin.toml");
    let order = async |scope: &'static str, name: &'static str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_origin"));
        command.args(["purge", scope, name, "--config"]).arg(&file);
        let output = tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("no panic");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    const DONE: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"success\": true, \"errors\": []}";
    let ((code, said), asked) = tokio::join!(order("--prefix", "https://a/static/"), call(DONE));
    assert_eq!(code, Some(0), "{said}");
    let head = "POST /client/v4/zones/0123456789abcdef0123456789abcdef/purge_cache HTTP/1.1\r\n";
    assert!(asked.starts_with(head) && asked.ends_with("{\"prefixes\":[\"a/static/\"]}"), "{asked}");
    assert!(
        asked.contains(&format!("authorization: Bearer {TOKEN}\r\n")) && asked.contains("host: localhost:"),
        "{asked}"
    );
    for (answer, why) in [
        ("HTTP/1.1 429 Too Many Requests\r\nretry-after: 12\r\nconnection: close\r\n\r\n<html>", "again after 12 s"),
        (
            "HTTP/1.1 403 Forbidden\r\nconnection: close\r\n\r\n{\"success\": false, \"errors\": [{\"message\": \"no such zone\"}]}",
            "no such zone",
        ),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n<html>", "it does not say why"),
        ("", "Cloudflare can't be asked"),
    ] {
        let ((code, said), _) = tokio::join!(order("--tag", "t"), call(answer));
        assert!(code == Some(1) && said.contains("1 purged, but not in Cloudflare's") && said.contains(why), "{said}");
        assert!(!said.contains(TOKEN));
    }
    let message = "Cloudflare's cache of the zone was not purged";
    running.line(message, 3).await;
    assert!(!format!("{:?}", running.lines(message)).contains(TOKEN));
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
    let (code, said) = origin(&["purge", "--tag", "t", "--url", "http://b/"]);
    assert!(code == Some(0) && said.contains("2 purged"), "{said}");
    let (new, ()) = tokio::join!(say("/page"), answered(&script, "new"));
    assert!(new.ends_with("new"), "{new}");
    let (code, said) = origin(&["purge", "--url", "/page"]);
    assert!(code == Some(2) && said.contains("with scheme and host"), "{said}");
    assert_eq!(origin(&["purge"]).0, Some(2));
    let (code, said) = origin(&["purge", "--object", "user-files//tide.wav"]);
    assert!(code == Some(2) && said.contains("begins with a slash"), "{said}");
    let (code, said) = origin(&["purge", "--object", "user-files/tide.wav"]);
    assert!(code == Some(1) && said.contains("there is no bucket `user-files`"), "{said}");

    let (code, said) = origin(&["maintenance", "on", "--allow", "203.0.113.9/24", "--host", "A", "--retry", "10m"]);
    let told = "closed: a; let in: 203.0.113.0/24; visitors come back after 600 s";
    assert!(code == Some(0) && said.contains(told), "{said}");
    let closed = say("/page").await;
    assert!(closed.starts_with("HTTP/1.1 503") && closed.contains("retry-after: 600\r\n"), "{closed}");
    let (code, said) = origin(&["maintenance", "on", "--allow", "home"]);
    assert!(code == Some(2) && said.contains("`home` is no address or range"), "{said}");
    assert!(origin(&["maintenance", "status"]).1.contains(told));
    assert!(origin(&["maintenance", "off"]).1.ends_with("open\n"));
    assert!(say("/page").await.contains("hit"));

    let (code, said) = origin(&["block", "flood", "--path", "/pa*", "--address", "127.0.0.0/8", "--for", "1h"]);
    assert!(code == Some(0) && said.contains("rule flood block:403 path=/pa* address=127.0.0.0/8 ("), "{said}");
    let refused = say("/page").await;
    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("\"rule\":\"flood\""), "{refused}");
    for (arguments, why) in [
        (&["block", "all"][..], "matches every request"),
        (&["block", "A b", "--path", "/x"], "the name cannot be used"),
        (&["block", "a", "--address", "home"], "home"),
        (&["block", "a", "--path", "/x", "--status", "200"], "refuses nothing"),
        (&["unblock", "A b"], "no name of a rule"),
    ] {
        let (code, said) = origin(arguments);
        assert!(code == Some(2) && said.contains(why), "{said}");
    }
    let (code, said) = origin(&["block", "a", "--path", "/x", "--limit", "none"]);
    assert!(code == Some(1) && said.contains("there is no limit `none`"), "{said}");
    assert_eq!(origin(&["unblock", "other"]).0, Some(1));
    assert!(origin(&["blocks"]).1.contains("1 rule(s)\nrule flood block:403"));
    assert!(origin(&["unblock", "flood"]).1.contains("no rule"));
    assert!(say("/page").await.contains("hit"));
    drop(running);
}
