//! An app that speaks HTTP/2: many exchanges on one connection, and what of them passes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::gateway::{Gateway, assert_good, assert_problem};

type Frames = StreamBody<futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, std::io::Error>>>;

/// An app that says what it was asked, and how.
struct App {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
    /// How often it has said that it goes away.
    goaway: watch::Sender<u32>,
}

impl App {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (connections, asked) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (goaway, going) = watch::channel(0);
        let (count, seen) = (Arc::clone(&connections), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (count, seen, mut going) = (Arc::clone(&count), Arc::clone(&seen), going.clone());
                tokio::spawn(async move {
                    let first = AtomicUsize::new(0);
                    let service = service_fn(|request: Request<Incoming>| {
                        if first.fetch_add(1, Ordering::Relaxed) == 0 {
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                        answer(request, Arc::clone(&seen))
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
                    let mut connection = std::pin::pin!(connection);
                    going.mark_unchanged();
                    // A connection that has said nothing yet would be cut off.
                    let told = async { while going.changed().await.is_ok() && first.load(Ordering::Relaxed) == 0 {} };
                    tokio::select! {
                        _ = connection.as_mut() => {}
                        () = told => {
                            connection.as_mut().graceful_shutdown();
                            let _ = connection.await;
                        }
                    }
                });
            }
        });
        Self { address, connections, asked, goaway }
    }

    fn gateway(&self) -> Gateway {
        Gateway::before(&format!("\"{}\"\napp_protocol = \"http2\"", self.address), "")
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn answer(request: Request<Incoming>, seen: Arc<Mutex<Vec<String>>>) -> Result<Response<Frames>, Infallible> {
    let (parts, body) = request.into_parts();
    let field = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("-").to_owned();
    let authority = parts.uri.authority().map_or("-", |a| a.as_str());
    let said = format!(
        "{:?} {} {} authority={authority} host={} connection={} te={}",
        parts.version,
        parts.method,
        parts.uri.path(),
        field("host"),
        field("connection"),
        field("te")
    );
    seen.lock().expect("no panic").push(said);
    let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", http::HeaderValue::from_static("42"));
    let frames: Vec<Result<_, std::io::Error>> = match parts.uri.path() {
        "/trailers" => vec![Ok(Frame::data(body)), Ok(Frame::trailers(trailers))],
        "/cut" => vec![Ok(Frame::data(Bytes::from_static(b"beginning"))), Err(std::io::Error::other("cut"))],
        _ => vec![Ok(Frame::data(if body.is_empty() { Bytes::from_static(b"ok") } else { body }))],
    };
    let frames = futures_util::stream::iter(frames).then(|frame| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        frame
    });
    let mut response = Response::new(StreamBody::new(Box::pin(frames) as _));
    if parts.uri.path() == "/trailers" {
        response.headers_mut().insert("trailer", http::HeaderValue::from_static("x-checksum"));
    }
    if parts.headers.contains_key("upgrade") && parts.version == Version::HTTP_11 {
        *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("connection", http::HeaderValue::from_static("upgrade"));
        response.headers_mut().insert("upgrade", http::HeaderValue::from_static("echo"));
    }
    Ok(response)
}

#[tokio::test]
async fn a_hundred_requests_share_a_connection() {
    let app = App::start().await;
    let gateway = app.gateway();
    assert_good(&gateway.get("/first").await);
    let all = (0..100).map(|n| {
        let gateway = &gateway;
        async move { if n % 2 == 0 { gateway.get("/get").await } else { gateway.post("/post").await } }
    });
    for answer in futures_util::future::join_all(all).await {
        assert_good(&answer);
        assert!(answer.contains("\r\nok\r\n") || answer.contains("\r\nabc\r\n"), "{answer}");
    }
    assert_eq!(app.connections.load(Ordering::Relaxed), 1);
    let asked = app.asked();
    assert_eq!(asked.len(), 101);
    assert!(asked.iter().all(|a| a.starts_with("HTTP/2.0 ") && a.ends_with("authority=a host=- connection=- te=-")));
}

#[tokio::test]
async fn trailers_pass_and_a_broken_body_shows() {
    let app = App::start().await;
    let gateway = app.gateway();
    let asked =
        "POST /trailers HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te, close\r\ncontent-length: 3\r\n\r\nabc";
    let answer = gateway.say(asked).await;
    assert!(answer.contains("3\r\nabc\r\n0\r\nx-checksum: 42\r\n\r\n"), "{answer}");
    assert!(app.asked()[0].ends_with("connection=- te=trailers"), "{:?}", app.asked());
    let answer = gateway.get("/cut").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("\r\n0\r\n"), "{answer}");
}

#[tokio::test]
async fn an_app_that_goes_away_costs_nobody_anything() {
    let app = App::start().await;
    let gateway = app.gateway();
    let mut answers = Vec::new();
    for round in 0..10 {
        let some = (0..20).map(|n| {
            let gateway = &gateway;
            async move { if n % 2 == 0 { gateway.get("/get").await } else { gateway.post("/post").await } }
        });
        let going = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            app.goaway.send_replace(round);
        };
        answers.extend(tokio::join!(futures_util::future::join_all(some), going).0);
    }
    answers.iter().for_each(|answer| assert_good(answer));
    assert_eq!(app.asked().len(), 200, "each came once");
    assert!(app.connections.load(Ordering::Relaxed) >= 5, "it has gone away again and again");
}

#[tokio::test]
async fn an_upgrade_goes_over_http_1() {
    let app = App::start().await;
    let gateway = app.gateway();
    assert_good(&gateway.get("/before").await);
    let asked = "GET /up HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let answer = gateway.say(asked).await;
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.contains("upgrade: echo"), "{answer}");
    assert!(app.asked()[1].starts_with("HTTP/1.1 GET /up "), "{:?}", app.asked());
    assert_good(&gateway.get("/after").await);
}

#[tokio::test]
async fn an_app_that_speaks_only_http_1_is_named() {
    let script = crate::app::Script::new().await;
    let gateway = Gateway::before(&format!("{}\napp_protocol = \"http2\"", script.app()), "timeouts.hold = \"300ms\"");
    let app = async {
        loop {
            let mut line = script.accept().await;
            line.until("\r\n\r\n").await;
            line.say("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        }
    };
    let answer = tokio::select! {
        answer = gateway.get("/") => answer,
        () = app => unreachable!("it has no end"),
    };
    assert_problem(&answer, 502, "app-unreachable");
}
