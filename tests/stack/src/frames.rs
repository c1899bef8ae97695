//! HTTP/2 by hand, frame by frame (RFC 9113), for what no library can be made to send.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (section 6).
pub mod kind {
    #![expect(missing_docs, reason = "the standard's own names")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// `END_STREAM` of DATA and HEADERS; `ACK` of SETTINGS and PING.
pub const END_STREAM: u8 = 1;
/// The other name of the same bit.
pub const ACK: u8 = 1;
/// `END_HEADERS`.
pub const END_HEADERS: u8 = 4;
/// `PADDED`.
pub const PADDED: u8 = 8;
/// `PRIORITY`, of HEADERS.
pub const PRIORITY: u8 = 32;

/// A frame's bytes. The payload's length is not checked.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field section of literals that are never indexed (RFC 7541 section 6.2.3).
#[must_use]
pub fn section(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0x10);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A string's length: a number after a prefix of seven bits (RFC 7541 section 5.1).
fn length(block: &mut Vec<u8>, mut n: usize) {
    if n < 127 {
        return block.push(u8::try_from(n).unwrap_or(0));
    }
    block.push(127);
    n -= 127;
    while n >= 128 {
        block.push(u8::try_from(n % 128).unwrap_or(0) | 128);
        n /= 128;
    }
    block.push(u8::try_from(n).unwrap_or(0));
}

/// The field section of a sound request.
#[must_use]
pub fn request(method: &str, path: &str) -> Vec<u8> {
    section(&[(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")])
}

/// A whole GET.
#[must_use]
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", path))
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// The rest.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        Some(u32::from_be_bytes(self.payload.get(at..at + 4)?.try_into().ok()?))
    }
}

/// A client's connection.
pub struct Client {
    stream: TcpStream,
}

impl Client {
    /// Connects and says preface and SETTINGS with these pairs of identifier and value.
    ///
    /// # Errors
    /// The connection's.
    pub async fn connect(address: SocketAddr, settings: &[(u16, u32)]) -> io::Result<Self> {
        let mut client = Self { stream: TcpStream::connect(address).await? };
        client.stream.set_nodelay(true)?;
        let payload: Vec<u8> = settings.iter().flat_map(|(id, value)| setting(*id, *value)).collect();
        client.send(&[PREFACE, &frame(kind::SETTINGS, 0, 0, &payload)].concat()).await?;
        Ok(client)
    }

    /// Says these bytes.
    ///
    /// # Errors
    /// The connection's.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// The next frame. `None` at the connection's end, whatever it is.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(stream) & (u32::MAX >> 1), payload })
    }
}

/// One setting's bytes.
#[must_use]
pub fn setting(id: u16, value: u32) -> [u8; 6] {
    let ([a, b], [c, d, e, f]) = (id.to_be_bytes(), value.to_be_bytes());
    [a, b, c, d, e, f]
}
