//! A new connection to an upstream, over TCP or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use super::app::Upstream;
use super::pool::Connection;
use super::resolve::Name;
use crate::config::AppAddress;

/// The largest head of an app's answer, and so the size of the read buffer.
const MAX_HEAD: usize = 64 << 10;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// Nobody accepts connections there: the app is down, or starting.
    #[error("nobody accepts connections: {0}")]
    Refused(io::Error),
    /// Nothing came back in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// We can't connect.
    #[error("{0}")]
    Failed(io::Error),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            // A Unix socket that is not there, or whose backlog is full; a name without an address; a host that restarts.
            Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::NotFound
            | Kind::WouldBlock
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable => Self::Refused(error),
            _ => Self::Failed(error),
        }
    }
}

/// Connects, in at most `within`.
pub(super) async fn connect(upstream: &Upstream, within: Duration) -> Result<Connection, ConnectError> {
    match tokio::time::timeout(within, open(upstream)).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(ConnectError::TimedOut(within)),
    }
}

async fn open(upstream: &Upstream) -> io::Result<Connection> {
    let generation = upstream.name.as_ref().map_or(0, Name::generation);
    match (&upstream.address, &upstream.name) {
        (AppAddress::Unix(path), _) => handshake(TokioIo::new(UnixStream::connect(path).await?), generation).await,
        (AppAddress::Tcp(address), _) => handshake(tcp(&[*address]).await?, generation).await,
        (AppAddress::Name(..), None) => Err(io::ErrorKind::NotFound.into()),
        (AppAddress::Name(..), Some(name)) => {
            // A name that can't be looked up is an upstream that can't be reached, and may be so for a moment only.
            let unknown = |error| io::Error::new(io::ErrorKind::NotFound, error);
            let stream = match tcp(&name.addresses().await.map_err(unknown)?).await {
                Ok(stream) => stream,
                Err(_) => tcp(&name.look_up().await.map_err(unknown)?).await?,
            };
            handshake(stream, name.generation()).await
        }
    }
}

/// The first of the addresses that accepts.
async fn tcp(addresses: &[SocketAddr]) -> io::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(addresses).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

async fn handshake<I: Read + Write + Unpin + Send + 'static>(io: I, generation: u32) -> io::Result<Connection> {
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_HEAD).max_buf_size(MAX_HEAD);
    let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
    let task = tokio::spawn(async move {
        // How it ended, the exchange on it has seen already.
        let _ = connection.with_upgrades().await;
    });
    Ok(Connection::new(sender, task.abort_handle(), generation))
}
