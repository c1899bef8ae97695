//! HTTP/1.1 by hand, for what a well-behaved client can't be made to send: the bytes go out as they are written.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::answer::Answer;

/// Sends a request that asks for `Connection: close`, or is so wrong that the server closes, and takes all that comes.
pub(crate) async fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    parse(&bytes(address, request).await)
}

/// The same without a look at what came.
pub(crate) async fn bytes(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // A server that refuses early may reset what is still being sent.
    let _ = stream.write_all(request).await;
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all).await;
    all
}

/// A GET of a target that is sent as it is.
pub(crate) async fn get(address: SocketAddr, target: &[u8]) -> Answer {
    let rest = format!(" HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    exchange(address, &[b"GET ", target, rest.as_bytes()].concat()).await
}

/// Takes an answer apart. The body is as long as its framing says, or an assertion fails.
#[track_caller]
pub(crate) fn parse(bytes: &[u8]) -> Answer {
    let shown = || String::from_utf8_lossy(bytes).into_owned();
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or_else(|| panic!("no answer: {:?}", shown()));
    let (head, rest) = (&bytes[..end], &bytes[end + 4..]);
    let mut lines = head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let status = lines.next().and_then(|line| std::str::from_utf8(line.get(9..12)?).ok()?.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {:?}", shown()));
    let fields: Vec<(String, Vec<u8>)> = lines
        .map(|line| {
            let colon = line.iter().position(|b| *b == b':').expect("a field has a colon");
            (String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase(), line[colon + 1..].trim_ascii().to_vec())
        })
        .collect();
    let mut answer = Answer { status, fields, body: Vec::new() };
    answer.body = match (answer.field("transfer-encoding"), answer.field("content-length")) {
        ("chunked", _) => dechunk(rest),
        (_, "") => rest.to_vec(),
        (_, length) => {
            let length: usize = length.parse().expect("a length");
            assert!(rest.is_empty() || rest.len() == length, "{} of {length} bytes: {:?}", rest.len(), shown());
            rest.to_vec()
        }
    };
    answer
}

/// A chunked body (RFC 9112 section 7.1), which has to be whole.
#[track_caller]
fn dechunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|w| w == b"\r\n").expect("a chunk's size");
        let size = std::str::from_utf8(&rest[..end]).expect("hexadecimal digits");
        let size = usize::from_str_radix(size, 16).expect("hexadecimal digits");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}
