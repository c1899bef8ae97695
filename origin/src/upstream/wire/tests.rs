use super::{Head, Led, Socket, Wire};
use crate::upstream::connect::Open;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{Duration, timeout};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\na: b\r\n\r\n";

#[test]
fn a_head_ends_where_hyper_sees_its_end() {
    for (answer, led) in [
        ("HTTP/1.1 200 OK\r\n\r\nbody", Led::To(19)),
        ("HTTP/1.1 200\r\n\r\n", Led::To(16)),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 100 \r\n\r\nHTTP/1.1 200 OK\r\na: b\r\n\r\nbody",
            Led::To(79),
        ),
        ("HTTP/1.1 200 OK\r\na: b\r\n", Led::On),
        ("HTTP/1.1 200 OK\r\na: b\r\n\r", Led::On),
        // hyper takes all of these, or some of them, as something else than they seem.
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Led::Astray),
        ("HTTP/1.1 200 OK\n\n", Led::Astray),
        ("HTTP/1.1 200 OK\r\na: b\n\r\n", Led::Astray),
        ("HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n", Led::Astray),
        ("HTTP/1.1 200 OK\r\n\r\r\n", Led::Astray),
    ] {
        assert_eq!(Head::default().follow(answer.as_bytes()), led, "{answer:?}");
        let mut head = Head::default();
        let bytes = answer.as_bytes().iter().enumerate();
        let mut led_by_bytes = bytes.map(|(n, byte)| (n, head.follow(&[*byte]))).find(|(_, led)| *led != Led::On);
        if let Some((n, Led::To(end))) = &mut led_by_bytes {
            *end += *n;
        }
        assert_eq!(led_by_bytes.map_or(Led::On, |(_, led)| led), led, "byte by byte: {answer:?}");
    }
}

fn wire() -> (Wire, super::Tap, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let (wire, tap) = Wire::new(Socket::Unix(ours), Open(0));
    (wire, tap, theirs)
}

/// Nothing comes, for a while.
async fn is_silent(wire: &mut Wire) -> bool {
    timeout(Duration::from_millis(50), wire.read_u8()).await.is_err()
}

#[tokio::test]
async fn it_stops_behind_the_head_and_goes_on() {
    let (mut wire, tap, mut app) = wire();
    tap.stop();
    let mut read = vec![0; ANSWER.len()];
    for answer in [[ANSWER, b"body"].concat(), ANSWER.to_vec()] {
        tap.stop();
        app.write_all(&answer).await.expect("written");
        assert_eq!(wire.read(&mut [0; 1000]).await.expect("read"), ANSWER.len());
        assert!(is_silent(&mut wire).await);
        let (waiting, ()) = tokio::join!(wire.read_u8(), async {
            tokio::task::yield_now().await;
            tap.release();
            app.write_all(b"body").await.expect("written");
        });
        assert_eq!(waiting.expect("woken"), b'b');
        let mut rest = vec![0; answer.len() - ANSWER.len() + 3];
        wire.read_exact(&mut rest).await.expect("all");
        assert!(rest.ends_with(b"ody"));
    }
    assert!(tap.take().is_none(), "it is at no such place");
    // The next answer passes.
    app.write_all(ANSWER).await.expect("written");
    wire.read_exact(&mut read).await.expect("all");
    assert_eq!(read, ANSWER);
}

#[tokio::test]
async fn what_is_taken_is_no_longer_hypers() {
    let (mut wire, tap, mut app) = wire();
    tap.stop();
    app.write_all(&[ANSWER, b"5\r\nhe"].concat()).await.expect("written");
    assert_eq!(wire.read(&mut [0; 1000]).await.expect("read"), ANSWER.len());
    let mut taken = tap.take().expect("it has stopped");
    assert_eq!(taken.read, b"5\r\nhe");
    assert!(tap.take().is_none(), "once");
    assert!(wire.read_u8().await.is_err() && wire.write_all(b"x").await.is_err());
    drop(wire);
    app.write_all(b"llo\r\n").await.expect("it is open");
    let mut rest = [0; 5];
    taken.socket.read_exact(&mut rest).await.expect("all");
    assert_eq!(&rest, b"llo\r\n");
    drop(taken);
    assert_eq!(app.read(&mut [0]).await.expect("an end"), 0);
}

#[tokio::test]
async fn a_connection_that_hyper_leaves_closes() {
    let (wire, _tap, mut app) = wire();
    drop(wire);
    assert_eq!(app.read(&mut [0]).await.expect("an end"), 0);
}
