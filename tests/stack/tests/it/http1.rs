//! HTTP/1.1 as the public suites check servers and proxies: each row is what a client sends and what it must be answered.
//! RFC 9110 and 9112; on the gateway alone, over a real socket, before an app that echoes what it saw.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::answer::{Answer, Seen};
use crate::own::Own;
use crate::raw;
use crate::site::Site;

cases![
    request_lines on Native,
    fields on Native,
    lengths on Native,
    chunks on Native,
    sizes on Native,
    methods_of_ours on Native,
    answers_without_a_body on Native,
    http_1_0 on Native,
    answers_in_the_order_asked on Native,
    expectations on Native,
    connection_names_no_field_of_ours on Native,
    a_refusal_is_read_whatever_is_still_being_sent on Native,
];

/// The longest that a connection may take to answer and, where it must, to close.
const WITHIN: Duration = Duration::from_secs(10);

/// All that comes back, and whether the connection was closed then.
async fn say(address: SocketAddr, request: &[u8]) -> (String, bool) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let _ = stream.write_all(request).await;
    let mut all = Vec::new();
    let closed = tokio::time::timeout(WITHIN, stream.read_to_end(&mut all)).await.is_ok();
    (String::from_utf8_lossy(&all).into_owned(), closed)
}

/// Checks rows of request and status. What is refused as malformed ends its connection with one answer, which has a date.
async fn check(site: &Site, rows: &[(&str, &str, u16)]) {
    let address = site.address();
    let answers = rows.iter().map(|(_, request, _)| say(address, request.as_bytes()));
    let answers = futures_util::future::join_all(answers).await;
    let mut wrong = Vec::new();
    for ((what, request, status), (answer, closed)) in rows.iter().zip(answers) {
        let shown = || format!("{what}: {:?} → {:?}", cut(request), cut(&answer));
        let dated = answer.to_ascii_lowercase().matches("\r\ndate: ").count() == 1;
        let one = answer.matches("HTTP/1.1 ").count() == 1;
        if !answer.starts_with(&format!("HTTP/1.1 {status} ")) || !closed || !one || !dated {
            wrong.push(format!("{} (wanted {status}, closed: {closed}, dated: {dated})", shown()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

fn cut(text: &str) -> String {
    text.chars().take(300).collect()
}

/// A GET with these lines.
macro_rules! get {
    ($lines:literal) => {
        concat!("GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", $lines, "\r\n")
    };
}

/// A POST with these lines and this body.
macro_rules! post {
    ($lines:literal, $body:literal) => {
        concat!("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", $lines, "\r\n", $body)
    };
}

/// A request line, and what a sound request has else.
macro_rules! line {
    ($line:literal) => {
        concat!($line, "\r\nHost: a\r\nConnection: close\r\n\r\n")
    };
}

async fn request_lines(site: &Site) {
    check(
        site,
        &[
            ("origin-form", line!("GET /echo HTTP/1.1"), 200),
            ("a query", line!("GET /echo?a=b&c=%20 HTTP/1.1"), 200),
            ("absolute-form", line!("GET http://a/echo HTTP/1.1"), 200),
            ("absolute-form, scheme in capitals", line!("GET HTTP://a/echo HTTP/1.1"), 200),
            ("absolute-form of another host", line!("GET http://b/echo HTTP/1.1"), 400),
            ("absolute-form with user and password", line!("GET http://u:p@a/echo HTTP/1.1"), 400),
            ("absolute-form without a host", line!("GET http:///echo HTTP/1.1"), 400),
            ("authority-form without CONNECT", line!("GET a:80 HTTP/1.1"), 400),
            ("no form", line!("GET echo HTTP/1.1"), 400),
            ("asterisk-form without OPTIONS", line!("GET * HTTP/1.1"), 400),
            ("a method of nobody's", line!("PURPLE /echo HTTP/1.1"), 200),
            ("a method in small letters is another method", line!("get /echo HTTP/1.1"), 200),
            ("a method that is no token", line!("G(T /echo HTTP/1.1"), 400),
            ("no method", line!(" /echo HTTP/1.1"), 400),
            ("a fragment, which is dropped", line!("GET /echo#part HTTP/1.1"), 200),
            ("two spaces", line!("GET  /echo HTTP/1.1"), 400),
            ("a tab", line!("GET\t/echo HTTP/1.1"), 400),
            ("a space at the end", line!("GET /echo HTTP/1.1 "), 400),
            ("a space in the target", line!("GET /ec ho HTTP/1.1"), 400),
            ("an ü in the target", line!("GET /ü HTTP/1.1"), 400),
            ("NUL in the target", line!("GET /\0 HTTP/1.1"), 400),
            ("no version", line!("GET /echo"), 400),
            ("HTTP/0.9", "GET /echo\r\n\r\n", 400),
            ("HTTP/1.2", line!("GET /echo HTTP/1.2"), 400),
            ("HTTP/2.0", line!("GET /echo HTTP/2.0"), 400),
            ("HTTP/1.10", line!("GET /echo HTTP/1.10"), 400),
            ("a version in small letters", line!("GET /echo http/1.1"), 400),
            ("a version of letters", line!("GET /echo HTTP/a.b"), 400),
            ("another protocol", line!("GET /echo HTTQ/1.1"), 400),
            ("an empty line before", concat!("\r\n", line!("GET /echo HTTP/1.1")), 200),
            ("a bare line feed before", concat!("\n", line!("GET /echo HTTP/1.1")), 400),
            ("a line feed at the end of the line", "GET /echo HTTP/1.1\nHost: a\r\n\r\n", 400),
            ("a carriage return at the end of the line", "GET /echo HTTP/1.1\rHost: a\r\n\r\n", 400),
            ("a TLS handshake", "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\n", 400),
        ],
    )
    .await;
}

async fn fields(site: &Site) {
    check(
        site,
        &[
            ("a tab around a value", get!("X-A:\tb\t\r\n"), 200),
            ("no space before a value", get!("X-A:b\r\n"), 200),
            ("an empty value", get!("X-A:\r\n"), 200),
            ("bytes over 127 in a value", get!("X-A: ü\r\n"), 200),
            ("every letter of a token", get!("!#$%&'*+-.^_`|~0aA: b\r\n"), 200),
            ("an unknown upgrade", get!("Upgrade: purple/9\r\n"), 200),
            ("a space before the colon", get!("X-A : b\r\n"), 400),
            ("a tab before the colon", get!("X-A\t: b\r\n"), 400),
            ("a space in a name", get!("X A: b\r\n"), 400),
            ("a space before the first field", "GET /echo HTTP/1.1\r\n Host: a\r\n\r\n", 400),
            ("a folded line", get!("X-A: b\r\n c\r\n"), 400),
            ("a folded line with a tab", get!("X-A: b\r\n\tc\r\n"), 400),
            ("no colon", get!("X-A\r\n"), 400),
            ("no name", get!(": b\r\n"), 400),
            ("a name that is no token", get!("X(A: b\r\n"), 400),
            ("bytes over 127 in a name", get!("Xü: b\r\n"), 400),
            ("NUL in a value", get!("X-A: b\0c\r\n"), 400),
            ("NUL in a name", get!("X\0A: b\r\n"), 400),
            ("escape in a value", get!("X-A: \u{1b}\r\n"), 400),
            ("DEL in a value", get!("X-A: \u{7f}\r\n"), 400),
            ("a carriage return in a value", get!("X-A: b\rc\r\n"), 400),
            ("a bare line feed after a value", get!("X-A: b\n"), 400),
            ("a bare line feed as the end", "GET /echo HTTP/1.1\r\nHost: a\r\n\n", 400),
            ("no Host", "GET /echo HTTP/1.1\r\n\r\n", 400),
            ("an empty Host", "GET /echo HTTP/1.1\r\nHost:\r\n\r\n", 400),
            ("two of Host", get!("Host: a\r\n"), 400),
            ("two different of Host", get!("Host: b\r\n"), 400),
            ("two in one Host", "GET /echo HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
            ("a Host with a path", "GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
            ("a Host with a user", "GET /echo HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
            ("a Host with a port", "GET /echo HTTP/1.1\r\nHost: a:80\r\nConnection: close\r\n\r\n", 200),
        ],
    )
    .await;
}

async fn lengths(site: &Site) {
    check(
        site,
        &[
            ("a length", post!("Content-Length: 3\r\n", "abc"), 200),
            ("a length with zeros before", post!("Content-Length: 0003\r\n", "abc"), 200),
            ("a length of nothing", post!("Content-Length: 0\r\n", ""), 200),
            ("a POST without a length", post!("", ""), 200),
            ("a body of a GET", get!("Content-Length: 0\r\n"), 200),
            ("a plus", post!("Content-Length: +3\r\n", "abc"), 400),
            ("a minus", post!("Content-Length: -3\r\n", "abc"), 400),
            ("a minus and nothing", post!("Content-Length: -0\r\n", ""), 400),
            ("a space within", post!("Content-Length: 1 3\r\n", "abc"), 400),
            ("hexadecimal", post!("Content-Length: 0x3\r\n", "abc"), 400),
            ("a fraction", post!("Content-Length: 3.0\r\n", "abc"), 400),
            ("an underscore", post!("Content-Length: 1_0\r\n", "abcdefghij"), 400),
            ("quoted", post!("Content-Length: \"3\"\r\n", "abc"), 400),
            ("no number", post!("Content-Length: three\r\n", "abc"), 400),
            ("empty", post!("Content-Length:\r\n", ""), 400),
            ("over 2^64", post!("Content-Length: 18446744073709551619\r\n", "abc"), 400),
            ("over 2^63", post!("Content-Length: 9223372036854775808\r\n", "abc"), 400),
            ("twice the same", post!("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400),
            ("twice different", post!("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"), 400),
            ("a list", post!("Content-Length: 3, 3\r\n", "abc"), 400),
            ("with chunked", post!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400),
            ("with chunked before", post!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400),
        ],
    )
    .await;
}

async fn chunks(site: &Site) {
    check(
        site,
        &[
            ("chunked", post!("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"), 200),
            ("in capitals", post!("Transfer-Encoding: CHUNKED\r\n", "3\r\nabc\r\n0\r\n\r\n"), 200),
            ("an extension", post!("Transfer-Encoding: chunked\r\n", "3;a=b\r\nabc\r\n0;c\r\n\r\n"), 200),
            ("trailers", post!("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"), 200),
            ("not only chunked", post!("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400),
            ("chunked not last", post!("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 400),
            ("chunked twice", post!("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400),
            (
                "chunked in two lines",
                post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
                400,
            ),
            (
                "chunked and another line",
                post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"),
                400,
            ),
            ("identity", post!("Transfer-Encoding: identity\r\n", ""), 400),
            ("xchunked", post!("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400),
            ("a vertical tab", post!("Transfer-Encoding: \u{b}chunked\r\n", "0\r\n\r\n"), 400),
            ("quoted", post!("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400),
            ("a list with an empty member", post!("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"), 400),
            ("empty", post!("Transfer-Encoding:\r\n", "0\r\n\r\n"), 400),
            ("a space before the colon", post!("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400),
            ("folded", post!("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400),
            ("of HTTP/1.0", "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("a size with 0x", post!("Transfer-Encoding: chunked\r\n", "0x3\r\nabc\r\n0\r\n\r\n"), 400),
            ("a size with a plus", post!("Transfer-Encoding: chunked\r\n", "+3\r\nabc\r\n0\r\n\r\n"), 400),
            ("a size below nothing", post!("Transfer-Encoding: chunked\r\n", "-3\r\nabc\r\n0\r\n\r\n"), 400),
            ("a space before the size", post!("Transfer-Encoding: chunked\r\n", " 3\r\nabc\r\n0\r\n\r\n"), 400),
            ("a space after the size", post!("Transfer-Encoding: chunked\r\n", "3 \r\nabc\r\n0\r\n\r\n"), 400),
            ("a size that is none", post!("Transfer-Encoding: chunked\r\n", "xyz\r\nabc\r\n0\r\n\r\n"), 400),
            ("no size", post!("Transfer-Encoding: chunked\r\n", "\r\nabc\r\n0\r\n\r\n"), 400),
            ("a size over 2^64", post!("Transfer-Encoding: chunked\r\n", "10000000000000003\r\nabc\r\n0\r\n\r\n"), 400),
            ("a bare line feed after the size", post!("Transfer-Encoding: chunked\r\n", "3\nabc\r\n0\r\n\r\n"), 400),
            ("a carriage return after the size", post!("Transfer-Encoding: chunked\r\n", "3\rabc\r\n0\r\n\r\n"), 400),
            ("a line feed in an extension", post!("Transfer-Encoding: chunked\r\n", "3;a\nb\r\nabc\r\n0\r\n\r\n"), 400),
            ("more than its size", post!("Transfer-Encoding: chunked\r\n", "3\r\nabcd\r\n0\r\n\r\n"), 400),
            ("no line end after the bytes", post!("Transfer-Encoding: chunked\r\n", "3\r\nabc0\r\n\r\n"), 400),
            (
                "a length as a trailer",
                post!("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n"),
                400,
            ),
            ("a trailer that is none", post!("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\nX A\r\n\r\n"), 400),
        ],
    )
    .await;
}

async fn sizes(site: &Site) {
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "a".repeat(length));
    let value = |length: usize| get!("X-A: {}\r\n").replace("{}", &"a".repeat(length));
    let name = |length: usize| get!("{}: a\r\n").replace("{}", &"a".repeat(length));
    let many = |count: usize| get!("{}").replace("{}", &"a: b\r\n".repeat(count));
    let extension =
        post!("Transfer-Encoding: chunked\r\n", "3;{}\r\nabc\r\n0\r\n\r\n").replace("{}", &"a".repeat(70_000));
    let trailer =
        post!("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\nX: {}\r\n\r\n").replace("{}", &"a".repeat(70_000));
    check(
        site,
        &[
            ("a target of 8,000", &line(8_000), 404),
            ("a target of 9,000", &line(9_000), 414),
            ("a target of 70,000", &line(70_000), 431),
            ("a target of 1 MB", &line(1 << 20), 431),
            ("a value of 60,000", &value(60_000), 200),
            ("a value of 70,000", &value(70_000), 431),
            ("a value of 1 MB", &value(1 << 20), 431),
            ("a name of 1 MB", &name(1 << 20), 431),
            ("90 fields", &many(90), 200),
            ("200 fields", &many(200), 431),
            ("20,000 fields", &many(20_000), 431),
            ("a chunk extension of 70,000", &extension, 400),
            ("a trailer of 70,000", &trailer, 400),
            ("a method of 1,000", &format!("{} /echo HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(1000)), 400),
        ],
    )
    .await;
}

async fn methods_of_ours(site: &Site) {
    for request in [
        "TRACE /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: close\r\n\r\n",
    ] {
        let answer = raw::exchange(site.address(), request.as_bytes()).await;
        assert_eq!(answer.status, 405, "{request:?}: {}", answer.head());
        assert!(answer.field("allow").contains("GET"), "{}", answer.head());
    }
    let options = "OPTIONS /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw::exchange(site.address(), options.as_bytes()).await;
    assert_eq!((answer.status, answer.seen().method.as_str()), (200, "OPTIONS"));
    let options = "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw::exchange(site.address(), options.as_bytes()).await;
    assert!([200, 204, 400].contains(&answer.status), "{}", answer.head());
}

async fn answers_without_a_body(site: &Site) {
    let all = async |request: &str| {
        let (answer, closed) = say(site.address(), request.as_bytes()).await;
        assert!(closed, "{request:?}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head.to_ascii_lowercase(), body.to_owned())
    };
    for status in ["204", "304"] {
        let (head, body) =
            all(&format!("GET /misbehave/status/{status} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
        assert!(head.starts_with(&format!("http/1.1 {status}")) && body.is_empty(), "{head}\n{body}");
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert!(status == "304" || !head.contains("content-length"), "{head}");
    }
    let length = |head: &str| head.lines().find(|l| l.starts_with("content-length:")).map(ToOwned::to_owned);
    let (get, _) = all("GET /bytes/100 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let (head, body) = all("HEAD /bytes/100 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(body.is_empty() && length(&head) == length(&get), "{head}\n{body}");
    // A refusal of ours has no body either.
    let (head, body) = all("HEAD /../%00 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 400 ") && body.is_empty(), "{head}\n{body}");
}

async fn http_1_0(site: &Site) {
    let (answer, closed) = say(site.address(), b"GET /bytes/100?chunked HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let head = head.to_ascii_lowercase();
    assert!(closed && head.starts_with("http/1.") && head.contains(" 200 "), "{head}");
    assert!(!head.contains("transfer-encoding") && !head.contains("keep-alive"), "{head}");
    assert_eq!(body.chars().count(), 100, "{head}");
    // Where it asks for it, and the length is known, the connection stays.
    let mut stream = TcpStream::connect(site.address()).await.expect("a connection");
    for _ in 0..2 {
        let request = b"GET /bytes/3 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
        stream.write_all(request).await.expect("written");
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n\x00\x01\x02") {
            seen.push(stream.read_u8().await.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&seen))));
        }
    }
    // A name that nobody said can be no site's.
    let (answer, closed) = say(site.address(), b"GET /echo HTTP/1.0\r\n\r\n").await;
    assert!(closed && answer.contains(" 400 "), "{answer}");
}

async fn answers_in_the_order_asked(site: &Site) {
    let get = |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n{more}\r\n");
    let slow = get("/misbehave/slow?ms=300", "");
    let post = "POST /echo/second HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let last = get("/echo/third", "Connection: close\r\n");
    let (answers, closed) =
        say(site.address(), format!("{slow}{post}{last}{}", get("/echo/never", "")).as_bytes()).await;
    assert!(closed && answers.matches("HTTP/1.1 200 ").count() == 3, "{answers}");
    let at = |what: &str| answers.find(what).unwrap_or_else(|| panic!("no {what}: {answers}"));
    assert!(at("/echo/second") < at("/echo/third") && !answers.contains("/echo/never"), "{answers}");
}

async fn expectations(site: &Site) {
    // The body is sent once it was asked for, and not before.
    let mut stream = TcpStream::connect(site.address()).await.expect("a connection");
    let head =
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("written");
    let mut first = vec![0; 25];
    stream.read_exact(&mut first).await.expect("an answer");
    assert_eq!(String::from_utf8_lossy(&first), "HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"abc").await.expect("written");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.expect("the rest");
    assert_eq!(raw::parse(&rest).seen().body_bytes, 3);
    // One that is refused by its head is not asked for its body.
    let refused = "POST /../%00 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(raw::exchange(site.address(), refused.as_bytes()).await.status, 400);
    // Another expectation is for the app to meet.
    let other = post!("Content-Length: 3\r\nExpect: the-unexpected\r\n", "abc");
    let answer = raw::exchange(site.address(), other.as_bytes()).await;
    assert_eq!((answer.status, answer.seen().field("expect")), (200, "the-unexpected"));
}

async fn connection_names_no_field_of_ours(site: &Site) {
    let ask = async |lines: &str| -> (Answer, Seen) {
        let request = format!("GET /echo HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\n{lines}\r\n");
        let answer = raw::exchange(site.address(), request.as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.head());
        let seen = answer.seen();
        (answer, seen)
    };
    let (_, seen) =
        ask("Connection: close, X-Forwarded-For, X-Forwarded-Proto, Host, Cookie, Via, X-Gone\r\nX-Gone: 1\r\n").await;
    assert_eq!((seen.field("x-forwarded-for"), seen.field("host"), seen.field("cookie")), ("127.0.0.1", "a", "a=b"));
    assert_eq!((seen.field("x-forwarded-proto"), seen.field("x-gone")), ("http", ""));
    let (_, seen) = ask(
        "Connection: close\r\nX_Forwarded_For: 6.6.6.6\r\nx-forwarded_for: 6.6.6.6\r\nCF_Connecting_IP: 6.6.6.6\r\n",
    )
    .await;
    assert!(!seen.headers.iter().any(|(_, value)| value.contains("6.6.6.6")), "{seen:?}");
    let (_, seen) =
        ask("Connection: close, te\r\nTE: trailers, gzip\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n").await;
    assert_eq!((seen.field("te"), seen.field("keep-alive"), seen.field("proxy-connection")), ("trailers", "", ""));
}

/// A client that is still sending when it is refused: its system may drop what it has received when it learns of a reset, so
/// the gateway takes some more before it closes.
async fn a_refusal_is_read_whatever_is_still_being_sent(site: &Site) {
    let app = site.stack.addresses.app.trim_start_matches("http://");
    let own = Own::start(site, &format!("limits.body = \"1MiB\"\n[[site]]\nhosts = [\"*\"]\napp = \"{app}\""));
    let body = "a".repeat(5 << 20);
    let length = body.len();
    let cases = [
        (
            "413, announced",
            format!("POST /api/upload HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}"),
            413,
        ),
        (
            "413, counted",
            format!(
                "POST /api/upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"
            ),
            413,
        ),
        ("431", format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "a".repeat(1 << 20)), 431),
        ("400", format!("GET / HTTP/1.1\r\nHost: a\r\nX A: {}\r\n\r\n", "a".repeat(1 << 20)), 400),
        (
            "400, chunk",
            format!("POST /api/upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n{body}"),
            400,
        ),
    ];
    for (what, request, status) in &cases {
        for round in 0..10 {
            let mut stream = TcpStream::connect(own.http()).await.expect("a connection");
            // As clients do that look for an answer only once they have sent all.
            let sent = stream.write_all(request.as_bytes()).await;
            let mut all = Vec::new();
            let read = tokio::time::timeout(WITHIN, stream.read_to_end(&mut all)).await;
            let said = String::from_utf8_lossy(&all);
            // Linux lets a client read what came before a reset; not every system does.
            assert!(
                said.starts_with(&format!("HTTP/1.1 {status} ")) && sent.is_ok() && matches!(read, Ok(Ok(_))),
                "{what}, round {round}: {:?}, sent {sent:?}, read {read:?}",
                cut(&said)
            );
        }
    }
}
