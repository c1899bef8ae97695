//! One HTTP/2 connection (RFC 9113).

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::HttpService;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::Body;
use crate::drain::Drain;
use crate::limits::connections::Place;

/// What one stream and one connection may have in flight towards us, in bytes.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Requests of one connection at once, and what waits of one answer for a client that reads slowly, in bytes. Their product is what
/// one connection can make us hold.
const STREAMS: u32 = 100;
const SEND_BUFFER: usize = 64 << 10;
/// How long a connection that is told to end because it is not used may take to.
const LEAVE: Duration = Duration::from_secs(5);
/// Who holds its place without a request: the service and we.
const HOLDERS: usize = 2;

/// Converses until either side ends it, the gateway drains, or there has been no request for `head_within`.
pub(super) async fn converse<I, S>(
    io: I,
    service: S,
    place: Arc<Place>,
    drain: Drain,
    max_head: usize,
    head_within: Duration,
) -> hyper::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = Body> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS)
        .max_send_buf_size(SEND_BUFFER);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    // hyper has no time for a head in HTTP/2, and none for a connection without requests.
    let unused = |time| place.unused(HOLDERS, time, time);
    let ends = async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            // It is told at once; what it sends before it has heard of that is answered (RFC 9113 section 6.8).
            () = drain.begun() => {}
            () = unused(head_within) => {}
        }
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    tokio::select! {
        ended = ends => ended,
        () = unused(2 * head_within + LEAVE) => Ok(()),
    }
}
