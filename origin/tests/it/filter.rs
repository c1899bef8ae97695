//! The request filter in the gateway: the operator's rules, the managed ones, forms, and what is said of them.

use crate::app::{OK, Script};
use crate::gateway::{Gateway, assert_good, assert_problem};

const RULES: &str = r#"
[[rule]]
name = "old-api"
path = ["/v1/*"]
action = "block"
status = 410
page = "Use version <2>."

[[rule]]
name = "moved"
path = ["/old"]
action = "redirect"
to = "/new"

[[rule]]
name = "often"
query = { often = "*" }
action = "limit"
limit = "seldom"

[[rule]]
name = "tried-out"
header = { x-try = "*" }
action = "block"
dry_run = true

[[route]]
name = "upload"
path = ["/upload"]
method = ["POST"]
body = "10B"
"#;

/// A gateway with the filter on, with these keys of the site's; the folder holds its rules.
fn gateway(app: &Script, section: &str, site: &str) -> (Gateway, tempfile::TempDir) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, RULES).expect("written");
    let more = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\n[rate.seldom]\nburst = 1\nevery = \"1h\"\n[filter]\nrules = {:?}\n{section}\n[[site]]\nhosts = [\"a\"]\napp = {}\n{site}\n",
        rules.display().to_string(),
        app.app()
    );
    (Gateway::before(&app.app(), &more), folder)
}

fn post(path: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\naccept: application/json\r\nconnection: close\r\ncontent-type: {kind}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_rule_stops_a_request_and_says_which() {
    let app = Script::new().await;
    let (gateway, _folder) = gateway(&app, "", "");
    let answer = gateway.get("/v1/x").await;
    assert_problem(&answer, 410, "\"rule\":\"old-api\"");
    let page = gateway.say("GET /v1/x HTTP/1.1\r\nhost: a\r\naccept: text/html\r\nconnection: close\r\n\r\n").await;
    assert!(page.contains("<dd>old-api</dd>") && page.contains("Use version &lt;2&gt;."), "{page}");
    let moved = gateway.get("/old").await;
    assert!(moved.starts_with("HTTP/1.1 302 ") && moved.contains("\r\nlocation: /new\r\n"), "{moved}");
    assert_problem(&gateway.get("/.env").await, 403, "\"rule\":\"probe-dotfile\"");
    assert_problem(&gateway.get("/upload").await, 405, "\"rule\":\"upload\"");
    assert_problem(&gateway.say(&post("/upload", "text/plain", "12345678901")).await, 413, "\"rule\":\"upload\"");
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    for line in [
        "origin_filter_hits_total{rule=\"old-api\",action=\"block\"} 2",
        "origin_filter_hits_total{rule=\"moved\",action=\"redirect\"} 1",
        "origin_filter_hits_total{rule=\"probe-dotfile\",action=\"block\"} 1",
        "origin_problems_total{reason=\"blocked\"} 3",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let line = gateway.logged("request").await;
    assert_eq!((line["filter.rule"].as_str(), line["filter.action"].as_str()), (Some("old-api"), Some("block")));
}

#[tokio::test]
async fn what_is_only_noted_reaches_the_app() {
    let app = Script::new().await;
    let (gateway, _folder) = gateway(&app, "", "filter_off = [\"/git/\"]");
    let answers = async {
        let tried = "GET /a HTTP/1.1\r\nhost: a\r\nx-try: 1\r\nconnection: close\r\n\r\n";
        assert_good(&gateway.say(tried).await);
        // Injection is noted where no site says that it is stopped.
        assert_good(&gateway.get("/?q=1%27+or+%271%27=%271").await);
        assert_good(&gateway.get("/git/x/raw/.env").await);
        assert_good(&gateway.get("/.well-known/security.txt").await);
    };
    let apps = async {
        for _ in 0..4 {
            let mut line = app.accept().await;
            line.head().await;
            line.say(OK).await;
        }
    };
    tokio::join!(answers, apps);
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    assert!(metrics.contains("{rule=\"tried-out\",action=\"dry-run\"} 1"), "{metrics}");
    assert!(metrics.contains("{rule=\"sqli-condition\",action=\"log\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_form_is_looked_at_and_reaches_the_app_as_it_was() {
    let app = Script::new().await;
    let (gateway, _folder) = gateway(&app, "block = [\"sqli\"]", "filter_forms = [\"/login\"]");
    let body = "user=admin%27--&password=x";
    assert_problem(&gateway.say(&post("/login", FORM, body)).await, 403, "\"rule\":\"sqli-tail\"");
    let good = "user=O%27Brien&password=a+%26+b%3B";
    for (path, body) in [("/login", good), ("/other", body)] {
        let request = post(path, FORM, body);
        let (answer, seen) = tokio::join!(gateway.say(&request), async {
            let mut line = app.accept().await;
            let head = line.head().await;
            let seen = line.until(body).await;
            line.say(OK).await;
            (head, seen)
        });
        assert_good(&answer);
        assert!(seen.0.contains(&format!("content-length: {}", body.len())), "{}", seen.0);
        assert!(seen.1.ends_with(body), "{}", seen.1);
    }
}

#[tokio::test]
async fn a_dry_run_of_all_stops_nothing() {
    let app = Script::new().await;
    let (gateway, _folder) = gateway(&app, "log_only = true\nblock = [\"sqli\"]", "");
    let (answer, ()) = tokio::join!(gateway.get("/.env?q=1%27+or+1=1--"), async {
        let mut line = app.accept().await;
        line.head().await;
        line.say(OK).await;
    });
    assert_good(&answer);
    let metrics = gateway.ask_admin("GET", "/metrics").await;
    assert!(metrics.contains("{rule=\"probe-dotfile\",action=\"dry-run\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_body_without_a_length_is_bounded_by_its_route() {
    let app = Script::new().await;
    let (gateway, _folder) = gateway(&app, "", "");
    let request = "POST /upload HTTP/1.1\r\nhost: a\r\naccept: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
                   b\r\n12345678901\r\n0\r\n\r\n";
    let answer = gateway.say(request).await;
    assert_problem(&answer, 413, "body-too-large");
}

#[tokio::test]
async fn a_limit_counts_what_a_rule_sends_to_it() {
    let app = Script::new().await;
    let (gateway, _folder) = gateway(&app, "", "");
    let answers = async {
        assert_good(&gateway.get("/?often=1").await);
        assert_problem(&gateway.get("/?often=1").await, 429, "rate-limited");
        assert_good(&gateway.get("/").await);
    };
    let apps = async {
        for _ in 0..2 {
            let mut line = app.accept().await;
            line.head().await;
            line.say(OK).await;
        }
    };
    tokio::join!(answers, apps);
}
