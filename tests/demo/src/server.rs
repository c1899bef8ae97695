//! The accept loop: one hyper HTTP/1.1 connection per socket, each behind its own saboteur.
//!
//! Not `axum::serve`, because faults below HTTP (a cut body, garbage, a dripped head) need a hand on the connection's bytes.

use axum::{Router, body::Body, serve::Listener};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tower::Service as _;

use crate::saboteur::{Saboteur, Wire};

/// More fields than hyper's 100, so that a test can see what a gateway lets through.
const MAX_HEADERS: usize = 256;

/// Serves until dropped; dropping cuts the open connections too, as the death of a process would.
pub(crate) async fn serve<L: Listener>(mut listener: L, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (io, _peer) = listener.accept() => {
                connections.spawn(connection(io, router.clone()));
            }
            // Reaps what ended; a handler that panicked ended its connection only.
            Some(_ended) = connections.join_next() => {}
        }
    }
}

async fn connection<I>(io: I, router: Router)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let wire = Wire::default();
    let io = TokioIo::new(Saboteur::new(io, wire.clone()));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(wire.clone());
        router.clone().call(request.map(Body::new))
    });
    // An error here is the peer's going away or a fault that was ordered: nobody to tell.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .serve_connection(io, service)
        .with_upgrades()
        .await;
}
