//! What a case is made of: requests, what the app would answer to each, and what is expected.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde::Serialize;

/// What the app answers to the request of one step, in the words of the demo's script.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Option<String>,
    pause: u64,
    chunked: bool,
    cut: Option<usize>,
    pub(super) close: bool,
    pub(super) raw: Option<String>,
    before: Option<&'static str>,
}

/// 200 without any field.
pub(super) fn ok() -> Reply {
    status(200)
}

/// A status without any field.
pub(super) fn status(status: u16) -> Reply {
    Reply { status, ..Reply::default() }
}

/// 200 with this Cache-Control.
pub(super) fn cc(value: &str) -> Reply {
    ok().with("cache-control", value)
}

/// 200 that is stale already, with a validator: `control` is beside `max-age=10`, the age is 20 s.
pub(super) fn stale(control: &str) -> Reply {
    cc(&format!("max-age=10{control}")).with("age", "20").with("etag", "\"v1\"")
}

/// 304 that makes what is stored fresh for a minute.
pub(super) fn not_modified() -> Reply {
    status(304).with("cache-control", "max-age=60").with("etag", "\"v1\"")
}

/// The connection is closed in place of an answer.
pub(super) fn closes() -> Reply {
    Reply { close: true, ..Reply::default() }
}

/// These bytes, then the connection is closed.
pub(super) fn raw(bytes: &str) -> Reply {
    Reply { status: 200, raw: Some(bytes.to_owned()), ..Reply::default() }
}

impl Reply {
    /// Adds a field line. `{path}` in a value is the case's own path, `{origin}` the site's.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    pub(super) fn body(mut self, body: &str) -> Self {
        self.body = Some(body.to_owned());
        self
    }

    /// Silence before it, in ms.
    pub(super) fn pause(mut self, pause: u64) -> Self {
        self.pause = pause;
        self
    }

    pub(super) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// The connection is closed after so many bytes of the body.
    pub(super) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    /// These bytes before it.
    pub(super) fn after(mut self, bytes: &'static str) -> Self {
        self.before = Some(bytes);
        self
    }
}

/// Whether a request is to reach the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    Yes,
    No,
    /// After the client has its answer.
    Behind,
    /// The standard leaves it open.
    Perhaps,
}

/// A request, and what is expected.
///
/// A step with a reply has to reach the app and bring that reply; one without is answered from the last reply that did (or from that
/// of [`of`](Self::of)) and must not reach it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) method: Method,
    pub(super) below: &'static str,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: Option<&'static str>,
    pub(super) wait: u64,
    pub(super) at_once: usize,
    pub(super) reply: Option<Reply>,
    pub(super) reach: Reach,
    pub(super) again: bool,
    pub(super) broken: bool,
    pub(super) source: Option<usize>,
    pub(super) stale: bool,
    pub(super) status: Option<u16>,
    pub(super) text: Option<String>,
    pub(super) has: Vec<(&'static str, String)>,
    pub(super) lacks: Vec<&'static str>,
    pub(super) age: Option<RangeInclusive<i64>>,
    pub(super) ttl: Option<RangeInclusive<i64>>,
    pub(super) says: Vec<&'static str>,
    pub(super) sent: Vec<(&'static str, &'static str)>,
}

/// A request by GET.
pub(super) fn get() -> Step {
    method("GET")
}

/// A request by HEAD.
pub(super) fn head() -> Step {
    method("HEAD")
}

/// A request by POST, with a body.
pub(super) fn post() -> Step {
    Step { body: Some("posted"), ..method("POST") }
}

/// A request by any method.
pub(super) fn method(name: &str) -> Step {
    Step {
        method: Method::from_bytes(name.as_bytes()).expect("a method"),
        below: "",
        fields: Vec::new(),
        body: None,
        wait: 0,
        at_once: 1,
        reply: None,
        reach: Reach::No,
        again: false,
        broken: false,
        source: None,
        stale: false,
        status: None,
        text: None,
        has: Vec::new(),
        lacks: Vec::new(),
        age: None,
        ttl: None,
        says: Vec::new(),
        sent: Vec::new(),
    }
}

impl Step {
    /// To this path or query below the case's own.
    pub(super) fn at(mut self, below: &'static str) -> Self {
        self.below = below;
        self
    }

    /// With this field.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// After so many ms.
    pub(super) fn wait(mut self, ms: u64) -> Self {
        self.wait = ms;
        self
    }

    /// So many of it at once.
    pub(super) fn at_once(mut self, count: usize) -> Self {
        self.at_once = count;
        self
    }

    /// What the app answers; that it is asked is expected.
    pub(super) fn reply(mut self, reply: Reply) -> Self {
        self.stale |= reply.status == 304 || reply.close;
        (self.reach, self.reply) = (Reach::Yes, Some(reply));
        self
    }

    /// What the app answers where it is asked, which is not expected.
    pub(super) fn not(mut self, reply: Reply) -> Self {
        (self.reach, self.reply) = (Reach::No, Some(reply));
        self
    }

    /// What the app answers to a request that is made after the client has its answer from the store.
    pub(super) fn behind(mut self, reply: Reply) -> Self {
        (self.reach, self.reply, self.stale) = (Reach::Behind, Some(reply), true);
        self
    }

    /// Whether the app is asked is left open.
    pub(super) fn perhaps(mut self, reply: Reply) -> Self {
        (self.reach, self.reply) = (Reach::Perhaps, Some(reply));
        self
    }

    /// It is repeated until it is answered as expected: something happens behind the answer before.
    pub(super) fn soon(mut self) -> Self {
        self.again = true;
        self
    }

    /// The answer breaks off, or none comes.
    pub(super) fn broken(mut self) -> Self {
        self.broken = true;
        self
    }

    /// The answer is that of an earlier step, from 0.
    pub(super) fn of(mut self, step: usize) -> Self {
        self.source = Some(step);
        self
    }

    /// The app is asked in vain: the answer is the last one that is stored.
    pub(super) fn stale(mut self) -> Self {
        self.stale = true;
        self
    }

    /// The client gets this status, not that of the reply; then nothing is expected of the body.
    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// The client gets this body.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// The client gets this field; its lines joined by `, `.
    pub(super) fn has(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.has.push((name, value.into()));
        self
    }

    /// The client does not get this field.
    pub(super) fn lacks(mut self, name: &'static str) -> Self {
        self.lacks.push(name);
        self
    }

    /// The client gets one Age in this range.
    pub(super) fn age(mut self, range: RangeInclusive<i64>) -> Self {
        self.age = Some(range);
        self
    }

    /// Cache-Status says this time to live.
    pub(super) fn ttl(mut self, range: RangeInclusive<i64>) -> Self {
        self.ttl = Some(range);
        self
    }

    /// The edge's member of Cache-Status has this parameter.
    pub(super) fn says(mut self, parameter: &'static str) -> Self {
        self.says.push(parameter);
        self
    }

    /// The app got this field; empty: it did not.
    pub(super) fn sent(mut self, name: &'static str, value: &'static str) -> Self {
        self.sent.push((name, value));
        self
    }
}

/// So many seconds ago, as HTTP writes it.
pub(super) fn ago(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(seconds))
}

/// In so many seconds.
pub(super) fn ahead(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))
}

/// Seconds in a day.
pub(super) const DAY: u64 = 86_400;
