//! Upload routes, before an app and a storage that behave as a test wants.

use serde_json::{Value, json};

use crate::app::Script;
use crate::gateway::{Gateway, assert_problem};

/// A gateway with a route, and a bucket whose storage is not there.
fn before(script: &Script) -> (Gateway, tempfile::TempDir) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, "READER:0123456789abcdef0123456789abcdef").expect("written");
    let config = format!(
        "[storage]\nattempt = \"500ms\"\nwithin = \"1s\"\n[upload.works]\npath = \"/u\"\nsize = \"1MiB\"\n\
         [bucket.files]\nurl = \"http://127.0.0.1:1/files\"\ncredentials_file = {key:?}\nprefixes = [\"in\"]"
    );
    (Gateway::before(&script.app(), &config), folder)
}

fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\naccept: application/json\r\ncookie: session=1\r\nupload-wish: size=1\r\nrange: bytes=0-1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn wish() -> Value {
    json!({ "name": "Fünf.wav", "type": "audio/wav", "size": 7 })
}

/// The JSON of an answer.
fn said(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").expect(answer);
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
}

#[tokio::test]
async fn the_app_is_asked_in_the_clients_name() {
    let script = Script::new().await;
    let (gateway, _folder) = before(&script);
    let app = async {
        let mut line = script.accept().await;
        let head = line.head().await;
        line.say(
            "HTTP/1.1 204 No Content\r\nupload-grant: files;prefix=\"in/1/\";type=\"audio/*\"\r\nset-cookie: session=2\r\nconnection: close\r\n\r\n",
        )
        .await;
        head
    };
    let request = post("/u", &wish());
    let (answer, head) = tokio::join!(gateway.say(&request), app);
    assert!(head.starts_with("POST /u/authorize HTTP/1.1\r\n"), "{head}");
    for line in
        ["cookie: session=1", "upload-wish: size=7, type=\"audio/wav\", name=%\"F%c3%bcnf.wav\"", "content-length: 0"]
    {
        assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line}: {head}");
    }
    assert!(!head.contains("content-type") && !head.contains("range:") && !head.contains("size=1\r\n"), "{head}");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("set-cookie: session=2\r\n"), "{answer}");
    assert!(!answer.contains("upload-grant"), "{answer}");
    let begun = said(&answer);
    let fields = begun["form"]["fields"].as_array().expect("fields");
    let key = fields.iter().find(|field| field[0] == "key").and_then(|field| field[1].as_str()).expect("a key");
    assert!(key.len() == 5 + 32 && key.starts_with("in/1/"), "{key}");

    // Whether it is there nobody can say: the client is told, and the app is not.
    let answer = gateway.say(&post("/u/complete", &json!({ "upload": begun["upload"] }))).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(said(&answer)["code"].as_str().is_some_and(|code| code.starts_with("storage-")), "{answer}");
    assert!(!answer.contains("127.0.0.1"), "{answer}");
    assert!(script.is_left_alone(std::time::Duration::from_millis(100)).await);
}

#[tokio::test]
async fn what_else_the_app_says_is_the_clients_answer() {
    let script = Script::new().await;
    let (gateway, _folder) = before(&script);
    let ask = async |reply: &str| {
        let app = async {
            let mut line = script.accept().await;
            line.head().await;
            line.say(format!("HTTP/1.1 {reply}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")).await;
        };
        let request = post("/u", &wish());
        tokio::join!(gateway.say(&request), app).0
    };
    let answer = ask("303 See Other\r\nlocation: /sign-in").await;
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("location: /sign-in\r\n"), "{answer}");
    for grant in [
        "200 OK\r\nupload-grant: files",
        "200 OK\r\nupload-grant: other;key=\"in/a\"",
        "200 OK\r\nupload-grant: files;key=\"out/a\"",
        "200 OK\r\nupload-grant: files;key=\"in/../a\"",
        "200 OK\r\nupload-grant: files;key=\"in/a\"\r\nupload-grant: files;key=\"in/b\"",
        "403 Forbidden\r\nupload-grant: files;key=\"in/a\"",
    ] {
        assert_problem(&ask(grant).await, 502, "handoff-refused");
    }
    let answer = ask("200 OK\r\nupload-grant: files;key=\"in/a\";size=6").await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("6 bytes are the most"), "{answer}");
    let answer = ask("200 OK\r\nupload-grant: files;key=\"in/a\";type=\"image/png\"").await;
    assert!(answer.starts_with("HTTP/1.1 415") && answer.contains("image/png"), "{answer}");
    // Past the route's own bound, or past what anyone may say, nobody is asked.
    let large = json!({ "name": "a", "type": "audio/wav", "size": 2 << 20 });
    assert!(gateway.say(&post("/u", &large)).await.starts_with("HTTP/1.1 413"));
    let long = json!({ "name": "a".repeat(70_000), "type": "audio/wav", "size": 1 });
    assert!(gateway.say(&post("/u", &long)).await.starts_with("HTTP/1.1 413"));
    assert!(script.is_left_alone(std::time::Duration::from_millis(100)).await);
}
