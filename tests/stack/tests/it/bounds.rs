//! What a client may send: exact framing, and within the limits. What is not gets its answer before the app sees a byte.
//! On the gateway alone, but for the platform's own limit; before the Worker stands Cloudflare, which has refused such requests already.

use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixListener;

use crate::answer::send;
use crate::own::{App, Own};
use crate::raw;
use crate::site::{Host, Site};

cases![
    framing_that_two_programs_could_read_differently on Native,
    what_follows_an_offence_is_not_heard on Native,
    exact_framing_passes on Native,
    one_host on Native,
    a_body_too_large on Native,
    connections_in_all on Native,
    a_web_socket_is_a_connection_too on Native,
    an_app_on_a_unix_socket on Native,
    the_platforms_own_limit on Worker,
];

async fn framing_that_two_programs_could_read_differently(site: &Site) {
    let (app, own) = by_hand(site).await;
    let head = |rest: &str| format!("POST /framing HTTP/1.1\r\nHost: a\r\n{rest}");
    for request in [
        head("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        head("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
        head("Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        head("Content-Length: 3, 3\r\n\r\nabc"),
        head("Content-Length: +3\r\n\r\nabc"),
        head("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        head("Transfer-Encoding: identity\r\n\r\n"),
        head("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        head("X: a\r\n folded\r\n\r\n"),
        head("X: a\0b\r\n\r\n"),
        head("X: a\rb\r\n\r\n"),
        head("X: a\n\r\n"),
        head("Host: a\r\n\r\n"),
        "POST /framing HTTP/1.1\nHost: a\n\n".to_owned(),
        "POST /framing HTTP/1.1\r\n\r\n".to_owned(),
        "POST  /framing HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("{} /framing HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(100)),
    ] {
        let answer = raw::exchange(own.http(), request.as_bytes()).await;
        assert_eq!(answer.status, 400, "{request:?}");
    }
    next_is_good(&app, &own).await;
}

async fn what_follows_an_offence_is_not_heard(site: &Site) {
    let (app, own) = by_hand(site).await;
    let good = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
    let bad = "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let address = own.http();
    let all = tokio::spawn(async move { raw::bytes(address, format!("{good}{bad}{good}").as_bytes()).await });
    let mut got = app.request().await;
    assert!(got.head.starts_with("GET /first "), "{}", got.head);
    got.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let all = String::from_utf8_lossy(&all.await.expect("what came")).into_owned();
    assert_eq!(all.matches("HTTP/1.1 200 ").count(), 1, "{all}");
    assert_eq!(all.matches("HTTP/1.1 400 ").count(), 1, "{all}");
    drop(got);
    next_is_good(&app, &own).await;
    let good = "GET /echo/after HTTP/1.1\r\nHost: a\r\n\r\n";
    for chunks in ["3 \r\nabc\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "0x3\r\nabc\r\n0\r\n\r\n"]
    {
        let head = "POST /api/upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let all = raw::bytes(site.address(), format!("{head}{chunks}{good}").as_bytes()).await;
        let all = String::from_utf8_lossy(&all);
        assert!(all.starts_with("HTTP/1.1 400 ") && all.matches("HTTP/1.1").count() == 1, "{chunks:?}: {all}");
    }
}

/// A gateway before an app that is driven by hand.
async fn by_hand(site: &Site) -> (App, Own) {
    let app = App::start().await;
    let own = Own::start(site, &format!("[[site]]\nhosts = [\"*\"]\napp = \"{}\"", app.address()));
    (app, own)
}

/// The next request that the app sees is one that comes now: it has seen none of those before.
async fn next_is_good(app: &App, own: &Own) {
    let answer = tokio::spawn(send(own.get("/good")));
    let mut got = app.request().await;
    assert!(got.head.starts_with("GET /good "), "{}", got.head);
    got.say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(answer.await.expect("an answer").status, 200);
}

async fn exact_framing_passes(site: &Site) {
    for (body, bytes) in [
        ("Content-Length: 3\r\n\r\nabc", 3),
        ("Transfer-Encoding: Chunked\r\n\r\n2\r\nab\r\n1;why=not\r\nc\r\n0\r\n\r\n", 3),
        ("Transfer-Encoding: chunked\r\n\r\n000A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n", 10),
        ("Content-Length: 0\r\n\r\n", 0),
    ] {
        let request = format!("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{body}");
        let answer = raw::exchange(site.address(), request.as_bytes()).await;
        assert_eq!((answer.status, answer.json::<Value>()["body_bytes"].as_u64()), (200, Some(bytes)), "{body:?}");
    }
}

async fn one_host(site: &Site) {
    for host in ["", "a,b", "user@a", "a b", "a/b", "ä", "a?b"] {
        let request = format!("GET /echo HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = raw::exchange(site.address(), request.as_bytes()).await;
        assert_eq!((answer.status, answer.field("connection")), (400, "close"), "{host:?}");
    }
}

async fn a_body_too_large(site: &Site) {
    let app = site.stack.addresses.app.trim_start_matches("http://");
    let own = Own::start(site, &format!("limits.body = \"1KiB\"\n[[site]]\nhosts = [\"*\"]\napp = \"{app}\""));
    let post = |body: Vec<u8>| own.request(reqwest::Method::POST, "/api/upload").body(body);
    assert_eq!(send(post(vec![1; 1024])).await.json::<Value>()["bytes"], 1024);
    let announced = send(post(vec![1; 1025])).await;
    announced.assert_problem(413, "body-too-large");
    assert_eq!(announced.field("connection"), "close");
    let chunks = (0..5).map(|_| Ok::<_, std::io::Error>(vec![1_u8; 300]));
    let counted = own.request(reqwest::Method::POST, "/api/upload");
    let counted = counted.body(reqwest::Body::wrap_stream(futures_util::stream::iter(chunks)));
    send(counted).await.assert_problem(413, "body-too-large");
}

async fn connections_in_all(site: &Site) {
    let app = App::start().await;
    let own =
        Own::start(site, &format!("limits.connections = 2\n[[site]]\nhosts = [\"*\"]\napp = \"{}\"", app.address()));
    let connect = || tokio::net::TcpStream::connect(own.http());
    // The system accepts all three before the gateway does, and its cores take them in any order.
    let open = [connect().await.expect("open"), connect().await.expect("open"), connect().await.expect("open")];
    let ended = async |stream: &tokio::net::TcpStream| {
        let ended = stream.peek(&mut [0]).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    };
    // Nobody speaks: one ends because it is one too many.
    let one = async {
        tokio::select! { () = ended(&open[0]) => {}, () = ended(&open[1]) => {}, () = ended(&open[2]) => {} }
    };
    tokio::time::timeout(Duration::from_secs(10), one).await.expect("closed at once");
    drop(open);
    served_again(&own).await;
}

/// Waits until a connection is served: the gateway notices the end of another one in its own time.
async fn served_again(own: &Own) {
    let until = Instant::now() + Duration::from_secs(10);
    while own.get("/api/health").send().await.is_err() {
        assert!(Instant::now() < until, "a place is never given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn a_web_socket_is_a_connection_too(site: &Site) {
    let app = site.stack.addresses.app.trim_start_matches("http://");
    let own = Own::start(site, &format!("limits.connections = 1\n[[site]]\nhosts = [\"*\"]\napp = \"{app}\""));
    let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{}/ws", own.http())).await.expect("a WebSocket");
    let mut second = tokio::net::TcpStream::connect(own.http()).await.expect("the system accepts before we do");
    let mut byte = [0];
    let ended = tokio::time::timeout(Duration::from_secs(5), second.read(&mut byte)).await.expect("closed at once");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    drop(socket);
    served_again(&own).await;
}

async fn an_app_on_a_unix_socket(site: &Site) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let app = tokio::spawn(demo::serve(listener, demo::Options::default()));
    let own = Own::start(site, &format!("[[site]]\nhosts = [\"*\"]\napp = \"unix:{}\"", path.display()));
    for _ in 0..2 {
        let answer = send(own.request(reqwest::Method::POST, "/echo/a?b").body("abc")).await;
        let seen: Value = answer.json();
        assert_eq!((&seen["target"], &seen["body_bytes"]), (&"/echo/a?b".into(), &3.into()));
    }
    app.abort();
}

/// The Worker's coarse limit: past it the gateway is not asked, and what is stored is served all the same.
async fn the_platforms_own_limit(_: &Site) {
    let site = Site::start_limited(Host::Worker, Some(10)).await.expect("it starts");
    let stored = "/cache?cc=max-age=600&limited";
    let until = Instant::now() + Duration::from_secs(10);
    while !site.fetch(stored).await.head().contains("; hit; ttl=") {
        assert!(Instant::now() < until);
    }
    // The platform's minutes are the clock's: all of it in one of them.
    let second = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs() % 60;
    if second > 45 {
        tokio::time::sleep(Duration::from_secs(61 - second)).await;
    }
    let mut statuses = Vec::new();
    for n in 0..12 {
        statuses.push(send(site.get("/echo").header("cf-connecting-ip", format!("2001:db8::{n}"))).await.status);
    }
    assert_eq!(statuses, [[200; 10].as_slice(), &[429; 2]].concat(), "one household");
    let refused = send(site.get("/echo").header("cf-connecting-ip", "2001:db8::ffff")).await;
    refused.assert_problem(429, "rate-limited");
    assert_eq!(refused.field("retry-after"), "10");
    let health = send(site.get("/api/health").header("cf-connecting-ip", "2001:db8::ffff")).await;
    assert_eq!(health.status, 200, "a monitor is no visitor");
    let other = send(site.get("/echo").header("cf-connecting-ip", "2001:db8:0:1::1")).await;
    assert_eq!(other.status, 200);
    let hit = send(site.get(stored).header("cf-connecting-ip", "2001:db8::1")).await;
    assert!(hit.status == 200 && hit.head().contains("; hit; ttl="), "{}", hit.head());
    site.stack.stop().await;
}
