//! What the access log says of a request's time, which requests it keeps, and whom `Server-Timing` is for.

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::app::{Mood, OK, Script, Server};
use crate::gateway::{Gateway, assert_good, assert_problem, get};

/// The value of a field of an answer.
fn field<'a>(answer: &'a str, name: &str) -> Vec<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n").expect("a head");
    let prefix = format!("{name}: ");
    head.lines().filter_map(|line| line.strip_prefix(&*prefix)).collect()
}

fn millis(line: &Value, name: &str) -> f64 {
    line[name].as_f64().unwrap_or_else(|| panic!("{name}: {line}"))
}

#[tokio::test]
async fn a_line_says_where_the_time_went_and_to_whom() {
    let script = Script::new().await;
    let address = script.address();
    // Nobody is there at first: the request is held, then connected, then answered late.
    drop(script);
    let gateway = Gateway::before(&format!("\"{address}\""), "timeouts.hold = \"5s\"");
    let app = async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let late = Server::on(address, Mood::Slow).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        late
    };
    let (answer, _app) = tokio::join!(gateway.get("/held"), app);
    assert_good(&answer);
    let line = gateway.logged("request").await;
    assert!(millis(&line, "duration.queue_ms") >= 200.0, "{line}");
    assert!(millis(&line, "duration.app_ms") >= 200.0, "{line}");
    assert!(millis(&line, "duration.connect_ms") >= 0.0, "{line}");
    let parts = ["duration.queue_ms", "duration.app_ms"].map(|name| millis(&line, name));
    assert!(parts.iter().sum::<f64>() <= millis(&line, "duration.head_ms"), "{line}");
    assert_eq!(line["upstream"], address.to_string());
    assert!(line.get("sample").is_none() && line.get("tries").is_none(), "{line}");
}

#[tokio::test]
async fn what_the_filter_stops_says_how_long_that_took() {
    let app = Server::start(Mood::Good).await;
    let gateway = Gateway::before(&format!("\"{}\"", app.address), "[filter]");
    assert!(gateway.get("/.env").await.starts_with("HTTP/1.1 40"));
    let line = gateway.logged("request").await;
    assert!(line["filter.rule"].is_string(), "{line}");
    assert!(millis(&line, "duration.filter_ms") <= millis(&line, "duration.head_ms"), "{line}");
}

#[tokio::test]
async fn a_request_that_was_sent_twice_says_so() {
    let (mute, good) = (Server::start(Mood::Mute).await, Server::start(Mood::Good).await);
    let app = format!("[\"{}\", \"{}\"]", mute.address, good.address);
    let gateway = Gateway::before(&app, "");
    for n in 0..20 {
        assert_good(&gateway.get(&format!("/{n}")).await);
    }
    let twice = gateway.all_logged("request", 20).await;
    let twice: Vec<_> = twice.iter().filter(|line| line["tries"] == 2).collect();
    assert!(!twice.is_empty(), "the one that closes was asked first at some time");
    assert!(twice.iter().all(|line| line["upstream"] == good.address.to_string()), "{twice:?}");
}

#[tokio::test]
async fn of_what_goes_well_a_share_is_kept_and_of_the_rest_all() {
    let app = Server::start(Mood::Good).await;
    let gateway = Gateway::before(&format!("\"{}\"", app.address), "log = { sample = 0.0, slow = \"200ms\" }");
    for n in 0..20 {
        assert_good(&gateway.get(&format!("/well/{n}")).await);
    }
    assert_problem(&gateway.get("/a%2fb").await, 400, "path-refused");
    app.set(Mood::Busy);
    assert!(gateway.get("/busy").await.starts_with("HTTP/1.1 503 "));
    app.set(Mood::Slow);
    assert_good(&gateway.get("/slow").await);
    let lines = gateway.all_logged("request", 3).await;
    let paths: Vec<_> = lines.iter().map(|line| line["url.path"].as_str().unwrap_or_default()).collect();
    assert_eq!(paths, ["/a%2fb", "/busy", "/slow"]);
    assert!(lines.iter().all(|line| line["sample"] == 1.0), "{lines:?}");

    let gateway = Gateway::before(&format!("\"{}\"", app.address), "log.sample = 0.5");
    app.set(Mood::Good);
    for n in 0..200 {
        assert_good(&gateway.get(&format!("/{n}")).await);
    }
    assert_problem(&gateway.get("/last%2f").await, 400, "path-refused");
    let lines = gateway.until_logged(|line| line["url.path"] == "/last%2f").await;
    let kept = lines.iter().filter(|line| line["message"] == "request" && line["sample"] == 0.5).count();
    // Less likely than one in 10^9 to be outside of it.
    assert!((55..=145).contains(&kept), "{kept}");
}

#[tokio::test]
async fn only_the_operator_is_told_where_the_time_went() {
    const TOKEN: &str = "0123456789abcdef0123456789abcdef";
    let script = Script::new().await;
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("timing.token");
    std::fs::write(&file, TOKEN).expect("written");
    let gateway = Gateway::before(
        &script.app(),
        &format!("timing.token_file = {file:?}\ncache.size = \"1MiB\"\ncache.object = \"1MiB\""),
    );
    let shown = |path: &str, token: &str| {
        get(path).replace("connection: close", &format!("origin-timing: {token}\r\nconnection: close"))
    };
    const STORED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncache-control: public, max-age=60\r\ncdn-cache-control: max-age=60\r\nserver-timing: render;dur=1\r\n\r\nok";
    let app = async {
        let mut line = script.accept().await;
        let head = line.head().await;
        assert!(!head.contains("origin-timing") && !head.contains(TOKEN), "the app does not get it: {head}");
        line.say(STORED).await;
        let head = line.head().await;
        assert!(head.starts_with("GET /other "), "{head}");
        line.say(STORED).await;
    };
    let client = async {
        let told = gateway.say(&shown("/", TOKEN)).await;
        let timing = field(&told, "server-timing");
        assert_eq!(timing.len(), 2, "{told}");
        assert_eq!(timing[0], "render;dur=1", "the app's own word stays");
        assert!(timing[1].starts_with("gateway;dur=") && timing[1].contains(", app;dur="), "{told}");
        assert!(timing[1].contains(", connect;dur=") && timing[1].ends_with(", cache;desc=\"miss\""), "{told}");
        assert_eq!((field(&told, "cache-control"), field(&told, "cdn-cache-control").len()), (vec!["no-store"], 0));
        // It has been stored here without: the next visitor is told nothing, nor is one with another token, or with two.
        for request in [
            get("/"),
            shown("/", "fedcba9876543210fedcba9876543210"),
            shown("/", &format!("{TOKEN}\r\norigin-timing: {TOKEN}")),
        ] {
            let other = gateway.say(&request).await;
            assert!(field(&other, "cache-status")[0].contains("hit"), "{other}");
            assert_eq!(field(&other, "server-timing"), ["render;dur=1"], "{other}");
            assert_eq!(field(&other, "cache-control"), ["public, max-age=60"], "{other}");
        }
        let hit = gateway.say(&shown("/", TOKEN)).await;
        assert!(field(&hit, "server-timing")[1].ends_with(", cache;desc=\"hit\""), "{hit}");
        assert!(!field(&hit, "server-timing")[1].contains("app;"), "{hit}");
        assert_good(&gateway.get("/other").await);
    };
    tokio::join!(app, client);
    let without = Gateway::before(&script.app(), "");
    let app = async {
        let mut line = script.accept().await;
        line.head().await;
        line.say(OK).await;
    };
    let (answer, ()) = tokio::join!(async { without.say(&shown("/", TOKEN)).await }, app);
    assert!(field(&answer, "server-timing").is_empty(), "without the section nobody is told: {answer}");
}
