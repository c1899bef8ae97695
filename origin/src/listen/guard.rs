//! Stands between the socket and hyper, and lets only strictly framed HTTP/1.1 requests by.
//!
//! On an offence in a head hyper gets bytes that no head can hold, so that it answers 400 and closes; an offence in a body
//! breaks the body off. Nothing of what was offending is passed on.
//!
//! A head that has begun has its time, too: past it the client is told 408. hyper's own timer would be set anew for every request.
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

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::{Framing, Offence};
use crate::endless::Endless;
use crate::limits::connections::Place;
use crate::metrics::{self, Event};

/// For how long, and how many bytes of, what comes after the last answer is taken.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 16 << 20;

/// What is read at first of a client that has said nothing for a while.
const FIRST: usize = 1 << 10;

/// What a client is told whose head does not come in time, in place of hyper's 400.
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
/// How hyper's own answer begins.
const HYPERS: &[u8] = b"HTTP/1.1 400 ";

/// What no head can hold, and an end: hyper does not look at the rest of a head before that is there.
const NO_HEAD: &[u8] = b"\0\r\n\r\n";

/// A connection's bytes, guarded until it switches to another protocol.
pub(crate) struct Guard<I> {
    io: I,
    framing: Framing,
    client: IpAddr,
    switched: Switched,
    endless: Endless,
    ended: bool,
    /// What has been read, and looked at, and is yet to be passed on.
    held: Bytes,
    /// An offence found in bytes of which the first were fine and have been passed on.
    pending: Option<Offence>,
    /// Whether a head is over the limit, which hyper refuses.
    over: bool,
    /// How long a head may take.
    head_within: Duration,
    /// A head that has begun.
    head: Option<Head>,
    /// What is still to be said of [`TOO_SLOW`].
    too_slow: Option<&'static [u8]>,
    place: Arc<Place>,
    /// The connection is in use: something is being written, or it is being closed.
    writing: Option<Arc<Place>>,
    linger: Linger,
}

/// A head that has begun and is waited for.
struct Head {
    until: Pin<Box<tokio::time::Sleep>>,
    /// The connection is in use.
    _open: Arc<Place>,
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
    /// Guards a new connection. `max_head` bounds a head, in bytes, and `head_within` the time from its first byte to its last.
    pub(crate) fn new(
        io: I,
        max_head: usize,
        head_within: Duration,
        client: IpAddr,
        switched: Switched,
        endless: Endless,
        place: Arc<Place>,
    ) -> Self {
        Self {
            io,
            framing: Framing::new(max_head),
            client,
            switched,
            endless,
            ended: false,
            held: Bytes::new(),
            pending: None,
            over: false,
            head_within,
            head: None,
            too_slow: None,
            place,
            writing: None,
            linger: Linger::Not,
        }
    }

    /// Takes back what was read and has not been used.
    pub(crate) fn give_back(&mut self, bytes: Bytes) {
        // A copy, most often of nothing: hyper's whole buffer would stay with its own, which ends here.
        self.held = [bytes, std::mem::take(&mut self.held)].concat().into();
    }

    /// Marks the connection as in use until all is written.
    fn writes(&mut self) {
        self.writing.get_or_insert_with(|| Arc::clone(&self.place));
    }

    /// Ends the conversation: hyper says so to the client where it still can.
    fn refuse(&mut self, offence: Offence, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        self.ended = true;
        metrics::event(Event::Offence, offence.as_str());
        tracing::info!(client.address = %self.client, offence = offence.as_str(), "the request is not well framed");
        if self.framing.in_body() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, offence.as_str()));
        }
        buf.put_slice(NO_HEAD);
        Ok(())
    }

    /// Waits for more of a head that has begun; ready when it has had its time.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.framing.in_head() {
            return Poll::Pending;
        }
        let (within, place) = (self.head_within, &self.place);
        let head = self
            .head
            .get_or_insert_with(|| Head { until: Box::pin(tokio::time::sleep(within)), _open: place.request() });
        ready!(head.until.as_mut().poll(cx));
        self.head = None;
        metrics::event(Event::Offence, "slow-head");
        tracing::info!(client.address = %self.client, "the request's head did not come within timeouts.head");
        (self.ended, self.too_slow) = (true, Some(TOO_SLOW));
        Poll::Ready(())
    }

    /// Whether the client may be in the middle of something that nobody reads any more.
    fn cut_short(&self) -> bool {
        self.over || self.ended || (!self.switched.is_set() && !self.framing.is_between())
    }
}

impl<I: AsyncRead + Unpin> Guard<I> {
    /// Waits until the client says something, which the next read gives; `false` where it has left.
    pub(crate) fn poll_said(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.held.is_empty() {
            // On the stack: who waits needs no buffer.
            let mut first = [0; FIRST];
            let mut first = ReadBuf::new(&mut first);
            ready!(Pin::new(&mut *self).poll_read(cx, &mut first))?;
            self.held = Bytes::copy_from_slice(first.filled());
        }
        Poll::Ready(Ok(!self.held.is_empty()))
    }

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

impl<I: AsyncWrite + Unpin> Guard<I> {
    /// Says what is left of [`TOO_SLOW`].
    fn poll_too_slow(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(left) = self.too_slow.filter(|left| !left.is_empty()) {
            let said = ready!(Pin::new(&mut self.io).poll_write(cx, left))?;
            self.too_slow = left.get(said.max(1)..);
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Guard<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.held.is_empty() {
            let length = this.held.len().min(buf.remaining());
            buf.put_slice(&this.held.split_to(length));
            return Poll::Ready(Ok(()));
        }
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
        let Poll::Ready(read) = Pin::new(&mut this.io).poll_read(cx, buf) else {
            ready!(this.poll_head(cx));
            buf.put_slice(NO_HEAD);
            return Poll::Ready(Ok(()));
        };
        read?;
        let followed = this.framing.follow(&buf.filled()[before..]);
        if !this.framing.in_head() {
            this.head = None;
        }
        match followed {
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
        self.writes();
        if self.too_slow.is_some() && buf.starts_with(HYPERS) {
            return self.poll_too_slow(cx).map_ok(|()| buf.len());
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has nothing more to write.
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.writing = None;
        self.endless.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writes();
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
        self.writes();
        if self.too_slow.is_some() && bufs.first().is_some_and(|first| first.starts_with(HYPERS)) {
            return self.poll_too_slow(cx).map_ok(|()| bufs.iter().map(|buf| buf.len()).sum());
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
