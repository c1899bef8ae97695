//! Servers that do as they are told, and keep a record of what they did.

use std::any::Any;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs::File;
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use contract::{Keys, Message, Window};
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

const KEYS: &str = "test-1:c29tZXRoaW5nIHRoYXQgaXMgbG9uZyBlbm91Z2ggZm9yIGEga2V5";

/// What a server does with each request.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    /// Answers after that time.
    Waits(Duration),
    /// Answers at once, but nobody for a while, so long after its first request.
    Stalls { after: Duration, lasts: Duration },
    /// Of twenty, one gets 500, one no answer, one half of a body.
    Fails,
    /// A head at once, then 1,000 bytes after each pause.
    Drips { parts: usize, pause: Duration },
    /// Event streams whose first event comes after that time; on `/broken` the last one, too.
    Streams(Duration),
    /// 302 to a file that has ranges; from `/elsewhere` to another host's, from `/relative` by its path alone, and from `/sign-in` 303.
    HandsOff,
    /// One request at a time, each so long.
    OneAtATime(Duration),
    /// Answers at once, and keeps something of each request for ever; on `/metrics` it says how many tasks it has.
    Leaks(Leak),
}

/// What a server keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leak {
    Nothing,
    /// 100 KiB.
    Memory,
    Descriptor,
    Thread,
    Task,
}

impl Leak {
    fn one(self) -> Box<dyn Any + Send> {
        match self {
            Self::Nothing => Box::new(()),
            Self::Memory => Box::new(vec![1u8; 100 << 10]),
            Self::Descriptor => Box::new(File::open("/dev/null").unwrap()),
            Self::Thread => {
                let (ends, end) = mpsc::channel::<()>();
                std::thread::spawn(move || end.recv());
                Box::new(ends)
            }
            Self::Task => {
                let mut task = JoinSet::new();
                task.spawn(pending::<()>());
                Box::new(task)
            }
        }
    }
}

/// A server on loopback.
pub(crate) struct Server {
    address: SocketAddr,
    record: Arc<Record>,
    _task: JoinSet<()>,
}

#[derive(Default)]
struct Record {
    requests: AtomicU64,
    connections: AtomicU64,
    signed: AtomicU64,
    clients: Mutex<BTreeSet<IpAddr>>,
    times: Mutex<Vec<Duration>>,
    first: Mutex<Option<Instant>>,
    /// When each request came, and when it was answered.
    moments: Mutex<Vec<(Instant, Instant)>>,
    failures: Mutex<Failures>,
    turn: tokio::sync::Mutex<()>,
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
}

/// What went wrong on purpose.
#[derive(Clone, Copy, Default)]
pub(crate) struct Failures {
    pub(crate) statuses: u64,
    pub(crate) dropped: u64,
    pub(crate) cut: u64,
}

/// Times that a server took, by its own clock.
pub(crate) struct Truth(Vec<Duration>);

impl Truth {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a length"
    )]
    pub(crate) fn at(&self, quantile: f64) -> f64 {
        let place = ((self.0.len() as f64 * quantile).ceil() as usize).max(1) - 1;
        self.0[place].as_secs_f64() * 1e3
    }
}

/// The keys file by which this server knows the edge.
pub(crate) fn keys_file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), KEYS).unwrap();
    file
}

impl Server {
    pub(crate) async fn start(does: Does) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, record) = (listener.local_addr().unwrap(), Arc::new(Record::default()));
        let kept = Arc::clone(&record);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (record, asked) = (Arc::clone(&kept), AtomicBool::new(false));
                let service = service_fn(move |request| {
                    // One that only shows that somebody listens is not counted.
                    if !asked.swap(true, Ordering::Relaxed) {
                        record.connections.fetch_add(1, Ordering::Relaxed);
                        record.clients.lock().unwrap().insert(peer.ip());
                    }
                    answer(Arc::clone(&record), does, address, request)
                });
                connections.spawn(async move {
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, record, _task: task }
    }

    /// A WebSocket server that says everything back after that time.
    pub(crate) async fn start_echo(after: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, record) = (listener.local_addr().unwrap(), Arc::new(Record::default()));
        let kept = Arc::clone(&record);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let record = Arc::clone(&kept);
                connections.spawn(async move {
                    let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else { return };
                    while let Some(Ok(message)) = socket.next().await {
                        if !message.is_text() {
                            continue;
                        }
                        let began = Instant::now();
                        tokio::time::sleep(after).await;
                        record.times.lock().unwrap().push(began.elapsed());
                        let _ = socket.send(message).await;
                    }
                });
            }
        });
        Self { address, record, _task: task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn connections(&self) -> u64 {
        self.record.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn clients(&self) -> usize {
        self.record.clients.lock().unwrap().len()
    }

    pub(crate) fn signed(&self) -> u64 {
        self.record.signed.load(Ordering::Relaxed)
    }

    pub(crate) fn times(&self) -> Truth {
        let mut times = self.record.times.lock().unwrap().clone();
        times.sort();
        Truth(times)
    }

    pub(crate) fn failures(&self) -> Failures {
        *self.record.failures.lock().unwrap()
    }

    /// Of requests that came one after the other at so many a second: from when each was due until it was answered. No request comes before it
    /// is due, so that the quickest of them tells when the first was.
    pub(crate) fn since_due(&self, rate: f64) -> Truth {
        let moments = self.record.moments.lock().unwrap();
        let zero = moments[0].0;
        let due = |number: usize| (f64::from(u32::try_from(number).unwrap()) + 0.5) / rate;
        let came = moments.iter().enumerate().map(|(number, (came, _))| (*came - zero).as_secs_f64() - due(number));
        let began = came.fold(f64::MAX, f64::min);
        let since = |(number, (_, answered)): (usize, &(Instant, Instant))| {
            Duration::from_secs_f64((*answered - zero).as_secs_f64() - began - due(number))
        };
        let mut times: Vec<Duration> = moments.iter().enumerate().map(since).collect();
        times.sort();
        Truth(times)
    }

    /// By how long one takes.
    pub(crate) fn served_a_second(&self) -> f64 {
        1000.0 / self.times().at(0.5)
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

async fn answer(
    record: Arc<Record>,
    does: Does,
    address: SocketAddr,
    request: Request<Incoming>,
) -> Result<Answer, std::io::Error> {
    let began = Instant::now();
    let number = record.requests.fetch_add(1, Ordering::Relaxed);
    if is_signed(&request) {
        record.signed.fetch_add(1, Ordering::Relaxed);
    }
    let took = |record: &Record| record.times.lock().unwrap().push(began.elapsed());
    match does {
        Does::Waits(time) => tokio::time::sleep(time).await,
        Does::Stalls { after, lasts } => stall(&record, began, after, lasts).await,
        Does::OneAtATime(time) => {
            let _turn = record.turn.lock().await;
            let began = Instant::now();
            tokio::time::sleep(time).await;
            record.times.lock().unwrap().push(began.elapsed());
            return Ok(whole("fine"));
        }
        Does::Fails => match number % 20 {
            3 => {
                record.failures.lock().unwrap().statuses += 1;
                let mut answer = whole("no");
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                return Ok(answer);
            }
            8 => {
                record.failures.lock().unwrap().dropped += 1;
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            13 => {
                record.failures.lock().unwrap().cut += 1;
                let half = stream::iter([
                    Ok(Frame::data(Bytes::from_static(b"half"))),
                    Err(std::io::ErrorKind::BrokenPipe.into()),
                ]);
                // Long enough for the first half to leave.
                let half = half.then(async |part| {
                    if part.is_err() {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    part
                });
                return Ok(Response::new(StreamBody::new(half).boxed_unsync()));
            }
            _ => {}
        },
        Does::Drips { parts, pause } => {
            let drips = stream::unfold(0, move |part| {
                let record = Arc::clone(&record);
                async move {
                    if part == parts {
                        return None;
                    }
                    tokio::time::sleep(pause).await;
                    if part + 1 == parts {
                        record.times.lock().unwrap().push(began.elapsed());
                    }
                    Some((Ok(Frame::data(Bytes::from(vec![b'x'; 1000]))), part + 1))
                }
            });
            return Ok(Response::new(StreamBody::new(drips).boxed_unsync()));
        }
        Does::Streams(first) => {
            let ends = request.uri().path() == "/broken";
            let events = stream::unfold(0, move |event| {
                let record = Arc::clone(&record);
                async move {
                    if event > 0 && ends {
                        return None;
                    }
                    tokio::time::sleep(if event == 0 { first } else { Duration::from_millis(100) }).await;
                    if event == 0 {
                        record.times.lock().unwrap().push(began.elapsed());
                    }
                    Some((Ok(Frame::data(Bytes::from_static(b"event: changed\ndata: {}\n\n"))), event + 1))
                }
            });
            return Ok(Response::new(StreamBody::new(events).boxed_unsync()));
        }
        Does::Leaks(_) if request.uri().path() == "/metrics" => {
            let tasks = Handle::current().metrics().num_alive_tasks();
            return Ok(whole(&format!("origin_tasks {tasks}\n")));
        }
        Does::Leaks(what) => record.kept.lock().unwrap().push(what.one()),
        Does::HandsOff if request.uri().path() != "/file" => {
            let mut answer = whole("");
            let (status, location) = match request.uri().path() {
                "/elsewhere" => (StatusCode::FOUND, "https://files.example/file".to_owned()),
                "/relative" => (StatusCode::FOUND, "/file".to_owned()),
                "/sign-in" => (StatusCode::SEE_OTHER, "/file".to_owned()),
                _ => (StatusCode::FOUND, format!("http://{address}/file")),
            };
            *answer.status_mut() = status;
            answer.headers_mut().insert("location", location.parse().unwrap());
            return Ok(answer);
        }
        Does::HandsOff => {
            let ranged = request.headers().get("range").is_some_and(|range| range == "bytes=0-99");
            let mut answer = whole(&"f".repeat(if ranged { 100 } else { 5000 }));
            *answer.status_mut() = if ranged { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
            answer.headers_mut().insert("cache-status", "app; fwd=uri-miss, edge; hit; ttl=3".parse().unwrap());
            return Ok(answer);
        }
    }
    took(&record);
    Ok(whole("fine"))
}

fn whole(text: &str) -> Answer {
    let body = Full::new(Bytes::from(text.to_owned())).map_err(|never: Infallible| match never {});
    Response::new(body.boxed_unsync())
}

/// Whoever comes while it lasts waits for its end.
async fn stall(record: &Record, now: Instant, after: Duration, lasts: Duration) {
    let first = *record.first.lock().unwrap().get_or_insert(now);
    let (begins, ends) = (first + after, first + after + lasts);
    if (begins..ends).contains(&now) {
        tokio::time::sleep_until(ends.into()).await;
    }
    record.moments.lock().unwrap().push((now, Instant::now()));
}

/// As a gateway would look.
fn is_signed(request: &Request<Incoming>) -> bool {
    let field = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authority = request.uri().authority().map_or_else(|| field("host"), |authority| authority.as_str());
    let message = Message {
        method: request.method().as_str(),
        authority,
        path: request.uri().path(),
        query: request.uri().query(),
        facts: field("edge-facts"),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let keys = Keys::parse(KEYS).unwrap();
    keys.verify(&message, field("signature-input"), field("signature"), now, &Window::default()).is_ok()
}
