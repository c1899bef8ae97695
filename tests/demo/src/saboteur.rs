//! Faults below HTTP: a wrapper around a connection's bytes that a request's handler can arm.
//!
//! Each connection has one [`Wire`], which every request on it finds among its extensions. So a fault also works on the tenth
//! request of a pooled keep-alive connection, which is where a gateway meets it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// What a handler can order for its connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wire(Arc<Mutex<Orders>>);

#[derive(Debug, Default)]
struct Orders {
    raw: Bytes,
    hang_up: bool,
    drip: Option<Duration>,
}

impl Wire {
    /// Writes these bytes before whatever hyper writes next.
    pub(crate) fn say(&self, bytes: impl Into<Bytes>) {
        self.orders().raw = bytes.into();
    }

    /// Writes the next response's head one byte at a time, with this pause before each.
    pub(crate) fn drip(&self, pause: Duration) {
        self.orders().drip = Some(pause);
    }

    /// Closes the connection once all that was written so far has left, and never returns.
    pub(crate) async fn hang_up(&self) -> ! {
        self.orders().hang_up = true;
        // hyper flushes after each poll of a handler or body, but not after every second one: be polled once more.
        tokio::task::yield_now().await;
        std::future::pending().await
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection's bytes, subject to its [`Wire`].
pub(crate) struct Saboteur<I> {
    io: I,
    wire: Wire,
    drip: Option<Drip>,
}

/// A response head on its way out, byte by byte.
struct Drip {
    next: Pin<Box<Sleep>>,
    tail: [u8; 4],
}

impl<I: AsyncWrite + Unpin> Saboteur<I> {
    pub(crate) fn new(io: I, wire: Wire) -> Self {
        Self { io, wire, drip: None }
    }

    /// Writes what [`Wire::say`] left.
    fn poll_raw(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut orders = self.wire.orders();
        while !orders.raw.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &orders.raw))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            orders.raw.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes the first byte of `buf` when its time has come; ends the drip with the head's empty line.
    fn poll_drip(&mut self, cx: &mut Context<'_>, buf: &[u8], pause: Duration) -> Poll<io::Result<usize>> {
        let Some(&first) = buf.first() else {
            return Poll::Ready(Ok(0));
        };
        let drip = self.drip.get_or_insert_with(|| Drip { next: Box::pin(sleep(pause)), tail: [0; 4] });
        ready!(drip.next.as_mut().poll(cx));
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, &[first]))?;
        if written == 1 {
            let [_, b, c, d] = drip.tail;
            drip.tail = [b, c, d, first];
            if drip.tail == *b"\r\n\r\n" {
                self.drip = None;
                self.wire.orders().drip = None;
            } else {
                drip.next.as_mut().reset(Instant::now() + pause);
            }
        }
        Poll::Ready(Ok(written))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Saboteur<I> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_raw(cx))?;
        let pause = this.wire.orders().drip;
        match pause {
            Some(pause) => this.poll_drip(cx, buf, pause),
            None => Pin::new(&mut this.io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_raw(cx))?;
        let pause = this.wire.orders().drip;
        match pause {
            Some(pause) => {
                let buf = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
                this.poll_drip(cx, buf, pause)
            }
            None => Pin::new(&mut this.io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_raw(cx))?;
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        if this.wire.orders().hang_up {
            // hyper drops the connection on an error, which closes the socket.
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Saboteur<I> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buf)
    }
}
