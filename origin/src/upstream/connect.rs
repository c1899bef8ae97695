//! A new connection to an upstream, over TCP or a Unix socket.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::header::{CONNECTION, HOST};
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpStream, UnixStream};

use super::app::Upstream;
use super::pool::{Connection, Http1, Sender};
use super::resolve::Name;
use super::wire::{Socket, Wire};
use crate::body::Body;
use crate::config::{AppAddress, Protocol};
use crate::metrics::{self, Failure};

/// The largest head of an app's answer, and so the size of the read buffer.
const MAX_HEAD: usize = 64 << 10;
/// HTTP/2: what an app may have sent of one answer, and of all on a connection, that nobody has taken yet; in bytes.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 4 << 20;
/// HTTP/2: how often a connection in use is tried, and how long its answer may take. Nothing else shows that it is dead.
const PING: Duration = Duration::from_secs(10);
const PONG: Duration = Duration::from_secs(5);

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

impl ConnectError {
    pub(super) const fn failure(&self) -> Failure {
        match self {
            Self::Refused(_) => Failure::Refused,
            Self::TimedOut(_) => Failure::ConnectTimeout,
            Self::Failed(_) => Failure::Connect,
        }
    }
}

/// Counts a connection as open, for as long as it lives.
pub(super) struct Open(pub(super) usize);

impl Open {
    fn new(upstream: &Upstream) -> Self {
        upstream.count(|counts| counts.opened.add(1));
        Self(upstream.series)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::count(|counts| counts.upstreams[self.0].closed.add(1));
    }
}

/// Turns a request in HTTP/1.1's form into HTTP/2's (RFC 9113 section 8.3.1): the host stands in the target, and nothing is said
/// of the connection (section 8.2.2). `false` where its host is none.
pub(super) fn in_http2(request: &mut Request<Body>) -> bool {
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    let Some(host) = headers.remove(HOST) else { return false };
    let mut target = std::mem::take(request.uri_mut()).into_parts();
    target.scheme = Some(Scheme::HTTP);
    target.authority = Authority::try_from(host.as_bytes()).ok();
    match Uri::from_parts(target) {
        Ok(target) => {
            *request.uri_mut() = target;
            true
        }
        Err(_) => false,
    }
}

/// Connects, in at most `within`.
pub(super) async fn connect(
    upstream: &Upstream,
    protocol: Protocol,
    within: Duration,
) -> Result<Connection, ConnectError> {
    match tokio::time::timeout(within, open(upstream, protocol)).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(ConnectError::TimedOut(within)),
    }
}

async fn open(upstream: &Upstream, protocol: Protocol) -> io::Result<Connection> {
    let generation = upstream.name.as_ref().map_or(0, Name::generation);
    match (&upstream.address, &upstream.name) {
        (AppAddress::Unix(path), _) => {
            let socket = Socket::Unix(UnixStream::connect(path).await?);
            handshake(socket, protocol, generation, Open::new(upstream)).await
        }
        (AppAddress::Tcp(address), _) => {
            handshake(tcp(&[*address]).await?, protocol, generation, Open::new(upstream)).await
        }
        (AppAddress::Name(..), None) => Err(io::ErrorKind::NotFound.into()),
        (AppAddress::Name(..), Some(name)) => {
            // A name that can't be looked up is an upstream that can't be reached, and may be so for a moment only.
            let unknown = |error| io::Error::new(io::ErrorKind::NotFound, error);
            let stream = match tcp(&name.addresses().await.map_err(unknown)?).await {
                Ok(stream) => stream,
                Err(_) => tcp(&name.look_up().await.map_err(unknown)?).await?,
            };
            handshake(stream, protocol, name.generation(), Open::new(upstream)).await
        }
    }
}

/// The first of the addresses that accepts.
async fn tcp(addresses: &[SocketAddr]) -> io::Result<Socket> {
    let stream = TcpStream::connect(addresses).await?;
    stream.set_nodelay(true)?;
    Ok(Socket::Tcp(stream))
}

async fn handshake(socket: Socket, protocol: Protocol, generation: u32, open: Open) -> io::Result<Connection> {
    let (wire, tap) = Wire::new(socket, open);
    let io = TokioIo::new(wire);
    // How a connection ended, the exchanges on it have seen already.
    match protocol {
        Protocol::Http1 => {
            let mut builder = http1::Builder::new();
            builder.max_header_size(MAX_HEAD).max_buf_size(MAX_HEAD);
            let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
            let task = tokio::spawn(async move { drop(connection.with_upgrades().await) });
            let http1 = Http1 { task: task.abort_handle(), tap };
            Ok(Connection::new(Sender::Http1(sender), Some(http1), generation))
        }
        Protocol::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_header_list_size(MAX_HEAD as u32)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .keep_alive_interval(PING)
                .keep_alive_timeout(PONG);
            let (sender, connection) = builder.handshake(io).await.map_err(io::Error::other)?;
            // It ends when the last sender and the last exchange have.
            tokio::spawn(async move { drop(connection.await) });
            Ok(Connection::new(Sender::Http2(sender), None, generation))
        }
    }
}
