//! Where the private listener is, and its connections: few, and none that says nothing.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use super::router;
use crate::gateway::Gateway;
use crate::listen::{Address, Listening};

/// Connections at once; who comes later waits.
const CONNECTIONS: usize = 64;
/// For a request's head.
const HEAD: Duration = Duration::from_secs(10);

/// Answers on the private listener until `left` ends.
///
/// # Errors
/// Where the runtime does not take the socket.
pub(crate) fn serve(
    private: &Listening,
    gateway: &Arc<Gateway>,
    left: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let socket = private.sockets.first().ok_or(io::ErrorKind::NotFound)?.try_clone()?;
    socket.set_nonblocking(true)?;
    match &private.address {
        Address::Tcp(_) => {
            let listener = tokio::net::TcpListener::from_std(socket.into())?;
            spawn(accept(listener, router(gateway, false)), left);
        }
        Address::Unix(_) => {
            let listener = tokio::net::UnixListener::from_std(socket.into())?;
            spawn(accept(listener, router(gateway, true)), left);
        }
    }
    Ok(())
}

fn spawn(accepting: impl Future<Output = ()> + Send + 'static, left: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(async {
        tokio::select! {
            () = accepting => {}
            () = left => {}
        }
    });
}

async fn accept<L: axum::serve::Listener>(mut listener: L, routes: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (io, _) = listener.accept().await;
        let routes = routes.clone();
        let service = service_fn(move |request: Request<Incoming>| routes.clone().oneshot(request.map(Body::new)));
        tokio::spawn(async move {
            let _place = place;
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
            // How it ended is the visitor's affair.
            let _ = builder.serve_connection(TokioIo::new(io), service).await;
        });
    }
}
