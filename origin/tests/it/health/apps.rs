//! Apps: wedged, of several sites, and what is for whom.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;

use super::page::Heard;
use super::{BOUND, BUSY, PACE, all_looked, bearer, check, noticed, read, request, service, token, until};
use crate::app::{OK, Script};
use crate::gateway::Gateway;

/// Accepts connections, and answers where `says`.
pub(super) fn app(script: Script, says: watch::Receiver<bool>) {
    tokio::spawn(async move {
        loop {
            let mut line = script.accept().await;
            let says = says.clone();
            tokio::spawn(async move {
                line.head().await;
                if *says.borrow() {
                    line.say(OK).await;
                } else {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            });
        }
    });
}

#[tokio::test]
async fn an_app_that_is_wedged() {
    let (script, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let (says, said) = watch::channel(true);
    let address = script.app();
    app(script, said);
    let probe = format!("[probe.app]\nkind = \"app\"\nhost = \"*\"\npath = \"/healthz\"\n{PACE}");
    let gateway = Gateway::before(&address, &format!("{}{probe}", token(&folder)));
    let well = until(&gateway, "", |status, health| status == 200 && !health["checked_at"].is_null()).await;
    assert_eq!((&well["status"], &well["details"]), (&json!("Operational"), &Value::Null));
    assert_eq!(well["incidents"], json!([]));

    // It accepts connections, and says nothing.
    says.send_replace(false);
    let began = Instant::now();
    let down = until(&gateway, &bearer(), |status, _| status == 503).await;
    println!("app wedged: said after {:?}, at most {BOUND:?}", began.elapsed());
    assert!(began.elapsed() <= BOUND + BUSY, "{:?}", began.elapsed());
    assert_eq!(
        (&down["status"], &service(&down, "app")["status"]),
        (&json!("Issues Detected"), &json!("Issues Detected"))
    );
    assert_eq!((&down["incidents"][0]["service"], &down["incidents"][0]["to"]), (&json!("app"), &Value::Null));
    assert_eq!(check(&down, "app")["message"], "no answer within 1s");
    let logged = gateway.logged("a probe has changed its level").await;
    assert_eq!((&logged["probe"], &logged["level"]), (&json!("app"), &json!("Issues Detected")));

    says.send_replace(true);
    let again = until(&gateway, "", |status, _| status == 200).await;
    assert!(again["incidents"][0]["to"].is_string(), "{again:#}");
    assert!(again["uptime"]["24h"].as_f64().is_some_and(|percent| percent < 100.0), "{again:#}");
}

#[tokio::test]
async fn details_are_for_who_shows_the_token() {
    let (script, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let gateway = Gateway::before(&script.app(), &token(&folder));
    for offered in ["", "authorization: Bearer wrong\r\n", "authorization: Basic MDEyMw==\r\n"] {
        let (_, health) = read(&gateway.say(&request(offered)).await);
        assert_eq!(health["details"], Value::Null, "{offered}");
        let text = health.to_string();
        assert!(!text.contains("127.0.0.1") && !text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    }
    let (_, health) = read(&gateway.say(&request(&bearer())).await);
    assert_eq!(health["details"]["version"], env!("CARGO_PKG_VERSION"));

    let accept = "accept: text/html, application/health+json\r\n";
    let answer = gateway.say(&request(accept)).await;
    assert!(answer.contains("content-type: application/health+json\r\n"), "{answer}");
    let (status, standard) = read(&answer);
    assert_eq!((status, &standard["status"], &standard["description"]), (200, &json!("pass"), &json!("Operational")));
    assert_eq!(standard["checks"]["app"][0]["status"], "pass");
    assert_eq!(standard["releaseId"], Value::Null);
}

/// Each site tells of its own app; and one that asks its app tells what that says.
#[tokio::test]
async fn sites_have_their_own_health() {
    let app = Script::new().await;
    let forums = "[[site]]\nhosts = [\"forums.test\"]\napp = \"127.0.0.1:1\"\n[[site]]\nhosts = [\"both.test\"]\nhealth = \"both\"";
    let gateway = Gateway::before(&app.app(), &format!("{forums}\napp = {}\n", app.app()));
    tokio::spawn(async move {
        let body = r#"{"status":"Degraded","services":[{"name":"email","status":"Issues Detected"}]}"#;
        loop {
            let mut line = app.accept().await;
            let head = line.head().await;
            assert!(head.starts_with("GET /api/health ") && head.contains("both.test"), "{head}");
            line.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        }
    });
    let ask = async |host: &str| {
        let head = format!("GET /api/health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        read(&gateway.say(&head).await)
    };
    let began = Instant::now();
    while ask("forums.test").await.0 != 503 || ask("both.test").await.1["status"] != "Degraded" {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, own) = ask("a").await;
    assert_eq!((status, &own["status"]), (200, &json!("Operational")), "the forums are not its affair");
    let (status, both) = ask("both.test").await;
    assert_eq!((status, &service(&both, "email")["status"]), (200, &json!("Issues Detected")));
}

/// An app of events: one every 100 ms as long as it is well, and then nothing more, neither there nor to who connects.
async fn events(script: Script, well: watch::Receiver<bool>) {
    loop {
        let (mut line, mut well) = (script.accept().await, well.clone());
        tokio::spawn(async move {
            let head = line.head().await;
            let _ = well.wait_for(|well| *well).await;
            line.say("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await;
            // The probe looks no further than the head.
            for n in 0..if head.contains("origin-health") { 0 } else { 10_000 } {
                let _ = well.wait_for(|well| *well).await;
                let event = format!("data: {n}\n\n");
                line.say(format!("{:x}\r\n{event}\r\n", event.len())).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            std::future::pending::<()>().await;
        });
    }
}

/// What has no end has answered with its head; wedged, it does not, and who hears its events, and the page's, is not cut off.
#[tokio::test]
async fn an_app_of_events_that_is_wedged() {
    let (script, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let (well, is_well) = watch::channel(true);
    let address = script.app();
    tokio::spawn(events(script, is_well));
    let probe = format!("[probe.app]\nkind = \"app\"\nhost = \"*\"\npath = \"/events\"\n{PACE}");
    let gateway = Gateway::before(&address, &format!("{}{probe}", token(&folder)));
    assert_eq!(check(&all_looked(&gateway).await, "app")["message"], "answers 200");
    let mut stream = gateway.connect().await;
    stream.write_all(b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    let mut app = Heard::of(stream);
    app.until("data: 3").await;
    let mut stream = gateway.connect().await;
    stream.write_all(b"GET /health/events HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("written");
    let mut page = Heard::of(stream);
    page.until("<h1>Everything works</h1>").await;

    well.send_replace(false);
    assert_eq!(noticed(&gateway, ("app", "app"), "Issues Detected", BOUND).await, "no answer within 1s");
    page.until("<h1>The site has trouble</h1>").await;
    // What was on its way has come; nothing comes after it, and it does not end either.
    while tokio::time::timeout(Duration::from_millis(500), app.more()).await.is_ok() {}
    let before = app.all.len();

    well.send_replace(true);
    assert_eq!(noticed(&gateway, ("app", "app"), "Operational", BOUND).await, "answers 200");
    page.until("<h1>Everything works</h1>").await;
    app.more().await;
    assert!(app.all.len() > before && app.all.starts_with("HTTP/1.1 200 "), "{}", app.all);
}
