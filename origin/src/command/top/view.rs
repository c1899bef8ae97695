//! What is shown of the time between two readings, as figures.

use origin::metrics::Change;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct View {
    /// Requests a second, and under way.
    pub(super) requests: f64,
    pub(super) active: f64,
    pub(super) connections: f64,
    /// Seconds until the head and until the end of an answer: the median, and what 99 of 100 do not exceed.
    pub(super) head: Option<[f64; 2]>,
    pub(super) total: Option<[f64; 2]>,
    /// Answers a second by the status's first digit.
    pub(super) classes: Vec<(String, f64)>,
    /// Requests a second by what the cache did, without those for which it was not asked.
    pub(super) cache: Vec<(String, f64)>,
    /// Answers a second that we gave in place of the app, by reason.
    pub(super) problems: Vec<(String, f64)>,
    pub(super) edge: Option<Edge>,
    pub(super) upstreams: Vec<Upstream>,
    /// The busiest first.
    pub(super) routes: Vec<Route>,
    /// Requests a second by rule and what it did, the busiest first.
    pub(super) rules: Vec<(String, f64)>,
    /// Probes that are not operational, and how they are.
    pub(super) ill: Vec<(String, &'static str)>,
}

/// The Worker, as far as it has told.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) requests: f64,
    /// The share of them that its store has answered.
    pub(super) hits: Option<f64>,
    pub(super) blocked: f64,
    pub(super) problems: f64,
    pub(super) failures: f64,
    pub(super) today: f64,
}

/// One of an app's addresses.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) app: String,
    pub(super) address: String,
    pub(super) up: bool,
    /// Requests that are with it, or wait for its app where it is alone.
    pub(super) in_flight: f64,
    pub(super) failures: f64,
}

/// A site with its path, an upload route or a sender of webhooks.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: String,
    pub(super) requests: f64,
    /// Of them 5xx.
    pub(super) errors: f64,
    pub(super) times: Option<[f64; 2]>,
}

const DURATION: &str = "http_server_request_duration_seconds";
const QUANTILES: [f64; 2] = [0.5, 0.99];

impl View {
    pub(super) fn of(change: &Change<'_>) -> Self {
        Self {
            requests: change.rate(&format!("{DURATION}_count")),
            active: change.value("http_server_active_requests"),
            connections: change.value("origin_connections_open"),
            head: change.quantiles("origin_request_head_seconds", [], QUANTILES).into_values().next(),
            total: change.quantiles(DURATION, [], QUANTILES).into_values().next(),
            classes: named(change, "origin_requests_total", "status_class"),
            cache: named(change, "origin_cache_requests_total", "result")
                .into_iter()
                .filter(|(word, _)| word != "none")
                .collect(),
            problems: busiest(named(change, "origin_problems_total", "reason")),
            edge: edge(change),
            upstreams: upstreams(change),
            routes: routes(change),
            rules: busiest(
                change
                    .rates("origin_filter_hits_total", ["rule", "action"])
                    .into_iter()
                    .map(|([rule, action], rate)| (format!("{rule}: {action}"), rate))
                    .collect(),
            ),
            ill: change
                .stands("origin_probe_level", ["probe"])
                .into_iter()
                .filter(|(_, level)| *level > 0.5)
                .map(|([probe], level)| (probe.to_owned(), if level > 1.5 { "down" } else { "degraded" }))
                .collect(),
        }
    }

    /// The share of requests that the cache has answered, of those for which it was asked.
    pub(super) fn hits(&self) -> Option<f64> {
        hits(&self.cache)
    }
}

fn hits(cache: &[(String, f64)]) -> Option<f64> {
    let sum = |is: fn(&str) -> bool| cache.iter().filter(|(word, _)| is(word)).map(|(_, rate)| rate).sum::<f64>();
    let all = sum(|word| word != "none");
    (all > 0.0).then(|| sum(|word| matches!(word, "hit" | "stale" | "collapsed" | "validated")) / all)
}

fn named(change: &Change<'_>, family: &str, label: &str) -> Vec<(String, f64)> {
    change.rates(family, [label]).into_iter().map(|([word], rate)| (word.to_owned(), rate)).collect()
}

fn busiest(mut rows: Vec<(String, f64)>) -> Vec<(String, f64)> {
    rows.retain(|(_, rate)| *rate > 0.0);
    rows.sort_by(|a, b| b.1.total_cmp(&a.1));
    rows
}

fn edge(change: &Change<'_>) -> Option<Edge> {
    let known = change.value("origin_edge_requests_total") > 0.0;
    known.then(|| Edge {
        requests: change.rate("origin_edge_requests_total"),
        hits: hits(&named(change, "origin_edge_requests_total", "result")),
        blocked: change.rates("origin_edge_filter_hits_total", ["action"]).get(&["block"]).copied().unwrap_or_default(),
        problems: change.rate("origin_edge_problems_total"),
        failures: change.rate("origin_edge_gateway_failures_total"),
        today: change.value("origin_edge_requests_today"),
    })
}

fn upstreams(change: &Change<'_>) -> Vec<Upstream> {
    let failures = change.rates("origin_upstream_failures_total", ["app", "upstream"]);
    let each = change.stands("origin_upstream_in_flight", ["app", "upstream"]);
    let all = change.stands("origin_app_in_flight", ["app"]);
    let row = |(key, up): ([&str; 2], f64)| Upstream {
        app: key[0].to_owned(),
        address: key[1].to_owned(),
        up: up > 0.5,
        in_flight: each.get(&key).or_else(|| all.get(&[key[0]])).copied().unwrap_or_default(),
        failures: failures.get(&key).copied().unwrap_or_default(),
    };
    change.stands("origin_upstream_up", ["app", "upstream"]).into_iter().map(row).collect()
}

fn routes(change: &Change<'_>) -> Vec<Route> {
    let labels = ["server_address", "http_route"];
    let times = change.quantiles(DURATION, labels, QUANTILES);
    let mut errors = std::collections::BTreeMap::new();
    let by_status = [labels[0], labels[1], "http_response_status_code"];
    for ([host, path, status], rate) in change.rates(&format!("{DURATION}_count"), by_status) {
        *errors.entry([host, path]).or_insert(0.0) += if status.starts_with('5') { rate } else { 0.0 };
    }
    let sites = change.rates(&format!("{DURATION}_count"), labels).into_iter().map(|(key, requests)| Route {
        name: key.concat(),
        requests,
        errors: errors.get(&key).copied().unwrap_or_default(),
        times: times.get(&key).copied(),
    });
    let more = [("origin_uploads_total", "route", "upload"), ("origin_webhooks_total", "sender", "webhook")];
    let more = more.into_iter().flat_map(|(family, label, what)| {
        let rates = change.rates(family, [label]).into_iter();
        rates.map(move |([name], requests)| Route {
            name: format!("{what} {name}"),
            requests,
            errors: 0.0,
            times: None,
        })
    });
    let mut all: Vec<Route> = sites.chain(more).filter(|route| route.requests > 0.0).collect();
    all.sort_by(|a, b| b.requests.total_cmp(&a.requests));
    all
}
