//! The line: one JSON object (RFC 8259), written by hand, since there is one for each request.

use std::io::Write as _;
use std::time::Duration;

use super::Record;
use crate::{address, telemetry};

impl Record {
    /// The line. Only host and path may hold what JSON must escape.
    pub(super) fn write(&self, line: &mut Vec<u8>, total: Duration, sample: Option<f64>) {
        line.extend_from_slice(b"{\"timestamp\":\"");
        telemetry::timestamp(line);
        line.extend_from_slice(b"\",\"level\":\"INFO\",\"target\":\"access\",\"message\":\"request\"");
        plain(line, "request.id", self.id.text().as_ref());
        plain(line, "trace.id", &self.trace.id_text());
        plain(line, "client.address", address::text(self.client).as_bytes());
        plain(line, "trust", self.trust.as_str().as_bytes());
        text(line, "http.request.method", self.method.as_str());
        text(line, "url.host", &self.host);
        text(line, "url.path", &self.path);
        plain(line, "network.protocol", protocol(self.version));
        number(line, "http.response.status_code", self.status.into());
        number(line, "http.response.body.bytes", self.bytes);
        key(line, "http.response.cut");
        line.extend_from_slice(if self.is_cut() { b"true" } else { b"false" });
        plain(line, "cache", self.cache.as_bytes());
        plain(line, "reason", self.reason.as_bytes());
        if let Some(hit) = self.filter.last() {
            plain(line, "filter.rule", hit.rule.as_bytes());
            plain(line, "filter.action", hit.action.as_bytes());
            if let Some(place) = hit.place {
                plain(line, "filter.place", place.as_str().as_bytes());
            }
        }
        if !self.upstream.is_empty() {
            text(line, "upstream", self.upstream);
        }
        let tries = self.spent.tries.get();
        if tries > 1 {
            number(line, "tries", tries.into());
        }
        for (name, stretch) in [
            ("duration.filter_ms", &self.spent.filter),
            ("duration.queue_ms", &self.spent.queue),
            ("duration.connect_ms", &self.spent.connect),
            ("duration.app_ms", &self.spent.answer),
        ] {
            if let Some((_, took)) = stretch.get() {
                millis(line, name, took);
            }
        }
        millis(line, "duration.head_ms", self.answered - self.started);
        millis(line, "duration.total_ms", total);
        if let Some(sample) = sample {
            key(line, "sample");
            // Writing to a Vec does not fail.
            let _ = write!(line, "{sample}");
        }
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

    fn record(path: &str) -> Record {
        Record::new(
            Instant::now(),
            RequestId::from_random([7; 16]),
            [192, 0, 2, 1].into(),
            Trusted::Direct,
            http::Method::GET,
            true,
            "makenot.work",
            path,
            http::Version::HTTP_11,
        )
    }

    fn written(record: &Record, sample: Option<f64>) -> serde_json::Value {
        let mut line = Vec::new();
        record.write(&mut line, Duration::ZERO, sample);
        serde_json::from_slice(&line).expect("JSON")
    }

    #[test]
    fn a_line_is_json_whatever_the_path() {
        let path = "/a\"b\\c\u{1}\u{e9}";
        let json = written(&record(path), None);
        assert_eq!(json["url.path"], path);
        assert_eq!(json["network.protocol"], "HTTP/1.1");
        assert_eq!(json["http.response.cut"], false);
        assert_eq!(json["trace.id"], json["request.id"]);
    }

    #[test]
    fn a_line_says_what_there_was_and_nothing_else() {
        let mut record = record("/");
        let json = written(&record, None);
        for name in ["upstream", "tries", "sample", "duration.filter_ms", "duration.queue_ms", "duration.app_ms"] {
            assert!(json.get(name).is_none(), "{name}");
        }
        record.upstream = "127.0.0.1:3000";
        record.spent.tries.set(2);
        record.spent.queue.note(Duration::ZERO, Duration::from_micros(1_500));
        record.spent.answer.note(Duration::ZERO, Duration::from_millis(7));
        let json = written(&record, Some(0.25));
        assert_eq!((&json["upstream"], &json["tries"]), (&"127.0.0.1:3000".into(), &2.into()));
        assert_eq!((&json["duration.queue_ms"], &json["duration.app_ms"]), (&1.5.into(), &7.0.into()));
        assert_eq!(json["sample"], 0.25);
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
