//! Faults of our own: a log that nobody reads, and a bug that panics. Neither is any other request's problem.

use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::app::{Mood, OK, Script, Server};
use crate::gateway::{Gateway, assert_good, assert_problem};

/// Reads one answer with a body of known length, from a connection that stays open.
async fn answer(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let whole = |all: &[u8]| {
        let text = String::from_utf8_lossy(all);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
        (body.len() >= length).then(|| text.clone().into_owned())
    };
    loop {
        let mut more = [0; 4096];
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut more)).await;
        let n = read.expect("in time").expect("read");
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&more[..n]);
        if let Some(answer) = whole(&all) {
            return answer;
        }
    }
}

fn number(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{name}: {metrics}"))
}

#[tokio::test]
async fn a_log_that_nobody_reads_costs_lines_and_no_request() {
    let app = Server::start(Mood::Good).await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("origin.toml");
    let text = format!(
        "listen = {{ http = [\"127.0.0.1:0\"], cores = 1 }}\nadmin.listen = \"127.0.0.1:0\"\n[[site]]\nhosts = [\"*\"]\napp = \"{}\"\n",
        app.address
    );
    std::fs::write(&file, text).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_origin"));
    command.args(["serve", "--config"]).arg(&file);
    let mut gateway = Gateway::run(command, folder);

    // 5,000 requests whose lines are 10 MB: more than the pipe holds and than may wait.
    let path = "a".repeat(1500);
    let mut clients = JoinSet::new();
    for client in 0..10 {
        let mut stream = gateway.connect().await;
        let path = path.clone();
        clients.spawn(async move {
            for n in 0..500 {
                let request = format!("GET /{client}/{n}/{path} HTTP/1.1\r\nhost: a\r\n\r\n");
                stream.write_all(request.as_bytes()).await.expect("written");
                assert_good(&answer(&mut stream).await);
            }
        });
    }
    // Nobody waits for the log: who did would wait for ever.
    tokio::time::timeout(Duration::from_secs(120), clients.join_all()).await.expect("all are answered");
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    let lost = number(&metrics, "origin_log_lines_lost_total");
    assert!((1..5_000).contains(&lost), "{lost}");
    assert!(number(&metrics, "process_resident_memory_bytes") < 200 << 20, "what waits is bounded");

    // Somebody reads again: it is said, and lines come through.
    gateway.read_log();
    let said = gateway.logged("lines of the log were lost: its target did not take them").await;
    assert!(said["lines"].as_u64().is_some_and(|lines| lines >= lost && lines < 5_000), "{said}");
}

/// What the two ends of the test below agree on.
const CONFIG: &str = "ORIGIN_TEST_CONFIG";

/// Not a test: the gateway of the test below, with a bug. One of its sites has an app without upstreams, which no configuration
/// file can say.
#[test]
#[ignore = "a gateway that serves until it is killed"]
fn a_gateway_with_a_bug() {
    let Some(text) = std::env::var_os(CONFIG) else { return };
    let mut config = origin::config::parse(text.to_str().expect("text")).expect("a good configuration");
    config.sites.last_mut().expect("two sites").app.upstreams.clear();
    let mut inheritance = origin::handover::Inheritance::take().expect("nothing is handed to it");
    origin::run::run(config, "none".as_ref(), &mut inheritance).expect("it serves");
}

#[tokio::test]
async fn a_panic_is_one_500_and_the_core_lives_on() {
    let script = Script::new().await;
    let text = format!(
        "listen = {{ http = [\"127.0.0.1:0\"], cores = 1 }}\nadmin.listen = \"127.0.0.1:0\"\n\
         [[site]]\nhosts = [\"*\"]\napp = {}\n[[site]]\nhosts = [\"bug.test\"]\napp = \"127.0.0.1:1\"\n",
        script.app()
    );
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command
        .args(["--ignored", "--exact", "--nocapture", "own_faults::a_gateway_with_a_bug"])
        .env(CONFIG, text)
        .env("RUST_BACKTRACE", "0");
    let mut gateway = Gateway::run(command, TempDir::new().expect("a folder"));
    gateway.read_log();

    // A request of the same core is on its way all the time.
    let mut other = gateway.connect().await;
    other.write_all(b"GET /other HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    let mut line = script.accept().await;
    line.head().await;

    let mut stream = gateway.connect().await;
    for _ in 0..2 {
        let request = b"GET / HTTP/1.1\r\nhost: bug.test\r\naccept: application/json\r\n\r\n";
        stream.write_all(request).await.expect("the connection lives on, too");
        let answer = answer(&mut stream).await;
        assert_problem(&answer, 500, "internal");
        let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: ")).expect("an id");
        assert!(answer.contains(&format!("\"request_id\":\"{id}\"")), "{answer}");
    }
    let said = gateway.logged("a request's handling panicked").await;
    assert!(said["panic"].as_str().is_some_and(|panic| panic.contains("index out of bounds")), "{said}");
    assert_eq!(said["request.id"].as_str().map(str::len), Some(32), "{said}");

    line.say(OK).await;
    assert_good(&answer(&mut other).await);
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    assert_eq!(number(&metrics, "origin_panics_total"), 2);
    assert_eq!(number(&metrics, "origin_app_in_flight{app=\"bug.test\"}"), 0, "its place was given back");
    assert_eq!(number(&metrics, "origin_requests_total{site=\"bug.test\",trust=\"direct\",status_class=\"5xx\"}"), 2);
}
