//! A new connection to an app, over TCP or a Unix socket.

use std::io;
use std::time::Duration;

use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use super::pool::{Lease, Pool};
use crate::body::Body;
use crate::config::AppAddress;

/// The largest head of an app's answer, and so the size of the read buffer.
const MAX_BUFFER: usize = 64 << 10;

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoConnection {
    /// Nobody listens there, as long as an app restarts.
    Refused,
    /// Anything else: waiting would not help.
    Failed,
}

impl From<&io::Error> for NoConnection {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            // A Unix socket's file is missing while its app is.
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Self::Refused,
            _ => Self::Failed,
        }
    }
}

pub(super) async fn connect(pool: &Pool, app: &AppAddress, within: Duration) -> Result<Lease, NoConnection> {
    match tokio::time::timeout(within, open(app)).await {
        Ok(Ok(sender)) => Ok(pool.lease(app, sender)),
        Ok(Err(error)) => {
            let why = NoConnection::from(&error);
            if why == NoConnection::Failed {
                tracing::warn!(app = %app, %error, "cannot connect to the app");
            }
            Err(why)
        }
        Err(_) => {
            tracing::warn!(app = %app, within = ?within, "connecting to the app takes too long");
            Err(NoConnection::Failed)
        }
    }
}

pub(super) async fn open(app: &AppAddress) -> io::Result<SendRequest<Body>> {
    match app {
        AppAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            handshake(TokioIo::new(stream)).await
        }
        AppAddress::Unix(path) => handshake(TokioIo::new(UnixStream::connect(path).await?)).await,
    }
}

async fn handshake<I: Read + Write + Unpin + Send + 'static>(io: I) -> io::Result<SendRequest<Body>> {
    let (sender, connection) =
        http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(io).await.map_err(io::Error::other)?;
    tokio::spawn(async move {
        // How it ended, the exchange on it has seen already.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}
