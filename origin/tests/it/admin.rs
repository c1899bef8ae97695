//! The private listener: who is answered, what is said, and that draining by hand is not the end.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use crate::app::{Mood, Script, Server};
use crate::gateway::{Gateway, assert_good, assert_problem, get, rest};

const ADMIN: &str = "admin.listen = \"127.0.0.1:0\"";

/// The value of a metric, with its labels as they are written.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Asks for the metrics until they are as they should be.
async fn metrics_until(gateway: &Gateway, is: impl Fn(&str) -> bool) -> String {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let metrics = gateway.ask_admin("GET", "/metrics").await;
        if is(&metrics) {
            return metrics;
        }
        assert!(Instant::now() < until, "{metrics}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn requests_are_counted_by_site_and_status() {
    let app = Server::start(Mood::Good).await;
    let gateway = Gateway::before(&format!("\"{}\"", app.address), ADMIN);
    for _ in 0..3 {
        assert_good(&gateway.get("/").await);
    }
    app.set(Mood::Busy);
    gateway.post("/busy").await;
    gateway.say("GET //refused HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    gateway.say("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;

    let good = "origin_requests_total{site=\"*\",trust=\"direct\",status_class=\"2xx\"}";
    let metrics = metrics_until(&gateway, |metrics| value(metrics, good) == Some(3.0)).await;
    let labels = format!("{{app=\"*\",upstream=\"{}\"}}", app.address);
    for (series, expected) in [
        ("origin_requests_total{site=\"*\",trust=\"direct\",status_class=\"5xx\"}", 1.0),
        ("origin_requests_total{site=\"*\",trust=\"direct\",status_class=\"4xx\"}", 1.0),
        ("origin_problems_total{reason=\"path-refused\"}", 1.0),
        ("origin_request_body_bytes_total", 3.0),
        ("http_server_active_requests{http_request_method=\"GET\",url_scheme=\"http\"}", 0.0),
        (&duration("count", "GET", "200", ""), 3.0),
        (&duration("count", "GET", "400", ""), 1.0),
        (&duration("count", "POST", "503", ",error_type=\"503\""), 1.0),
        (&duration("bucket", "GET", "200", ",le=\"+Inf\""), 3.0),
        ("origin_request_head_seconds_count{site=\"*\"}", 5.0),
        ("origin_app_answer_seconds_count{app=\"*\"}", 4.0),
        ("origin_connections_total", 6.0),
        ("origin_ready", 1.0),
        ("origin_panics_total", 0.0),
        ("origin_log_lines_lost_total", 0.0),
        (&format!("origin_upstream_up{labels}"), 1.0),
        (&format!("origin_upstream_retries_total{labels}"), 0.0),
    ] {
        assert_eq!(value(&metrics, series), Some(expected), "{series}\n{metrics}");
    }
    let open = value(&metrics, &format!("origin_upstream_connections_open{labels}")).expect("a gauge");
    let idle = value(&metrics, &format!("origin_upstream_connections_idle{labels}")).expect("a gauge");
    assert!(open >= idle && open <= 4.0, "{open} {idle}");
    assert!(metrics.contains("origin_framing_offences_total{reason="), "{metrics}");
    assert!(value(&metrics, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6), "{metrics}");
    assert!(!metrics.contains("refused\"}") || !metrics.contains("//refused"), "no path of a client is a label");
}

/// A series of `http_server_request_duration_seconds` of the one site.
fn duration(kind: &str, method: &str, status: &str, more: &str) -> String {
    format!(
        "http_server_request_duration_seconds_{kind}{{server_address=\"*\",http_request_method=\"{method}\",url_scheme=\"http\",\
         http_response_status_code=\"{status}\"{more}}}"
    )
}

#[tokio::test]
async fn what_a_client_chooses_is_no_label() {
    let app = Server::start(Mood::Good).await;
    let gateway = Gateway::before(&format!("\"{}\"", app.address), ADMIN);
    gateway.get("/").await;
    let before = gateway.ask_admin("GET", "/metrics").await.lines().count();
    for n in 0..200 {
        let head = format!(
            "CHOSEN{n} /chosen{n} HTTP/1.1\r\nhost: chosen{n}.test\r\nuser-agent: chosen{n}\r\nreferer: http://chosen{n}.test/"
        );
        gateway.say(&format!("{head}\r\nx-request-id: chosen{n}\r\nconnection: close\r\n\r\n")).await;
    }
    let other = "http_server_active_requests{http_request_method=\"_OTHER\",url_scheme=\"http\"}";
    let metrics = metrics_until(&gateway, |metrics| value(metrics, other) == Some(0.0)).await;
    assert!(!metrics.to_ascii_lowercase().contains("chosen"), "{metrics}");
    // The method's own series, and those of an answer and its problem.
    let more = metrics.lines().count() - before;
    assert!(more < 60, "{more} more lines\n{metrics}");
}

#[tokio::test]
async fn tasks_come_and_go_with_what_they_are_for() {
    let gateway = Gateway::before("\"127.0.0.1:1\"", ADMIN);
    let tasks = |metrics: &str| value(metrics, "origin_tasks").expect("a gauge");
    let before = tasks(&gateway.ask_admin("GET", "/metrics").await);
    let connected = futures_util::future::join_all((0..20).map(|_| gateway.connect())).await;
    metrics_until(&gateway, |metrics| tasks(metrics) >= before + 20.0).await;
    drop(connected);
    metrics_until(&gateway, |metrics| tasks(metrics) < before + 10.0).await;
}

/// Runbook, alerts and dashboard may name only what there is.
#[tokio::test]
async fn every_metric_that_is_written_of_is_there() {
    let gateway = Gateway::before("\"127.0.0.1:1\"", ADMIN);
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    let kinds: Vec<(&str, &str)> =
        metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let there = |name: &str| {
        kinds
            .iter()
            .any(|(family, kind)| name == *family || (*kind == "histogram" && name == format!("{family}_bucket")))
    };
    const OURS: [&str; 2] = ["origin_", "http_server_"];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for page in ["docs/operations.md", "deploy/origin.alerts.yml", "deploy/origin.grafana.json"] {
        let text = std::fs::read_to_string(root.join(page)).expect("a page");
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let names: Vec<&str> =
            words.filter(|w| OURS.iter().any(|ours| w.starts_with(ours)) || w.contains("_fds")).collect();
        assert!(names.len() > 5, "{page}: {names:?}");
        for name in names {
            assert!(there(name), "{page}: {name}\n{metrics}");
        }
    }
}

#[tokio::test]
async fn an_app_that_is_gone_shows() {
    let app = Server::start(Mood::Good).await;
    let gateway = Gateway::before(&format!("\"{}\"", app.address), &format!("{ADMIN}\ntimeouts.hold = \"200ms\""));
    assert_good(&gateway.get("/").await);
    app.stopped().await;
    assert_problem(&gateway.get("/").await, 502, "app-unreachable");
    let labels = format!("{{app=\"*\",upstream=\"{}\"", app.address);
    let down = format!("origin_upstream_up{labels}}}");
    let metrics = metrics_until(&gateway, |metrics| value(metrics, &down) == Some(0.0)).await;
    assert_eq!(value(&metrics, "origin_app_held_total{app=\"*\"}"), Some(1.0), "{metrics}");
    let refused = format!("origin_upstream_failures_total{labels},reason=\"refused\"}}");
    assert!(value(&metrics, &refused).is_some_and(|count| count >= 1.0), "{metrics}");
    let upstreams = gateway.ask_admin("GET", "/upstreams").await;
    let json: serde_json::Value = serde_json::from_str(body(&upstreams)).expect("JSON");
    let upstream = &json[0]["upstreams"][0];
    assert_eq!((&json[0]["app"], &upstream["state"]), (&"*".into(), &"down".into()), "{upstreams}");
    assert!(upstream["last_error"].as_str().is_some_and(|error| error.starts_with("refused: ")), "{upstreams}");
}

#[tokio::test]
async fn an_ejected_upstream_shows() {
    let (good, mute) = (Server::start(Mood::Good).await, Server::start(Mood::Mute).await);
    let app = format!("[\"{}\", \"{}\"]", good.address, mute.address);
    let gateway = Gateway::before(&app, ADMIN);
    for n in 0..60 {
        gateway.get(&format!("/{n}")).await;
    }
    let upstreams = gateway.ask_admin("GET", "/upstreams").await;
    let json: serde_json::Value = serde_json::from_str(body(&upstreams)).expect("JSON");
    let [up, ejected] = [&json[0]["upstreams"][0], &json[0]["upstreams"][1]];
    assert_eq!((&up["state"], &ejected["state"]), (&"up".into(), &"ejected".into()), "{upstreams}");
    assert!(ejected["ejected_for_seconds"].as_u64().is_some_and(|time| time <= 10), "{upstreams}");
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    let labels = format!("{{app=\"*\",upstream=\"{}\"}}", mute.address);
    assert_eq!(value(&metrics, &format!("origin_upstream_ejections_total{labels}")), Some(1.0), "{metrics}");
    assert_eq!(value(&metrics, &format!("origin_upstream_up{labels}")), Some(0.0), "{metrics}");
}

#[tokio::test]
async fn an_app_that_answers_nobody_keeps_few_waiting() {
    let script = Script::new().await;
    let more = format!("{ADMIN}\ntimeouts.answer = \"1s\"\nlimits.failures = 3");
    let gateway = std::sync::Arc::new(Gateway::before(&script.app(), &more));
    // It takes connections and says nothing.
    let silent = tokio::spawn(async move {
        let mut lines = Vec::new();
        loop {
            lines.push(script.accept().await);
        }
    });
    let ask = |n: usize| {
        let mut asking = tokio::task::JoinSet::new();
        for n in 0..n {
            let gateway = std::sync::Arc::clone(&gateway);
            asking.spawn(async move { gateway.get(&format!("/{n}")).await });
        }
        asking.join_all()
    };
    for answer in ask(3).await {
        assert_problem(&answer, 504, "app-timeout");
    }
    let answers = ask(100).await;
    let waited = answers.iter().filter(|answer| answer.contains("app-timeout")).count();
    let refused = answers.iter().filter(|answer| answer.contains("overloaded")).count();
    assert_eq!((waited, refused), (32, 68));
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    assert_eq!(value(&metrics, "origin_app_stalled{app=\"*\"}"), Some(1.0), "{metrics}");
    assert_eq!(value(&metrics, "origin_requests_shed_total{reason=\"in-flight\"}"), Some(68.0), "{metrics}");
    silent.abort();
}

#[tokio::test]
async fn draining_by_hand_and_back() {
    let app = Server::start(Mood::Good).await;
    let gateway = Gateway::before(&format!("\"{}\"", app.address), ADMIN);
    assert_good(&gateway.ask_admin("GET", "/readyz").await);
    for _ in 0..2 {
        assert_good(&gateway.ask_admin("POST", "/drain").await);
    }
    let answer = gateway.ask_admin("GET", "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("drained by POST /drain"), "{answer}");
    assert_good(&gateway.ask_admin("GET", "/livez").await);
    assert_good(&gateway.get("/served-all-the-same").await);
    assert_good(&gateway.ask_admin("DELETE", "/drain").await);
    assert_good(&gateway.ask_admin("GET", "/readyz").await);
}

#[tokio::test]
async fn what_there_is_and_is_not() {
    let app = Server::start(Mood::Good).await;
    let gateway = Gateway::before(&format!("\"{}\"", app.address), ADMIN);
    let index = gateway.ask_admin("GET", "/").await;
    for path in ["/livez", "/readyz", "/metrics", "/upstreams", "/config"] {
        assert!(index.contains(&format!("GET    {path} ")), "{index}");
        assert_good(&gateway.ask_admin("GET", path).await);
        let wrong = gateway.ask_admin("POST", path).await;
        assert_problem(&wrong, 405, "method-not-allowed");
        assert!(wrong.contains("allow: GET,HEAD\r\n"), "{wrong}");
    }
    let wrong = gateway.ask_admin("GET", "/drain").await;
    assert_problem(&wrong, 405, "method-not-allowed");
    assert!(wrong.contains("allow: POST,DELETE\r\n") || wrong.contains("allow: DELETE,POST\r\n"), "{wrong}");
    let nothing = gateway.ask_admin("GET", "/nothing").await;
    assert_problem(&nothing, 404, "not-found");
    assert!(nothing.contains("x-request-id: ") && nothing.contains("\"request_id\":"), "{nothing}");
    let config = gateway.ask_admin("GET", "/config").await;
    assert!(config.contains("drain = \"30s\" # default\n"), "{config}");
    let open = gateway.say_admin("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/openmetrics-text; version=1.0.0\r\nconnection: close\r\n\r\n").await;
    assert!(open.contains("content-type: application/openmetrics-text") && open.ends_with("# EOF\n"), "{open}");
}

#[tokio::test]
async fn pages_in_browsers_are_not_answered() {
    let app = Server::start(Mood::Good).await;
    let gateway = Gateway::before(&format!("\"{}\"", app.address), ADMIN);
    for fields in ["host: evil.test", "host: 127.0.0.1\r\norigin: https://evil.test", "host: localhost\r\norigin: null"]
    {
        let answer = gateway.say_admin(&format!("POST /drain HTTP/1.1\r\n{fields}\r\nconnection: close\r\n\r\n")).await;
        assert_problem(&answer, 403, "browser-refused");
    }
    assert_good(&gateway.ask_admin("GET", "/readyz").await);
}

#[tokio::test]
async fn a_token_opens_any_address() {
    let app = Server::start(Mood::Good).await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("token");
    let token = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    std::fs::write(&file, format!("{token}\n")).expect("written");
    let more = format!("admin = {{ listen = \"127.0.0.1:0\", token_file = {:?} }}", file.display().to_string());
    let gateway = Gateway::before(&format!("\"{}\"", app.address), &more);
    let answer = gateway.ask_admin("GET", "/config").await;
    assert_problem(&answer, 401, "token-required");
    assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
    assert_good(&gateway.ask_admin("GET", "/readyz").await);
    let ask = |token: &str| {
        format!(
            "GET /config HTTP/1.1\r\nhost: gateway.internal\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        )
    };
    let config = gateway.say_admin(&ask(token)).await;
    assert_good(&config);
    assert!(config.contains("token_file") && !config.contains(token), "{config}");
    assert_problem(&gateway.say_admin(&ask(&token.replace('M', "N"))).await, 401, "token-required");
}

#[tokio::test]
async fn a_unix_socket_is_for_programs() {
    let app = Server::start(Mood::Good).await;
    let folder = tempfile::TempDir::new().expect("a folder");
    let path = folder.path().join("admin.sock");
    let more = format!("admin.listen = \"unix:{}\"", path.display());
    let gateway = Gateway::before(&format!("\"{}\"", app.address), &more);
    let mut stream = UnixStream::connect(&path).await.expect("it listens");
    stream.write_all(get("/readyz").as_bytes()).await.expect("written");
    assert_good(&rest(&mut stream).await);
    drop(gateway);
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

/// A token's file, and a bucket's key, in a folder that goes with the test.
fn secrets() -> (tempfile::TempDir, String, String, String) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let (token, app) = (file("token", TOKEN), file("app", APP));
    let key = file("key", "ACCESSKEY:0123456789abcdef");
    (folder, token, app, key)
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const APP: &str = "fedcba9876543210fedcba9876543210";

/// Signing opens files, so it takes more than being on this machine.
#[tokio::test]
async fn files_are_only_for_whoever_shows_who_they_are() {
    let (_folder, token, app, key) = secrets();
    let bucket = format!("[bucket.files]\nurl = \"http://127.0.0.1:1/files\"\ncredentials_file = \"{key}\"");
    let json = "{\"items\": [{\"download\": {\"bucket\": \"files\", \"key\": \"a\"}}]}";
    let ask = |path: &str, fields: &str| {
        let length = json.len();
        format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}\r\n{json}"
        )
    };
    let paths = [
        "/sign",
        "/uploads",
        "/uploads/parts",
        "/uploads/list",
        "/uploads/complete",
        "/uploads/abort",
        "/uploads/release",
        "/uploads/discard",
        "/lfs/files/objects/batch",
        "/lfs/files/objects/verify",
    ];
    let open = Gateway::before("\"127.0.0.1:1\"", &format!("{ADMIN}\n{bucket}"));
    let closed = Gateway::before(
        "\"127.0.0.1:1\"",
        &format!("{ADMIN}\nadmin.token_file = \"{token}\"\nadmin.app_token_file = \"{app}\"\n{bucket}"),
    );
    for path in paths {
        assert_problem(&open.say_admin(&ask(path, "")).await, 401, "token-required");
        assert_problem(&closed.say_admin(&ask(path, "")).await, 401, "token-required");
        let wrong = format!("authorization: Bearer {}\r\n", TOKEN.replace('f', "0"));
        assert_problem(&closed.say_admin(&ask(path, &wrong)).await, 401, "token-required");
    }
    for token in [TOKEN, APP] {
        let good = closed.say_admin(&ask("/sign", &format!("authorization: Bearer {token}\r\n"))).await;
        assert!(good.starts_with("HTTP/1.1 200") && good.contains("X-Amz-Signature="), "{good}");
    }
    let apps = format!("authorization: Bearer {APP}\r\n");
    assert_problem(&closed.say_admin(&ask("/purge", &apps)).await, 401, "token-required");
    // The storage is not there: what asks it says so, what does not goes on.
    let upload = "{\"bucket\": \"files\", \"key\": \"a\", \"type\": \"audio/wav\", \"length\": 1}";
    let complete = format!("{{\"upload\": {upload}}}");
    let asked = format!(
        "POST /uploads/complete HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{complete}",
        complete.len()
    );
    let answer = closed.say_admin(&asked).await;
    assert_problem(&answer, 502, "storage-unreachable");
    let metrics = closed
        .say_admin(&format!(
            "GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n"
        ))
        .await;
    for (series, count) in [
        ("origin_files_total{call=\"sign\",outcome=\"ok\"}", 2.0),
        ("origin_files_total{call=\"complete\",outcome=\"storage-unreachable\"}", 1.0),
    ] {
        assert_eq!(value(&metrics, series), Some(count), "{metrics}");
    }
    assert!(!metrics.contains("X-Amz"), "{metrics}");
}
