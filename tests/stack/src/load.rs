//! A closed loop of keep-alive connections, for benchmarks that count the CPU of who serves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What to ask, how often.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where.
    pub address: SocketAddr,
    /// Path and query.
    pub target: String,
    /// Fields besides Host.
    pub fields: Vec<(String, String)>,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Requests in all; the load ends by itself.
    pub requests: u64,
    /// What each answer has to have.
    pub status: StatusCode,
}

impl Load {
    /// Runs it.
    ///
    /// # Errors
    /// The first answer with another status, or a connection that fails.
    pub async fn run(&self) -> Result<(), String> {
        let left = Arc::new(AtomicU64::new(self.requests));
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..self.connections {
            workers.spawn(worker(self.clone(), Arc::clone(&left)));
        }
        while let Some(ended) = workers.join_next().await {
            ended.map_err(|e| e.to_string())??;
        }
        Ok(())
    }
}

async fn worker(load: Load, left: Arc<AtomicU64>) -> Result<(), String> {
    let mut sender = connect(load.address).await?;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
        let mut request = Request::get(&load.target).header("host", load.address.to_string());
        for (name, value) in &load.fields {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
        sender.ready().await.map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        if response.status() != load.status {
            return Err(format!("{}: {}", load.target, response.status()));
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|e| e.to_string())?;
        }
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Empty<Bytes>>, String> {
    let stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    Ok(sender)
}
