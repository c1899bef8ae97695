//! Spans as a collector gets them, read by OpenTelemetry's own types.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tempfile::TempDir;

use crate::app::{Line, Mood, Script, Server};
use crate::gateway::{Gateway, assert_good, get};

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// A batch, and the head that it came with.
async fn batch(line: &mut Line) -> (String, ExportTraceServiceRequest) {
    let head = line.head().await;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse().ok()).expect("a length");
    let body = line.exactly(length).await;
    (head, serde_json::from_slice(&body).expect("OTLP"))
}

fn spans(request: &ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| scope.spans.clone()).collect()
}

fn text(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|attribute| attribute.key == key).and_then(|a| a.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        None => String::new(),
        other => panic!("{key}: {other:?}"),
    }
}

fn traces(script: &Script, more: &str) -> String {
    format!("[traces]\nurl = \"http://{}/v1/traces\"\n{more}\n[admin]\nlisten = \"127.0.0.1:0\"", script.address())
}

async fn count(gateway: &Gateway, outcome: &str) -> u64 {
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    let name = format!("origin_traced_requests_total{{outcome=\"{outcome}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&*name)).unwrap_or_else(|| panic!("{metrics}"));
    line.parse().expect("a number")
}

#[tokio::test]
async fn a_clients_trace_goes_on_through_the_gateway_to_the_app() {
    let (collector, app) = (Script::new().await, Script::new().await);
    let at = app.address();
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("headers");
    std::fs::write(&file, "Authorization: Bearer the-collectors-token\n\nX-Tenant: a\n").expect("written");
    let gateway = Gateway::before(
        &app.app(),
        &traces(&collector, &format!("follow = true\nsample = 0.0\nheaders_file = {file:?}")),
    );
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let asked = |flags: &str| {
        get("/a?secret=1")
            .replace("connection:", &format!("traceparent: 00-{trace}-00f067aa0ba902b7-{flags}\r\nconnection:"))
    };
    let app = async {
        let mut line = app.accept().await;
        let mut seen = Vec::new();
        for _ in 0..2 {
            let head = line.head().await;
            seen.extend(head.lines().find_map(|line| line.strip_prefix("traceparent: ")).map(ToOwned::to_owned));
            tokio::time::sleep(Duration::from_millis(50)).await;
            line.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
        seen
    };
    let client = async {
        assert_good(&gateway.say(&asked("00")).await);
        assert_good(&gateway.say(&asked("01")).await);
    };
    let receiver = async {
        let mut line = collector.accept().await;
        let got = batch(&mut line).await;
        line.say(TAKEN).await;
        got
    };
    let (seen, (), (head, got)) = tokio::join!(app, client, receiver);
    assert!(
        head.starts_with("POST /v1/traces HTTP/1.1\r\n") && head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    assert!(
        head.contains("authorization: Bearer the-collectors-token\r\n") && head.contains("x-tenant: a\r\n"),
        "{head}"
    );
    let resource = got.resource_spans[0].resource.as_ref().expect("a resource");
    assert_eq!(resource.attributes[0].key, "service.name");

    // Of the two only the one that its client has sampled.
    let spans = spans(&got);
    let server: Vec<_> = spans.iter().filter(|span| span.kind() == SpanKind::Server).collect();
    let [server] = server[..] else { panic!("one request: {spans:#?}") };
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!((hex(&server.trace_id), hex(&server.parent_span_id)), (trace.to_owned(), "00f067aa0ba902b7".to_owned()));
    assert_eq!((text(server, "http.request.method"), text(server, "url.path")), ("GET".into(), "/a".into()));
    assert_eq!(
        (text(server, "http.response.status_code"), text(server, "origin.trust")),
        ("200".into(), "direct".into())
    );
    assert!(!format!("{got:?}").contains("secret"), "the query is nobody's");
    let with_the_app = spans.iter().find(|span| span.kind() == SpanKind::Client).expect("a span for the app");
    assert_eq!(with_the_app.parent_span_id, server.span_id);
    assert_eq!(
        (text(with_the_app, "server.address"), text(with_the_app, "server.port")),
        (at.ip().to_string(), at.port().to_string())
    );
    assert_eq!((text(server, "url.scheme"), text(server, "server.address")), ("http".into(), "a".into()));
    assert_eq!(seen[1], format!("00-{trace}-{}-01", hex(&with_the_app.span_id)), "the app goes on from there");
    assert_eq!(&seen[0][53..], "00");
    let times = |span: &Span| (span.start_time_unix_nano, span.end_time_unix_nano);
    let ((began, ended), (app_began, app_ended)) = (times(server), times(with_the_app));
    assert!(
        began <= app_began && app_began < app_ended && app_ended <= ended,
        "{began} {app_began} {app_ended} {ended}"
    );
    assert!(app_ended - app_began >= 50_000_000, "nanoseconds");
    assert!(count(&gateway, "sent").await == 1 && count(&gateway, "queue-full").await == 0);
}

#[tokio::test]
async fn what_fails_or_is_slow_is_sent_whatever_the_share() {
    let (collector, app) = (Script::new().await, Server::start(Mood::Good).await);
    let gateway =
        Gateway::before(&format!("\"{}\"", app.address), &traces(&collector, "sample = 0.0\nslow = \"200ms\""));
    assert_good(&gateway.get("/well").await);
    assert!(gateway.get("/refused%2f").await.starts_with("HTTP/1.1 400 "));
    app.set(Mood::Busy);
    gateway.get("/busy").await;
    app.set(Mood::Slow);
    assert_good(&gateway.get("/slow").await);
    app.set(Mood::Mute);
    gateway.post("/broken").await;
    let mut all = Vec::new();
    while all.iter().filter(|span: &&Span| span.kind() == SpanKind::Server).count() < 3 {
        let mut line = collector.accept().await;
        all.extend(spans(&batch(&mut line).await.1));
        line.say(TAKEN).await;
    }
    let mut said: Vec<_> = all
        .iter()
        .filter(|span| span.kind() == SpanKind::Server)
        .map(|span| {
            let failed = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
            (text(span, "url.path"), failed, text(span, "error.type"))
        })
        .collect();
    said.sort();
    let row = |path: &str, failed, kind: &str| (path.to_owned(), failed, kind.to_owned());
    assert_eq!(said, [row("/broken", true, "app-unreachable"), row("/busy", true, "503"), row("/slow", false, "")]);
    // They began here: nobody is above them.
    assert!(all.iter().all(|span| span.kind() != SpanKind::Server || span.parent_span_id.is_empty()));
}

#[tokio::test]
async fn a_collector_that_is_slow_or_gone_costs_spans_and_no_request() {
    let (collector, app) = (Script::new().await, Server::start(Mood::Good).await);
    let keys = "sample = 1.0\nqueue = 10\nwithin = \"5s\"";
    let gateway = Gateway::before(&format!("\"{}\"", app.address), &traces(&collector, keys));
    assert_good(&gateway.get("/first").await);
    // It takes the batch and says nothing.
    let mut line = collector.accept().await;
    batch(&mut line).await;
    let began = std::time::Instant::now();
    for n in 0..50 {
        assert_good(&gateway.get(&format!("/{n}")).await);
    }
    assert!(began.elapsed() < Duration::from_millis(4_500), "nobody waits: {:?}", began.elapsed());
    assert_eq!(count(&gateway, "queue-full").await, 40);
    let said = gateway.logged("spans are lost: the collector has not taken them").await;
    assert_eq!((&said["requests"], &said["error"]), (&1.into(), &"no answer in time".into()));
    drop(line);
    // It is back, wants to be asked again, and then takes what waited.
    let mut line = collector.accept().await;
    batch(&mut line).await;
    line.say("HTTP/1.1 503 Busy\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n").await;
    let mut line = collector.accept().await;
    let (_, got) = batch(&mut line).await;
    line.say(TAKEN).await;
    assert_eq!(spans(&got).iter().filter(|span| span.kind() == SpanKind::Server).count(), 10);
    for (outcome, requests) in [("unreachable", 1), ("sent", 10), ("queue-full", 40)] {
        let until = std::time::Instant::now() + Duration::from_secs(5);
        while count(&gateway, outcome).await != requests {
            assert!(std::time::Instant::now() < until, "{outcome}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // What it does not want is not brought again.
    assert_good(&gateway.get("/unwanted").await);
    let mut line = collector.accept().await;
    batch(&mut line).await;
    line.say("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    assert!(collector.is_left_alone(Duration::from_secs(2)).await);
    assert_eq!(count(&gateway, "refused").await, 1);
    // A time that no clock has costs what waits for it, and nothing that comes after.
    assert_good(&gateway.get("/late").await);
    let mut line = collector.accept().await;
    batch(&mut line).await;
    line.say("HTTP/1.1 503 Busy\r\nretry-after: 18446744073709551615\r\ncontent-length: 0\r\n\r\n").await;
    assert_good(&gateway.get("/after").await);
    let mut line = collector.accept().await;
    let (_, got) = batch(&mut line).await;
    line.say(TAKEN).await;
    assert_eq!(spans(&got).iter().filter(|span| span.kind() == SpanKind::Server).count(), 1);
}
