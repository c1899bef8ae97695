//! A chunked body that is read off its connection without hyper: as long as nothing comes, it takes no buffer.

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::app::Load;
use super::wire::Taken;

/// What is read at once, in bytes.
const MOST: usize = 16 << 10;
/// The longest extensions of a chunk, and the longest trailer section, in bytes. Neither counts for anything.
const LONGEST: usize = 16 << 10;

/// The body, with its connection, which closes when it has ended.
pub(super) struct Events {
    connection: Box<Taken>,
    chunks: Chunks,
    /// The app has this request.
    _load: Load,
}

impl Events {
    pub(super) fn new(connection: Box<Taken>, load: Load) -> Self {
        Self { connection, chunks: Chunks::default(), _load: load }
    }

    /// The next bytes; `None` at the end.
    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match self.chunks {
                Chunks::Ended => return Poll::Ready(None),
                Chunks::Malformed => {
                    return Poll::Ready(Some(Err(io::Error::new(ErrorKind::InvalidData, "it is not in chunks"))));
                }
                _ => {}
            }
            let mut data = Vec::new();
            if self.connection.read.is_empty() {
                // On the stack: who waits needs no buffer.
                let mut bytes = [const { MaybeUninit::uninit() }; MOST];
                let mut bytes = ReadBuf::uninit(&mut bytes);
                if let Err(error) = ready!(Pin::new(&mut self.connection.socket).poll_read(cx, &mut bytes)) {
                    return Poll::Ready(Some(Err(error)));
                }
                if bytes.filled().is_empty() {
                    return Poll::Ready(Some(Err(ErrorKind::UnexpectedEof.into())));
                }
                self.chunks.decode(bytes.filled(), &mut data);
            } else {
                self.chunks.decode(&std::mem::take(&mut self.connection.read), &mut data);
            }
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(data.into())));
            }
        }
    }

    /// Whether all of it has come.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.chunks, Chunks::Ended)
    }
}

/// Where in a chunked body its connection is (RFC 9112 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunks {
    /// In a chunk's size, which so many digits have said.
    Size(u64, u8),
    /// Behind it: white space, or extensions, of so many bytes so far.
    Behind(u64, usize),
    /// Behind the carriage return of that line.
    Line(u64),
    /// In a chunk, of which so many bytes are still to come; then two more.
    Data(u64),
    Return,
    Feed,
    /// In the trailer section: bytes so far, whether a line has begun, whether a carriage return was last.
    Trailers(usize, bool, bool),
    Ended,
    Malformed,
}

impl Default for Chunks {
    fn default() -> Self {
        Self::Size(0, 0)
    }
}

impl Chunks {
    /// Adds what the next bytes have of the body to `data`.
    fn decode(&mut self, mut bytes: &[u8], data: &mut Vec<u8>) {
        while let [byte, rest @ ..] = bytes {
            if let Self::Data(left) = *self {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (some, after) = bytes.split_at(here);
                data.extend_from_slice(some);
                bytes = after;
                *self = match left - here as u64 {
                    0 => Self::Return,
                    left => Self::Data(left),
                };
                continue;
            }
            *self = self.next(*byte);
            if matches!(self, Self::Ended | Self::Malformed) {
                // The connection is used for nothing else: what follows is not looked at.
                return;
            }
            bytes = rest;
        }
    }

    /// After a byte that is none of a chunk's.
    fn next(self, byte: u8) -> Self {
        let digit = char::from(byte).to_digit(16).map(u64::from);
        match (self, byte) {
            (Self::Size(size, digits @ 0..15), _) if digit.is_some() => {
                Self::Size(size << 4 | digit.unwrap_or_default(), digits + 1)
            }
            (Self::Size(size, 1..) | Self::Behind(size, _), b'\r') => Self::Line(size),
            (Self::Size(size, 1..), b' ' | b'\t' | b';') => Self::Behind(size, 1),
            (Self::Behind(size, length @ 0..LONGEST), b'\t' | b' '..=b'~' | 0x80..) => Self::Behind(size, length + 1),
            (Self::Line(0), b'\n') => Self::Trailers(0, false, false),
            (Self::Line(size), b'\n') => Self::Data(size),
            (Self::Return, b'\r') => Self::Feed,
            (Self::Feed, b'\n') => Self::default(),
            (Self::Trailers(_, false, true), b'\n') => Self::Ended,
            (Self::Trailers(length, true, true), b'\n') => Self::Trailers(length, false, false),
            (Self::Trailers(length @ 0..LONGEST, begun, false), b'\r') => Self::Trailers(length + 1, begun, true),
            (Self::Trailers(length @ 0..LONGEST, _, false), b'\t' | b' '..=b'~' | 0x80..) => {
                Self::Trailers(length + 1, true, false)
            }
            _ => Self::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chunks;

    /// What is decoded, and whether it is good so far and has ended; the same whole and byte by byte.
    #[track_caller]
    fn decode(body: &str) -> (String, bool, bool) {
        let all = |parts: &mut dyn Iterator<Item = &[u8]>| {
            let (mut chunks, mut data) = (Chunks::default(), Vec::new());
            for part in parts {
                if !matches!(chunks, Chunks::Ended | Chunks::Malformed) {
                    chunks.decode(part, &mut data);
                }
            }
            (String::from_utf8(data).expect("UTF-8"), chunks != Chunks::Malformed, chunks == Chunks::Ended)
        };
        let (whole, bytes) = (all(&mut [body.as_bytes()].into_iter()), all(&mut body.as_bytes().chunks(1)));
        assert_eq!(whole, bytes, "{body:?}");
        whole
    }

    #[test]
    fn chunks_are_joined() {
        for (body, data) in [
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5\r\nhello\r\n00A\r\n, my world\r\n000\r\n\r\n", "hello, my world"),
            // Some pad the size.
            ("5  \r\nhello\r\n0\r\n\r\n", "hello"),
            ("5;a=\"b\"\r\n\r\n0\r\n\r\n0;b\r\n\r\n", "\r\n0\r\n"),
            ("1\r\na\r\n0\r\nx-sum: b\r\ny: \u{fc}\r\n\r\n", "a"),
            ("0\r\n\r\n", ""),
        ] {
            assert_eq!(decode(body), (data.to_owned(), true, true), "{body:?}");
            for n in (0..body.len()).filter(|n| body.is_char_boundary(*n)) {
                let (some, good, ended) = decode(&body[..n]);
                assert!(good && !ended && data.starts_with(&some), "{n} of {body:?}");
            }
        }
    }

    #[test]
    fn nothing_of_what_is_malformed_is_passed_on() {
        for (body, data) in [
            ("\r\n", ""),
            ("x\r\n", ""),
            (";a\r\n", ""),
            ("-1\r\n", ""),
            ("0x5\r\nhello", ""),
            ("5\nhello\r\n", ""),
            ("5\r\rhello\r\n", ""),
            ("5;a\nhello\r\n", ""),
            ("5;\0\r\nhello\r\n", ""),
            ("1000000000000000\r\n", ""),
            ("5\r\nhello0\r\n\r\n", "hello"),
            ("5\r\nhello\n0\r\n\r\n", "hello"),
            ("5\r\nhello\r0\r\n\r\n", "hello"),
            ("0\r\na: b\n\r\n", ""),
            ("0\r\n\n", ""),
            ("0\r\na\r\r\n\r\n", ""),
        ] {
            assert_eq!(decode(body), (data.to_owned(), false, false), "{body:?}");
        }
        for long in ["5;".to_owned() + &"a".repeat(20_000), "0\r\n".to_owned() + &"a: b\r\n".repeat(6_000)] {
            assert!(!decode(&long).1);
        }
    }
}
