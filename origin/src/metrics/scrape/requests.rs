//! Requests, by site.

use std::fmt;

use super::{Cores, none, reasons};
use crate::gateway::Gateway;
use crate::metrics::conventions::{METHODS, SCHEMES};
use crate::metrics::counts::{CACHE, Event, SiteCounts, TRUST};
use crate::metrics::families::Families;
use crate::metrics::tally::{Sum, Tally};

pub(super) fn write(out: &mut Families<'_>, gateway: &Gateway, cores: &Cores) -> fmt::Result {
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
    active(out, cores)?;
    durations(out, gateway, cores)?;

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
        sites.iter().copied().filter(|(n, _)| cores.times(|counts| &counts.sites[*n].head).count() > 0).collect();
    let heads = served.iter().map(|&(n, name)| (vec![("site", name)], cores.times(|counts| &counts.sites[n].head)));
    out.times("origin_request_head_seconds", "Time until the head of the answer was there", heads)?;
    let counts =
        |of: fn(&SiteCounts) -> &Tally| served.iter().map(move |&(n, name)| (vec![("site", name)], of_site(n, of)));
    out.counters("origin_response_body_bytes", "Bytes of answers' bodies", counts(|site| &site.bytes))?;
    let uploaded = cores.sum(|counts| &counts.uploaded);
    out.counters("origin_request_body_bytes", "Bytes of requests' bodies", [(none(), uploaded)])?;
    out.counters("origin_responses_cut", "Answers whose body broke off", counts(|site| &site.cut))?;

    reasons(out, cores, Event::Problem, "origin_problems", "Answers that we gave in place of the app")?;
    reasons(out, cores, Event::Shed, "origin_requests_shed", "Requests refused because there is too much to do")?;
    reasons(out, cores, Event::Offence, "origin_framing_offences", "Requests that are not well framed")?;
    let filtered = cores.filtered();
    let series = filtered.iter().map(|((rule, action), count)| (vec![("rule", &**rule), ("action", *action)], *count));
    out.counters("origin_filter_hits", "Requests that a rule of the filter matched, by what it did", series)?;
    let panics = cores.events(Event::Panic).iter().map(|(_, count)| count).sum::<u64>();
    out.counters("origin_panics", "Requests whose handling panicked", [(none(), panics)])
}

/// `http.server.active_requests`.
fn active(out: &mut Families<'_>, cores: &Cores) -> fmt::Result {
    let all = (0..SCHEMES.len()).flat_map(|scheme| (0..METHODS.len()).map(move |method| (method, scheme)));
    let series = all.filter_map(|(method, scheme)| {
        let begun = cores.sum(|counts| counts.begun.at(method, scheme));
        let active = begun.saturating_sub(cores.sum(|counts| counts.ended.at(method, scheme)));
        let labels = vec![("http_request_method", METHODS[method]), ("url_scheme", SCHEMES[scheme])];
        (begun > 0).then_some((labels, active))
    });
    out.gauges("http_server_active_requests", "Requests whose answer has not ended", series)
}

/// `http.server.request.duration`.
fn durations(out: &mut Families<'_>, gateway: &Gateway, cores: &Cores) -> fmt::Result {
    let mut rows = Vec::new();
    let sites = gateway.sites.all();
    let hosts: Vec<String> = sites.iter().map(|site| site.host()).collect();
    for (n, known) in gateway.metrics.known.iter().enumerate() {
        let host = hosts.get(n).map_or("(none)", String::as_str);
        let route = sites.get(n).and_then(|site| site.paths.first());
        for (place, labels) in known.all() {
            let mut sum = Sum::default();
            cores
                .0
                .iter()
                .filter_map(|(counts, ..)| counts.sites[n].durations.at(place))
                .for_each(|times| sum.add(times));
            if sum.count() > 0 {
                let status = labels.map(|labels| labels.status.to_string());
                rows.push((host, route, labels, status, sum));
            }
        }
    }
    let series = rows.iter().map(|(host, route, labels, status, sum)| {
        let mut all = vec![("server_address", *host)];
        all.extend(route.map(|route| ("http_route", route.as_str())));
        match (labels, status) {
            (Some(labels), Some(status)) => {
                all.extend([("http_request_method", labels.method), ("url_scheme", labels.scheme)]);
                all.push(("http_response_status_code", status));
                let status = Some(status.as_str()).filter(|_| labels.status >= 500);
                all.extend(labels.error.or(status).map(|error| ("error_type", error)));
            }
            _ => all.push(("otel_metric_overflow", "true")),
        }
        (all, sum.clone())
    });
    out.times("http_server_request_duration_seconds", "Time until the last byte of the answer had gone", series)
}
