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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;

use super::router;
use crate::gateway::Gateway;
use crate::listen::{Address, Listener, Listening, Stream};

/// Connections at once; who comes later waits.
const CONNECTIONS: usize = 64;
/// For a request's head.
const HEAD: Duration = Duration::from_secs(10);
/// After a connection could not be accepted.
const PAUSE: Duration = Duration::from_millis(50);

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
    let unix = matches!(private.address, Address::Unix(_));
    let accepting = accept(Listener::new(socket)?, router(gateway, unix), Arc::clone(gateway));
    tokio::spawn(async {
        tokio::select! {
            () = accepting => {}
            () = left => {}
        }
    });
    Ok(())
}

async fn accept(listener: Listener, routes: Router, gateway: Arc<Gateway>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok(stream) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        tokio::spawn(hold(stream, routes.clone(), Arc::clone(&gateway), place));
    }
}

/// How it ends is the visitor's affair.
async fn hold(mut stream: Stream, routes: Router, gateway: Arc<Gateway>, _place: OwnedSemaphorePermit) {
    if stream.is_passed_on_by(&gateway.config.listen.balancers) && stream.take_introduction(HEAD).await.is_err() {
        return;
    }
    let service = service_fn(move |request: Request<Incoming>| routes.clone().oneshot(request.map(Body::new)));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD);
    match stream {
        Stream::Tcp(stream, _) => drop(builder.serve_connection(TokioIo::new(stream), service).await),
        Stream::Unix(stream) => drop(builder.serve_connection(TokioIo::new(stream), service).await),
    }
}
