//! Purges hold in the gateway at once and at the Worker within 5 s, with nothing between the two but the gateway's own answers.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use stack::gateway::{self, Gateway};
use stack::toolchain::Toolchain;

use crate::answer::{Answer, send};
use crate::site::{Host, Site, client};

cases![
    each_scope_is_in_force_in_time,
    softly_it_is_sent_once_more,
    everything_and_what_it_costs on Worker,
    without_the_gateway_what_is_known_holds on Worker,
    the_next_gateway_knows_what_was_purged on Worker,
    nobody_else_reads_the_log,
];

/// In which a purge holds, and what this machine may add.
const IN_FORCE: Duration = Duration::from_millis(5_000 + 1_500);

fn said(answer: &Answer) -> &str {
    std::str::from_utf8(answer.all("cache-status").last().unwrap_or_default()).expect("ASCII")
}

async fn hit(site: &Site, path: &str) -> Answer {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = site.fetch(path).await;
        if said(&answer).contains("; hit; ttl=") {
            return answer;
        }
        assert!(Instant::now() < until, "no hit: {}", answer.head());
    }
}

async fn purge(site: &Site, json: &str) {
    let url = format!("{}/purge", site.stack.addresses.admin);
    let answer = client().build().expect("a client").post(url).body(json.to_owned()).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

/// Both names of the page: the gateway takes what the edge has signed for `https`.
fn urls(site: &Site, path: &str) -> String {
    let url = site.url(path);
    format!(r#"["{url}", "{}"]"#, url.replacen("http:", "https:", 1))
}

async fn each_scope_is_in_force_in_time(site: &Site) {
    let path = |scope: &str| format!("/cache?cc=max-age=600&tag=purge-{scope}&purge={scope}");
    let orders = [
        ("url", format!(r#"{{"url": {}}}"#, urls(site, &path("url")))),
        ("prefix", format!(r#"{{"prefix": {}}}"#, urls(site, "/cache?cc=max-age=600&tag=purge-pre"))),
        ("tag", r#"{"tag": ["purge-tag"]}"#.to_owned()),
    ];
    for (scope, _) in &orders {
        assert_eq!(hit(site, &path(scope)).await.text(), "render 1\n");
    }
    assert_eq!(hit(site, &path("other")).await.text(), "render 1\n");
    for (scope, order) in &orders {
        purge(site, order).await;
        let purged = Instant::now();
        while site.fetch(&path(scope)).await.text() == "render 1\n" {
            assert!(site.host == Host::Worker && purged.elapsed() < IN_FORCE, "{scope} after {:?}", purged.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("{scope}: in force after {:?}", purged.elapsed());
        assert_eq!(hit(site, &path(scope)).await.text(), "render 2\n", "{scope}");
    }
    assert_eq!(hit(site, &path("other")).await.text(), "render 1\n");
}

async fn softly_it_is_sent_once_more(site: &Site) {
    let path = "/cache?cc=max-age=600&tag=purge-soft";
    assert_eq!(hit(site, path).await.text(), "render 1\n");
    purge(site, r#"{"tag": ["purge-soft"], "soft": true}"#).await;
    let (purged, mut doubtful) = (Instant::now(), false);
    loop {
        let answer = site.fetch(path).await;
        if answer.text() != "render 1\n" {
            break;
        }
        doubtful |= said(&answer).ends_with("; detail=purged");
        assert!(purged.elapsed() < IN_FORCE + Duration::from_secs(2), "{}", answer.head());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(doubtful);
    assert_eq!(hit(site, path).await.text(), "render 2\n");
}

/// How many requests the edge has made.
async fn signed(site: &Site) -> f64 {
    let metrics = reqwest::get(format!("{}/metrics", site.stack.addresses.admin)).await.expect("an answer");
    let text = metrics.text().await.expect("text");
    let lines = text.lines().filter(|line| line.starts_with("origin_requests_total{") && line.contains("edge-signed"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

async fn everything_and_what_it_costs(_: &Site) {
    // A stack of its own: the others' pages stay.
    let site = Site::start(Host::Worker).await.expect("it starts");
    let path = "/cache?cc=max-age=600&all";
    hit(&site, path).await;
    // Hits at random times, one isolate: one hears, and those of the next 4 s need not. A hit that does not ask makes no request.
    // HITS="1 20" measures 20 of them at 1 a minute.
    let wanted = std::env::var("HITS").unwrap_or_else(|_| "100 40".to_owned());
    let (a_minute, hits) = wanted.split_once(' ').expect("two numbers");
    let (a_minute, hits): (f64, u32) = (a_minute.parse().expect("a number"), hits.parse().expect("a number"));
    let before = signed(&site).await;
    let mut slowest = Duration::ZERO;
    for n in 0..hits {
        // The golden ratio's multiples are spread evenly, and so these times are spread as a Poisson process has them.
        let even = (f64::from(n) * 0.618_033_988_75).fract();
        tokio::time::sleep(Duration::from_secs_f64(-(1.0 - even).ln() * 60.0 / a_minute)).await;
        let began = Instant::now();
        assert!(said(&site.fetch(path).await).contains("; hit; ttl="));
        slowest = slowest.max(began.elapsed());
    }
    let asked = signed(&site).await - before;
    let model = f64::from(hits) / (1.0 + 4.0 * a_minute / 60.0);
    println!(
        "{a_minute} a minute: {asked} of {hits} hits have asked, by the model {model:.1}; the slowest took {slowest:?}"
    );
    assert!((0.5 * model..=2.0 * model).contains(&asked), "{asked} of {model}");

    let first = hit(&site, path).await.text().to_owned();
    purge(&site, r#"{"all": true}"#).await;
    let purged = Instant::now();
    while site.fetch(path).await.text() == first {
        assert!(purged.elapsed() < IN_FORCE, "{:?}", purged.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    site.stack.stop().await;
}

async fn without_the_gateway_what_is_known_holds(_: &Site) {
    let site = Site::start(Host::Worker).await.expect("it starts");
    let path = "/cache?cc=max-age=600&gateway-gone";
    let first = hit(&site, path).await.text().to_owned();
    let pid = Pid::from_raw(i32::try_from(site.stack.gateway.pid()).expect("a pid")).expect("a pid");
    for signal in [Signal::STOP, Signal::KILL] {
        kill_process(pid, signal).expect("it runs");
        // Past the time for which what has been heard is good.
        tokio::time::sleep(Duration::from_millis(5_100)).await;
        for _ in 0..3 {
            let began = Instant::now();
            let answer = site.fetch(path).await;
            assert_eq!((answer.status, answer.text()), (200, first.as_str()), "{}", answer.head());
            assert!(said(&answer).ends_with("; detail=purge-unknown"), "{}", answer.head());
            println!("{signal:?}: after {:?}", began.elapsed());
            // A quarter of a second, and what a busy machine may add.
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        }
    }
    site.stack.stop().await;
}

/// The gateway is killed right after a purge, and started again: the purge holds, and everything else that edges hold does, too.
async fn the_next_gateway_knows_what_was_purged(_: &Site) {
    let mut site = Site::start(Host::Worker).await.expect("it starts");
    let (purged, other) = ("/cache?cc=max-age=600&tag=next&purged", "/cache?cc=max-age=600&other");
    for path in [purged, other] {
        assert_eq!(hit(&site, path).await.text(), "render 1\n");
    }
    purge(&site, r#"{"tag": ["next"]}"#).await;
    let order = Instant::now();
    let pid = Pid::from_raw(i32::try_from(site.stack.gateway.pid()).expect("a pid")).expect("a pid");
    kill_process(pid, Signal::KILL).expect("it runs");
    while !site.stack.gateway.ended() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let file = site.stack.folder().join("origin.toml");
    let port = site.stack.addresses.gateway.trim_start_matches("https://");
    let text = std::fs::read_to_string(&file).expect("read").replacen(
        "https = [\"127.0.0.1:0\"]",
        &format!("https = [\"{port}\"]"),
        1,
    );
    assert!(text.contains(&format!("https = [\"{port}\"]")), "{text}");
    std::fs::write(&file, text).expect("written");
    let binary = gateway::build(&Toolchain::workspace(), &|line| println!("{line}")).expect("it is built");
    site.stack.gateway = tokio::task::block_in_place(|| Gateway::start(&binary, &file, None)).expect("it starts again");
    while site.fetch(purged).await.text() == "render 1\n" {
        assert!(order.elapsed() < IN_FORCE + Duration::from_secs(2), "{:?}", order.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("in force after a restart, {:?} after the order", order.elapsed());
    let kept = site.fetch(other).await;
    assert!(said(&kept).contains("; hit; ttl=") && kept.text() == "render 1\n", "{}", kept.head());
    site.stack.stop().await;
}

async fn nobody_else_reads_the_log(site: &Site) {
    for path in ["/.edge/exchange?after=0", "/.edge/exchange", "/.edge/x", "/a/../.edge/exchange"] {
        let answer = send(site.get(path).header("accept", "application/json")).await;
        assert!(answer.status == 404 && answer.text().contains("not-found"), "{path}: {}", answer.head());
        assert!(!answer.text().contains("edge-exchange"));
        assert_eq!(answer.field("purge-sequence"), "");
    }
    assert_eq!(site.fetch("/cache?cc=max-age=600&purge-sequence").await.field("purge-sequence"), "");
}
