//! Connections whose clients say nothing for a while: each is parked, and goes on as if it had not been.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};

use crate::app::{OK, Script};
use crate::gateway::{Gateway, assert_good, rest};

/// Long enough for a connection to be parked.
const PAUSE: Duration = Duration::from_millis(700);
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// What comes up to the end of an answer.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = String::new();
    while !answer.ends_with("\r\n\r\nok") {
        let byte = stream.read_u8().await.unwrap_or_else(|error| panic!("{error} after {answer:?}"));
        answer.push(byte.into());
    }
    answer
}

#[tokio::test]
async fn a_parked_connection_goes_on() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        for length in [0, 0, 0, 3] {
            let mut line = script.accept().await;
            line.head().await;
            assert_eq!(line.until(&"abc"[..length]).await, "abc"[..length]);
            line.say(OK.replace("content-length", "connection: close\r\ncontent-length")).await;
        }
    };
    let client = async {
        let mut stream = gateway.connect().await;
        tokio::time::sleep(PAUSE).await;
        stream.write_all(GET.as_bytes()).await.expect("written");
        assert_good(&answer(&mut stream).await);
        tokio::time::sleep(PAUSE).await;
        // In parts, of which the first wakes it; with another request behind it.
        for part in ["\r", "\nG", "ET / HTTP/1.1\r\nhost: ", "a\r\n\r\n", GET] {
            stream.write_all(part.as_bytes()).await.expect("written");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_good(&answer(&mut stream).await);
        assert_good(&answer(&mut stream).await);
        tokio::time::sleep(PAUSE).await;
        let post = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc";
        stream.write_all(post.as_bytes()).await.expect("written");
        assert_good(&answer(&mut stream).await);
        tokio::time::sleep(PAUSE).await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost : a\r\n\r\n").await.expect("written");
        rest(&mut stream).await
    };
    let ((), last) = tokio::join!(app, client);
    assert!(last.starts_with("HTTP/1.1 400 "), "an offence is told then, too: {last:?}");
}

#[tokio::test]
async fn one_whose_client_reads_slowly_is_not_parked() {
    const LENGTH: usize = 8 << 20;
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        for _ in 0..2 {
            let mut line = script.accept().await;
            line.head().await;
            line.say(format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {LENGTH}\r\n\r\n")).await;
            line.say(vec![b'x'; LENGTH]).await;
        }
    };
    let client = async {
        let mut stream = gateway.connect().await;
        for _ in 0..2 {
            stream.write_all(GET.as_bytes()).await.expect("written");
            let (mut all, mut end) = (Vec::new(), usize::MAX);
            while all.len() < end {
                // Ever less is left, and at last less than the gateway holds by itself.
                if end != usize::MAX && (end - all.len()) % (1 << 20) < 64 << 10 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                let mut some = [0; 32 << 10];
                let read = stream.read(&mut some).await.expect("read");
                assert!(read > 0, "cut off after {} bytes", all.len());
                all.extend_from_slice(&some[..read]);
                if end == usize::MAX
                    && let Some(head) = all.windows(4).position(|four| four == b"\r\n\r\n")
                {
                    end = head + 4 + LENGTH;
                    tokio::time::sleep(2 * PAUSE).await;
                }
            }
            assert!(all.ends_with(b"xxxx") && all.len() == end);
        }
    };
    tokio::join!(app, client);
}

#[tokio::test]
async fn one_whose_request_goes_on_after_its_answer_is_not_parked() {
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say(OK).await;
        assert!(line.until("the rest").await.ends_with("the rest"), "it is passed on");
    };
    let client = async {
        let mut stream = gateway.connect().await;
        stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 12\r\n\r\nthe ").await.expect("written");
        assert_good(&answer(&mut stream).await);
        tokio::time::sleep(2 * PAUSE).await;
        stream.write_all(b"the rest").await.expect("written");
        stream
    };
    tokio::join!(app, client);
}
