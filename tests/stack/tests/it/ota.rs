//! Updates over the air: the check and the file's address come from the edge's cache, also while the app, its database or the gateway is down.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::answer::{Answer, send};
use crate::site::{Host, Site, client};

cases![a_program_finds_its_update, what_caches_keep_ends_before_the_url, it_goes_on_without_database_app_and_gateway,];

const CHECK: &str = "/api/sync/ota/sketchbook/linux/x86_64";
const KEY: &str = "ota/sketchbook/1.2.0/linux-x86_64";

/// GET by anyone at all.
async fn plain_get(url: &str) -> Answer {
    send(client().build().expect("a client").get(url)).await
}

/// The file that is handed off.
#[track_caller]
fn artifact() -> Vec<u8> {
    demo::objects().into_iter().find(|object| object.bucket == "ota" && object.key == KEY).expect("an object").bytes
}

async fn a_program_finds_its_update(site: &Site) {
    let check = site.fetch(&format!("{CHECK}/1.1.9")).await;
    let update: Value = check.json();
    assert_eq!((check.status, update["version"].as_str()), (200, Some("1.2.0")), "{}", check.text());
    // The site's own address, whichever host it came through.
    let url = update["url"].as_str().expect("a URL");
    assert!(
        url.split_once("://").is_some_and(|(_, rest)| site.url("").ends_with(rest.split('/').next().unwrap_or("?"))),
        "{url}"
    );
    let path = format!("/{}", url.splitn(4, '/').nth(3).expect("a path"));
    let redirect = site.fetch(&path).await;
    assert_eq!(redirect.status, 302, "{}", redirect.head());
    let file = plain_get(redirect.field("location")).await;
    assert!(file.status == 200 && file.body == artifact(), "{}", file.head());
    assert_eq!(file.field("content-disposition"), "attachment; filename=\"Sketchbook_1.2.0_linux_x86_64.tar\"");
    for (rest, status) in [
        ("/1.2.0", 204),
        ("/1.10.0", 204),
        ("/1.x", 400),
        ("/../riscv/1.0.0", 404),
        ("/../../../other/linux/x86_64/1.0.0", 404),
    ] {
        assert_eq!(site.fetch(&format!("{CHECK}{rest}")).await.status, status, "{rest}");
    }
    // Who is up to date is told so from the cache, too.
    let until = std::time::Instant::now() + Duration::from_secs(10);
    while !is_hit(&site.fetch(&format!("{CHECK}/1.2.0")).await) {
        assert!(std::time::Instant::now() < until, "204 is not kept");
    }
}

/// Whether the outermost cache has answered.
fn is_hit(answer: &Answer) -> bool {
    answer.all("cache-status").last().is_some_and(|said| String::from_utf8_lossy(said).contains("; hit; ttl="))
}

/// A directive's seconds.
#[track_caller]
fn seconds(answer: &Answer, directive: &str) -> u64 {
    let control = answer.field("cache-control");
    let value = control.split(", ").find_map(|d| d.strip_prefix(directive)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {directive} in {control}"))
}

async fn what_caches_keep_ends_before_the_url(site: &Site) {
    let redirect = site.fetch("/ota/sketchbook/1.2.0/darwin/aarch64").await;
    let url = redirect.field("location");
    assert!(url.contains("&X-Amz-Expires=3600&"), "{url}");
    let begun = url.split(['?', '&']).find_map(|p| p.strip_prefix("X-Amz-Date=")).expect("a date");
    let (hours, minutes, seconds_) = (&begun[9..11], &begun[11..13], &begun[13..15]);
    let of_day = |h: &str, m: &str, s: &str| {
        let number = |text: &str| text.parse::<u64>().expect("digits");
        number(h) * 3_600 + number(m) * 60 + number(s)
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() % 86_400;
    let age = (now + 86_400 - of_day(hours, minutes, seconds_)) % 86_400;
    let (fresh, stale) = (seconds(&redirect, "max-age"), seconds(&redirect, "stale-if-error"));
    assert!(age + fresh <= 1_800 + 5, "fresh for {fresh} s at an age of {age} s");
    assert!(age + fresh + stale <= 3_600 - 600, "kept for {fresh} + {stale} s at an age of {age} s");
}

/// A route of the test's own: its app answers with these fields, and where a request says so, that its database is gone.
async fn route(site: &Site, id: &str, fields: Value, body: &str) -> String {
    let gone = json!({ "status": 503, "body": "no database" });
    assert_eq!(
        site.tell_app(&format!("/script/{id}"), &json!([{ "fields": fields, "body": body }, gone])).await.status,
        204
    );
    format!("/scripted/{id}")
}

async fn it_goes_on_without_database_app_and_gateway(site: &Site) {
    let mut site = Site::start(site.host).await.expect("it starts");
    let step =
        async |site: &Site, path: &str, step: u8| send(site.get(path).header("demo-step", step.to_string())).await;
    // The same as the demo's, and stale after a second: a redirect whose URL is another every two seconds, and lasts four.
    let fields = json!([["cache-control", "public, max-age=1, stale-if-error=600"]]);
    let check = route(&site, "ota-check", fields, "{\"version\": \"1.2.0\"}").await;
    let handoff = format!("ota;key=\"{KEY}\";expires=4;stable;public");
    let fields = json!([["handoff", handoff], ["cache-control", "public, max-age=1, stale-if-error=600"]]);
    let file = route(&site, "ota-file", fields, "").await;
    let all = [&format!("{CHECK}/1.0.0"), "/ota/sketchbook/1.2.0/linux/x86_64", &*check, &*file];
    for path in all {
        let answer = step(&site, path, 0).await;
        assert!(matches!(answer.status, 200 | 302), "{path}: {}", answer.head());
    }
    let still = async |site: &Site, what: &str| {
        for path in all {
            let answer = step(site, path, 1).await;
            println!("{what}: {path}: {} {}", answer.status, is_hit(&answer));
            if path.contains("check") || path.starts_with(CHECK) {
                assert!(answer.status == 200 && answer.text().contains("1.2.0"), "{what}: {path}: {}", answer.head());
            } else {
                // The URL has two seconds left at least.
                assert_eq!(answer.status, 302, "{what}: {path}: {}", answer.head());
                let got = plain_get(answer.field("location")).await;
                assert!(got.status == 200 && got.body == artifact(), "{what}: {path}: {}", got.head());
            }
        }
    };
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    still(&site, "without a database").await;
    site.stack.demo = None;
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    still(&site, "without an app").await;
    if site.host == Host::Worker {
        let pid = Pid::from_raw(i32::try_from(site.stack.gateway.pid()).expect("a pid")).expect("a pid");
        kill_process(pid, Signal::KILL).expect("it runs");
        while !site.stack.gateway.ended() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // A URL of four seconds ends, and a redirect to it is not sent any more; one of an hour goes on.
        for path in [all[0], all[1], all[2]] {
            let answer = step(&site, path, 1).await;
            assert!(matches!(answer.status, 200 | 302), "without a gateway: {path}: {}", answer.head());
        }
        tokio::time::sleep(Duration::from_millis(3_500)).await;
        let ended = step(&site, all[3], 1).await;
        assert!(ended.status >= 500, "{}", ended.head());
    }
    site.stack.stop().await;
}
