//! Sends an endless body in chunks (RFC 9112 section 7.1), without hyper: a stream that says nothing takes no buffer here.

use std::error::Error;
use std::future::poll_fn;
use std::io::{self, ErrorKind, Write as _};
use std::pin::Pin;
use std::task::{Poll, ready};

use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::endless::Stream;
use crate::listen::Guard;

/// What is gathered for one write, in bytes, where more is there at once.
const MOST: usize = 16 << 10;
/// The chunk that ends a body, and its empty trailer section. Trailers may be left out, always (RFC 9110 section 6.5.1).
const END: &[u8] = b"0\r\n\r\n";

/// Sends a body to its end. What the client says meanwhile waits for it, as it does with hyper; a client that leaves is an error, and so
/// is a body that breaks off.
pub(super) async fn relay<I>(guard: &mut Guard<I>, mut stream: Box<Stream>) -> Result<(), Box<dyn Error + Send + Sync>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let (mut chunks, mut sent, mut flushed) = (Vec::new(), 0, true);
    let (mut ended, mut broken, mut said) = (false, None, false);
    poll_fn(|cx| {
        if !said && let Poll::Ready(more) = guard.poll_said(cx) {
            said = true;
            if !more? {
                return Poll::Ready(Err(io::Error::from(ErrorKind::UnexpectedEof).into()));
            }
        }
        loop {
            if let Some(left) = chunks.get(sent..).filter(|left| !left.is_empty()) {
                flushed = false;
                match ready!(Pin::new(&mut *guard).poll_write(cx, left))? {
                    0 => return Poll::Ready(Err(io::Error::from(ErrorKind::WriteZero).into())),
                    written => sent += written,
                }
                continue;
            }
            if !flushed {
                ready!(Pin::new(&mut *guard).poll_flush(cx))?;
                flushed = true;
            }
            (chunks, sent) = (Vec::new(), 0);
            if let Some(error) = broken.take() {
                return Poll::Ready(Err(Box::from(error)));
            }
            if ended {
                return Poll::Ready(Ok(()));
            }
            while chunks.len() < MOST && !ended && broken.is_none() {
                match Pin::new(&mut stream.body).poll_frame(cx) {
                    Poll::Pending if chunks.is_empty() => return Poll::Pending,
                    // It is asked again when these are written.
                    Poll::Pending => break,
                    Poll::Ready(Some(Ok(frame))) => chunk(&mut chunks, frame.data_ref().map_or(&[], |data| data)),
                    Poll::Ready(Some(Err(error))) => broken = Some(error),
                    Poll::Ready(None) => {
                        chunks.extend_from_slice(END);
                        ended = true;
                    }
                }
            }
        }
    })
    .await
}

/// Adds a chunk; an empty one would end the body.
fn chunk(chunks: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        chunks.reserve(data.len() + 20);
        // Into memory: it can't fail.
        let _ = write!(chunks, "{:x}\r\n", data.len());
        chunks.extend_from_slice(data);
        chunks.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::chunk;

    #[test]
    fn chunks_say_their_length() {
        let mut chunks = Vec::new();
        chunk(&mut chunks, b"data: 1\n\n");
        chunk(&mut chunks, b"");
        chunk(&mut chunks, &[b'a'; 256]);
        let expected = [b"9\r\ndata: 1\n\n\r\n100\r\n".as_slice(), &[b'a'; 256], b"\r\n"].concat();
        assert_eq!(chunks, expected);
    }
}
