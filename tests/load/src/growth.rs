//! Whether a request's cost grows with how much the gateway keeps: its CPU for the same request, with more and more of one thing.
//!
//! What is measured is the gateway's own process, over a bounded number of hits on a few keep-alive connections, in rounds that alternate between the
//! amounts.

mod table;
mod upstreams;

use std::ops::Range;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rand::Rng as _;
use tempfile::TempDir;

use crate::asker::hit;
use crate::local::Local;
use crate::outcome::count;
use crate::process;
use crate::report::{Case, Report};
use crate::target::Target;
use upstreams::{HOST, Upstreams};

pub(crate) use table::amount;
pub use table::table;

/// Requests of a round.
const REQUESTS: u64 = 4_000;
/// Rounds of each, after one to warm up.
const ROUNDS: usize = 15;
/// Requests at once.
const AT_ONCE: usize = 8;
/// Purges in one call.
const BATCH: u64 = 100;
/// Room for a million answers.
const CACHE: &str = "[cache]\nsize = \"4GiB\"\n";

type Asking = Client<HttpConnector, Full<Bytes>>;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grows {
    Objects,
    PurgedUrls,
    PurgedTags,
    PurgedPrefixes,
    Subscribers,
    Rules,
    RulesByEnd,
    RulesByHost,
    RulesUntold,
    Sites,
    Upstreams,
}

/// Each, with how much of it is measured. What is bounded is measured up to its bound: a purge log has room for 10,000 in all, an app has 64
/// upstreams, rules that neither path nor host tells apart are 1,000; a stream is two of the gateway's descriptors, of which many systems allow
/// 20,000.
const ALL: &[(Grows, &str, &[u64])] = &[
    (Grows::Objects, "a hit, by stored objects", &[1_000, 10_000, 100_000, 1_000_000]),
    (Grows::PurgedUrls, "a hit, by purged URLs", &[100, 1_000, 9_000]),
    (Grows::PurgedTags, "a hit, by purged tags", &[100, 1_000, 9_000]),
    (Grows::PurgedPrefixes, "a hit, by purged prefixes", &[100, 1_000, 9_000]),
    (Grows::Subscribers, "a hit, by open event streams", &[100, 1_000, 5_000]),
    (Grows::Rules, "a hit, by rules for what paths begin with", &[1_000, 10_000, 100_000, 1_000_000]),
    (Grows::RulesByEnd, "a hit, by rules for what paths end with", &[1_000, 10_000, 100_000]),
    (Grows::RulesByHost, "a hit, by rules for hosts", &[1_000, 10_000, 100_000]),
    (Grows::RulesUntold, "a hit, by rules for neither path nor host", &[10, 100, 1_000]),
    (Grows::Sites, "a hit, by sites of the configuration", &[100, 1_000, 10_000]),
    (Grows::Upstreams, "passed on, by upstreams of the app", &[1, 8, 64]),
];

/// Measures all of it, the amounts of one thing side by side; `quick` is only whether it works, with the least of each.
///
/// # Errors
/// The stack does not start, or does not answer as it should.
pub async fn measure(quick: bool) -> Result<Report, String> {
    let command = if quick { "cargo load growth --quick" } else { "cargo load growth" };
    let mut report = Report::new("growth", "Does a request cost more, the more the gateway keeps?", command);
    for (grows, name, amounts) in ALL {
        let amounts = if quick { &amounts[..1] } else { amounts };
        let mut all = Vec::new();
        for amount in amounts {
            eprintln!("growth   {name}: {amount} …");
            let grown = Grown::start(*grows, *amount, quick).await.map_err(|e| format!("{name}, {amount}: {e}"))?;
            let subject = format!("gateway, {amount}");
            let (unit, samples) = ("µs CPU/request".to_owned(), Vec::new());
            all.push((grown, Case { name: (*name).to_owned(), subject, unit, less_is_better: true, samples }));
        }
        for round in 0..=ROUNDS {
            for (grown, case) in &mut all {
                let took = grown.round().await.map_err(|e| format!("{name}, {}: {e}", case.subject))?;
                // The first warms up.
                case.samples.extend((round > 0).then_some(took));
            }
        }
        for (grown, case) in all {
            grown.stack.stop().await;
            eprintln!("growth   {name}, {}: {:.1} µs", case.subject, case.median());
            report.cases.push(case);
        }
    }
    Ok(report)
}

/// A stack with an amount of something in it.
struct Grown {
    grows: Grows,
    stack: Local,
    target: Target,
    asking: Asking,
    /// How many answers are stored of those that are asked for.
    objects: u64,
    /// Those that are open, each by a connection of its own.
    streams: Vec<Response<Incoming>>,
    /// What stands behind it, and the file of its rules, for as long as it does.
    _behind: (Upstreams, TempDir),
}

impl Grown {
    async fn start(grows: Grows, amount: u64, quick: bool) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut overlay = CACHE.to_owned();
        if let Some(when) = grows.rule() {
            let rules: String = (0..amount).map(|number| rule(number, &when(number))).collect();
            let path = folder.path().join("rules.toml");
            std::fs::write(&path, rules).map_err(|e| format!("{}: {e}", path.display()))?;
            overlay.push_str(&format!("[filter]\nblock = [\"sqli\"]\nrules = \"{}\"\n", path.display()));
        }
        if grows == Grows::Sites {
            overlay.push_str("[filter]\nblock = [\"sqli\"]\n");
            overlay.extend((0..amount).map(site));
        }
        let upstreams = if grows == Grows::Upstreams { Upstreams::start(amount).await? } else { Upstreams::default() };
        overlay.push_str(&upstreams.site());
        let stack = Local::start(quick, &overlay).await?;
        let asking = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(AT_ONCE).build_http();
        let target = stack.target(false)?;
        let objects = if grows == Grows::Objects { amount } else { 100 };
        let mut own = Self { grows, stack, target, asking, objects, streams: Vec::new(), _behind: (upstreams, folder) };
        own.fill(amount).await?;
        Ok(own)
    }

    fn url(&self, number: u64) -> String {
        format!("{}/cache?cc=max-age%3D86400&tag=t{number}&n={number}", self.target.url)
    }

    fn one(&self, number: u64) -> http::request::Builder {
        let request = Request::get(self.url(number));
        if self.grows == Grows::Upstreams { request.header("host", HOST) } else { request }
    }

    async fn fill(&mut self, amount: u64) -> Result<(), String> {
        each(0..self.objects, async |number| ask(&self.asking, self.one(number), "", 200).await.map(drop)).await?;
        if matches!(self.grows, Grows::PurgedUrls | Grows::PurgedTags | Grows::PurgedPrefixes) {
            let admin = self.target.admin.clone().unwrap_or_default();
            for from in (0..amount).step_by(usize::try_from(BATCH).unwrap_or(1)) {
                let request = Request::post(format!("{admin}/purge")).header("content-type", "application/json");
                ask(&self.asking, request, &self.purge(from..(from + BATCH).min(amount)), 200).await?;
            }
        }
        let subscribers = if self.grows == Grows::Subscribers { amount } else { 0 };
        for number in 0..subscribers {
            let request = Request::get(format!("{}/api/sync/subscribe?app_id={number}", self.target.url));
            let request = request.body(Full::default()).map_err(|e| e.to_string())?;
            self.streams.push(self.asking.request(request).await.map_err(|e| format!("stream {number}: {e}"))?);
        }
        Ok(())
    }

    fn purge(&self, numbers: Range<u64>) -> String {
        let names = numbers.map(|n| match self.grows {
            Grows::PurgedTags => format!("\"other-{n}\""),
            _ => format!("\"{}/other/{n}\"", self.target.url),
        });
        let names: Vec<String> = names.collect();
        let scope = match self.grows {
            Grows::PurgedTags => "tag",
            Grows::PurgedPrefixes => "prefix",
            _ => "url",
        };
        format!("{{\"{scope}\": [{}]}}", names.join(", "))
    }

    /// The gateway's CPU for each request of a round, in µs.
    async fn round(&self) -> Result<f64, String> {
        let gateway = self.target.processes.get("gateway").copied().ok_or("no gateway")?;
        let used = || process::threads(&[gateway]).values().sum::<f64>();
        let before = used();
        let numbers = (0..REQUESTS).map(|_| rand::rng().random_range(0..self.objects));
        let hits = self.grows != Grows::Upstreams;
        let asked = async |number| match ask(&self.asking, self.one(number), "", 200).await? {
            // What was evicted, or never stored, is no hit, and costs more.
            hit if hit == Some(true) || !hits => Ok(()),
            _ => Err(format!("{}: no hit", self.url(number))),
        };
        each(numbers, asked).await?;
        Ok((used() - before) * 1e6 / count(REQUESTS))
    }
}

impl Grows {
    /// What the nth rule says of a request, where it is rules that grow.
    fn rule(self) -> Option<fn(u64) -> String> {
        Some(match self {
            Self::Rules => |number| format!("path = [\"/never/{number}/*\"]"),
            Self::RulesByEnd => |number| format!("path = [\"*/never/{number}.php\"]"),
            Self::RulesByHost => |number| format!("host = [\"n{number}.example\"]"),
            Self::RulesUntold => |number| format!("address = [\"10.0.{}.{}\"]", number / 256, number % 256),
            _ => return None,
        })
    }
}

fn rule(number: u64, when: &str) -> String {
    format!("[[rule]]\nname = \"r{number}\"\n{when}\naction = \"block\"\n\n")
}

/// Every second one is of a wildcard. They have one app together, as it is not what is asked about here, and each app is looked after.
fn site(number: u64) -> String {
    let wildcard = if number.is_multiple_of(2) { "*." } else { "" };
    format!("[[site]]\nhosts = [\"{wildcard}s{number}.example\"]\napp = \"127.0.0.1:9\"\ntrust = \"direct\"\n\n")
}

/// A few at once.
async fn each(
    numbers: impl IntoIterator<Item = u64>,
    ask: impl AsyncFn(u64) -> Result<(), String>,
) -> Result<(), String> {
    let mut asked = stream::iter(numbers).map(|number| ask(number)).buffer_unordered(AT_ONCE);
    while let Some(asked) = asked.next().await {
        asked?;
    }
    Ok(())
}

/// Whether it was a hit, where a cache spoke.
async fn ask(asking: &Asking, request: http::request::Builder, body: &str, right: u16) -> Result<Option<bool>, String> {
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).map_err(|e| e.to_string())?;
    let uri = request.uri().clone();
    let response = asking.request(request).await.map_err(|e| format!("{uri}: {e}"))?;
    let (status, hit) = (response.status().as_u16(), hit(response.headers()));
    let body = response.into_body().collect().await.map_err(|e| format!("{uri}: {e}"))?.to_bytes();
    if status == right {
        return Ok(hit);
    }
    Err(format!("{uri}: status {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)])))
}
