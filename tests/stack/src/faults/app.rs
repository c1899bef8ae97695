//! An app that can carry a known rate, answers bodies of any length, and can be killed.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

/// How many requests of `/work/MS` are worked on at once, each for that many milliseconds.
pub const WORKERS: usize = 10;

/// The running app; dropped, it dies with all its connections.
pub struct App {
    /// Where it listens.
    pub address: SocketAddr,
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
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                let workers = Arc::clone(&workers);
                let service = service_fn(move |request| answer(request, Arc::clone(&workers)));
                connections.spawn(async move {
                    // Who leaves has a reason.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Frames = Box<dyn Iterator<Item = Result<Frame<Bytes>, Infallible>> + Send>;
type Chunks = StreamBody<futures_util::stream::Iter<Frames>>;

async fn answer(
    request: Request<Incoming>,
    workers: Arc<Semaphore>,
) -> Result<Response<Either<Full<Bytes>, Chunks>>, Infallible> {
    let path = request.uri().path();
    if let Some(length) = path.strip_prefix("/bytes/").and_then(|n| n.parse::<usize>().ok()) {
        let chunk = Bytes::from(vec![b'a'; 64 << 10]);
        let chunks: Frames = Box::new((0..length / chunk.len()).map(move |_| Ok(Frame::data(chunk.clone()))));
        let body = StreamBody::new(futures_util::stream::iter(chunks));
        return Ok(Response::new(Either::Right(body)));
    }
    if let Some(ms) = path.strip_prefix("/work/").and_then(|n| n.parse().ok()) {
        let _worker = workers.acquire().await;
        tokio::time::sleep(Duration::from_millis(ms)).await;
        return Ok(Response::new(Either::Left(Full::new(Bytes::from_static(b"done")))));
    }
    match path {
        // It takes nothing of the body for a long while.
        "/later" => tokio::time::sleep(Duration::from_secs(20)).await,
        _ => {
            let _ = request.into_body().collect().await;
        }
    }
    Ok(Response::new(Either::Left(Full::new(Bytes::from_static(b"ok")))))
}
