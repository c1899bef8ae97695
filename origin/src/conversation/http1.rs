//! One HTTP/1.1 connection. While its client says nothing it is parked: hyper, whose buffers are most of what it takes, is let go,
//! and is there anew as soon as a byte comes. So it is while an endless answer is sent, once its head has been said.

use std::error::Error;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::{BUFFER, relay};
use crate::body::Body;
use crate::drain::Drain;
use crate::endless::{Endless, Stream};
use crate::limits::connections::Place;
use crate::listen::Guard;

/// It is parked when it has had no request for this long. It is looked at as often, and down to every [`LOOK`] where it has one.
const PARK: Duration = Duration::from_millis(200);
const LOOK: Duration = Duration::from_secs(2);
/// Who holds its place without a request: the service, the guard, and we.
const HOLDERS: usize = 3;

/// Converses until either side ends it, the gateway drains, or there has been no request for `unused`.
pub(super) async fn converse<I, S>(
    mut guard: Box<Guard<I>>,
    mut service: S,
    endless: Endless,
    place: Arc<Place>,
    drain: Drain,
    max_head: usize,
    unused: Duration,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (park, look) = (PARK.min(unused), LOOK.min(unused));
    // It can't be told that we drain before its next answer.
    let mut lingered = pin!(drain.lingered());
    loop {
        let mut builder = http1::Builder::new();
        builder.max_header_size(max_head).max_buf_size(max_head.max(BUFFER));
        let mut connection = Box::pin(builder.serve_connection(TokioIo::new(guard), service).with_upgrades());
        let stream = tokio::select! {
            // hyper first: what it has not done yet would be lost.
            biased;
            taken = poll_fn(|cx| until_taken(connection.as_mut(), &endless, cx)) => match taken? {
                None => return Ok(()),
                stream => stream,
            },
            () = &mut lingered => {
                connection.as_mut().graceful_shutdown();
                match poll_fn(|cx| until_taken(connection.as_mut(), &endless, cx)).await? {
                    None => return Ok(()),
                    stream => stream,
                }
            }
            () = place.unused(HOLDERS, park, look) => None,
        };
        let Some(parts) = Pin::into_inner(connection).into_parts() else { return Ok(()) };
        (guard, service) = (parts.io.into_inner(), parts.service);
        guard.give_back(parts.read_buf);
        if let Some(stream) = stream {
            let last = stream.last;
            // In a box, which is gone when it has ended.
            Box::pin(relay::relay(&mut guard, stream)).await?;
            if last || drain.has_begun() {
                return Ok(guard.shutdown().await?);
            }
            continue;
        }
        let goes_on = tokio::select! {
            biased;
            said = poll_fn(|cx| guard.poll_said(cx)) => said?,
            () = &mut lingered => false,
            () = tokio::time::sleep(unused - park) => false,
        };
        if !goes_on {
            return Ok(guard.shutdown().await?);
        }
    }
}

/// Holds a connection to its end, or to where a stream is taken from it.
fn until_taken<F, E>(
    connection: Pin<&mut F>,
    endless: &Endless,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Box<Stream>>, E>>
where
    F: Future<Output = Result<(), E>>,
{
    match connection.poll(cx) {
        Poll::Ready(ended) => Poll::Ready(ended.map(|()| None)),
        Poll::Pending => match endless.take() {
            Some(stream) => Poll::Ready(Ok(Some(stream))),
            None => Poll::Pending,
        },
    }
}
