//! Echo, bytes, the cache lab, webhooks and counts: what other tests stand on.

use std::time::Duration;

use demo::{Options, pattern};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UnixListener, UnixStream},
};

use crate::{App, field};

#[tokio::test]
async fn echo_says_what_arrived_as_it_arrived() {
    let app = App::start().await;
    let mut socket = TcpStream::connect(app.address).await.expect("a connection");
    let request = "PROPFIND /echo/a%2fb//c?x=%20&y HTTP/1.1\r\nHost: h\r\nZebra: 1\r\nAlpha: \u{fc}\r\nZebra: 2\r\n\
                   Content-Length: 3\r\nConnection: close\r\n\r\nabc";
    let request: Vec<u8> = request.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
    socket.write_all(&request).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("cache-control: no-store"), "{head}");
    let echo: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(
        (&echo["method"], &echo["target"], &echo["version"]),
        (&"PROPFIND".into(), &"/echo/a%2fb//c?x=%20&y".into(), &"HTTP/1.1".into())
    );
    let names: Vec<_> = echo["headers"].as_array().expect("a list").iter().map(|pair| pair[0].as_str()).collect();
    assert_eq!(names, ["host", "zebra", "zebra", "alpha", "content-length", "connection"].map(Some));
    assert_eq!(echo["body_bytes"], 3);
    assert_eq!(echo["body_sha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[tokio::test]
async fn bytes_come_with_or_without_their_length() {
    let app = App::start().await;
    for (query, length, cache) in [
        ("", "200000", ""),
        ("?chunked", "", ""),
        ("?cache&chunked", "", "public, max-age=60"),
        ("?cachet", "200000", ""),
    ] {
        let answer = app.fetch(&format!("/bytes/200000{query}")).await;
        assert_eq!((field(&answer, "content-length"), field(&answer, "cache-control")), (length, cache), "{query}");
        let bytes = answer.bytes().await.expect("a body");
        assert_eq!(bytes.len(), 200_000);
        assert_eq!(bytes.slice(131_072..131_172), pattern(131_072, 100));
    }
    assert_eq!(app.fetch("/bytes/-1").await.status(), 400);
}

#[tokio::test]
async fn the_cache_lab_sends_exactly_what_was_asked_for() {
    let app = App::start().await;
    let bare = app.fetch("/cache").await;
    let mut names: Vec<_> = bare.headers().keys().map(ToString::to_string).collect();
    names.sort();
    assert_eq!(names, ["content-length", "content-type", "date", "demo-render"]);
    let path = "/cache?cc=public,%20max-age=5&cc=x&cdn-cc=no-store&status=203&vary=A&vary=&etag=%22a%22&tag=t&set-cookie=s=1\
                &header=Surrogate-Key:%20k&body=hi";
    for number in ["1", "2"] {
        let answer = app.fetch(path).await;
        assert_eq!((answer.status().as_u16(), field(&answer, "demo-render")), (203, number));
        let controls: Vec<_> = answer.headers().get_all("cache-control").iter().collect();
        assert_eq!(controls, ["public, max-age=5", "x"]);
        for (name, value) in [
            ("cdn-cache-control", "no-store"),
            ("vary", "A"),
            ("etag", "\"a\""),
            ("cache-tag", "t"),
            ("set-cookie", "s=1"),
            ("surrogate-key", "k"),
        ] {
            assert_eq!(field(&answer, name), value);
        }
        assert_eq!(answer.text().await.expect("a body"), "hi");
    }
    for bad in ["status=99", "status=100", "status=x", "header=nocolon", "header=b%20ad:x", "cc=a%0Ab"] {
        assert_eq!(app.fetch(&format!("/cache?{bad}")).await.status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn the_cache_lab_revalidates() {
    let app = App::start().await;
    let path = "/cache?etag=W/%22a%22&last-modified=Mon,%2001%20Jan%202024%2000:00:00%20GMT&cc=max-age=1";
    let since = "Mon, 01 Jan 2024 00:00:00 GMT";
    let with = async |fields: &[(&str, &str)]| {
        let request = fields.iter().fold(app.get(path), |request, (name, value)| request.header(*name, *value));
        request.send().await.expect("an answer")
    };
    assert_eq!(with(&[("if-none-match", "\"a\"")]).await.status(), 304);
    assert_eq!(with(&[("if-none-match", "\"b\"")]).await.status(), 200);
    assert_eq!(with(&[("if-modified-since", since)]).await.status(), 304);
    assert_eq!(with(&[("if-none-match", "\"b\""), ("if-modified-since", since)]).await.status(), 200);
    let held = with(&[("if-none-match", "W/\"a\"")]).await;
    assert_eq!((field(&held, "cache-control"), field(&held, "demo-render")), ("max-age=1", "5"));
}

#[tokio::test]
async fn webhooks_keep_the_exact_bytes_and_no_credentials() {
    let app = App::start().await;
    let body = b"{\"id\":  \"evt_1\"}\r\n\xff".to_vec();
    let request = app.post("/webhooks/stripe").header("Stripe-Signature", "t=1,v1=ab").body(body);
    let receipt: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!((&receipt["received"], &receipt["bytes"]), (&true.into(), &19.into()));
    let request = app.post("/webhooks/postmark").basic_auth("user", Some("hunter2")).body("{}");
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    let large = app.post("/webhooks/stripe").body(vec![0; 256 * 1024 + 1]).send().await.expect("an answer");
    assert_eq!(large.status(), 413);

    let list = app.fetch("/webhooks/received").await.text().await.expect("JSON");
    assert!(!list.contains("hunter2") && !list.contains("dXNlcjpodW50ZXIy"), "{list}");
    let list: Value = serde_json::from_str(&list).expect("JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    assert_eq!((&list[0]["sender"], &list[0]["length"]), (&"stripe".into(), &19.into()));
    assert_eq!(
        (&list[0]["body_base64"], &list[0]["body_text"]),
        (&"eyJpZCI6ICAiZXZ0XzEifQ0K/w==".into(), &Value::Null)
    );
    assert_eq!((&list[1]["sender"], &list[1]["body_text"]), (&"postmark".into(), &"{}".into()));
    let headers = app.demo.received()[1].headers.clone();
    assert!(headers.contains(&["authorization".to_owned(), "(withheld)".to_owned()]), "{headers:?}");
}

#[tokio::test]
async fn counts_are_by_pattern_and_can_be_reset() {
    let app = App::start().await;
    for path in ["/c/mira", "/c/yuki", "/c/nobody", "/nope", "/misbehave/status/503", "/counts"] {
        app.fetch(path).await;
    }
    let counts = app.demo.counts();
    assert_eq!(
        counts.into_iter().collect::<Vec<_>>(),
        [("(none)".to_owned(), 1), ("/c/{slug}".to_owned(), 3), ("/misbehave/status/{code}".to_owned(), 1)]
    );
    let over_http: Value = app.fetch("/counts").await.json().await.expect("JSON");
    assert_eq!(over_http["/c/{slug}"], 3);
    assert_eq!(app.post("/counts/reset").send().await.expect("an answer").status(), 204);
    assert!(app.demo.counts().is_empty());
}

#[tokio::test]
async fn it_also_listens_on_a_unix_socket_and_dies_at_once() {
    let path = std::env::temp_dir().join(format!("demo-it-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let task = tokio::spawn(demo::serve(UnixListener::bind(&path).expect("a socket"), Options::default()));
    let mut socket = UnixStream::connect(&path).await.expect("a connection");
    socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("sent");
    let mut answer = vec![0; 15];
    socket.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(answer, b"HTTP/1.1 200 OK");
    task.abort();
    let rest = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut answer)).await;
    assert!(rest.is_ok(), "the open connection outlived the server");
    std::fs::remove_file(&path).expect("the socket's file");
}

#[tokio::test]
async fn the_cache_lab_cuts_a_body_and_leaves_its_length_out() {
    let app = App::start().await;
    let answer = app.fetch("/cache?body=0123456789&cc=public,max-age=60&chunked").await;
    assert_eq!((field(&answer, "content-length"), field(&answer, "cache-control")), ("", "public,max-age=60"));
    assert_eq!(answer.text().await.expect("a whole body"), "0123456789");
    for (length, query) in [("10", "cut=9"), ("", "cut=9&chunked"), ("10", "cut=0")] {
        let answer = app.fetch(&format!("/cache?body=0123456789&{query}")).await;
        assert_eq!((answer.status().as_u16(), field(&answer, "content-length")), (200, length));
        assert!(answer.bytes().await.is_err(), "{query}: the body is whole");
    }
}
