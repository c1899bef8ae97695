//! Spans as OTLP has them, in its JSON form (opentelemetry-proto, `trace.proto`; OTLP specification 1.x, "JSON Protobuf Encoding": ids in
//! hexadecimal digits, 64-bit numbers as text). Names of attributes are those of the semantic conventions for HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use contract::RequestId;
use serde_json::{Value, json};

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

/// What is posted: all spans of these requests.
pub(super) fn request(all: &[Ended], host: &str) -> Vec<u8> {
    let spans: Vec<Value> = all.iter().flat_map(spans).collect();
    let version = env!("CARGO_PKG_VERSION");
    let mut resource = vec![text("service.name", "origin"), text("service.version", version)];
    resource.extend((!host.is_empty()).then(|| text("host.name", host)));
    let scope = json!({ "name": "origin", "version": version });
    let all = json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] });
    all.to_string().into_bytes()
}

/// How many of the spans of a batch the collector says that it has not taken (`ExportTracePartialSuccess`).
pub(super) fn rejected(answer: &[u8]) -> u64 {
    let said: Value = serde_json::from_slice(answer).unwrap_or_default();
    let count = &said["partialSuccess"]["rejectedSpans"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or_default()
}

fn spans(ended: &Ended) -> Vec<Value> {
    let record = &ended.record;
    let trace = &record.trace;
    let trace_id = RequestId::from_random(trace.id).to_string();
    let method = record.method.as_str();
    let status = record.status;
    let mut attributes = vec![
        text("http.request.method", method),
        text("url.scheme", if record.secure { "https" } else { "http" }),
        text("url.path", upto(&record.path, PATH)),
        text("client.address", &record.client.to_string()),
        text("network.protocol.version", if record.version == http::Version::HTTP_2 { "2" } else { "1.1" }),
        number("http.response.status_code", status.into()),
        number("http.response.body.size", record.bytes()),
        text("origin.request_id", record.id.text().as_str()),
        text("origin.trust", record.trust.as_str()),
        text("origin.cache", record.cache),
    ];
    attributes.extend(server(&record.host));
    if !record.reason.is_empty() {
        attributes.push(text("origin.reason", record.reason));
    }
    if let Some(hit) = record.filter.last() {
        attributes.push(text("origin.filter.rule", &hit.rule));
    }
    let failed = status >= 500 || record.is_cut();
    if failed {
        let kind = match record.reason {
            "" if record.is_cut() => "cut".to_owned(),
            "" => status.to_string(),
            reason => reason.to_owned(),
        };
        attributes.push(text("error.type", &kind));
    }
    // Where the trace began here or at our Worker, which sends no spans, this one is its first.
    let parent = trace.parent.filter(|_| !trace.is_own(record.id));
    let mut all = vec![json!({
        "traceId": trace_id,
        "spanId": span_id(trace.span),
        "parentSpanId": parent.map(span_id).unwrap_or_default(),
        "flags": 1,
        "name": method,
        "kind": SERVER,
        "startTimeUnixNano": nanos(ended.began),
        "endTimeUnixNano": nanos(ended.began + ended.took),
        "attributes": attributes,
        "status": if failed { json!({ "code": ERROR }) } else { json!({}) },
    })];
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
        all.push(json!({
            "traceId": trace_id,
            "spanId": span_id(trace.child(n)),
            "parentSpanId": span_id(trace.span),
            "flags": 1,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": nanos(ended.began + began),
            "endTimeUnixNano": nanos(ended.began + began + took),
            "attributes": attributes,
            "status": {},
        }));
    }
    all
}

fn span_id(id: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(id))
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// A server by its authority, whose port is an attribute of its own.
fn server(authority: &str) -> impl Iterator<Item = Value> {
    let parted = authority.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
    let (host, port) = parted.map_or((authority, None), |(host, port)| (host, Some(port)));
    let address = text("server.address", host.trim_start_matches('[').trim_end_matches(']'));
    std::iter::once(address).chain(port.map(|port| number("server.port", port.into())))
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_nanos().to_string()
}

/// The beginning of a text, as many whole characters as fit.
fn upto(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}
