//! An app that can carry a known rate, answers bodies of any length, publishes events, and can be killed.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How many requests of `/work/MS` are worked on at once, each for that many milliseconds.
pub const WORKERS: usize = 10;
/// What `/slow` takes.
pub const SLOW: Duration = Duration::from_secs(2);
/// What `/database` takes.
pub const DATABASE: Duration = Duration::from_millis(400);

/// The running app; dropped, it dies with all its connections.
pub struct App {
    /// Where it listens.
    pub address: SocketAddr,
    events: watch::Sender<u64>,
    task: JoinHandle<()>,
}

impl App {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// The system's.
    pub async fn start() -> io::Result<Self> {
        Self::on(([127, 0, 0, 1], 0).into()).await
    }

    /// Starts it on a port.
    ///
    /// # Errors
    /// The system's.
    pub async fn on(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let workers = Arc::new(Semaphore::new(WORKERS));
        let (events, published) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                let (workers, published) = (Arc::clone(&workers), published.clone());
                let service = service_fn(move |request| answer(request, Arc::clone(&workers), published.clone()));
                connections.spawn(async move {
                    // Who leaves has a reason.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { address, events, task })
    }

    /// Sends an event to whoever listens to `/events`.
    pub fn publish(&self) {
        self.events.send_modify(|number| *number += 1);
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

fn whole(text: &'static str) -> Answer {
    Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync())
}

/// A number at once, and one for each event.
fn events(published: watch::Receiver<u64>) -> Answer {
    let events = futures_util::stream::unfold((published, true), async |(mut published, at_once)| {
        if !at_once {
            published.changed().await.ok()?;
        }
        let event = Bytes::from(format!("data: {}\n\n", *published.borrow_and_update()));
        Some((Ok(Frame::data(event)), (published, false)))
    });
    let mut answer = Response::new(StreamBody::new(events).boxed_unsync());
    for (name, value) in
        [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
    {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn answer(
    request: Request<Incoming>,
    workers: Arc<Semaphore>,
    published: watch::Receiver<u64>,
) -> Result<Answer, Infallible> {
    let path = request.uri().path();
    if let Some(length) = path.strip_prefix("/bytes/").and_then(|n| n.parse::<usize>().ok()) {
        let chunk = Bytes::from(vec![b'a'; 64 << 10]);
        let chunks = (0..length / chunk.len()).map(move |_| Ok(Frame::data(chunk.clone())));
        return Ok(Response::new(StreamBody::new(futures_util::stream::iter(chunks)).boxed_unsync()));
    }
    if let Some(ms) = path.strip_prefix("/work/").and_then(|n| n.parse().ok()) {
        let _worker = workers.acquire().await;
        tokio::time::sleep(Duration::from_millis(ms)).await;
        return Ok(whole("done"));
    }
    match path {
        "/events" => return Ok(events(published)),
        // Slow, and nobody else's worker.
        "/slow" => tokio::time::sleep(SLOW).await,
        // The same, as an app is whose database has become slow.
        "/database" => tokio::time::sleep(DATABASE).await,
        // It takes nothing of the body for a long while.
        "/later" => tokio::time::sleep(Duration::from_secs(20)).await,
        _ => {
            let _ = request.into_body().collect().await;
        }
    }
    Ok(whole("ok"))
}
