//! The access log: one JSON line a request, written when its answer's body has ended.
//!
//! Paths are logged without their query, which may hold what is not for a log; no field's value is logged at all.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use contract::RequestId;
use edge::filter::Hit;
use tracing::Level;

use crate::address;
use crate::body::BodyError;
use crate::metrics::{self, Ended, Event};
use crate::telemetry::{self, ACCESS};
use crate::trust::Trusted;

/// What is known of a request when its answer's head leaves.
pub struct Record {
    /// When its head had been read.
    pub(crate) started: Instant,
    /// When the head of the answer was there.
    pub(crate) answered: Instant,
    /// Its id.
    pub(crate) id: RequestId,
    /// Who asked.
    pub(crate) client: IpAddr,
    /// How it came.
    pub(crate) trust: Trusted,
    /// Its method.
    pub(crate) method: http::Method,
    /// Whether its client speaks TLS.
    pub(crate) secure: bool,
    /// Its host.
    pub(crate) host: Box<str>,
    /// Its path, without the query.
    pub(crate) path: Box<str>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(crate) version: http::Version,
    /// The number of its site, if there is one, and whether that serves it: by these it is counted.
    pub(crate) site: Option<usize>,
    pub(crate) admitted: bool,
    /// The status of the answer.
    pub(crate) status: u16,
    /// What the cache did.
    pub(crate) cache: &'static str,
    /// Why it was refused or failed, as a problem's code.
    pub(crate) reason: &'static str,
    /// The rules of the filter that matched; the last one decided.
    pub(crate) filter: Vec<Hit>,
    bytes: u64,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Complete,
    Cut,
}

impl Record {
    /// A record of what is known so far.
    #[expect(clippy::too_many_arguments, reason = "a line of a log has that many columns")]
    pub(crate) fn new(
        started: Instant,
        id: RequestId,
        client: IpAddr,
        trust: Trusted,
        method: http::Method,
        secure: bool,
        host: &str,
        path: &str,
        version: http::Version,
    ) -> Self {
        metrics::count(|counts| counts.begun(&method, secure));
        Self {
            started,
            answered: started,
            id,
            client,
            trust,
            method,
            secure,
            host: host.into(),
            path: path.into(),
            version,
            site: None,
            admitted: false,
            status: 0,
            cache: "none",
            reason: "",
            filter: Vec::new(),
            bytes: 0,
            end: End::Open,
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(crate) fn complete(&mut self) {
        self.end = End::Complete;
    }

    pub(crate) fn cut(&mut self, error: &BodyError) {
        self.end = End::Cut;
        tracing::debug!(request.id = %self.id, %error, "the answer's body broke off");
    }
}

impl Drop for Record {
    /// A receiver that has all bytes of a known length may never ask for the end, so an open end is complete unless the
    /// sender broke off. What a client did not take shows in the number of bytes.
    fn drop(&mut self) {
        let total = self.started.elapsed();
        self.count(total);
        if tracing::enabled!(target: ACCESS, Level::INFO) {
            telemetry::line(|line| self.write(line, total));
        }
    }
}

impl Record {
    fn count(&self, total: Duration) {
        metrics::count(|counts| {
            counts.request(&Ended {
                site: self.site,
                method: &self.method,
                secure: self.secure,
                trust: self.admitted.then_some(self.trust),
                status: self.status,
                reason: self.reason,
                cache: self.cache,
                head: self.answered - self.started,
                total,
                bytes: self.bytes,
                cut: self.end == End::Cut,
            });
            if !self.reason.is_empty() {
                counts.event(Event::Problem, self.reason);
            }
            for hit in &self.filter {
                counts.filtered(&hit.rule, hit.action);
            }
        });
    }

    /// The line. Only host and path may hold what JSON must escape.
    fn write(&self, line: &mut Vec<u8>, total: Duration) {
        line.extend_from_slice(b"{\"timestamp\":\"");
        telemetry::timestamp(line);
        line.extend_from_slice(b"\",\"level\":\"INFO\",\"target\":\"access\",\"message\":\"request\"");
        plain(line, "request.id", self.id.text().as_ref());
        plain(line, "client.address", address::text(self.client).as_bytes());
        plain(line, "trust", self.trust.as_str().as_bytes());
        text(line, "http.request.method", self.method.as_str());
        text(line, "url.host", &self.host);
        text(line, "url.path", &self.path);
        plain(line, "network.protocol", protocol(self.version));
        number(line, "http.response.status_code", self.status.into());
        number(line, "http.response.body.bytes", self.bytes);
        key(line, "http.response.cut");
        line.extend_from_slice(if self.end == End::Cut { b"true" } else { b"false" });
        plain(line, "cache", self.cache.as_bytes());
        plain(line, "reason", self.reason.as_bytes());
        if let Some(hit) = self.filter.last() {
            plain(line, "filter.rule", hit.rule.as_bytes());
            plain(line, "filter.action", hit.action.as_bytes());
            if let Some(place) = hit.place {
                plain(line, "filter.place", place.as_str().as_bytes());
            }
        }
        millis(line, "duration.head_ms", self.answered - self.started);
        millis(line, "duration.total_ms", total);
        line.extend_from_slice(b"}\n");
    }
}

const fn protocol(version: http::Version) -> &'static [u8] {
    match version {
        http::Version::HTTP_10 => b"HTTP/1.0",
        http::Version::HTTP_2 => b"HTTP/2.0",
        _ => b"HTTP/1.1",
    }
}

fn key(line: &mut Vec<u8>, key: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(key.as_bytes());
    line.extend_from_slice(b"\":");
}

fn number(line: &mut Vec<u8>, name: &str, value: u64) {
    key(line, name);
    line.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Milliseconds with three places, which is to the microsecond.
fn millis(line: &mut Vec<u8>, name: &str, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(line, name, micros / 1000);
    let rest = micros % 1000;
    line.push(b'.');
    line.extend([rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8));
}

/// A string of ours, which needs no escapes.
fn plain(line: &mut Vec<u8>, name: &str, value: &[u8]) {
    key(line, name);
    line.push(b'"');
    line.extend_from_slice(value);
    line.push(b'"');
}

/// A string, escaped as JSON wants it (RFC 8259 section 7).
fn text(line: &mut Vec<u8>, name: &str, value: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let odd = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    if !value.as_bytes().iter().any(odd) {
        return plain(line, name, value.as_bytes());
    }
    key(line, name);
    line.push(b'"');
    for byte in value.bytes() {
        if odd(&byte) {
            line.extend_from_slice(b"\\u00");
            line.extend([byte >> 4, byte & 15].map(|nibble| HEX[usize::from(nibble)]));
        } else {
            line.push(byte);
        }
    }
    line.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::{Record, millis, text};
    use crate::trust::Trusted;
    use contract::RequestId;
    use std::time::{Duration, Instant};

    #[test]
    fn a_line_is_json_whatever_the_path() {
        let path = "/a\"b\\c\u{1}\u{e9}";
        let record = Record::new(
            Instant::now(),
            RequestId::from_random([7; 16]),
            [192, 0, 2, 1].into(),
            Trusted::Direct,
            http::Method::GET,
            true,
            "makenot.work",
            path,
            http::Version::HTTP_11,
        );
        let mut line = Vec::new();
        record.write(&mut line, Duration::ZERO);
        let json: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(json["url.path"], path);
        assert_eq!(json["network.protocol"], "HTTP/1.1");
        assert_eq!(json["http.response.cut"], false);
    }

    #[test]
    fn durations_are_to_the_microsecond() {
        let mut line = Vec::new();
        millis(&mut line, "a", Duration::from_micros(1_002_034));
        millis(&mut line, "b", Duration::from_nanos(999));
        assert_eq!(line, b",\"a\":1002.034,\"b\":0.000");
    }

    #[test]
    fn text_is_escaped() {
        let mut line = Vec::new();
        text(&mut line, "a", "x\"\n\\y");
        assert_eq!(line, b",\"a\":\"x\\u0022\\u000a\\u005cy\"");
    }
}
