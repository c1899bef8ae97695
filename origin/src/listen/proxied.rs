//! The PROXY protocol, versions 1 and 2: a balancer says, before anything else, whose connection it passes on.
//! <https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt>
//!
//! It is read of addresses that the configuration names, where it has to be there, and of nobody else: a receiver must not guess.
//! Not a byte beyond the header is read, so that what follows is as if the client had come by itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How a header of version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// How one of version 1 begins.
const TEXT: &[u8] = b"PROXY ";
/// The longest of version 1, in bytes: two IPv6 addresses and their ports.
pub(super) const LONGEST_TEXT: usize = 107;
/// The part of version 2 that is always there.
const FIXED: usize = 16;
/// What we take of what follows it, in bytes: the addresses, and what a balancer says beyond them, which counts for nothing here.
const LONGEST_REST: usize = 2_048;

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// What comes is something else.
    Missing,
    /// It begins as one, and does not hold to the protocol.
    Malformed,
    /// It is longer than is taken.
    TooLong,
    /// It is about something else than TCP over IP.
    Family,
}

impl Wrong {
    /// The word for logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "no-proxy-header",
            Self::Malformed => "proxy-header-malformed",
            Self::TooLong => "proxy-header-too-long",
            Self::Family => "proxy-header-family",
        }
    }
}

impl From<Wrong> for io::Error {
    fn from(wrong: Wrong) -> Self {
        Self::new(io::ErrorKind::InvalidData, wrong.as_str())
    }
}

/// What is to be done after so much of a header.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// So many bytes more are surely part of it.
    Read(usize),
    /// It is whole, and this is the client.
    Client(IpAddr),
    /// It is whole, and the balancer speaks for itself (a health check), or does not know for whom.
    Itself,
}

/// Reads a header off the beginning of a connection: the client's address, or none where the balancer speaks for itself. `ahead` is what
/// has been seen of it without being read, if anything: a header of version 1 that is all there is read at once.
pub(super) async fn read(io: &mut (impl AsyncRead + Unpin), ahead: &[u8]) -> io::Result<Option<IpAddr>> {
    let line = ahead.starts_with(TEXT).then(|| memchr::memchr(b'\n', ahead)).flatten().map_or(0, |end| end + 1);
    let mut header = Vec::new();
    loop {
        match next(&header)? {
            Next::Client(address) => return Ok(Some(address)),
            Next::Itself => return Ok(None),
            Next::Read(more) => {
                let read = header.len();
                header.resize(line.max(read + more), 0);
                io.read_exact(&mut header[read..]).await?;
            }
        }
    }
}

/// Whether a connection that begins so begins with a header; nothing as long as it may.
pub(super) fn begins(bytes: &[u8]) -> Option<bool> {
    let with = |whole: &[u8]| bytes.iter().zip(whole).all(|(byte, wanted)| byte == wanted);
    match (with(SIGNATURE), with(TEXT)) {
        (false, false) => Some(false),
        (true, _) if bytes.len() >= SIGNATURE.len() => Some(true),
        (_, true) if bytes.len() >= TEXT.len() => Some(true),
        _ => None,
    }
}

fn next(header: &[u8]) -> Result<Next, Wrong> {
    if header.len() < SIGNATURE.len() {
        // No header is shorter, of either version.
        return Ok(Next::Read(SIGNATURE.len() - header.len()));
    }
    if header.starts_with(TEXT) {
        return text(header);
    }
    if !header.starts_with(SIGNATURE) {
        return Err(Wrong::Missing);
    }
    let Some((fixed, rest)) = header.split_first_chunk::<FIXED>() else {
        return Ok(Next::Read(FIXED - header.len()));
    };
    let [.., version_and_command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_REST {
        return Err(Wrong::TooLong);
    }
    if rest.len() < length {
        return Ok(Next::Read(length - rest.len()));
    }
    match (version_and_command, family) {
        // LOCAL: what it says of addresses is to be ignored. UNSPEC: it does not know.
        (0x20, _) | (0x21, 0x00) => Ok(Next::Itself),
        (0x21, 0x11) => {
            let [a, b, c, d, ..] = *rest.first_chunk::<12>().ok_or(Wrong::Malformed)?;
            Ok(Next::Client(Ipv4Addr::new(a, b, c, d).into()))
        }
        (0x21, 0x21) => {
            let (source, _) =
                rest.first_chunk::<36>().and_then(|all| all.split_first_chunk::<16>()).ok_or(Wrong::Malformed)?;
            Ok(Next::Client(IpAddr::from(Ipv6Addr::from(*source)).to_canonical()))
        }
        // Datagrams and Unix sockets: not ours.
        (0x21, 0x12 | 0x22 | 0x31 | 0x32) => Err(Wrong::Family),
        _ => Err(Wrong::Malformed),
    }
}

/// A line such as `PROXY TCP4 203.0.113.7 198.51.100.1 56324 443`, with CR and LF.
fn text(header: &[u8]) -> Result<Next, Wrong> {
    let Some(line) = header.strip_suffix(b"\r\n") else {
        return match header.last() {
            _ if header.contains(&b'\n') || header.len() >= LONGEST_TEXT => Err(Wrong::Malformed),
            Some(b'\r') => Ok(Next::Read(1)),
            // The end is still to come.
            _ => Ok(Next::Read(2.min(LONGEST_TEXT - header.len()))),
        };
    };
    let line = std::str::from_utf8(line).map_err(|_| Wrong::Malformed)?;
    if line.contains(['\r', '\n']) {
        return Err(Wrong::Malformed);
    }
    let mut words = line.split(' ').skip(1);
    let family = words.next();
    if family == Some("UNKNOWN") {
        // What it says then is to be ignored.
        return Ok(Next::Itself);
    }
    let (Some(source), Some(destination), Some(from), Some(to), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Wrong::Malformed);
    };
    let port = |word: &str| {
        word.bytes().all(|b| b.is_ascii_digit())
            && !(word.len() > 1 && word.starts_with('0'))
            && word.parse::<u16>().is_ok()
    };
    let source = match family {
        Some("TCP4") if destination.parse::<Ipv4Addr>().is_ok() => source.parse::<Ipv4Addr>().map(IpAddr::from),
        Some("TCP6") if destination.parse::<Ipv6Addr>().is_ok() => source.parse::<Ipv6Addr>().map(IpAddr::from),
        Some("TCP4" | "TCP6") => return Err(Wrong::Malformed),
        _ => return Err(Wrong::Family),
    };
    match source {
        Ok(source) if port(from) && port(to) => Ok(Next::Client(source.to_canonical())),
        _ => Err(Wrong::Malformed),
    }
}

#[cfg(test)]
mod tests;
