//! WebSockets over HTTP/2 (RFC 8441).

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::Script;
use crate::gateway::Gateway;

async fn connect(gateway: &Gateway) -> http2::SendRequest<Empty<Bytes>> {
    let io = TokioIo::new(gateway.connect().await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    tokio::spawn(connection);
    // The server's settings allow an extended CONNECT, once they are here.
    tokio::time::sleep(Duration::from_millis(100)).await;
    sender
}

fn extended(protocol: &'static str) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = "http://a/chat?room=1".parse().expect("a target");
    request.headers_mut().insert("sec-websocket-version", http::HeaderValue::from_static("13"));
    request.extensions_mut().insert(Protocol::from_static(protocol));
    request
}

#[tokio::test]
async fn a_web_socket_over_http_2_is_an_upgrade_for_the_app() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        let mut line = script.accept().await;
        let head = line.head().await;
        assert!(head.starts_with("GET /chat?room=1 HTTP/1.1\r\n"), "{head}");
        for field in ["connection: upgrade", "upgrade: websocket", "sec-websocket-version: 13", "sec-websocket-key: "] {
            assert!(head.contains(field), "{field}: {head}");
        }
        line.say("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n").await;
        line.say("sec-websocket-accept: x\r\nsec-websocket-protocol: chat\r\n\r\nhello ").await;
        assert_eq!(line.until("ping").await, "ping");
        line.say("pong").await;
    };
    let client = async {
        let mut sender = connect(&gateway).await;
        let answer = sender.send_request(extended("websocket")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
        for gone in ["connection", "upgrade", "sec-websocket-accept"] {
            assert!(!answer.headers().contains_key(gone), "{gone}");
        }
        let mut socket = TokioIo::new(hyper::upgrade::on(answer).await.expect("switched"));
        socket.write_all(b"ping").await.expect("written");
        let mut said = [0; 10];
        socket.read_exact(&mut said).await.expect("read");
        assert_eq!(&said, b"hello pong");
    };
    tokio::join!(app, client);
}

#[tokio::test]
async fn refusals_and_other_protocols() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say("HTTP/1.1 403 Forbidden\r\ncontent-length: 4\r\n\r\nstop").await;
    };
    let client = async {
        let mut sender = connect(&gateway).await;
        let answer = sender.send_request(extended("websocket")).await.expect("an answer");
        assert_eq!(answer.status(), 403);
        let answer = sender.send_request(extended("connect-udp")).await.expect("an answer");
        assert_eq!(answer.status(), 405, "we carry nothing else");
    };
    tokio::join!(app, client);
}
