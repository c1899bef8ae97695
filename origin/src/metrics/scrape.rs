//! Adds the cores up and writes everything down, once for each scrape.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;

use super::counts::{CACHE, Counts, Event, Failure, SiteCounts, TRUST, UpstreamCounts};
use super::families::{Families, Labels};
use super::lock;
use super::process::Process;
use super::tally::{Sum, Tally, Times};
use crate::gateway::Gateway;
use crate::telemetry;
use crate::upstream::{AppState, Pool};

/// The form of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0, for who asks for it.
    OpenMetrics,
    /// Prometheus's own text format 0.0.4.
    Prometheus,
}

impl Format {
    /// The one that an `Accept` field wants.
    pub(crate) fn wanted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::OpenMetrics,
            _ => Self::Prometheus,
        }
    }

    /// Its media type.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => prometheus_text::CONTENT_TYPE,
        }
    }
}

/// All metrics, as text.
pub(crate) fn scrape(gateway: &Arc<Gateway>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(Arc::clone(gateway))));
    let mut out = String::with_capacity(16 << 10);
    match format {
        Format::OpenMetrics => text::encode(&mut out, &registry)?,
        Format::Prometheus => prometheus_text::encode(&mut out, &registry)?,
    }
    Ok(out)
}

struct Scrape(Arc<Gateway>);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let cores = Cores(lock(&self.0.metrics.cores).clone());
        let mut out = Families(encoder);
        requests(&mut out, &self.0, &cores)?;
        connections(&mut out, &self.0, &cores)?;
        apps(&mut out, &self.0, &cores)?;
        gateway(&mut out, &self.0)
    }
}

/// All cores.
struct Cores(Vec<(Arc<Counts>, Pool)>);

impl Cores {
    fn sum(&self, of: impl Fn(&Counts) -> &Tally) -> u64 {
        self.0.iter().map(|(counts, _)| of(counts).get()).sum()
    }

    fn times(&self, of: impl Fn(&Counts) -> &Times) -> Sum {
        let mut sum = Sum::default();
        self.0.iter().for_each(|(counts, _)| sum.add(of(counts)));
        sum
    }

    /// The events of a kind, by reason.
    fn events(&self, event: Event) -> Vec<(&'static str, u64)> {
        let mut sums: Vec<(&'static str, u64)> = Vec::new();
        let all = self.0.iter().flat_map(|(counts, _)| counts.events());
        for (_, reason, count) in all.filter(|(kind, ..)| *kind == event) {
            match sums.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, sum)) => *sum += count,
                None => sums.push((reason, count)),
            }
        }
        sums.sort_unstable();
        sums
    }
}

fn none() -> Labels<'static> {
    Vec::new()
}

fn requests(out: &mut Families<'_>, gateway: &Gateway, cores: &Cores) -> fmt::Result {
    let mut sites: Vec<String> = gateway.sites.all().iter().map(crate::config::Site::name).collect();
    // What belongs to no site: no host is called so.
    sites.push("(none)".to_owned());
    let sites: Vec<(usize, &str)> = sites.iter().map(String::as_str).enumerate().collect();
    let of_site = |n: usize, of: fn(&SiteCounts) -> &Tally| cores.sum(|counts| of(&counts.sites[n]));

    let mut series = Vec::new();
    for &(site, name) in &sites {
        for (trust, word) in TRUST.into_iter().enumerate() {
            for (class, digit) in ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().enumerate() {
                let count = cores.sum(|counts| &counts.sites[site].requests[trust][class]);
                if count > 0 {
                    series.push((vec![("site", name), ("trust", word), ("status_class", digit)], count));
                }
            }
        }
    }
    out.counters("origin_requests", "Requests whose answer has ended", series)?;
    let begun = cores.sum(|counts| &counts.begun);
    let in_flight = begun.saturating_sub(cores.sum(|counts| &counts.ended));
    out.gauges("origin_requests_in_flight", "Requests whose answer has not ended", [(none(), in_flight)])?;

    let mut series = Vec::new();
    for &(site, name) in &sites {
        for (n, word) in CACHE.into_iter().enumerate() {
            let count = cores.sum(|counts| &counts.sites[site].cache[n]);
            if count > 0 {
                series.push((vec![("site", name), ("result", word)], count));
            }
        }
    }
    out.counters("origin_cache_requests", "Requests by what the cache did", series)?;

    let served: Vec<_> =
        sites.iter().copied().filter(|(n, _)| cores.times(|counts| &counts.sites[*n].total).count() > 0).collect();
    let times = |of: fn(&SiteCounts) -> &Times| {
        served.iter().map(move |&(n, name)| (vec![("site", name)], cores.times(|counts| of(&counts.sites[n]))))
    };
    out.times("origin_request_head_seconds", "Time until the head of the answer was there", times(|site| &site.head))?;
    out.times("origin_request_seconds", "Time until the last byte of the answer had gone", times(|site| &site.total))?;
    let counts =
        |of: fn(&SiteCounts) -> &Tally| served.iter().map(move |&(n, name)| (vec![("site", name)], of_site(n, of)));
    out.counters("origin_response_body_bytes", "Bytes of answers' bodies", counts(|site| &site.bytes))?;
    let uploaded = cores.sum(|counts| &counts.uploaded);
    out.counters("origin_request_body_bytes", "Bytes of requests' bodies", [(none(), uploaded)])?;
    out.counters("origin_responses_cut", "Answers whose body broke off", counts(|site| &site.cut))?;

    reasons(out, cores, Event::Problem, "origin_problems", "Answers that we gave in place of the app")?;
    reasons(out, cores, Event::Shed, "origin_requests_shed", "Requests refused because there is too much to do")?;
    reasons(out, cores, Event::Offence, "origin_framing_offences", "Requests that are not well framed")?;
    let panics = cores.events(Event::Panic).iter().map(|(_, count)| count).sum::<u64>();
    out.counters("origin_panics", "Requests whose handling panicked", [(none(), panics)])
}

fn reasons(out: &mut Families<'_>, cores: &Cores, event: Event, name: &str, help: &str) -> fmt::Result {
    let series = cores.events(event).into_iter().map(|(reason, count)| (vec![("reason", reason)], count));
    out.counters(name, help, series)
}

fn connections(out: &mut Families<'_>, gateway: &Gateway, cores: &Cores) -> fmt::Result {
    let accepted = cores.sum(|counts| &counts.connections);
    out.counters("origin_connections", "Connections from clients", [(none(), accepted)])?;
    let open = gateway.connections.open();
    out.gauges("origin_connections_open", "Connections from clients that are open", [(none(), open)])?;
    let help = "Connections closed because too many are open";
    reasons(out, cores, Event::ConnectionRefused, "origin_connections_refused", help)?;
    let handshakes = cores.sum(|counts| &counts.handshakes);
    out.counters("origin_tls_handshakes", "TLS handshakes that succeeded", [(none(), handshakes)])?;
    reasons(out, cores, Event::Handshake, "origin_tls_handshake_failures", "TLS handshakes that failed")
}

/// An app, by the name of the first site that it serves.
struct App {
    name: String,
    number: usize,
    state: AppState,
    accepts: bool,
}

impl App {
    fn labels(&self) -> Labels<'_> {
        vec![("app", self.name.as_str())]
    }
}

fn apps(out: &mut Families<'_>, gateway: &Gateway, cores: &Cores) -> fmt::Result {
    let now = Instant::now();
    let apps: Vec<App> = gateway
        .distinct_apps()
        .map(|(site, app)| App {
            name: site.name(),
            number: app.number(),
            state: app.state(now),
            accepts: gateway.health.accepts(&site.app),
        })
        .collect();
    let states = || apps.iter().map(|app| (app.labels(), &app.state));
    let in_flight = states().map(|(labels, state)| (labels, state.in_flight));
    out.gauges("origin_app_in_flight", "Requests that wait for the head of an app's answer", in_flight)?;
    let limit = states().map(|(labels, state)| (labels, state.limit));
    out.gauges("origin_app_in_flight_limit", "How many may; it follows the app's speed", limit)?;
    let stalled = states().map(|(labels, state)| (labels, u32::from(state.stalled)));
    out.gauges("origin_app_stalled", "1 while an app answers nobody in time", stalled)?;
    let held = apps.iter().map(|app| (app.labels(), cores.sum(|counts| &counts.apps[app.number].held)));
    out.counters("origin_app_held", "Requests held because the app refused connections", held)?;
    let waiting = gateway.apps.first().map_or(0, |app| app.held());
    out.gauges("origin_requests_held", "Requests that are held now, for all apps", [(none(), waiting)])?;
    let times = apps.iter().map(|app| (app.labels(), cores.times(|counts| &counts.apps[app.number].answers)));
    out.times("origin_app_answer_seconds", "From sending a request to the head of the app's answer", times)?;

    let upstreams = || {
        apps.iter().flat_map(|app| {
            app.state.upstreams.iter().enumerate().map(move |(n, upstream)| {
                (app, n, upstream, vec![("app", app.name.as_str()), ("upstream", upstream.address.as_str())])
            })
        })
    };
    let count = |of: fn(&UpstreamCounts) -> &Tally| {
        upstreams()
            .map(move |(.., upstream, labels)| (labels, cores.sum(|counts| of(&counts.upstreams[upstream.series]))))
    };
    let up = upstreams().map(|(app, _, upstream, labels)| {
        (labels, u32::from(upstream.member.as_ref().map_or(app.accepts, |member| member.available())))
    });
    out.gauges("origin_upstream_up", "1 for an upstream that gets requests and, where it is alone, accepts them", up)?;
    let open = upstreams().map(|(.., upstream, labels)| {
        let sum = |of: fn(&UpstreamCounts) -> &Tally| cores.sum(|counts| of(&counts.upstreams[upstream.series]));
        (labels, sum(|u| &u.opened).saturating_sub(sum(|u| &u.closed)))
    });
    out.gauges("origin_upstream_connections_open", "Connections to an upstream", open)?;
    let idle = upstreams()
        .map(|(app, n, _, labels)| (labels, cores.0.iter().map(|(_, pool)| pool.idle(app.number, n)).sum::<usize>()));
    out.gauges("origin_upstream_connections_idle", "Connections to an upstream that nobody uses just now", idle)?;
    out.counters("origin_upstream_connections", "Connections opened to an upstream", count(|u| &u.opened))?;
    let failures = upstreams().flat_map(|(.., upstream, labels)| {
        Failure::ALL.into_iter().filter_map(move |failure| {
            let count = cores.sum(|counts| counts.upstreams[upstream.series].failures(failure));
            let mut labels = labels.clone();
            labels.push(("reason", failure.as_str()));
            (count > 0).then_some((labels, count))
        })
    });
    out.counters("origin_upstream_failures", "How often an upstream failed a request", failures)?;
    out.counters("origin_upstream_ejections", "How often an upstream was ejected", count(|u| &u.ejections))?;
    let help = "Requests sent once more after this upstream broke off";
    out.counters("origin_upstream_retries", help, count(|u| &u.retries))?;
    let help = "Requests not sent once more because the budget was spent";
    out.counters("origin_upstream_retries_refused", help, count(|u| &u.retries_refused))
}

fn gateway(out: &mut Families<'_>, gateway: &Gateway) -> fmt::Result {
    let ready = u32::from(!gateway.resting.load(Ordering::Relaxed) && !gateway.draining.has_begun());
    out.gauges("origin_ready", "1 while /readyz says so", [(none(), ready)])?;
    out.gauges("origin_cache_entries", "Answers in the cache", [(none(), gateway.store.entries())])?;
    out.gauges("origin_cache_bytes", "Bytes in the cache", [(none(), gateway.store.bytes())])?;
    let lost = telemetry::lost_lines();
    out.counters("origin_log_lines_lost", "Lines of the log that its target did not take", [(none(), lost)])?;
    let certificates = lock(&gateway.metrics.certificates).clone();
    let expiry = certificates.iter().map(|c| (vec![("certificate", c.name.as_str())], seconds(c.not_after)));
    out.gauges("origin_certificate_expiry_timestamp_seconds", "When a certificate expires", expiry)?;
    let hash = vec![("hash", gateway.config.written.hash())];
    out.info("origin_config", "The configuration in use, by its file's SHA-256", &hash)?;
    let started = seconds(gateway.metrics.started);
    let help = "When the configuration was taken into use";
    out.gauges("origin_config_load_timestamp_seconds", help, [(none(), started)])?;
    out.info("origin_build", "This program", &vec![("version", env!("CARGO_PKG_VERSION"))])?;

    let process = Process::look();
    let resident = process.resident_bytes.map(|bytes| (none(), bytes));
    out.gauges("process_resident_memory_bytes", "Resident memory", resident)?;
    out.counters("process_cpu_seconds", "User and system time", [(none(), process.cpu_seconds)])?;
    out.gauges("process_open_fds", "Open file descriptors", process.open_fds.map(|fds| (none(), fds)))?;
    out.gauges("process_max_fds", "The most of them", process.max_fds.map(|fds| (none(), fds)))?;
    out.gauges("process_start_time_seconds", "When it started, since the epoch", [(none(), started)])
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
