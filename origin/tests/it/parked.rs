//! Connections whose clients say nothing for a while: each is parked, and goes on as if it had not been.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

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

/// Its answer's body has ended for us, and the last of it is still in hyper's buffer of 64 KiB. How much the system takes before that
/// nobody knows, so answers of many lengths are not read for a while.
#[tokio::test(flavor = "multi_thread")]
async fn one_whose_client_reads_slowly_is_not_parked() {
    const STEP: usize = 48 << 10;
    let script = Script::new().await;
    let gateway = Gateway::before(&script.app(), "");
    let app = tokio::spawn(async move {
        loop {
            let mut line = script.accept().await;
            tokio::spawn(async move {
                let head = line.head().await;
                let length = head["GET /".len()..].split(' ').next().and_then(|n| n.parse().ok()).expect("a length");
                line.say(format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n")).await;
                line.say(vec![b'x'; length]).await;
            });
        }
    });
    let mut clients = JoinSet::new();
    for length in (1..150).map(|n| n * STEP) {
        let mut stream = gateway.connect().await;
        socket2::SockRef::from(&stream).set_recv_buffer_size(16 << 10).expect("a small one");
        clients.spawn(async move {
            let request = format!("GET /{length} HTTP/1.1\r\nhost: a\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("written");
            tokio::time::sleep(3 * PAUSE).await;
            let mut all = Vec::new();
            let head = loop {
                if let Some(head) = all.windows(4).position(|four| four == b"\r\n\r\n") {
                    break head + 4;
                }
                assert!(stream.read_buf(&mut all).await.expect("read") > 0, "cut off in the head");
            };
            while all.len() < head + length {
                let read = stream.read_buf(&mut all).await.expect("read");
                assert!(read > 0, "cut off after {} of {} bytes", all.len(), head + length);
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("all of its answer");
    }
    app.abort();
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
