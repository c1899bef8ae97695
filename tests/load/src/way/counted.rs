//! Connections that are counted: how many were opened, could not be, and are open.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::Service;

use super::is_elsewhere;

/// Counts of connections.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    pub(crate) opened: AtomicU64,
    pub(crate) failed: AtomicU64,
    /// Those that are open.
    pub(crate) open: AtomicUsize,
}

/// Counts what it connects.
#[derive(Clone)]
pub(crate) struct Counted<C> {
    pub(super) inner: C,
    /// Where visitors have addresses of their own, which lead nowhere but to this machine: the host that is asked there, and what leads to others,
    /// as to a bucket that a redirect names.
    pub(super) elsewhere: Option<(Arc<str>, C)>,
    pub(super) counts: Arc<Opened>,
}

impl<C> Service<Uri> for Counted<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
    C::Response: 'static,
    C::Error: 'static,
{
    type Response = Open<C::Response>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        match (&mut self.elsewhere, self.inner.poll_ready(context)) {
            (Some((_, elsewhere)), Poll::Ready(Ok(()))) => elsewhere.poll_ready(context),
            (_, ready) => ready,
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = match &mut self.elsewhere {
            Some((here, elsewhere)) if is_elsewhere(&uri, here) => elsewhere,
            _ => &mut self.inner,
        };
        let (connecting, counts) = (connector.call(uri), Arc::clone(&self.counts));
        Box::pin(async move {
            match connecting.await {
                Ok(io) => {
                    counts.opened.fetch_add(1, Ordering::Relaxed);
                    counts.open.fetch_add(1, Ordering::Relaxed);
                    Ok(Open { io, counts })
                }
                Err(error) => {
                    counts.failed.fetch_add(1, Ordering::Relaxed);
                    Err(error)
                }
            }
        })
    }
}

/// A connection that is counted as open until it is dropped.
pub(crate) struct Open<T> {
    io: T,
    counts: Arc<Opened>,
}

impl<T> Drop for Open<T> {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<T: Connection> Connection for Open<T> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

impl<T: Read + Unpin> Read for Open<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for Open<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, buffers)
    }
}
