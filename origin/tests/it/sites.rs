//! What sites of one host have of their own: app, limits, timeouts, and who answers health.

use std::time::Duration;

use crate::app::{OK, Script};
use crate::gateway::{Gateway, assert_good, assert_problem};

/// A second site for the same hosts.
fn second(app: &Script, keys: &str) -> String {
    format!("[[site]]\nhosts = [\"*\"]\napp = {}\n{keys}\n", app.app())
}

#[tokio::test]
async fn a_path_has_its_app_its_limits_and_its_timeouts() {
    let (rest, git) = (Script::new().await, Script::new().await);
    let keys = "paths = [\"/git/\"]\nlimits = {body = \"1KiB\"}\ntimeouts = {answer = \"300ms\"}";
    let gateway = Gateway::before(&rest.app(), &format!("limits.body = \"2KiB\"\n{}", second(&git, keys)));
    let post = |path: &str, length: usize| {
        let body = "a".repeat(length);
        format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    assert_problem(&gateway.say(&post("/git/a", 1025)).await, 413, "body-too-large");
    assert_problem(&gateway.say(&post("/a", 2049)).await, 413, "body-too-large");
    let apps = async {
        let mut line = rest.accept().await;
        assert!(line.head().await.starts_with("POST /gita "));
        line.say(OK).await;
        let mut line = git.accept().await;
        // The path rule has spoken before the site is chosen.
        assert!(line.head().await.starts_with("GET /git/b "));
        line
    };
    let client = async {
        assert_good(&gateway.say(&post("/gita", 2048)).await);
        assert_problem(&gateway.get("/x/../git/b").await, 504, "app-timeout");
    };
    let (_held, ()) = tokio::join!(apps, client);
}

#[tokio::test]
async fn health_is_the_gateways_or_the_apps() {
    let (rest, own) = (Script::new().await, Script::new().await);
    let keys = "paths = [\"/api/\"]\nhealth = \"app\"";
    let gateway = Gateway::before(&rest.app(), &second(&own, keys));
    let app = async {
        // The gateway's own look at the app comes by, too.
        loop {
            let mut line = own.accept().await;
            let head = tokio::time::timeout(Duration::from_secs(1), line.head()).await;
            if head.is_ok_and(|head| head.starts_with("GET /api/health ")) {
                return line.say(OK).await;
            }
        }
    };
    let (answer, ()) = tokio::join!(gateway.get("/api/health"), app);
    assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
}
