//! The access log: one JSON line a request, written when its answer's body has ended.
//!
//! Paths are logged without their query, which may hold what is not for a log; no field's value is logged at all.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use contract::RequestId;
use tracing::Level;

use crate::body::BodyError;
use crate::telemetry::ACCESS;
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
    /// Its host.
    pub(crate) host: Box<str>,
    /// Its path, without the query.
    pub(crate) path: Box<str>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(crate) version: http::Version,
    /// The status of the answer.
    pub(crate) status: u16,
    /// What the cache did.
    pub(crate) cache: &'static str,
    /// Why it was refused or failed, as a problem's code.
    pub(crate) reason: &'static str,
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
        host: &str,
        path: &str,
        version: http::Version,
    ) -> Self {
        Self {
            started,
            answered: started,
            id,
            client,
            trust,
            method,
            host: host.into(),
            path: path.into(),
            version,
            status: 0,
            cache: "none",
            reason: "",
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
        if !tracing::enabled!(target: ACCESS, Level::INFO) {
            return;
        }
        thread_local!(static LINE: RefCell<String> = const { RefCell::new(String::new()) });
        LINE.with_borrow_mut(|line| {
            line.clear();
            self.write(line);
            tracing::event!(target: ACCESS, Level::INFO, line = line.as_str());
        });
    }
}

impl Record {
    /// The line's members, after those that every line has. Only host and path may hold what JSON must escape.
    fn write(&self, line: &mut String) {
        text(line, "request.id", self.id.text().as_str());
        member(line, "client.address", format_args!("\"{}\"", self.client));
        text(line, "trust", self.trust.as_str());
        text(line, "http.request.method", self.method.as_str());
        text(line, "url.host", &self.host);
        text(line, "url.path", &self.path);
        member(line, "network.protocol", format_args!("\"{:?}\"", self.version));
        number(line, "http.response.status_code", self.status.into());
        number(line, "http.response.body.bytes", self.bytes);
        member(line, "http.response.cut", format_args!("{}", self.end == End::Cut));
        text(line, "cache", self.cache);
        text(line, "reason", self.reason);
        millis(line, "duration.head_ms", self.answered - self.started);
        millis(line, "duration.total_ms", self.started.elapsed());
    }
}

fn key(line: &mut String, key: &str) {
    line.push_str(",\"");
    line.push_str(key);
    line.push_str("\":");
}

fn member(line: &mut String, name: &str, value: fmt::Arguments<'_>) {
    key(line, name);
    // Writing to a String does not fail.
    let _ = line.write_fmt(value);
}

fn number(line: &mut String, name: &str, value: u64) {
    key(line, name);
    line.push_str(itoa::Buffer::new().format(value));
}

/// Milliseconds with three places, which is to the microsecond.
fn millis(line: &mut String, name: &str, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(line, name, micros / 1000);
    let _ = write!(line, ".{:03}", micros % 1000);
}

/// A string, escaped as JSON wants it (RFC 8259 section 7).
fn text(line: &mut String, name: &str, value: &str) {
    key(line, name);
    line.push('"');
    let mut rest = value;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '\\' || c < ' ') {
        let (plain, odd) = rest.split_at(at);
        line.push_str(plain);
        let mut chars = odd.chars();
        if let Some(odd) = chars.next() {
            let _ = write!(line, "\\u{:04x}", u32::from(odd));
        }
        rest = chars.as_str();
    }
    line.push_str(rest);
    line.push('"');
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
            "makenot.work",
            path,
            http::Version::HTTP_11,
        );
        let mut line = String::new();
        record.write(&mut line);
        let json: serde_json::Value =
            serde_json::from_str(&format!("{{\"message\":\"request\"{line}}}")).expect("JSON");
        assert_eq!(json["url.path"], path);
        assert_eq!(json["network.protocol"], "HTTP/1.1");
        assert_eq!(json["http.response.cut"], false);
    }

    #[test]
    fn durations_are_to_the_microsecond() {
        let mut line = String::new();
        millis(&mut line, "a", Duration::from_micros(1_002_034));
        millis(&mut line, "b", Duration::from_nanos(999));
        assert_eq!(line, ",\"a\":1002.034,\"b\":0.000");
    }

    #[test]
    fn text_is_escaped() {
        let mut line = String::new();
        text(&mut line, "a", "x\"\n\\y");
        assert_eq!(line, ",\"a\":\"x\\u0022\\u000a\\u005cy\"");
    }
}
