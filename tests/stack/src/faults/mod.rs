//! Faults, each as an experiment with its figures: what is done to whom, and what is measured. `cargo faults` runs all of them against the
//! gateway, nginx and HAProxy; `tests/faults.rs` smaller ones against the gateway.

pub mod app;
pub mod attack;
pub mod pace;
pub mod proxy;
pub mod streams;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use crate::frames::{Client, END_HEADERS, frame, get, kind, request};
use pace::{Outcome, Pace};
use proxy::Proxy;

/// Seconds from SIGKILL to the first good answer of the process that is started at once.
///
/// # Errors
/// It does not start again.
pub async fn killed(proxy: &mut Proxy) -> Result<f64, String> {
    let began = Instant::now();
    tokio::task::block_in_place(|| proxy.kill_and_start())?;
    let pace = Pace { per_second: 1000, time: Duration::from_millis(1), ..Pace::good(proxy.http1, 1) };
    while pace.run().await.count(200) == 0 {
        if began.elapsed() > Duration::from_secs(10) {
            return Err("it does not answer".to_owned());
        }
    }
    Ok(began.elapsed().as_secs_f64())
}

/// An address that accepts nothing: a listener whose queue is full, so that the system drops what else comes.
pub struct Hole {
    /// Where it is.
    pub address: SocketAddr,
    _listener: tokio::net::TcpListener,
    _queue: Vec<tokio::task::JoinHandle<io::Result<TcpStream>>>,
}

impl Hole {
    /// Digs it.
    ///
    /// # Errors
    /// The system's.
    pub async fn new() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(([127, 0, 0, 1], 0).into())?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let queue = (0..8).map(|_| tokio::spawn(TcpStream::connect(address))).collect();
        let until = Instant::now() + Duration::from_secs(5);
        // Until one that comes is not let in.
        while tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await.is_ok() {
            if Instant::now() > until {
                return Err(io::Error::other("the queue does not fill"));
            }
        }
        Ok(Self { address, _listener: listener, _queue: queue })
    }
}

/// Good traffic while another site's app is a hole: that site's outcome, and the good one's without and with it.
pub async fn hole(proxy: &Proxy, seconds: u64) -> (Outcome, Outcome, Outcome) {
    let good = Pace::good(proxy.http1, seconds);
    let before = good.run().await;
    let patience = Duration::from_secs(10);
    let lost = Pace { host: "hole", per_second: 50, patience, ..good };
    let (lost, during) = tokio::join!(lost.run(), good.run());
    (lost, before, during)
}

/// Connections that send a byte of a head now and then.
pub struct SlowHeads {
    open: Vec<TcpStream>,
    opened: Instant,
}

impl SlowHeads {
    /// Opens up to `count`, each with half a head; fewer where the system gives no more.
    pub async fn open(address: SocketAddr, count: usize) -> Self {
        let opened = Instant::now();
        let mut open = Vec::with_capacity(count);
        while open.len() < count && opened.elapsed() < Duration::from_secs(20) {
            let some = (0..(count - open.len()).min(200)).map(|_| async {
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-slow: ").await?;
                Ok::<_, io::Error>(stream)
            });
            open.extend(futures_util::future::join_all(some).await.into_iter().flatten());
        }
        Self { open, opened }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Sends a byte on each, one after another over that time.
    pub async fn drip(&self, over: Duration) {
        let began = Instant::now();
        let some = self.open.len().div_ceil(100).max(1);
        for (n, streams) in (1..).zip(self.open.chunks(some)) {
            for stream in streams {
                let _ = stream.try_write(b"a");
            }
            tokio::time::sleep_until(began + over * n / 100).await;
        }
    }

    /// Drips on until nine of ten have been closed; seconds since the first was opened.
    pub async fn closed(self, within: Duration) -> Option<f64> {
        let (all, opened) = (self.open.len(), self.opened);
        let mut left = self.open;
        while opened.elapsed() < within {
            left.retain(|stream| {
                let _ = stream.try_write(b"a");
                matches!(stream.try_read(&mut [0; 512]), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
            });
            if left.len() * 10 <= all {
                return Some(opened.elapsed().as_secs_f64());
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        None
    }
}

/// Opens file descriptors: as many as all experiments need where the system lets us, else as many as we may. How many is returned.
#[must_use]
pub fn raise_descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const ENOUGH: u64 = 50_000;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let most = maximum.map(|most| most.max(ENOUGH));
    if setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most }).is_err() {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    getrlimit(Resource::Nofile).current.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX)
}

/// How a client is slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// It asks for 50 MB over HTTP/1.1 and reads the beginning only.
    Download,
    /// The same over HTTP/2.
    Download2,
    /// It sends 50 MB over HTTP/1.1 to an app that takes nothing.
    Upload,
    /// The same over HTTP/2.
    Upload2,
}

/// MiB by which memory has grown, at most, while `count` clients are slow for some seconds.
pub async fn slow(proxy: &Proxy, how: Slow, count: usize, seconds: u64) -> f64 {
    const LENGTH: usize = 50 << 20;
    let before = proxy.memory();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..count {
        let (http1, http2) = (proxy.http1, proxy.http2);
        clients.spawn(async move {
            match how {
                Slow::Download => {
                    let mut stream = TcpStream::connect(http1).await?;
                    let request = format!("GET /bytes/{LENGTH} HTTP/1.1\r\nhost: a\r\n\r\n");
                    stream.write_all(request.as_bytes()).await?;
                    stream.read_exact(&mut [0; 100]).await?;
                }
                Slow::Upload => {
                    let mut stream = TcpStream::connect(http1).await?;
                    let head = format!("POST /later HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n");
                    stream.write_all(head.as_bytes()).await?;
                    stream.write_all(&vec![b'a'; LENGTH]).await?;
                }
                Slow::Download2 => {
                    // A window that would take all of it, and a client that takes nothing.
                    let mut client = Client::connect(http2, &[(4, u32::MAX >> 1)]).await?;
                    client.send(&frame(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())).await?;
                    client.send(&get(1, &format!("/bytes/{LENGTH}"))).await?;
                    client.next().await;
                    std::future::pending::<()>().await;
                }
                Slow::Upload2 => {
                    let mut client = Client::connect(http2, &[]).await?;
                    client.send(&frame(kind::HEADERS, END_HEADERS, 1, &request("POST", "/later"))).await?;
                    let data = frame(kind::DATA, 0, 1, &[b'a'; 16 << 10]);
                    // As much as the window allows that every server offers.
                    for _ in 0..3 {
                        client.send(&data).await?;
                    }
                    std::future::pending::<()>().await;
                }
            }
            std::future::pending::<()>().await;
            Ok::<_, io::Error>(())
        });
    }
    let mut most = before;
    let until = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
        most = most.max(proxy.memory());
    }
    clients.shutdown().await;
    most - before
}

/// What an attack costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// What the attacker saw.
    pub defence: attack::Defence,
    /// CPU seconds a second.
    pub cpu: f64,
    /// MiB by which memory has grown, at most.
    pub memory: f64,
    /// p99 of good traffic meanwhile, in milliseconds.
    pub p99: f64,
    /// Good requests, and how many of them failed.
    pub good: (usize, usize),
}

/// Attacks for some seconds, with good traffic beside it.
pub async fn attacked(proxy: &Proxy, what: attack::Attack, seconds: u64) -> Cost {
    let (cpu, memory) = (proxy.cpu(), proxy.memory());
    let time = Duration::from_secs(seconds);
    let watched = async {
        let mut most = memory;
        let until = Instant::now() + time;
        while Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(100)).await;
            most = most.max(proxy.memory());
        }
        most - memory
    };
    let good = Pace { per_second: 100, ..Pace::good(proxy.http1, seconds) };
    let (defence, memory, good) = tokio::join!(attack::attack(proxy.http2, what, time), watched, good.run());
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let cpu = (proxy.cpu() - cpu) / seconds as f64;
    Cost { defence, cpu, memory, p99: good.p99(), good: (good.sent, good.failed()) }
}

/// What comes of the rate that the app can carry, and then of five times that, from clients who leave after a second.
pub async fn overload(proxy: &Proxy, target: &'static str, per_second: u32, seconds: u64) -> (Outcome, Outcome) {
    let patience = Duration::from_secs(1);
    let pace = Pace { target, per_second, patience, ..Pace::good(proxy.http1, seconds) };
    let peak = pace.run().await;
    (peak, Pace { per_second: 5 * per_second, ..pace }.run().await)
}

/// What comes of 2,000 requests a second before, and while one of a hundred is slow at the app.
pub async fn one_of_a_hundred_slow(proxy: &Proxy, per_second: u32, seconds: u64) -> [Outcome; 2] {
    let quick = Pace { per_second: per_second - per_second / 100, ..Pace::good(proxy.http1, seconds) };
    let slow = Pace { per_second: per_second / 100, target: "/slow", ..quick };
    let before = quick.run().await;
    let (meanwhile, _) = tokio::join!(quick.run(), slow.run());
    [before, meanwhile]
}

/// What comes of requests whose app answers at once, and then takes 400 ms for each of as many, with no more of them in a queue than before.
pub async fn slow_database(proxy: &Proxy, per_second: u32, seconds: u64) -> [Outcome; 2] {
    let quick = Pace { per_second, ..Pace::good(proxy.http1, seconds) };
    let before = quick.run().await;
    [before, Pace { target: "/database", ..quick }.run().await]
}

/// Seconds from when an app listens again, after so long, until it answers through the proxy; with 200 requests a second all the while.
///
/// # Errors
/// The app can't be started again, or is not reached.
pub async fn recovered(proxy: &Proxy, app: app::App, gone: Duration) -> Result<(f64, app::App), String> {
    let (address, good) = (app.address, Pace::good(proxy.http1, 2));
    drop(app);
    let visitors = tokio::spawn(Pace { time: gone + good.time, ..good }.run());
    tokio::time::sleep(gone).await;
    let app = app::App::on(address).await.map_err(|e| e.to_string())?;
    let began = Instant::now();
    let once = Pace { per_second: 1000, time: Duration::from_millis(1), ..good };
    while once.run().await.count(200) == 0 {
        if began.elapsed() > Duration::from_secs(30) {
            return Err("it does not find its app again".to_owned());
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let _ = visitors.await;
    Ok((seconds, app))
}

/// What comes of 200 requests a second whose app is killed for one second of four.
///
/// # Errors
/// The app can't be started again.
pub async fn app_killed(proxy: &Proxy, app: app::App) -> Result<(Outcome, app::App), String> {
    let address = app.address;
    let again = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(app);
        tokio::time::sleep(Duration::from_secs(1)).await;
        app::App::on(address).await
    };
    let (outcome, app) =
        tokio::join!(Pace { patience: Duration::from_secs(20), ..Pace::good(proxy.http1, 4) }.run(), again);
    Ok((outcome, app.map_err(|e| e.to_string())?))
}
