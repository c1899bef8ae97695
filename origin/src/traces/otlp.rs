//! Spans as OTLP has them, in its JSON form (opentelemetry-proto, `trace.proto`; OTLP specification 1.x, "JSON Protobuf Encoding": ids in
//! hexadecimal digits, 64-bit numbers as text). Names of attributes are those of the semantic conventions for HTTP.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::RequestId;
use serde::{Serialize, Serializer};

use super::Ended;
use crate::forwarded::TO_THE_APP;

/// Kinds of spans.
const INTERNAL: u8 = 1;
const SERVER: u8 = 2;
const CLIENT: u8 = 3;
/// The status of a span that failed.
const ERROR: u8 = 2;
/// Spans below the gateway's, by number; that with the app is [`TO_THE_APP`].
const FILTER: u8 = 2;
const QUEUE: u8 = 3;
const CONNECT: u8 = 4;
/// Bytes of a path that are sent.
const PATH: usize = 1_024;

/// `ExportTraceServiceRequest`, of what we say in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope,
    spans: Vec<Span<'a>>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    flags: u8,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: Number<u128>,
    end_time_unix_nano: Number<u128>,
    attributes: Vec<Attribute<'a>>,
    status: Status,
}

#[derive(Serialize)]
struct Status {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'static str,
    value: AttributeValue<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum AttributeValue<'a> {
    StringValue(Cow<'a, str>),
    IntValue(Number<u64>),
}

/// A number as text.
struct Number<N>(N);

impl<N: std::fmt::Display> Serialize for Number<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[derive(Clone, Copy)]
struct TraceId([u8; 16]);

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(RequestId::from_random(self.0).text().as_str())
    }
}

struct SpanId([u8; 8]);

impl Serialize for SpanId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", u64::from_be_bytes(self.0)))
    }
}

/// What is posted: all spans of these requests.
pub(super) fn request(all: &[Ended], host: &str) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let mut attributes = vec![text("service.name", "origin"), text("service.version", version)];
    attributes.extend((!host.is_empty()).then(|| text("host.name", host)));
    let mut spans = Vec::with_capacity(all.len() * 4);
    all.iter().for_each(|ended| add(&mut spans, ended));
    let scope = Scope { name: "origin", version };
    let request = Request {
        resource_spans: [ResourceSpans {
            resource: Resource { attributes },
            scope_spans: [ScopeSpans { scope, spans }],
        }],
    };
    // Maps with text for keys, and text: it is always JSON.
    serde_json::to_vec(&request).unwrap_or_default()
}

/// How many of the spans of a batch the collector says that it has not taken (`ExportTracePartialSuccess`).
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let said: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let count = &said["partialSuccess"]["rejectedSpans"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or_default()
}

/// Adds a request's spans.
fn add<'a>(all: &mut Vec<Span<'a>>, ended: &'a Ended) {
    let record = &ended.record;
    let trace = &record.trace;
    let trace_id = TraceId(trace.id);
    let method = record.method.as_str();
    let status = record.status;
    let mut attributes = Vec::with_capacity(16);
    attributes.extend([
        text("http.request.method", method),
        text("url.scheme", if record.secure { "https" } else { "http" }),
        text("url.path", upto(&record.path, PATH)),
        text("client.address", record.client.to_string()),
        text("network.protocol.version", if record.version == http::Version::HTTP_2 { "2" } else { "1.1" }),
        number("http.response.status_code", status.into()),
        number("http.response.body.size", record.bytes()),
        text("origin.request_id", record.id.text().as_str().to_owned()),
        text("origin.trust", record.trust.as_str()),
        text("origin.cache", record.cache),
    ]);
    attributes.extend(server(&record.host));
    if !record.reason.is_empty() {
        attributes.push(text("origin.reason", record.reason));
    }
    if let Some(hit) = record.filter.last() {
        attributes.push(text("origin.filter.rule", &*hit.rule));
    }
    let failed = status >= 500 || record.is_cut();
    if failed {
        attributes.push(match record.reason {
            "" if record.is_cut() => text("error.type", "cut"),
            "" => text("error.type", status.to_string()),
            reason => text("error.type", reason),
        });
    }
    // Where the trace began here or at our Worker, which sends no spans, this one is its first.
    let parent = trace.parent.filter(|_| !trace.is_own(record.id));
    all.push(Span {
        trace_id,
        span_id: SpanId(trace.span),
        parent_span_id: parent.map(SpanId),
        flags: 1,
        name: method,
        kind: SERVER,
        start_time_unix_nano: nanos(ended.began),
        end_time_unix_nano: nanos(ended.began + ended.took),
        attributes,
        status: Status { code: failed.then_some(ERROR) },
    });
    let spent = &record.spent;
    for (n, name, kind, stretch) in [
        (FILTER, "filter", INTERNAL, &spent.filter),
        (QUEUE, "queue", INTERNAL, &spent.queue),
        (CONNECT, "connect", INTERNAL, &spent.connect),
        (TO_THE_APP, method, CLIENT, &spent.answer),
    ] {
        let Some((began, took)) = stretch.get() else { continue };
        let mut attributes = Vec::new();
        if kind == CLIENT {
            attributes.push(text("http.request.method", method));
            attributes.extend(server(record.upstream));
            let tries = spent.tries.get();
            if tries > 1 {
                attributes.push(number("http.request.resend_count", (tries - 1).into()));
            }
        }
        all.push(Span {
            trace_id,
            span_id: SpanId(trace.child(n)),
            parent_span_id: Some(SpanId(trace.span)),
            flags: 1,
            name,
            kind,
            start_time_unix_nano: nanos(ended.began + began),
            end_time_unix_nano: nanos(ended.began + began + took),
            attributes,
            status: Status { code: None },
        });
    }
}

fn text<'a>(key: &'static str, value: impl Into<Cow<'a, str>>) -> Attribute<'a> {
    Attribute { key, value: AttributeValue::StringValue(value.into()) }
}

fn number(key: &'static str, value: u64) -> Attribute<'static> {
    Attribute { key, value: AttributeValue::IntValue(Number(value)) }
}

/// A server by its authority, whose port is an attribute of its own.
fn server(authority: &str) -> impl Iterator<Item = Attribute<'_>> {
    let parted = authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = parted.map_or((authority, None), |(host, port)| (host, Some(port)));
    let address = text("server.address", host.trim_start_matches('[').trim_end_matches(']'));
    std::iter::once(address).chain(port.map(|port| number("server.port", port.into())))
}

fn nanos(time: SystemTime) -> Number<u128> {
    Number(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos())
}

/// The beginning of a text, as many whole characters as fit.
fn upto(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
