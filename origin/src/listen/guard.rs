//! Stands between the socket and hyper, and lets only strictly framed HTTP/1.1 requests by.
//!
//! On an offence in a head hyper gets a byte that no head can hold, so that it answers 400 and closes; an offence in a body
//! breaks the body off. Nothing of what was offending is passed on.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Framing, Offence};
use crate::metrics::{self, Event};

/// A connection's bytes, guarded until it switches to another protocol.
pub(crate) struct Guard<I> {
    io: I,
    framing: Framing,
    client: IpAddr,
    switched: Switched,
    ended: bool,
    /// An offence found in bytes of which the first were fine and have been passed on.
    pending: Option<Offence>,
}

/// Set when a connection has switched to another protocol: from then on its bytes are not HTTP.
#[derive(Clone, Debug, Default)]
pub(crate) struct Switched(Arc<AtomicBool>);

impl Switched {
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl<I> Guard<I> {
    /// Guards a new connection. `max_head` bounds a head, in bytes.
    pub(crate) fn new(io: I, max_head: usize, client: IpAddr, switched: Switched) -> Self {
        Self { io, framing: Framing::new(max_head), client, switched, ended: false, pending: None }
    }

    /// Ends the conversation: hyper says so to the client where it still can.
    fn refuse(&mut self, offence: Offence, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        self.ended = true;
        metrics::event(Event::Offence, offence.as_str());
        tracing::info!(client.address = %self.client, offence = offence.as_str(), "the request is not well framed");
        if self.framing.in_body() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, offence.as_str()));
        }
        buf.put_slice(b"\0");
        Ok(())
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Guard<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.switched.is_set() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        if this.ended {
            return Poll::Ready(Ok(()));
        }
        if let Some(offence) = this.pending.take() {
            return Poll::Ready(this.refuse(offence, buf));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        match this.framing.follow(&buf.filled()[before..]) {
            Ok(()) => Poll::Ready(Ok(())),
            // hyper has the same limit, and its own answer to it.
            Err((_, Offence::TooLarge)) => {
                this.switched.set();
                Poll::Ready(Ok(()))
            }
            Err((fine, offence)) => {
                buf.set_filled(before + fine);
                if fine > 0 {
                    this.pending = Some(offence);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(this.refuse(offence, buf))
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Guard<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
