//! A body that is received once and read by many: one task appends what comes from upstream, readers on any core follow it,
//! each at its own pace.
//!
//! Up to the limit every chunk is kept, the writer never waits, and who comes late reads from the beginning. Past it the log
//! has *overflowed*: it is no more than a pipe with several ends, which nobody can join and whose writer waits for the
//! slowest reader.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

#[cfg(test)]
mod tests;

/// Bytes by which the writer of an overflowed log may be ahead of its slowest reader before it waits, `OVERHEAD` included.
pub const AHEAD: u64 = 1 << 20;

/// Bytes that a chunk takes beside its own: without them, a body that comes byte by byte would take many times its length.
const OVERHEAD: u64 = 64;

/// Why a body does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The writer has broken off.
    #[error("what comes from upstream broke off")]
    Off,
    /// It is longer or shorter than its head or a range said.
    #[error("what comes from upstream is not as long as it was said to be")]
    Length,
}

/// The body, as far as it has come.
pub struct ChunkLog {
    /// Bytes up to which everything is kept.
    limit: u64,
    /// The length that the head promised.
    expected: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    /// Where `chunks` begins.
    first: Place,
    /// Bytes received in all.
    received: u64,
    overflowed: bool,
    /// Trailers, or why there is no end; `None` while it is on its way.
    end: Option<Result<Option<HeaderMap>, Broken>>,
    readers: HashMap<u64, Seat>,
    seats: u64,
    /// The writer, where it waits.
    writer: Option<Waker>,
}

/// A reader, as the log sees it.
struct Seat {
    /// The position up to which it needs nothing any more.
    passed: u64,
    waker: Option<Waker>,
}

/// The beginning of a chunk.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Chunks before it.
    chunk: usize,
    /// Bytes before it.
    byte: u64,
}

impl ChunkLog {
    /// An empty log. Whole bodies of up to `limit` bytes are kept; one that is `expected` to be longer overflows with its first
    /// chunk, so its readers must have joined before. So does one whose chunks are so small that they take more than it does.
    #[must_use]
    pub fn new(limit: u64, expected: Option<u64>) -> (Writer, Arc<Self>) {
        let log = Arc::new(Self { limit, expected, state: Mutex::default() });
        (Writer { log: Arc::clone(&log) }, log)
    }

    /// A reader of the whole; `None` where the log has overflowed or its writer has broken off.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Option<Reader> {
        self.join(0, None)
    }

    /// A reader of some bytes, without trailers; `None` as with [`reader`](Self::reader). It breaks off where the body ends before
    /// they do.
    #[must_use]
    pub fn range(self: &Arc<Self>, range: Range<u64>) -> Option<Reader> {
        self.join(range.start, Some(range.end.max(range.start)))
    }

    /// The body's length in bytes: what its head said, or what has come once that is all.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.expected.or_else(|| {
            let state = self.state();
            matches!(state.end, Some(Ok(_))).then_some(state.received)
        })
    }

    /// Whether it is too large to be stored.
    #[must_use]
    pub fn has_overflowed(&self) -> bool {
        self.state().overflowed
    }

    /// The whole, for the store; `None` before its end, and where there is no whole. Collects the chunks anew each time.
    #[must_use]
    pub fn chunks(&self) -> Option<Arc<[Bytes]>> {
        let state = self.state();
        (matches!(state.end, Some(Ok(_))) && !state.overflowed).then(|| state.chunks.iter().cloned().collect())
    }

    fn join(self: &Arc<Self>, passed: u64, until: Option<u64>) -> Option<Reader> {
        let mut state = self.state();
        if state.overflowed || matches!(state.end, Some(Err(_))) {
            return None;
        }
        let seat = state.seats;
        state.seats += 1;
        if until != Some(passed) {
            state.readers.insert(seat, Seat { passed, waker: None });
        }
        Some(Reader {
            log: Arc::clone(self),
            seat,
            next: Place::default(),
            passed,
            until,
            ended: until == Some(passed),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, then wakes those to whom that is news, with the lock given back.
    fn tell_readers(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let woken: Vec<Waker> = state.readers.values_mut().filter_map(|seat| seat.waker.take()).collect();
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// The next piece of a reader that has `passed` so much and wants no more than `until`.
    fn piece(&self, next: &mut Place, passed: u64, until: Option<u64>) -> Option<Bytes> {
        if next.chunk < self.first.chunk {
            *next = self.first;
        }
        while let Some(chunk) = self.chunks.get(next.chunk - self.first.chunk) {
            let from = passed.saturating_sub(next.byte);
            let to = until.map_or(u64::MAX, |until| until.saturating_sub(next.byte)).min(chunk.len() as u64);
            next.chunk += 1;
            next.byte += chunk.len() as u64;
            if from < to {
                // Both fit: they are no more than the chunk's length.
                return Some(chunk.slice(from as usize..to as usize));
            }
        }
        None
    }

    /// Drops what every reader has passed. The writer, if it has waited for that, is the caller's to wake.
    #[must_use]
    fn trim(&mut self) -> Option<Waker> {
        if !self.overflowed {
            return None;
        }
        let slowest = self.readers.values().map(|seat| seat.passed).min().unwrap_or(u64::MAX);
        while let Some(chunk) = self.chunks.front()
            && self.first.byte + chunk.len() as u64 <= slowest
        {
            self.first.byte += chunk.len() as u64;
            self.first.chunk += 1;
            self.chunks.pop_front();
        }
        // It is also not ahead where no reader is left.
        if self.is_ahead() { None } else { self.writer.take() }
    }

    /// Bytes that the chunks take beside their own.
    fn overhead(&self) -> u64 {
        self.chunks.len() as u64 * OVERHEAD
    }

    fn is_ahead(&self) -> bool {
        self.overflowed && self.received - self.first.byte + self.overhead() > AHEAD
    }

    /// Whether nobody has a use for what may still come.
    fn is_pointless(&self) -> bool {
        self.end.is_some() || self.overflowed && self.readers.is_empty()
    }
}

/// The end of the log that is written. Dropped before [`finish`](Self::finish), it breaks off.
pub struct Writer {
    log: Arc<ChunkLog>,
}

impl Writer {
    /// Appends a chunk. It is copied: as it comes, it is a view into a read buffer, which it can't tell the size of and would hold
    /// as long as the entry or a slow reader holds it. A body that gets longer than expected breaks off.
    ///
    /// Be [`ready`](Self::ready) before: nothing else bounds a log that has overflowed.
    pub fn append(&mut self, chunk: &[u8]) {
        if chunk.is_empty() {
            return;
        }
        let (limit, expected) = (self.log.limit, self.log.expected);
        let chunk = Bytes::copy_from_slice(chunk);
        self.log.tell_readers(|state| {
            let received = state.received + chunk.len() as u64;
            if state.end.is_some() {
                return;
            }
            if expected.is_some_and(|expected| received > expected) {
                state.end = Some(Err(Broken::Length));
                return;
            }
            state.received = received;
            state.chunks.push_back(chunk);
            state.overflowed |= received.max(expected.unwrap_or(0)) > limit || state.overhead() > limit.max(AHEAD);
            // The writer does not wait: it is here.
            let _ = state.trim();
        });
    }

    /// Waits while an overflowed log is more than [`AHEAD`] ahead of its slowest reader. `false` tells to stop: it has no readers
    /// left and can't be stored, or it has become longer than expected.
    pub async fn ready(&mut self) -> bool {
        poll_fn(|cx| {
            let mut state = self.log.state();
            if state.is_pointless() {
                Poll::Ready(false)
            } else if state.is_ahead() {
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            } else {
                Poll::Ready(true)
            }
        })
        .await
    }

    /// Ends when [`ready`](Self::ready) would tell to stop: for the time in which upstream is waited for.
    pub async fn pointless(&mut self) {
        poll_fn(|cx| {
            let mut state = self.log.state();
            if state.is_pointless() {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The body came to its end, with `trailers` if it has some. It breaks off instead where it is shorter than expected.
    pub fn finish(self, trailers: Option<HeaderMap>) {
        let short = self.log.expected.is_some_and(|expected| expected != self.log.state().received);
        self.end(if short { Err(Broken::Length) } else { Ok(trailers) });
    }

    /// The body will not come to its end: each reader gets what there is, then an error.
    pub fn break_off(self) {
        drop(self);
    }

    fn end(&self, end: Result<Option<HeaderMap>, Broken>) {
        self.log.tell_readers(|state| {
            state.end.get_or_insert(end);
        });
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(Err(Broken::Off));
    }
}

/// One reader of the log: a body. Dropped, it holds nobody back any more.
pub struct Reader {
    log: Arc<ChunkLog>,
    seat: u64,
    /// The chunk to look at next.
    next: Place,
    /// The position of the byte to read next.
    passed: u64,
    /// The end of the range, where it is one.
    until: Option<u64>,
    ended: bool,
}

impl Reader {
    /// Lets the log know how far this has come, or that it needs no more.
    fn settle(&self, mut state: MutexGuard<'_, State>) {
        let held = state.first.byte + state.chunks.front().map_or(0, |chunk| chunk.len() as u64);
        let left = if self.ended { state.readers.remove(&self.seat) } else { None };
        let before = match state.readers.get_mut(&self.seat) {
            Some(seat) => Some(std::mem::replace(&mut seat.passed, self.passed)),
            None => left.as_ref().map(|seat| seat.passed),
        };
        // Who was past the first chunk has not held it; but the last to leave is news in any case.
        let writer =
            if before.is_some_and(|before| before < held) || state.readers.is_empty() { state.trim() } else { None };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

impl Body for Reader {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let mut state = this.log.state();
        let frame = if let Some(piece) = state.piece(&mut this.next, this.passed, this.until) {
            this.passed += piece.len() as u64;
            this.ended = this.until == Some(this.passed);
            Some(Ok(Frame::data(piece)))
        } else {
            let Some(end) = &state.end else {
                let waker = state.readers.get_mut(&this.seat).map(|seat| &mut seat.waker);
                if let Some(waker) = waker {
                    waker.get_or_insert_with(|| cx.waker().clone()).clone_from(cx.waker());
                }
                return Poll::Pending;
            };
            this.ended = true;
            match end {
                Ok(_) if this.until.is_some() => Some(Err(Broken::Length)),
                Ok(trailers) => trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))),
                Err(broken) => Some(Err(*broken)),
            }
        };
        this.settle(state);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended || {
            let state = self.log.state();
            self.until.is_none() && self.passed == state.received && matches!(state.end, Some(Ok(None)))
        }
    }

    fn size_hint(&self) -> SizeHint {
        let end = self.until.or_else(|| self.log.length());
        end.map_or_else(SizeHint::new, |end| SizeHint::with_exact(end.saturating_sub(self.passed)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ended = true;
        self.settle(self.log.state());
    }
}
