//! The model of `cargo load audience` beside the real thing: several edges with a cache each, before one gateway, are asked what the model is asked,
//! at the same times.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use load::audience::mix::{Kind, ROUTES};
use load::audience::place::Place;
use load::audience::wire::{Request, Said};
use reqwest::Client;

use crate::answer::send;
use crate::site::{Host, Site, client};

cases![
    as_many_requests_come_as_the_model_says on Worker,
    routes_are_answered_as_the_model_says on Worker,
];

const EDGES: usize = 3;
/// How long they are asked: several times what the longest-lived answer lives. Whoever else uses the machine delays them and not the model, so that
/// they may be asked again, and must agree once.
const LASTS: Duration = Duration::from_secs(16);
const TRIES: usize = 3;
/// How far a count may be off: a lifetime's end can fall between a request's beginning here and its look-up there.
const TOLERANCE: f64 = 0.05;

/// Pages by how often they are asked for; what is kept for how long is mixed.
const PAGES: [(&str, Option<&str>); 4] = [
    ("max-age=2", None),
    ("public, max-age=3, stale-while-revalidate=4", Some("\"1\"")),
    ("no-store", None),
    ("max-age=6", Some("\"1\"")),
];
const COPIES: usize = 4;

/// Each try has pages of its own, of which nothing is stored yet.
fn target(again: usize, page: usize) -> String {
    let (control, etag) = PAGES[page % PAGES.len()];
    let etag = etag.map_or("", |_| "&etag=%221%22");
    format!(
        "/cache?cc={}{etag}&again={again}&model={page}",
        control.replace(' ', "%20").replace('=', "%3D").replace(',', "%2C")
    )
}

fn said(target: &str) -> Said {
    let page: usize = target.rsplit('=').next().and_then(|page| page.parse().ok()).expect("a page");
    let (control, etag) = PAGES[page % PAGES.len()];
    Said { control: control.to_owned(), etag, vary: None, bytes: 100 }
}

/// Numbers without a pattern, the same each time (splitmix64).
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The nth as often as 1/n, in whole numbers.
fn page(random: u64) -> usize {
    const WHOLE: u64 = 720_720;
    let pages = PAGES.len() * COPIES;
    let mut left = random % (1..=pages as u64).map(|n| WHOLE / n).sum::<u64>();
    for n in 0..pages {
        let share = WHOLE / (n as u64 + 1);
        if left < share {
            return n;
        }
        left -= share;
    }
    0
}

async fn asked_at_the_gateway(site: &Site) -> u64 {
    let admin = site.stack.gateway.admin().expect("a private listener");
    let metrics = reqwest::get(format!("{admin}/metrics")).await.expect("an answer").text().await.expect("text");
    let lines = metrics.lines().filter(|line| line.starts_with("origin_cache_requests_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

fn asked_at_the_app(site: &Site) -> u64 {
    site.stack.demo.as_ref().expect("the demo app").app.counts().get("/cache").copied().unwrap_or(0)
}

async fn as_many_requests_come_as_the_model_says(_: &Site) {
    let site = Site::start(Host::Worker).await.expect("it starts");
    let mut edges = vec![site.stack.addresses.edge.clone()];
    let mut others = Vec::new();
    while edges.len() < EDGES {
        let other = site.stack.another_edge().await.expect("it starts");
        edges.push(other.url().trim_end_matches('/').to_owned());
        others.push(other);
    }
    let client = client().build().expect("a client");
    // Each hears of the gateway's orders, and opens its connection.
    for edge in &edges {
        send(client.get(format!("{edge}/cache?cc=no-store"))).await;
    }
    let mut said = Vec::new();
    for again in 0..TRIES {
        let counts = tried(&site, &client, &edges, again).await;
        eprintln!("audience {counts:?}");
        said.push(counts);
        if counts.agree() {
            break;
        }
    }
    for other in others {
        other.stop().await;
    }
    site.stack.stop().await;
    let last = said.last().expect("it was tried");
    assert!(last.agree(), "{said:?}");
    assert!(last.app < last.gateway && last.gateway < last.asked, "caches keep requests away: {last:?}");
}

/// How many requests there were, and would have been by the model.
#[derive(Clone, Copy, Debug)]
struct Counts {
    asked: u64,
    gateway: u64,
    gateway_model: u64,
    app: u64,
    app_model: u64,
}

impl Counts {
    fn agree(&self) -> bool {
        let near = |real: u64, model: u64| real.abs_diff(model) as f64 <= TOLERANCE * model as f64;
        near(self.gateway, self.gateway_model) && near(self.app, self.app_model)
    }
}

async fn tried(site: &Site, client: &Client, edges: &[String], again: usize) -> Counts {
    let before = (asked_at_the_gateway(site).await, asked_at_the_app(site));
    let (began, mut seed, mut asked) = (Instant::now(), 1, Vec::new());
    // Dates are whole seconds, so the model's begin where these do.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    while began.elapsed() < LASTS {
        let edge = usize::try_from(random(&mut seed) % EDGES as u64).expect("a few");
        let target = target(again, page(random(&mut seed)));
        let at = began.elapsed();
        // One site at all edges: their ports are theirs.
        let request = client.get(format!("{}{target}", edges[edge])).header("host", "makenot.work");
        assert_eq!(send(request).await.status, 200, "{target}");
        asked.push((at, edge, target));
        // What an edge does after its answer has time.
        tokio::time::sleep(Duration::from_millis(5 + random(&mut seed) % 20)).await;
    }
    let (gateway, app) = (asked_at_the_gateway(site).await - before.0, asked_at_the_app(site) - before.1);
    let (gateway_model, app_model) = model(&asked, since);
    Counts { asked: asked.len() as u64, gateway, gateway_model, app, app_model }
}

/// Requests at the gateway and at the app, by the model.
fn model(asked: &[(Duration, usize, String)], began: Duration) -> (u64, u64) {
    let millis = |at: Duration| u64::try_from((began + at).as_millis()).expect("milliseconds since 1970");
    let clock = Rc::new(Cell::new(millis(Duration::ZERO)));
    let gateway = Place::gateway(&clock, said);
    let edges: Vec<Place> = (0..EDGES).map(|_| Place::edge(&gateway)).collect();
    for (at, edge, target) in asked {
        clock.set(millis(*at));
        assert_eq!(edges[*edge].ask(&Request::get(target, false)).status, 200);
    }
    (edges.iter().map(Place::sent_on).sum(), gateway.sent_on())
}

async fn routes_are_answered_as_the_model_says(site: &Site) {
    let paths = [
        ("home", "/"),
        ("creator", "/c/mira"),
        ("player", "/player/tide"),
        ("fragment", "/c/mira/works?page=1"),
        ("API", "/api/creators"),
        ("OTA check", "/api/sync/ota/sketchbook/windows/x86_64/1.1.0"),
        ("OTA file", "/ota/sketchbook/1.2.0/windows/x86_64"),
    ];
    let app = &site.stack.addresses.app;
    let client = client().build().expect("a client");
    let shared = ROUTES.iter().filter_map(|(route, kind, _)| match kind {
        Kind::Shared { control, etag, vary, bytes } => Some((*route, (*control, *etag, *vary, *bytes))),
        _ => None,
    });
    for (route, (control, etag, vary, bytes)) in shared {
        let (_, path) = paths.iter().find(|(name, _)| *name == route).expect("a path");
        let request = client.get(format!("{app}{path}"));
        let answer = send(if route == "fragment" { request.header("hx-request", "true") } else { request }).await;
        let said = (answer.field("cache-control"), answer.all("etag").count() == 1, answer.all("vary").next());
        assert_eq!(said, (control, etag, vary.map(str::as_bytes)), "{route}");
        // The page says how often it was rendered.
        assert!(
            answer.body.len().abs_diff(usize::try_from(bytes).expect("a few KiB")) <= 40,
            "{route}: {}",
            answer.body.len()
        );
    }
    for (route, path) in [("account", "/account"), ("download", "/download/tide"), ("listen", "/listen/tide")] {
        assert!(ROUTES.iter().any(|(name, kind, _)| *name == route && matches!(kind, Kind::Passed(_))), "{route}");
        let answer = send(client.get(format!("{app}{path}"))).await;
        assert_eq!(answer.field("cache-control"), "private, no-store", "{route}");
    }
}
