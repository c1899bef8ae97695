//! Adds the cores up and writes everything down, once for each scrape.

mod apps;
mod isolates;
mod requests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text, text};
use prometheus_client::registry::Registry;
use tokio::runtime::{Handle, RuntimeMetrics};

use super::counts::{Counts, Event};
use super::families::{Families, Labels};
use super::lock;
use super::process::Process;
use super::tally::{Sum, Tally, Times};
use crate::gateway::Gateway;
use crate::health::Base;
use crate::telemetry;
use crate::upstream::Pool;

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
        requests::write(&mut out, &self.0, &cores)?;
        connections(&mut out, &self.0, &cores)?;
        apps::write(&mut out, &self.0, &cores)?;
        isolates::write(&mut out, &self.0)?;
        gateway(&mut out, &self.0)?;
        process(&mut out, &self.0, &cores)
    }
}

/// All cores.
struct Cores(Vec<(Arc<Counts>, Pool, RuntimeMetrics)>);

impl Cores {
    fn sum(&self, of: impl Fn(&Counts) -> &Tally) -> u64 {
        self.0.iter().map(|(counts, ..)| of(counts).get()).sum()
    }

    fn times(&self, of: impl Fn(&Counts) -> &Times) -> Sum {
        let mut sum = Sum::default();
        self.0.iter().for_each(|(counts, ..)| sum.add(of(counts)));
        sum
    }

    /// The events of a kind, by reason.
    fn events(&self, event: Event) -> Vec<(&'static str, u64)> {
        let mut sums: Vec<(&'static str, u64)> = Vec::new();
        let all = self.0.iter().flat_map(|(counts, ..)| counts.events());
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

impl Cores {
    /// What the filter's rules did, by rule and action.
    fn filtered(&self) -> BTreeMap<(Box<str>, &'static str), u64> {
        let mut sums = BTreeMap::new();
        for (rule, action, count) in self.0.iter().flat_map(|(counts, ..)| counts.all_filtered()) {
            *sums.entry((rule, action)).or_default() += count;
        }
        sums
    }
}

fn none() -> Labels<'static> {
    Vec::new()
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

fn gateway(out: &mut Families<'_>, gateway: &Gateway) -> fmt::Result {
    let ready = u32::from(!gateway.resting.load(Ordering::Relaxed) && !gateway.draining.has_begun());
    out.gauges("origin_ready", "1 while /readyz says so", [(none(), ready)])?;
    out.gauges("origin_cache_entries", "Answers in the cache", [(none(), gateway.store.entries())])?;
    out.gauges("origin_cache_bytes", "Bytes in the cache", [(none(), gateway.store.bytes())])?;
    let hears = gateway.orders.hears_peer().map(|hears| (none(), u32::from(hears)));
    out.gauges("origin_peer_heard", "1 while the other gateway of [peer] answers and asks", hears)?;
    let purges = gateway.orders.counts().map(|(scope, count)| (vec![("scope", scope)], count));
    out.counters("origin_purges", "What has been purged, by scope", purges)?;
    let refused = gateway.rates.refused().map(|(name, count)| (vec![("limit", name)], count));
    out.counters("origin_rate_limited", "Requests that came too often, by limit", refused)?;
    let outcomes = gateway.webhooks.outcomes().into_iter();
    let outcomes = outcomes.map(|(sender, outcome, count)| (vec![("sender", sender), ("outcome", outcome)], count));
    out.counters("origin_webhooks", "Webhooks by sender, and what came of them", outcomes)?;
    let calls = gateway.files.outcomes().into_iter();
    let calls = calls.map(|(call, outcome, count)| (vec![("call", call), ("outcome", outcome)], count));
    out.counters("origin_files", "Calls of the private API about files, and what came of them", calls)?;
    let outcomes = gateway.uploads.outcomes().into_iter();
    let outcomes = outcomes.map(|(route, outcome, count)| (vec![("route", route), ("outcome", outcome)], count));
    out.counters("origin_uploads", "Requests at upload routes, and what came of them", outcomes)?;
    let as_of = seconds(gateway.ranges.as_of());
    let help = "When the list of Cloudflare's addresses was so";
    out.gauges("origin_cloudflare_ranges_timestamp_seconds", help, [(none(), as_of)])?;
    let lost = telemetry::lost_lines();
    out.counters("origin_log_lines_lost", "Lines of the log that its target did not take", [(none(), lost)])?;
    let spans = gateway.traces.as_ref().map(|traces| traces.counts()).into_iter().flatten();
    let spans = spans.map(|(outcome, count)| (vec![("outcome", outcome)], count));
    out.counters("origin_traced_requests", "Requests whose spans go to the collector, and what came of them", spans)?;
    let certificates = lock(&gateway.metrics.certificates).clone();
    let expiry = certificates.iter().map(|c| (vec![("certificate", c.name.as_str())], seconds(c.not_after)));
    out.gauges("origin_certificate_expiry_timestamp_seconds", "When a certificate expires", expiry)?;
    probes(out, gateway)?;
    let hash = vec![("hash", gateway.config.written.hash())];
    out.info("origin_config", "The configuration in use, by its file's SHA-256", &hash)?;
    let started = seconds(gateway.metrics.started);
    let help = "When the configuration was taken into use";
    out.gauges("origin_config_load_timestamp_seconds", help, [(none(), started)])?;
    out.info("origin_build", "This program", &vec![("version", env!("CARGO_PKG_VERSION"))])
}

fn process(out: &mut Families<'_>, gateway: &Gateway, cores: &Cores) -> fmt::Result {
    // Who scrapes is on the runtime of everything else.
    let control = Handle::try_current().ok().map(|control| control.metrics());
    let runtimes = cores.0.iter().map(|(_, _, runtime)| runtime).chain(&control);
    let tasks = runtimes.map(RuntimeMetrics::num_alive_tasks).sum::<usize>();
    out.gauges("origin_tasks", "Tasks that have not ended", [(none(), tasks)])?;
    let process = Process::look();
    let resident = process.resident_bytes.map(|bytes| (none(), bytes));
    out.gauges("process_resident_memory_bytes", "Resident memory", resident)?;
    out.counters("process_cpu_seconds", "User and system time", [(none(), process.cpu_seconds)])?;
    out.gauges("process_open_fds", "Open file descriptors", process.open_fds.map(|fds| (none(), fds)))?;
    out.gauges("process_max_fds", "The most of them", process.max_fds.map(|fds| (none(), fds)))?;
    let started = seconds(gateway.metrics.started);
    out.gauges("process_start_time_seconds", "When it started, since the epoch", [(none(), started)])
}

/// What health has seen.
fn probes(out: &mut Families<'_>, gateway: &Gateway) -> fmt::Result {
    let readings = gateway.health.readings();
    let levels = readings.iter().filter_map(|r| Some((vec![("probe", r.probe)], u32::from(r.level?.code()))));
    out.gauges("origin_probe_level", "0 operational, 1 degraded, 2 down; nothing where it is not known", levels)?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a minute")]
    let times = readings.iter().filter_map(|r| Some((vec![("probe", r.probe)], r.millis? as f64 / 1e3)));
    out.gauges("origin_probe_answer_seconds", "How long a probe's last answer took", times)?;
    let figures = |wanted| {
        let figures = readings.iter().filter_map(|r| Some((r.probe, r.figure?)));
        figures
            .filter(move |(_, (_, base))| *base == wanted)
            .map(|(probe, (figure, _))| (vec![("probe", probe)], figure))
    };
    out.gauges("origin_probe_figure_ratio", "The share that a probe measured last", figures(Base::Ratio))?;
    let help = "The time that a probe measured last, as a lag or what a certificate has left";
    out.gauges("origin_probe_figure_seconds", help, figures(Base::Seconds))
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
