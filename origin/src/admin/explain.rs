//! `/explain`: what would become of an ordinary GET of a URL, step by step, without sending it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use cache::purge::Verdict;
use cache::{Choice, Forwarded, Meta, Plan, Stale};
use contract::{Problem, header, news};
use edge::filter::{Outcome, Ruleset};
use edge::stored::{self, Stored};
use edge::{Exchange, Host as _, Visitor, challenge, pipeline};
use http::header::{ACCEPT, ACCEPT_ENCODING, USER_AGENT};
use http::{HeaderValue, Request, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use tokio_util::task::TaskTracker;

use super::refusal::Problem as Refused;
use crate::config::{HealthOwner, Site, Trust};
use crate::conversation::Connection;
use crate::gateway::{Core, Gateway};
use crate::head::Incoming;
use crate::health;
use crate::listen::Switched;
use crate::native::Native;
use crate::trust::{Peer, Trusted};
use crate::upstream::Pool;

/// What is asked about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// With its scheme and host.
    url: String,
    /// Who would ask; somebody whom no rule knows where it is left out (RFC 5737).
    client: Option<IpAddr>,
}

/// What would become of it.
#[derive(Serialize)]
struct Told {
    url: String,
    /// In the order in which a request takes them, up to where it would be answered.
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    step: &'static str,
    says: String,
}

/// Steps as they are taken.
#[derive(Default)]
struct Steps(Vec<Step>);

impl Steps {
    fn say(&mut self, step: &'static str, says: impl Into<String>) {
        self.0.push(Step { step, says: says.into() });
    }
}

pub(super) async fn explain(State(gateway): State<Arc<Gateway>>, Query(asked): Query<Asked>) -> Response {
    let wrong = |error: &str| Refused::new(StatusCode::BAD_REQUEST, "url-refused", error).into_response();
    let Ok(url) = asked.url.parse::<Uri>() else {
        return wrong("it is no URL: write one with scheme and host, as in https://makenot.work/c/mira");
    };
    let (Some("http" | "https"), Some(authority)) = (url.scheme_str(), url.authority()) else {
        return wrong("the URL has no scheme or no host: write it whole, as in https://makenot.work/c/mira");
    };
    let authority = authority.as_str().to_ascii_lowercase();
    if authority.contains('@') {
        return wrong("the URL has a user in it, which no browser sends");
    }
    let client = asked.client.unwrap_or(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    let mut steps = Steps::default();
    take(&gateway, &url, &authority, client, &mut steps).await;
    Json(Told { url: asked.url, steps: steps.0 }).into_response()
}

/// Takes the steps as far as they go; `None` where they end.
async fn take(gateway: &Arc<Gateway>, url: &Uri, authority: &str, client: IpAddr, steps: &mut Steps) -> Option<()> {
    let incoming = incoming(url, authority);
    let path = url.path();
    let found =
        if gateway.sites.have_paths() { gateway.sites.route(authority, path) } else { gateway.sites.find(authority) };
    let Some((n, site)) = found.and_then(|n| Some((n, gateway.sites.all().get(n)?))) else {
        steps.say("site", format!("none has the host {authority}: 421 {}", Problem::UnknownHost.as_str()));
        return None;
    };
    steps.say("site", format!("{}, which is [[site]] number {} of the file", site.name(), n + 1));
    let trusted = trust(site, steps);
    let core = Core {
        gateway: Arc::clone(gateway),
        pool: Pool::default(),
        connections: TaskTracker::new(),
        upgraded: TaskTracker::new(),
    };
    let peer = Peer { address: client, certified: false, tls: true };
    let Some(place) = gateway.connections.enter() else {
        steps.say("limits", "limits.connections are open: a further one is closed");
        return None;
    };
    let connection = Connection { peer, switched: Switched::default(), place: Arc::new(place) };
    let native = Native { core: Arc::new(core), site: n, trusted, connection, started: Instant::now() };
    let visitor = Visitor { client, country: None, asn: None };
    let most = usize::try_from(site.limits.target.0).unwrap_or(usize::MAX);
    let mut exchange = match pipeline::admit(&incoming, visitor, rand::random(), most) {
        Ok(exchange) => exchange,
        Err(refused) => {
            steps.say("path", format!("refused: {} {}", refused.problem.status(), refused.problem.as_str()));
            return None;
        }
    };
    if exchange.target.as_str() != url.path_and_query().map_or("/", |target| target.as_str()) {
        steps.say("path", format!("is looked up as {}", exchange.target.as_str()));
    }
    before_the_cache(gateway, &native, &mut exchange, &incoming, steps)?;
    in_the_cache(&native, &exchange, &incoming, steps).await?;
    to_the_app(gateway, site, n, exchange.target.path(), steps);
    Some(())
}

/// An ordinary GET, without cookies.
fn incoming(url: &Uri, authority: &str) -> Incoming {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = url.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from);
    let fields = [
        (ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (ACCEPT_ENCODING, "gzip, deflate, br, zstd"),
        (USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ];
    for (name, value) in fields {
        parts.headers.insert(name, HeaderValue::from_static(value));
    }
    Incoming { parts, authority: authority.into(), secure: url.scheme_str() == Some("https") }
}

fn trust(site: &Site, steps: &mut Steps) -> Trusted {
    let (trusted, said) = match site.trust {
        Trust::EdgeOnly => (Trusted::EdgeSigned, "edge-only: what our Worker has not signed is refused (403)"),
        Trust::Cloudflare => (Trusted::Cloudflare, "cloudflare: what comes without our zone's certificate is refused"),
        Trust::Direct => (Trusted::Direct, "direct: anyone may ask"),
    };
    steps.say("trust", said);
    trusted
}

/// Whatever may answer before anything stored is looked at.
fn before_the_cache(
    gateway: &Gateway,
    native: &Native,
    exchange: &mut Exchange,
    incoming: &Incoming,
    steps: &mut Steps,
) -> Option<()> {
    let path = exchange.target.path().to_owned();
    if let Some(sender) = gateway.webhooks.find(&path) {
        steps.say(
            "webhook",
            format!("is {}'s: what it has signed goes straight to the app, all else is refused", sender.name()),
        );
        return None;
    }
    pipeline::clear(native, exchange, None);
    let ours = contract::is_health(&path) || path.starts_with(news::RESERVED);
    if !ours
        && let Some(retry) = native.standing(|standing| standing.closed(&exchange.authority, exchange.visitor.client))
    {
        steps.say(
            "maintenance",
            format!("closed for {}: 503, come back after {retry} s (origin maintenance off)", exchange.visitor.client),
        );
        return None;
    }
    filter(gateway, native, exchange, incoming, steps)?;
    if path == challenge::PATH {
        steps.say("challenge", "takes forms of the widget only: a GET gets 404");
        return None;
    }
    for rate in gateway.rates.that_count(exchange, &incoming.parts.method, &incoming.parts.headers) {
        steps.say("rate", format!("counted by [rate.{rate}]"));
    }
    if gateway.uploads.find(&path).is_some() {
        steps.say("upload", "is an upload route, which takes POST");
        return None;
    }
    Some(())
}

fn filter(
    gateway: &Gateway,
    native: &Native,
    exchange: &mut Exchange,
    incoming: &Incoming,
    steps: &mut Steps,
) -> Option<()> {
    let rules: Option<&Ruleset> = gateway.config.filter.as_deref();
    let standing = native.standing(|standing| standing.rules.len());
    if rules.is_none() && standing == 0 {
        steps.say("filter", "off");
        return Some(());
    }
    let verdict = native.standing(|standing| pipeline::filter(rules, &standing.rules, exchange, incoming, None));
    for hit in &verdict.hits {
        let place = hit.place.map_or_else(String::new, |place| format!(" in the {}", place.as_str()));
        steps.say("filter", format!("the rule `{}` matches{place}: {}", hit.rule, hit.action));
    }
    match &verdict.outcome {
        Outcome::Pass if verdict.hits.is_empty() => steps.say("filter", "passes: no rule matches"),
        Outcome::Pass => steps.say("filter", "passes"),
        Outcome::Redirect(to) => steps.say("filter", format!("redirects to {to}")),
        outcome @ (Outcome::Block(block) | Outcome::Challenge(block)) => {
            let problem = outcome.problem(native.gate().is_some()).unwrap_or(block.problem);
            let status = if problem == block.problem { block.status } else { problem.status() };
            steps.say("filter", format!("stops it: {status} {}, by the rule `{}`", problem.as_str(), block.rule));
        }
    }
    matches!(verdict.outcome, Outcome::Pass).then_some(())
}

/// What is stored, and whether it would be sent.
async fn in_the_cache(native: &Native, exchange: &Exchange, incoming: &Incoming, steps: &mut Steps) -> Option<()> {
    if native.asset(exchange, incoming).await.is_some() {
        steps.say("static", "is a file of the site's folder, which answers it");
        return None;
    }
    let ask = match exchange.plan {
        Plan::Look(ask) => ask,
        Plan::Pass(_) => {
            steps.say("cache", "takes no part: a rule of the filter has it go by");
            return Some(());
        }
    };
    let stored = match stored::look_up(native, exchange, incoming, &ask).await {
        Ok(stored) => stored,
        Err(varies) => {
            steps.say(
                "cache",
                if varies { "has answers of this URL, and none for such a request (Vary)" } else { "has nothing" },
            );
            return Some(());
        }
    };
    let (now, meta) = (native.now(), &stored.meta);
    steps.say("cache", described(meta, now.as_millis(), native));
    let (said, answers) = chosen(&stored, native);
    steps.say("cache", said);
    if !answers && meta.stands_in(&ask, now, &native.settings()) {
        steps.say("cache", "and should the app fail, it stands in");
    }
    (!answers).then_some(())
}

fn described(meta: &Meta, now: u64, native: &Native) -> String {
    let stamp = cache::Timestamp::from_millis(now);
    let (age, ttl) = (meta.age(stamp), meta.ttl(stamp));
    let since = native.now().secs_since(meta.received());
    let mut said = format!("has an answer of {} with status {}, {age} s old; ", ago(since), meta.status());
    said.push_str(&if ttl > 0 {
        format!("fresh for {ttl} s more")
    } else {
        format!("stale for {} s", ttl.saturating_neg())
    });
    let fields = ["cache-control", header::CDN_CACHE_CONTROL, "vary", "etag"];
    for (name, value) in fields.into_iter().filter_map(|name| Some((name, cache::Fields::single(meta, name)?))) {
        said.push_str(&format!("; {name}: {value}"));
    }
    let tags: Vec<&str> = meta.tags().collect();
    if !tags.is_empty() {
        said.push_str(&format!("; tags {}", tags.join(", ")));
    }
    said
}

fn ago(seconds: u64) -> String {
    format!("{} ago", humantime::format_duration(std::time::Duration::from_secs(seconds)))
}

/// What would be done with it, and whether that is an answer.
fn chosen(stored: &Stored, native: &Native) -> (String, bool) {
    let purged = match stored.verdict {
        Verdict::Valid => "",
        Verdict::Doubtful => " A soft purge hit it.",
        Verdict::Gone => " A purge hit it.",
    };
    let (said, answers) = match stored.choice {
        Choice::Fresh => ("it would be sent, as `hit`", true),
        Choice::Stale(Stale::WhileRevalidate) => {
            ("it would be sent, as `stale`, and freshened meanwhile (stale-while-revalidate)", true)
        }
        Choice::Stale(Stale::Purged) => ("it would be sent once more, as `stale`, and freshened meanwhile", true),
        Choice::Stale(_) => ("it would be sent, as `stale`", true),
        Choice::Validate(Forwarded::Request) => ("the request wants a fresh one", false),
        Choice::Validate(_) => ("it is stale: the app would be asked whether it still holds", false),
        Choice::Nothing => ("it would not be used, and the app be asked", false),
    };
    let newest = native.sequence();
    let numbers = format!(" (its number is {}, the newest order's {newest})", stored.meta.sequence());
    (format!("{said}.{purged}{}", if purged.is_empty() { "" } else { &numbers }), answers)
}

fn to_the_app(gateway: &Gateway, site: &Site, n: usize, path: &str, steps: &mut Steps) {
    let page = gateway.config.health.is_some() && contract::is_health(path);
    if site.health != HealthOwner::App && (path == health::PATH || page) {
        return steps.say("health", "is the gateway's own to answer");
    }
    let Some(app) = gateway.apps.get(n) else { return };
    let now = Instant::now();
    let state = app.state(now);
    let accepts = gateway.health.accepts(&site.app);
    let upstreams: Vec<String> = state
        .upstreams
        .iter()
        .map(|upstream| {
            let up = upstream.member.as_ref().map_or(accepts, |member| member.available());
            format!("{} ({})", upstream.address, if up { "up" } else { "down" })
        })
        .collect();
    steps.say(
        "app",
        format!("goes to {}, with {} of {} requests under way", upstreams.join(", "), state.in_flight, state.limit),
    );
    if state.stalled {
        steps.say("app", "it answers nobody in time (stalled): few requests may wait for it");
    }
    if gateway.resting.load(Ordering::Relaxed) || gateway.draining.has_begun() {
        steps.say("gateway", "is drained: /readyz says 503");
    }
}
