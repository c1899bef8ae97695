//! Who asks for what, step by step.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::amount::Span;

/// A kind of visitor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visitor {
    /// Its name.
    pub name: String,
    /// Its share of all requests, in parts of the sum.
    pub share: f64,
    /// At least and at most so long between one request and the next.
    #[serde(default = "at_once")]
    pub think: [Span; 2],
    /// Whether it is signed in.
    #[serde(default)]
    pub signed_in: bool,
    /// Fields of all its requests.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// What it does, in turn; then it goes, and another comes.
    pub step: Vec<Step>,
}

fn at_once() -> [Span; 2] {
    [Span(Duration::ZERO); 2]
}

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Under which name it is counted.
    pub route: String,
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// Path and query, with `{words}`; also `{unique}`, which is never the same.
    pub path: String,
    /// Fields of this request.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// The body, with `{words}`.
    pub body: Option<String>,
    /// A body of so many bytes instead.
    pub body_bytes: Option<usize>,
    /// Statuses that are right; any of 2xx and 3xx where there are none.
    #[serde(default)]
    pub expect: Vec<u16>,
    /// Whether a redirect is followed, as to a bucket: counted as `ROUTE, the file`.
    #[serde(default)]
    pub follow: bool,
    /// The range that is asked for where it is followed to.
    pub range: Option<String>,
    /// What is more than one answer.
    #[serde(default)]
    pub stays: Stays,
    /// How long an event stream or a WebSocket stays open.
    pub lasts: Option<Span>,
    /// Between two messages over a WebSocket.
    pub every: Option<Span>,
    /// Do it so many times in a row, each after a think time.
    #[serde(default = "once")]
    pub times: u32,
}

impl Step {
    /// All that has `{words}`.
    pub(super) fn texts(&self) -> impl Iterator<Item = &String> {
        [Some(&self.path), self.body.as_ref()].into_iter().flatten().chain(self.fields.values())
    }
}

fn get() -> String {
    "GET".to_owned()
}

fn once() -> u32 {
    1
}

/// Whether a request is over with its answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Stays {
    /// It is.
    #[default]
    No,
    /// Server-sent events: the time is that until the first event.
    Events,
    /// A WebSocket whose server answers each message: the time is the handshake's, then each message's as `ROUTE, a message`.
    Websocket,
}
