//! Stands between the socket and hyper, and lets only strictly framed HTTP/1.1 requests by.
//!
//! On an offence in a head hyper gets a byte that no head can hold, so that it answers 400 and closes; an offence in a body
//! breaks the body off. Nothing of what was offending is passed on.
//!
//! Where a connection ends in the middle of a message, what still comes is taken for a while (RFC 9112 section 9.6): a
//! socket that is closed with unread bytes resets the connection, and the client may lose the answer that says why.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Framing, Offence};
use crate::metrics::{self, Event};

/// For how long, and how many bytes of, what comes after the last answer is taken.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 16 << 20;

/// A connection's bytes, guarded until it switches to another protocol.
pub(crate) struct Guard<I> {
    io: I,
    framing: Framing,
    client: IpAddr,
    switched: Switched,
    ended: bool,
    /// An offence found in bytes of which the first were fine and have been passed on.
    pending: Option<Offence>,
    /// Whether a head is over the limit, which hyper refuses.
    over: bool,
    linger: Linger,
}

/// What is done with the bytes after the last answer.
enum Linger {
    Not,
    /// Until when, and how many bytes more.
    Until(Pin<Box<tokio::time::Sleep>>, usize),
    Done,
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
        Self {
            io,
            framing: Framing::new(max_head),
            client,
            switched,
            ended: false,
            pending: None,
            over: false,
            linger: Linger::Not,
        }
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

    /// Whether the client may be in the middle of something that nobody reads any more.
    fn cut_short(&self) -> bool {
        self.over || self.ended || (!self.switched.is_set() && !self.framing.is_between())
    }
}

impl<I: AsyncRead + Unpin> Guard<I> {
    /// Takes what comes until the client ends, too, or had its time.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.linger, Linger::Not) {
            let until = || Linger::Until(Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES);
            self.linger = if self.cut_short() { until() } else { Linger::Done };
        }
        while let Linger::Until(until, left) = &mut self.linger {
            let mut scrap = [0; 8 << 10];
            let mut scrap = ReadBuf::new(&mut scrap);
            let ended = match Pin::new(&mut self.io).poll_read(cx, &mut scrap) {
                Poll::Ready(Ok(())) => scrap.filled().is_empty(),
                Poll::Ready(Err(_)) => true,
                Poll::Pending => {
                    ready!(until.as_mut().poll(cx));
                    true
                }
            };
            *left = left.saturating_sub(scrap.filled().len());
            if ended || *left == 0 || until.is_elapsed() {
                self.linger = Linger::Done;
            }
        }
        Poll::Ready(())
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
                this.over = true;
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

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.linger, Linger::Not) {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        }
        self.poll_linger(cx).map(Ok)
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
