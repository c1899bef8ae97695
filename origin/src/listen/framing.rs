//! The framing of HTTP/1.1 requests, followed strictly beside the parser (RFC 9112 sections 2 to 7).
//!
//! hyper is lenient where the standard lets it be, and drops what it has resolved (a Content-Length beside Transfer-Encoding,
//! say) before anyone behind it can see it. Two programs that resolve it differently are how requests are smuggled. So the
//! bytes pass by here first: heads are checked line by line, bodies are counted off without a look at them, and chunked
//! bodies are looked at where a chunk begins and ends. What is not exactly right is an [`Offence`].

/// The longest line of a chunked body's framing, in bytes: a size, and extensions that nobody uses.
const MAX_CHUNK_LINE: usize = 256;
/// The longest method, in bytes.
const MAX_METHOD: usize = 32;
/// Empty lines before a request that are forgiven (RFC 9112 section 2.2).
const MAX_EMPTY_LINES: u8 = 2;

/// What is wrong with a request's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offence {
    /// A line feed without carriage return, a carriage return without line feed, NUL or another control byte.
    ControlByte,
    /// The request line is not `method SP target SP version`, or one of them is odd.
    RequestLine,
    /// A field line begins with white space (obs-fold).
    Fold,
    /// A field's name is empty, or not a token up to its colon.
    FieldName,
    /// More than one Content-Length, or one that is not a number.
    ContentLength,
    /// A Transfer-Encoding that is not exactly `chunked`, once, in HTTP/1.1.
    TransferEncoding,
    /// Content-Length and Transfer-Encoding together.
    BothLengths,
    /// Not exactly one Host in HTTP/1.1.
    Host,
    /// A chunk whose size, extension or end is malformed.
    Chunk,
    /// A trailer that would change the framing.
    Trailer,
    /// The head is over the limit.
    TooLarge,
}

impl Offence {
    /// The word for logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::ControlByte => "control-byte",
            Self::RequestLine => "request-line",
            Self::Fold => "obs-fold",
            Self::FieldName => "field-name",
            Self::ContentLength => "content-length",
            Self::TransferEncoding => "transfer-encoding",
            Self::BothLengths => "content-length-with-transfer-encoding",
            Self::Host => "host",
            Self::Chunk => "chunk",
            Self::Trailer => "trailer",
            Self::TooLarge => "head-too-large",
        }
    }
}

/// Where in a connection's bytes we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a request line.
    Start { empty: u8 },
    /// In the field lines of a head.
    Fields,
    /// In a body of a known length.
    Body(u64),
    /// At a chunk's size.
    ChunkSize,
    /// In a chunk's bytes.
    Chunk(u64),
    /// At the line end after a chunk's bytes, of which so many bytes have come.
    ChunkEnd(u8),
    /// In the trailer section.
    Trailers,
}

/// What the head in progress has said so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    http11: bool,
    length: Option<u64>,
    chunked: bool,
    hosts: u8,
    bytes: usize,
}

/// Follows one connection.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    head: Head,
    /// A line of which only a part has come.
    line: Vec<u8>,
    max_head: usize,
}

impl Framing {
    /// At the start of a connection. `max_head` bounds a head, in bytes.
    pub(crate) fn new(max_head: usize) -> Self {
        Self { state: State::Start { empty: 0 }, head: Head::default(), line: Vec::new(), max_head }
    }

    /// Whether the connection is in a chunked body, so that an offence breaks the body off.
    pub(crate) const fn in_body(&self) -> bool {
        matches!(self.state, State::ChunkSize | State::Chunk(_) | State::ChunkEnd(_) | State::Trailers)
    }

    /// Whether a message has ended and none has begun.
    pub(crate) const fn is_between(&self) -> bool {
        matches!(self.state, State::Start { .. }) && self.line.is_empty()
    }

    /// Follows the next bytes. An offence comes with the number of these bytes that belong to what was before the offending
    /// message or chunk, and are fine.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<(), (usize, Offence)> {
        let mut fine = 0;
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            match self.state {
                State::Body(left) => {
                    let taken = take(&mut rest, left);
                    self.state = if taken == left { State::Start { empty: 0 } } else { State::Body(left - taken) };
                    fine = at + (taken as usize);
                }
                State::Chunk(left) => {
                    let taken = take(&mut rest, left);
                    self.state = if taken == left { State::ChunkEnd(0) } else { State::Chunk(left - taken) };
                    fine = at + (taken as usize);
                }
                State::ChunkEnd(came) => {
                    let expected = if came == 0 { b'\r' } else { b'\n' };
                    if rest[0] != expected {
                        return Err((fine, Offence::Chunk));
                    }
                    rest = &rest[1..];
                    self.state = if came == 0 { State::ChunkEnd(1) } else { State::ChunkSize };
                }
                State::Start { .. } | State::Fields | State::ChunkSize | State::Trailers => {
                    let Some(end) = memchr::memchr(b'\n', rest) else {
                        self.line.extend_from_slice(rest);
                        // Before its end an offence is none yet, but a line without an end must not fill the memory.
                        return if self.line.len() + self.head.bytes > self.limit() {
                            Err((fine, self.over()))
                        } else {
                            Ok(())
                        };
                    };
                    let (line, after) = rest.split_at(end + 1);
                    rest = after;
                    let ended = if self.line.is_empty() {
                        self.line(line)
                    } else {
                        let mut whole = std::mem::take(&mut self.line);
                        whole.extend_from_slice(line);
                        self.line(&whole)
                    };
                    ended.map_err(|offence| (fine, offence))?;
                    if matches!(self.state, State::Start { .. } | State::Body(_) | State::ChunkSize) {
                        fine = bytes.len() - rest.len();
                    }
                }
            }
        }
        Ok(())
    }

    fn limit(&self) -> usize {
        if self.state == State::ChunkSize { MAX_CHUNK_LINE } else { self.max_head }
    }

    fn over(&self) -> Offence {
        if self.state == State::ChunkSize { Offence::Chunk } else { Offence::TooLarge }
    }

    /// Takes a whole line with its end.
    fn line(&mut self, line: &[u8]) -> Result<(), Offence> {
        let line = line.strip_suffix(b"\r\n").ok_or(Offence::ControlByte)?;
        if self.state == State::ChunkSize {
            let size = chunk_size(line)?;
            self.head.bytes = 0;
            self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
            return Ok(());
        }
        self.head.bytes += line.len() + 2;
        if self.head.bytes > self.max_head {
            return Err(Offence::TooLarge);
        }
        if line.iter().any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f) {
            return Err(Offence::ControlByte);
        }
        match (self.state, line.is_empty()) {
            (State::Start { empty }, true) if empty < MAX_EMPTY_LINES => self.next(State::Start { empty: empty + 1 }),
            (State::Start { .. }, _) => {
                self.head = Head { http11: request_line(line)?, bytes: self.head.bytes, ..Head::default() };
                self.state = State::Fields;
            }
            (State::Trailers, true) => self.next(State::Start { empty: 0 }),
            (_, true) => self.end_of_head()?,
            (State::Trailers, false) => {
                let (name, _) = field(line)?;
                if ["content-length", "transfer-encoding", "host"]
                    .iter()
                    .any(|n| name.eq_ignore_ascii_case(n.as_bytes()))
                {
                    return Err(Offence::Trailer);
                }
            }
            (_, false) => self.field_line(line)?,
        }
        Ok(())
    }

    fn field_line(&mut self, line: &[u8]) -> Result<(), Offence> {
        let (name, value) = field(line)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.head.hosts = self.head.hosts.saturating_add(1),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.head.length.is_some() {
                    return Err(Offence::ContentLength);
                }
                self.head.length = Some(number(value).ok_or(Offence::ContentLength)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.head.chunked || !self.head.http11 || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Offence::TransferEncoding);
                }
                self.head.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn end_of_head(&mut self) -> Result<(), Offence> {
        if self.head.hosts > 1 || (self.head.http11 && self.head.hosts == 0) {
            return Err(Offence::Host);
        }
        let next = match (self.head.length, self.head.chunked) {
            (Some(_), true) => return Err(Offence::BothLengths),
            (None, true) => State::ChunkSize,
            (None | Some(0), false) => State::Start { empty: 0 },
            (Some(length), false) => State::Body(length),
        };
        self.next(next);
        Ok(())
    }

    fn next(&mut self, state: State) {
        self.head = Head::default();
        self.state = state;
    }
}

/// Takes up to `most` bytes off the front, and says how many.
fn take(rest: &mut &[u8], most: u64) -> u64 {
    let taken = usize::try_from(most).unwrap_or(usize::MAX).min(rest.len());
    *rest = &rest[taken..];
    taken as u64
}

/// Whether a request line is one of HTTP/1.1 (or else of HTTP/1.0).
fn request_line(line: &[u8]) -> Result<bool, Offence> {
    let mut parts = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Offence::RequestLine);
    };
    let sound = (1..=MAX_METHOD).contains(&method.len())
        && method.iter().all(|b| token(*b))
        && !target.is_empty()
        && target.iter().all(u8::is_ascii_graphic)
        && (target != b"*" || method == b"OPTIONS");
    match (sound, version) {
        (true, b"HTTP/1.1") => Ok(true),
        (true, b"HTTP/1.0") => Ok(false),
        _ => Err(Offence::RequestLine),
    }
}

/// Name and trimmed value of a field line.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Offence> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Offence::Fold);
    }
    let colon = memchr::memchr(b':', line).ok_or(Offence::FieldName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|b| token(*b)) {
        return Err(Offence::FieldName);
    }
    Ok((name, trim(value)))
}

/// Without optional white space around it.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// A length: digits only, and less than 2^63.
fn number(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse::<u64>().ok().filter(|n| *n < 1 << 63)
}

/// `chunk-size [ chunk-ext ]` (RFC 9112 section 7.1): hexadecimal digits, and extensions that begin with a semicolon.
fn chunk_size(line: &[u8]) -> Result<u64, Offence> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    let extended = extension.is_empty()
        || extension[0] == b';' && extension.iter().all(|b| b.is_ascii_graphic() || matches!(b, b' ' | b'\t'));
    if !(1..=15).contains(&digits) || !extended || line.len() > MAX_CHUNK_LINE {
        return Err(Offence::Chunk);
    }
    let size = std::str::from_utf8(size).map_err(|_| Offence::Chunk)?;
    u64::from_str_radix(size, 16).map_err(|_| Offence::Chunk)
}

/// A `tchar` (RFC 9110 section 5.6.2).
const fn token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

#[cfg(test)]
mod tests;
