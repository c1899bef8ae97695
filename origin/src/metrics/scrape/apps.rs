//! Apps and their upstreams.

use std::fmt;
use std::time::Instant;

use super::{Cores, none};
use crate::gateway::Gateway;
use crate::metrics::counts::{Failure, UpstreamCounts};
use crate::metrics::families::{Families, Labels};
use crate::metrics::tally::Tally;
use crate::upstream::AppState;

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

pub(super) fn write(out: &mut Families<'_>, gateway: &Gateway, cores: &Cores) -> fmt::Result {
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

    upstreams(out, &apps, cores)
}

fn upstreams(out: &mut Families<'_>, apps: &[App], cores: &Cores) -> fmt::Result {
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
    let in_flight =
        upstreams().filter_map(|(.., upstream, labels)| Some((labels, upstream.member.as_ref()?.in_flight)));
    let help = "Requests that are with one of several upstreams, until the ends of their answers";
    out.gauges("origin_upstream_in_flight", help, in_flight)?;
    let open = upstreams().map(|(.., upstream, labels)| {
        let sum = |of: fn(&UpstreamCounts) -> &Tally| cores.sum(|counts| of(&counts.upstreams[upstream.series]));
        (labels, sum(|u| &u.opened).saturating_sub(sum(|u| &u.closed)))
    });
    out.gauges("origin_upstream_connections_open", "Connections to an upstream", open)?;
    let idle = upstreams().map(|(app, n, _, labels)| {
        (labels, cores.0.iter().map(|(_, pool, _)| pool.idle(app.number, n)).sum::<usize>())
    });
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
