//! What the Worker counts comes to the gateway's metrics: by itself within half a minute, once, and also what it counted while the gateway was gone.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stack::gateway::{self, Gateway};
use stack::toolchain::Toolchain;
use stack::turnstile::token;

use crate::answer::{Answer, send};
use crate::site::{Host, Site};

cases![
    what_it_counts_comes_by_itself_and_once on Worker,
    what_it_counts_while_the_gateway_is_gone_comes_later on Worker,
];

/// In which counts are there, which is 22 s, and what a busy machine may add.
const WITHIN: Duration = Duration::from_secs(22 + 38);

async fn metrics(site: &Site) -> String {
    let admin = site.stack.gateway.admin().expect("a private listener");
    reqwest::get(format!("{admin}/metrics")).await.expect("an answer").text().await.expect("text")
}

fn value(metrics: &str, series: &str) -> Option<u64> {
    let line = metrics.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn sum(metrics: &str, family: &str) -> u64 {
    let lines = metrics.lines().filter(|line| line.starts_with(&format!("{family}{{")));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

async fn metrics_until(site: &Site, within: Duration, is: impl Fn(&str) -> bool) -> String {
    let until = Instant::now() + within;
    loop {
        let metrics = metrics(site).await;
        if is(&metrics) {
            return metrics;
        }
        let edge: Vec<&str> = metrics.lines().filter(|line| line.starts_with("origin_edge_")).collect();
        assert!(Instant::now() < until, "{}", edge.join("\n"));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// `origin cost`, at the gateway.
fn cost(site: &Site) -> String {
    let binary = gateway::build(&Toolchain::workspace(), &|line| println!("{line}")).expect("it is built");
    // What it was started with lets the system choose its ports.
    let text = std::fs::read_to_string(site.stack.folder().join("origin.toml")).expect("read");
    let admin = site.stack.gateway.admin().expect("a private listener").trim_start_matches("http://");
    let file = site.stack.folder().join("asked.toml");
    let text = text.replacen("\nlisten = \"127.0.0.1:0\"", &format!("\nlisten = \"{admin}\""), 1);
    std::fs::write(&file, text).expect("written");
    let output = std::process::Command::new(binary).arg("cost").arg("--config").arg(file).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn said(answer: &Answer) -> &str {
    std::str::from_utf8(answer.all("cache-status").last().unwrap_or_default()).expect("ASCII")
}

async fn stored(site: &Site, path: &str) -> u64 {
    for asked in 1..100 {
        if said(&site.fetch(path).await).contains("; hit; ttl=") {
            return asked;
        }
    }
    panic!("{path} is not stored");
}

async fn what_it_counts_comes_by_itself_and_once(_: &Site) {
    let site = Site::start(Host::Worker).await.expect("it starts");
    let mut asked = stored(&site, "/cache?cc=max-age=600&counted").await;
    let mut hits = 1;
    for _ in 0..5 {
        hits += u64::from(said(&site.fetch("/cache?cc=max-age=600&counted").await).contains("; hit; ttl="));
        asked += 1;
    }
    assert_eq!(hits, 6);
    for path in ["/.env", "/wp-login.php", "/api/v1/items", "/moved", "//refused", "/cache?checked=1"] {
        site.fetch(path).await;
        asked += 1;
    }
    let form =
        format!("to=%2F&cf-turnstile-response={}", token("127.0.0.1", "challenge", "counted").replace('/', "%2F"));
    let form = site.post("/.edge/challenge").header("content-type", "application/x-www-form-urlencoded").body(form);
    assert_eq!(send(form).await.status, 303);
    asked += 1;
    assert_eq!(site.post("/echo/x").body("x").send().await.expect("an answer").status(), 200);
    asked += 1;

    // Nobody asks for anything any more.
    let last = Instant::now();
    let there = |metrics: &str| sum(metrics, "origin_edge_requests_total") >= asked;
    let metrics = metrics_until(&site, WITHIN, there).await;
    println!("{asked} requests, all counted {:?} after the last", last.elapsed());
    for (series, expected) in [
        ("origin_edge_requests_total{result=\"hit\"}", hits),
        ("origin_edge_requests_total{result=\"bypass\"}", 1),
        ("origin_edge_requests_today", asked),
        ("origin_edge_filter_hits_total{action=\"block\"}", 3),
        ("origin_edge_filter_hits_total{action=\"redirect\"}", 1),
        ("origin_edge_filter_hits_total{action=\"challenge\"}", 1),
        ("origin_edge_problems_total{reason=\"blocked\"}", 3),
        ("origin_edge_problems_total{reason=\"path-refused\"}", 1),
        ("origin_edge_problems_total{reason=\"challenge-required\"}", 1),
        ("origin_edge_challenges_passed_total", 1),
        ("origin_edge_batches_total{outcome=\"refused\"}", 0),
    ] {
        assert_eq!(value(&metrics, series), Some(expected), "{series}\n{metrics}");
    }
    assert_eq!(sum(&metrics, "origin_edge_requests_total"), asked, "each once");
    let bill = cost(&site);
    for line in [
        format!("  {asked} of 100000 requests today (0.0 %), as far as this gateway has been told\n"),
        format!("  {hits} of {asked} requests to the Worker were answered from its cache: "),
    ] {
        assert!(bill.contains(&line), "{line}\n{bill}");
    }
    // Nor does the next batch bring them again.
    site.fetch("/.env").await;
    let there = |metrics: &str| sum(metrics, "origin_edge_requests_total") > asked;
    let metrics = metrics_until(&site, WITHIN, there).await;
    assert_eq!(sum(&metrics, "origin_edge_requests_total"), asked + 1, "each once");
    site.stack.stop().await;
}

async fn what_it_counts_while_the_gateway_is_gone_comes_later(_: &Site) {
    let mut site = Site::start(Host::Worker).await.expect("it starts");
    let (fresh, stale) = ("/cache?cc=max-age=600&gone", "/cache?cc=max-age=1&etag=%22a%22&gone");
    let mut asked = stored(&site, fresh).await + stored(&site, stale).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let pid = Pid::from_raw(i32::try_from(site.stack.gateway.pid()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::KILL).expect("it runs");
    while !site.stack.gateway.ended() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..3 {
        assert!(said(&site.fetch(stale).await).ends_with("detail=stale-if-error"));
        assert_eq!(site.fetch("/cache?cc=max-age=1&never-asked").await.status, 502);
        asked += 2;
    }
    let file = site.stack.folder().join("origin.toml");
    let port = site.stack.addresses.gateway.trim_start_matches("https://");
    let text = std::fs::read_to_string(&file).expect("read");
    let text = text.replacen("https = [\"127.0.0.1:0\"]", &format!("https = [\"{port}\"]"), 1);
    std::fs::write(&file, text).expect("written");
    let binary = gateway::build(&Toolchain::workspace(), &|line| println!("{line}")).expect("it is built");
    site.stack.gateway = tokio::task::block_in_place(|| Gateway::start(&binary, &file, None)).expect("it starts again");
    asked += stored(&site, fresh).await;
    // What the gateway that is gone had heard of went with it.
    let all = |metrics: &str| value(metrics, "origin_edge_stood_in_total") == Some(3);
    let metrics = metrics_until(&site, WITHIN, all).await;
    let failures = "origin_edge_gateway_failures_total{reason=\"gateway-unreachable\"}";
    assert!(value(&metrics, failures).is_some_and(|count| count >= 6), "{metrics}");
    let problems = "origin_edge_problems_total{reason=\"gateway-unreachable\"}";
    assert_eq!(value(&metrics, problems), Some(3), "{metrics}");
    assert_eq!(value(&metrics, "origin_edge_requests_total{result=\"stale\"}"), Some(3), "{metrics}");
    assert!(sum(&metrics, "origin_edge_requests_total") <= asked, "none twice: {metrics}");
    site.stack.stop().await;
}
