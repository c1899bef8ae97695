//! Orders that stand: the operator closes the site, or has some requests refused, at once in the gateway and within 5 s at the Worker.

use std::time::{Duration, Instant};

use crate::answer::{Answer, send};
use crate::site::{Host, Site, client};

cases![closed_and_open_again, a_rule_from_now_on];

/// In which an order holds, and what this machine may add.
const IN_FORCE: Duration = Duration::from_millis(5_000 + 1_500);

async fn order(site: &Site, method: &str, json: &str) {
    ask(site, method, "/maintenance", json).await;
}

async fn ask(site: &Site, method: &str, path: &str, json: &str) -> serde_json::Value {
    let url = format!("{}{path}", site.stack.addresses.admin);
    let client = client().build().expect("a client");
    let method = method.parse().expect("a method");
    let answer = client.request(method, url).body(json.to_owned()).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.json().await.expect("JSON")
}

fn is_closed(answer: &Answer) -> bool {
    answer.status == 503 && answer.text().contains("maintenance")
}

/// Asks for a page until it is answered so; gives the answer, and how long that took.
async fn until(site: &Site, path: &str, fits: impl Fn(&Answer) -> bool) -> (Answer, Duration) {
    let began = Instant::now();
    loop {
        let answer = send(site.get(path).header("accept", "text/html")).await;
        if fits(&answer) {
            return (answer, began.elapsed());
        }
        assert!(began.elapsed() < IN_FORCE, "{}", answer.head());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn closed_and_open_again(shared: &Site) {
    // A stack of its own: others need theirs open.
    let site = Site::start(shared.host).await.expect("it starts");
    let stored = "/cache?cc=max-age=600&closing";
    until(&site, stored, |answer| answer.head().contains("; hit; ttl=")).await;

    order(&site, "POST", r#"{"retry": 90}"#).await;
    // What is stored, too: nothing of the site is to be seen.
    let (page, took) = until(&site, stored, is_closed).await;
    println!("closed after {took:?}");
    assert!(shared.host == Host::Worker || took < Duration::from_secs(4), "{took:?}");
    assert_eq!((page.field("retry-after"), page.field("refresh")), ("90", "90"), "{}", page.head());
    assert_eq!(page.field("cache-control"), "no-store");
    assert!(page.text().contains("We are working on the site") && page.text().contains(page.field("x-request-id")));
    let json = send(site.get("/api/x").header("accept", "application/json")).await;
    assert!(json.status == 503 && json.text().contains("\"code\":\"maintenance\"") && json.field("refresh").is_empty());
    let demo = &site.stack.demo.as_ref().expect("the demo app").app;
    let before = demo.counts().get("/api/upload").copied();
    assert!(is_closed(&send(site.post("/api/upload").body("x")).await));
    assert_eq!(demo.counts().get("/api/upload").copied(), before, "the app is left alone");
    // Not even what a rule would stop is judged: who reads the page is to come back, whatever was asked for.
    assert!(is_closed(&send(site.get("/api/v1/items").header("accept", "text/html")).await));
    assert!(is_closed(&send(site.get("/.env").header("accept", "text/html")).await));
    let health = site.fetch("/api/health").await;
    assert_eq!(health.status, 200, "{}", health.head());

    // All who ask from here are let in; then another host is closed, and not this one.
    for json in [r#"{"allow": ["127.0.0.0/8", "::/0"]}"#, r#"{"host": ["forums.makenot.work"]}"#] {
        order(&site, "POST", json).await;
        until(&site, stored, |answer| answer.status == 200).await;
        assert_eq!(site.fetch("/.env").await.status, 403, "who is let in is judged as ever");
        order(&site, "POST", "").await;
        until(&site, stored, is_closed).await;
    }
    order(&site, "DELETE", "").await;
    let (page, took) = until(&site, stored, |answer| answer.status == 200).await;
    println!("open after {took:?}");
    assert_eq!(page.text(), "render 1\n", "what was stored has stayed");
    site.stack.stop().await;
}

async fn a_rule_from_now_on(shared: &Site) {
    let site = Site::start(shared.host).await.expect("it starts");
    let stored = "/cache?cc=max-age=600&refused";
    until(&site, stored, |answer| answer.head().contains("; hit; ttl=")).await;
    let rule = r#"{"name": "flood", "action": "block", "path": ["/cache*"], "status": 410, "page": "Ask us.", "seconds": 3600}"#;
    let all = ask(&site, "POST", "/rules", rule).await;
    assert_eq!(all["rules"][0]["rule"], "rule flood block:410 path=/cache* page=Ask%20us.");
    let (page, took) = until(&site, stored, |answer| answer.status == 410).await;
    println!("refused after {took:?}");
    assert!(shared.host == Host::Worker || took < Duration::from_secs(4), "{took:?}");
    assert!(page.text().contains("Ask us.") && page.text().contains("flood"), "{}", page.text());
    assert_eq!(site.fetch("/echo").await.status, 200);
    // One name, one rule; and what only notes stops nothing.
    let dry = r#"{"name": "flood", "action": "block", "path": ["/cache*"], "dry_run": true}"#;
    assert_eq!(ask(&site, "POST", "/rules", dry).await["rules"].as_array().map(Vec::len), Some(1));
    until(&site, stored, |answer| answer.status == 200).await;
    ask(&site, "POST", "/rules", r#"{"name": "short", "action": "block", "path": ["/cache*"], "seconds": 1}"#).await;
    // It ends by itself, at edges as well, whether they have seen it or not.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let (kept, took) = until(&site, stored, |answer| answer.status == 200).await;
    println!("ended after {took:?} more");
    assert_eq!(kept.text(), "render 1\n");
    assert_eq!(ask(&site, "DELETE", "/rules/flood", "").await["rules"].as_array().map(Vec::len), Some(0));
    site.stack.stop().await;
}
