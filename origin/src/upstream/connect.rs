//! A new connection to an app, over TCP or a Unix socket.

use std::io;
use std::time::Duration;

use contract::Problem;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

use super::pool::{Lease, Pool};
use crate::body::Body;
use crate::config::AppAddress;

/// The largest head of an app's answer, and so the size of the read buffer.
const MAX_BUFFER: usize = 64 << 10;

pub(super) async fn connect(pool: &Pool, app: &AppAddress, within: Duration) -> Result<Lease, Problem> {
    match tokio::time::timeout(within, open(app)).await {
        Ok(Ok(sender)) => Ok(pool.lease(app, sender)),
        Ok(Err(error)) => {
            tracing::warn!(app = %app, %error, "cannot connect to the app");
            Err(Problem::AppUnreachable)
        }
        Err(_) => {
            tracing::warn!(app = %app, within = ?within, "connecting to the app takes too long");
            Err(Problem::AppUnreachable)
        }
    }
}

async fn open(app: &AppAddress) -> io::Result<SendRequest<Body>> {
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
