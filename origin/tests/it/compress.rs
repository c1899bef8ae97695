//! Content codings on the wire: that a page which comes in pieces is not kept until its end.

use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use http::Request;
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::Script;
use crate::gateway::{Gateway, rest};

#[tokio::test]
async fn a_page_in_pieces_is_coded_in_pieces() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "[compress]\n");
    let piece = "<p>one and the same</p>\n".repeat(100);
    let app = async {
        let mut line = script.accept().await;
        assert!(line.head().await.contains("accept-encoding: gzip"), "the app may code itself");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n";
        line.say(format!("{head}{:x}\r\n{piece}\r\n", piece.len())).await;
        line
    };
    let client = async {
        let mut stream = gateway.connect().await;
        let request = "GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut seen = Vec::new();
        // The head, and something of the first piece, while the app is silent.
        let early = tokio::time::timeout(Duration::from_secs(5), async {
            loop {
                let mut some = [0; 4096];
                let n = stream.read(&mut some).await.expect("read");
                assert!(n > 0, "it goes on");
                seen.extend_from_slice(&some[..n]);
                let text = String::from_utf8_lossy(&seen);
                if text.split_once("\r\n\r\n").is_some_and(|(_, body)| body.len() > 40) {
                    return;
                }
            }
        });
        early.await.expect("the first piece comes before the last");
        (stream, seen)
    };
    let (mut line, (mut stream, seen)) = tokio::join!(app, client);
    line.say(format!("{:x}\r\n{piece}\r\n0\r\n\r\n", piece.len())).await;
    let head = String::from_utf8_lossy(&seen).into_owned();
    assert!(head.contains("content-encoding: gzip\r\n") && head.contains("vary: accept-encoding\r\n"), "{head}");
    // The end of a chunked body.
    let end = rest(&mut stream).await;
    assert!(end.ends_with("\r\n0\r\n\r\n"), "{end:?}");
}

#[tokio::test]
async fn what_is_coded_is_what_the_app_said() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "[compress]\n");
    let body = "A sentence, and another. ".repeat(4000);
    let app = async {
        for _ in 0..3 {
            let mut line = script.accept().await;
            line.head().await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n", body.len());
            line.say(format!("{head}{body}")).await;
        }
    };
    let client = async {
        for coding in ["gzip", "br", "zstd"] {
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(gateway.connect().await)).await.expect("a connection");
            tokio::spawn(connection);
            let request = Request::get("/").header("host", "a").header("accept-encoding", coding);
            let answer = sender.send_request(request.body(String::new()).expect("a request")).await.expect("an answer");
            assert_eq!(answer.headers()["content-encoding"], coding);
            assert!(!answer.headers().contains_key("content-length"));
            let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
            assert!(bytes.len() < body.len() / 50, "{coding}: {} bytes", bytes.len());
            let mut plain = String::new();
            match coding {
                "gzip" => GzipDecoder::new(&bytes[..]).read_to_string(&mut plain).await,
                "br" => BrotliDecoder::new(&bytes[..]).read_to_string(&mut plain).await,
                _ => ZstdDecoder::new(&bytes[..]).read_to_string(&mut plain).await,
            }
            .expect("well coded");
            assert_eq!(plain, body, "{coding}");
        }
    };
    tokio::join!(app, client);
}
