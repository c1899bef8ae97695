//! What goes over the wire and into the logs, whole: a field that comes, goes or changes is seen here. Per host, what varies masked.

use serde_json::Value;

use crate::answer::{Answer, send};
use crate::site::{Host, Site};

cases![heads, log_lines];

/// Compares with the host's snapshot of that name.
#[track_caller]
fn assert_snapshot(site: &Site, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_snapshot_suffix(site.host.as_str());
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Status and fields, with the values that no two runs share masked.
fn masked(answer: &Answer) -> String {
    let mut masked = answer.clone();
    for (name, value) in &mut masked.fields {
        let mask = match name.as_str() {
            "x-request-id" => "[id]",
            "date" | "last-modified" => "[time]",
            "etag" => "[tag]",
            // The demo's pages and files change, and what they are made of is no matter here.
            "content-length" | "demo-render" if value != b"0" => "[n]",
            "location" if value.starts_with(b"http") => "[presigned URL]",
            _ => continue,
        };
        *value = mask.into();
    }
    masked.head()
}

async fn heads(site: &Site) {
    // A query makes a key of this case's own; the page is the same.
    let home = "/?snapshot";
    assert_snapshot(site, "home_miss", &masked(&site.fetch(home).await));
    let hit = loop {
        let answer = site.fetch(home).await;
        if answer.head().contains("; hit") {
            break answer;
        }
    };
    let head = masked(&hit);
    let age: u64 = hit.field("age").parse().expect("seconds");
    let head = head.replace(&format!("age: {age}"), "age: [s]").replace(&format!("ttl={}", 60 - age), "ttl=[s]");
    assert_snapshot(site, "home_hit", &head);
    assert_snapshot(site, "redirect", &masked(&site.fetch("/listen/tide").await));
    assert_snapshot(site, "redirect_of_the_app", &masked(&site.fetch("/account").await));
    assert_snapshot(site, "error_json", &masked(&site.fetch("/misbehave/close").await));
    let page = site.get("/misbehave/close").header("accept", "text/html");
    assert_snapshot(site, "error_page", &masked(&send(page).await));
    let hashed = std::fs::read_dir(demo::STATIC_DIR).expect("the demo's folder").filter_map(Result::ok);
    let hashed = hashed.filter_map(|entry| entry.file_name().into_string().ok()).find(|name| name.ends_with(".css"));
    let asset = site.fetch(&format!("/static/{}", hashed.expect("a stylesheet"))).await;
    assert_snapshot(site, "asset_hashed", &masked(&asset));
    assert_snapshot(site, "asset_unhashed", &masked(&site.fetch("/static/favicon.svg").await));
    assert_snapshot(site, "health", &masked(&site.fetch("/api/health").await));
}

/// A log line, a field a line, with what no two runs share masked.
fn line(mut line: Value) -> String {
    // They depend on whether a connection to the app was there.
    for name in ["duration.connect_ms", "tries"] {
        line.as_object_mut().expect("an object").remove(name);
    }
    for (name, value) in line.as_object_mut().expect("an object") {
        let mask = match name.as_str() {
            "timestamp" => "[time]",
            "request.id" => "[id]",
            "trace.id" => "[trace]",
            "upstream" => "[address]",
            "url.host" => "[host]",
            "wasm.memory_bytes" => "[bytes]",
            name if name.starts_with("duration.") => "[ms]",
            _ => continue,
        };
        assert!(!value.is_null() && *value != "", "{name} is empty");
        *value = mask.into();
    }
    serde_json::to_string_pretty(&line).expect("JSON")
}

async fn log_lines(site: &Site) {
    let id = site.fetch("/bytes/1000?token=secret").await.id().to_owned();
    assert_snapshot(site, "gateway_line", &line(site.gateway_line(&id)));
    let refused = site.fetch("/misbehave/close").await.id().to_owned();
    assert_snapshot(site, "gateway_line_of_a_failure", &line(site.gateway_line(&refused)));
    if site.host == Host::Worker {
        assert_snapshot(site, "worker_line", &line(site.worker_line(&id).await));
    }
}
