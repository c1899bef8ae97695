//! A connection to an app, as hyper has it: one that stops where the head of an answer ends, if it is told to, so that the body can be
//! had without hyper.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::connect::Open;

/// The socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// hyper's end of it. Dropped, the connection closes, unless it has been taken.
pub(super) struct Wire(Arc<Mutex<State>>);

/// The pool's.
#[derive(Clone)]
pub(super) struct Tap(Arc<Mutex<State>>);

/// A connection that was taken from hyper.
pub(super) struct Taken {
    pub(super) socket: Socket,
    /// What had been read of the body.
    pub(super) read: Vec<u8>,
    pub(super) _open: Open,
}

struct State {
    /// Gone when it was taken, or hyper has let go of it.
    socket: Option<(Socket, Open)>,
    stop: Stop,
}

/// Where it stops.
enum Stop {
    Nowhere,
    /// Where the head ends that is being read.
    Behind(Head),
    /// It has; these are the bytes that came with it, and who waits for them.
    Here(Vec<u8>, Option<Waker>),
    /// No longer; these are still to be read.
    After(Vec<u8>),
}

/// Follows the head of an answer to its end, past interim ones (RFC 9110 section 15.2).
#[derive(Debug, Default)]
struct Head {
    /// Bytes of the line.
    line: usize,
    /// Whether it is another line than the first.
    fields: bool,
    interim: bool,
    /// A carriage return was the last byte.
    ends: bool,
}

/// Where bytes have led to.
#[derive(Debug, PartialEq, Eq)]
enum Led {
    /// Into the head.
    On,
    /// So many were left of it.
    To(usize),
    /// It is not written as it should be; hyper may see an end where we see none.
    Astray,
}

impl Wire {
    pub(super) fn new(socket: Socket, open: Open) -> (Self, Tap) {
        let state = Arc::new(Mutex::new(State { socket: Some((socket, open)), stop: Stop::Nowhere }));
        (Self(Arc::clone(&state)), Tap(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

// Never contended: hyper and who sends a request are tasks of one thread.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.state().socket = None;
    }
}

impl Tap {
    /// Has it stop behind the head of the next answer, until it is released or taken.
    pub(super) fn stop(&self) {
        lock(&self.0).stop = Stop::Behind(Head::default());
    }

    /// Lets it go on.
    pub(super) fn release(&self) {
        let mut state = lock(&self.0);
        let (bytes, waker) = match std::mem::replace(&mut state.stop, Stop::Nowhere) {
            Stop::Here(bytes, waker) => (bytes, waker),
            Stop::After(bytes) => (bytes, None),
            Stop::Nowhere | Stop::Behind(_) => (Vec::new(), None),
        };
        if !bytes.is_empty() {
            state.stop = Stop::After(bytes);
        }
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes it from hyper where it has stopped.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = lock(&self.0);
        if !matches!(state.stop, Stop::Here(..)) {
            return None;
        }
        let (socket, open) = state.socket.take()?;
        match std::mem::replace(&mut state.stop, Stop::Nowhere) {
            Stop::Here(read, _) => Some(Taken { socket, read, _open: open }),
            _ => None,
        }
    }
}

impl Head {
    fn follow(&mut self, bytes: &[u8]) -> Led {
        for (n, byte) in bytes.iter().enumerate() {
            match (self.ends, byte) {
                (true, b'\n') if self.line > 0 => (self.line, self.fields, self.ends) = (0, true, false),
                (true, b'\n') if self.fields && self.interim => *self = Self::default(),
                (true, b'\n') if self.fields => return Led::To(n + 1),
                (true, _) | (false, b'\n') => return Led::Astray,
                (false, b'\r') => self.ends = true,
                (false, _) => {
                    // `HTTP/1.1 1`
                    if !self.fields && self.line == 9 {
                        self.interim = *byte == b'1';
                    }
                    self.line += 1;
                }
            }
        }
        Led::On
    }
}

impl State {
    fn socket(&mut self) -> io::Result<&mut Socket> {
        self.socket.as_mut().map(|(socket, _)| socket).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        match &mut state.stop {
            Stop::Here(_, waker) => {
                *waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Stop::After(bytes) => {
                let rest = bytes.split_off(bytes.len().min(buf.remaining()));
                buf.put_slice(bytes);
                state.stop = if rest.is_empty() { Stop::Nowhere } else { Stop::After(rest) };
                return Poll::Ready(Ok(()));
            }
            Stop::Nowhere | Stop::Behind(_) => {}
        }
        let before = buf.filled().len();
        let read = Pin::new(state.socket()?).poll_read(cx, buf);
        if read.is_ready()
            && let Stop::Behind(head) = &mut state.stop
        {
            match head.follow(&buf.filled()[before..]) {
                Led::On => {}
                Led::To(end) => {
                    state.stop = Stop::Here(buf.filled()[before + end..].to_vec(), None);
                    buf.set_filled(before + end);
                }
                Led::Astray => state.stop = Stop::Nowhere,
            }
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.state().socket()? {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket of the system has nothing to flush.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state().socket {
            Some((Socket::Tcp(stream), _)) => Pin::new(stream).poll_shutdown(cx),
            Some((Socket::Unix(stream), _)) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.state().socket()? {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        // Of either kind of socket.
        true
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

#[cfg(test)]
mod tests;
