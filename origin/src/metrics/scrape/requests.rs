//! Requests, by site.

use std::fmt;

use super::{Cores, none, reasons};
use crate::gateway::Gateway;
use crate::metrics::counts::{CACHE, Event, SiteCounts, TRUST};
use crate::metrics::families::Families;
use crate::metrics::tally::{Tally, Times};

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
    let filtered = cores.filtered();
    let series = filtered.iter().map(|((rule, action), count)| (vec![("rule", &**rule), ("action", *action)], *count));
    out.counters("origin_filter_hits", "Requests that a rule of the filter matched, by what it did", series)?;
    let panics = cores.events(Event::Panic).iter().map(|(_, count)| count).sum::<u64>();
    out.counters("origin_panics", "Requests whose handling panicked", [(none(), panics)])
}
