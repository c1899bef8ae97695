//! A runtime per core: each accepts, serves and connects upstream by itself, and shares nothing that moves.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::gateway::{Core, Gateway};
use crate::listen::Identity;
use crate::service;
use crate::trust::Peer;
use crate::upstream::Pool;

/// Bytes of a connection's read buffer at most, beyond what a request's head may take.
const READ_BUFFER: usize = 64 << 10;
/// HTTP/2: what one stream and one connection may have in flight towards us, in bytes.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What one core listens on.
pub(crate) struct Listeners {
    pub(crate) https: Vec<TcpListener>,
    pub(crate) http: Vec<TcpListener>,
}

/// Starts one thread per element of `listeners`. Each ends when it has drained.
pub(crate) fn start(
    gateway: &Arc<Gateway>,
    identity: Option<&Arc<Identity>>,
    listeners: Vec<Listeners>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::with_capacity(listeners.len());
    for (n, own) in listeners.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let core = Arc::new(Core { gateway: Arc::clone(gateway), pool: Pool::default() });
        let identity = identity.cloned();
        let run = move || runtime.block_on(serve(core, identity, own));
        threads.push(thread::Builder::new().name(format!("core-{n}")).spawn(run)?);
    }
    Ok(threads)
}

/// Accepts until the gateway drains, then waits for what is in flight, within the time allowed.
async fn serve(core: Arc<Core>, identity: Option<Arc<Identity>>, listeners: Listeners) {
    let mut accepting = JoinSet::new();
    for listener in listeners.https {
        accepting.spawn(accept(Arc::clone(&core), identity.clone(), listener));
    }
    for listener in listeners.http {
        accepting.spawn(accept(Arc::clone(&core), None, listener));
    }
    while accepting.join_next().await.is_some() {}
}

async fn accept(core: Arc<Core>, identity: Option<Arc<Identity>>, listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "a listening socket is lost"),
    };
    let mut draining = core.gateway.draining.clone();
    let mut connections = JoinSet::new();
    loop {
        let (stream, address) = tokio::select! {
            biased;
            () = begun(&mut draining) => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: waiting is better than spinning.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(Arc::clone(&core), identity.clone(), stream, address));
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(core.gateway.config.timeouts.drain.0, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "cut off: they did not end within timeouts.drain");
    }
}

/// Ends when draining begins.
async fn begun(draining: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which it is only at the very end.
    let _ = draining.wait_for(|begun| *begun).await;
}

async fn connection(core: Arc<Core>, identity: Option<Arc<Identity>>, stream: TcpStream, address: SocketAddr) {
    // Without it small answers wait for the peer's acknowledgement.
    let _ = stream.set_nodelay(true);
    let address = address.ip().to_canonical();
    let Some(identity) = identity else {
        let peer = Peer { address, certified: false, tls: false };
        return converse(core, TokioIo::new(stream), peer, None).await;
    };
    let within = core.gateway.config.timeouts.handshake.0;
    match identity.accept(&core.gateway.sites, stream, within).await {
        Ok(shaken) => {
            let peer = Peer { address, certified: shaken.certified, tls: true };
            converse(core, TokioIo::new(shaken.stream), peer, Some(shaken.http2)).await;
        }
        Err(error) => tracing::debug!(client.address = %address, %error, "no handshake"),
    }
}

/// Serves one connection. `http2` is what the handshake agreed on; without one, the first bytes tell.
async fn converse<I>(core: Arc<Core>, io: I, peer: Peer, http2: Option<bool>)
where
    I: Read + Write + Unpin + Send + 'static,
{
    let mut draining: watch::Receiver<bool> = core.gateway.draining.clone();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    match http2 {
        Some(true) => builder = builder.http2_only(),
        Some(false) => builder = builder.http1_only(),
        None => {}
    }
    let head = usize::try_from(core.gateway.config.limits.head.0).unwrap_or(READ_BUFFER);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(core.gateway.config.timeouts.head.0)
        .max_buf_size(head.max(READ_BUFFER))
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let service = service_fn(move |request| {
        let core = Arc::clone(&core);
        async move { Ok::<_, Infallible>(service::serve(&core, peer, request).await) }
    });
    let connection = builder.serve_connection_with_upgrades(io, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = begun(&mut draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(client.address = %peer.address, %error, "the connection broke off");
    }
}
