//! Clients that leave before the answer, of whom the limit of what may be with an app learns how long its queue is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::gateway::{Gateway, assert_good};

const MOST: u64 = 400;
/// More than one window of the limit is wide, and than an answer ever takes.
const MANY: usize = 60;

/// Answers at once with what may be stored for a second, until it answers nobody any more.
struct App {
    address: SocketAddr,
    hangs: Arc<AtomicBool>,
}

impl App {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let (address, hangs) = (listener.local_addr().expect("bound"), Arc::<AtomicBool>::default());
        let told = Arc::clone(&hangs);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                tokio::spawn(Self::serve(stream, Arc::clone(&told)));
            }
        });
        Self { address, hangs }
    }

    async fn serve(mut stream: TcpStream, hangs: Arc<AtomicBool>) {
        // Each request comes in one piece, and one after the other.
        while let Ok(1..) = stream.read(&mut [0; 4096]).await {
            if hangs.load(Ordering::SeqCst) {
                return std::future::pending().await;
            }
            let fields = "cache-control: max-age=1, stale-if-error=600\r\ncontent-length: 2";
            let answer = format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\nok");
            stream.write_all(answer.as_bytes()).await.expect("written");
        }
    }

    /// A gateway before it that knows how quick it is.
    async fn known(&self) -> Gateway {
        let more = format!("admin.listen = \"127.0.0.1:0\"\nlimits.in_flight = {MOST}");
        let gateway = Gateway::before(&format!("\"{}\"", self.address), &more);
        let began = Instant::now();
        for n in 0.. {
            if n >= MANY && began.elapsed() > Duration::from_millis(600) {
                break;
            }
            assert_good(&gateway.get(&format!("/{n}")).await);
        }
        assert_eq!(limit(&gateway).await, MOST);
        self.hangs.store(true, Ordering::SeqCst);
        gateway
    }
}

async fn limit(gateway: &Gateway) -> u64 {
    gauge(gateway, "origin_app_in_flight_limit").await
}

async fn gauge(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{"))).expect("it is there");
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// As many clients say this, one soon after the other, and leave while the app does not answer.
async fn leave(gateway: &Gateway, request: &'static str) {
    let mut clients = JoinSet::new();
    for _ in 0..MANY {
        let mut stream = gateway.connect().await;
        clients.spawn(async move {
            stream.write_all(request.as_bytes()).await.expect("written");
            tokio::time::sleep(Duration::from_millis(400)).await;
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    clients.join_all().await;
    let until = Instant::now() + Duration::from_secs(10);
    while gauge(gateway, "origin_app_in_flight").await > 0 {
        assert!(Instant::now() < until, "it is not noticed that they have left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn who_leaves_shows_an_overload_with_a_body_too_unless_it_was_still_sending_it() {
    let app = App::start().await;
    let gateway = app.known().await;
    leave(&gateway, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na").await;
    assert_eq!(limit(&gateway).await, MOST, "the app was not waited for");
    leave(&gateway, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc").await;
    let sunk = limit(&gateway).await;
    assert!(sunk < MOST, "{sunk}");
    leave(&gateway, "DELETE / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(limit(&gateway).await < sunk, "as without one");
}

#[tokio::test]
async fn who_gets_a_stored_answer_because_we_have_waited_enough_has_not_left() {
    let app = App::start().await;
    let gateway = Arc::new(app.known().await);
    // What is stored is fresh no longer.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let mut clients = JoinSet::new();
    for n in 0..MANY {
        let gateway = Arc::clone(&gateway);
        clients.spawn(async move {
            let began = Instant::now();
            assert_good(&gateway.get(&format!("/{n}")).await);
            began.elapsed()
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let waited = clients.join_all().await;
    assert!(waited.iter().all(|waited| *waited > Duration::from_millis(900)), "for the app: {waited:?}");
    assert_eq!(limit(&gateway).await, MOST);
}
