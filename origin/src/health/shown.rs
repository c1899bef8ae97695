//! A picture of everything, made when something has been seen, for all who ask after that.

use std::sync::OnceLock;

use serde_json::Value;

use super::level::Level;
use super::look::{Figure, More};
use super::timeline::{Incident, Shares, Timeline};
use super::track::{POINT, Track};
use super::{State, Watched};
use crate::config::{HostPattern, Site, What};

/// The windows that uptime is said of, in seconds: a day, a week, 90 days.
pub(super) const WINDOWS: [u64; 3] = [86_400, 7 * 86_400, 90 * 86_400];
/// Days of the page's bars.
pub(super) const DAYS: u64 = 90;
/// Incidents that are said.
const INCIDENTS: usize = 20;
/// Bytes of the monitor's answer that are passed on to who shows a token.
const MONITOR: usize = 64 << 10;

/// What the sites of one set of hosts show.
pub(super) struct View {
    /// The first host, as a title; empty where the site is of any host.
    pub(super) title: String,
    /// The numbers of its probes.
    probes: Vec<usize>,
}

/// Everything that a view's answer and page say.
pub(super) struct Shown {
    pub(super) title: String,
    pub(super) at: u64,
    pub(super) level: Level,
    pub(super) uptime: [Option<u64>; 3],
    pub(super) services: Vec<Service>,
    pub(super) incidents: Vec<(String, Incident)>,
    pub(super) monitor: Option<Monitor>,
    /// Whether there is a monitor that could say something.
    pub(super) monitored: bool,
    pub(super) checks: Vec<Check>,
    /// The last look.
    pub(super) checked: u64,
    /// The page's changing part, once somebody has asked for it.
    pub(super) fragment: OnceLock<String>,
}

/// A service, as people and the monitor call it.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) level: Level,
    pub(super) kind: &'static str,
    /// The last look at any of its probes; `None` before the first.
    pub(super) checked: Option<u64>,
    pub(super) millis: Option<u64>,
    pub(super) uptime: [Option<u64>; 3],
    pub(super) days: Vec<Shares>,
    /// Mean response times, in milliseconds, of the last day's stretches of ten minutes.
    pub(super) times: Vec<Option<u64>>,
}

/// What the monitor says.
pub(super) struct Monitor {
    pub(super) status: Option<String>,
    pub(super) at: u64,
    pub(super) answer: Value,
}

/// A probe, for who shows a token.
pub(super) struct Check {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) service: String,
    pub(super) level: Option<Level>,
    pub(super) last: Option<Level>,
    pub(super) figure: Option<Figure>,
    pub(super) millis: Option<u64>,
    pub(super) says: String,
    pub(super) at: u64,
}

/// The views of all sites, and which one is whose. Sites of the same hosts have one.
pub(super) fn views(sites: &[Site], probes: &[Watched]) -> (Vec<View>, Vec<usize>) {
    let mut views: Vec<View> = Vec::new();
    let of_sites = sites.iter().map(|site| {
        let concerns = |watched: &Watched| {
            let hosts = &watched.probe.hosts;
            hosts.is_empty() || hosts.iter().any(|host| site.hosts.contains(host))
        };
        let of_site: Vec<usize> =
            probes.iter().enumerate().filter(|(_, watched)| concerns(watched)).map(|(n, _)| n).collect();
        let title = match site.hosts.first() {
            Some(HostPattern::Exact(name)) => name.clone(),
            Some(HostPattern::Suffix(name)) => name.trim_start_matches('.').to_owned(),
            _ => String::new(),
        };
        let known = views.iter().position(|view| view.title == title && view.probes == of_site);
        known.unwrap_or_else(|| {
            views.push(View { title, probes: of_site });
            views.len() - 1
        })
    });
    let of_sites = of_sites.collect();
    (views, of_sites)
}

impl Shown {
    pub(super) fn of(view: &View, watched: &[Watched], state: &State, now: u64) -> Self {
        let mut probes: Vec<Part<'_>> = view.probes.iter().filter_map(|n| Part::of(watched, state, *n, now)).collect();
        probes.sort_by_key(|part| (!part.watched.probe.vital, part.watched.quiet));
        let checks = probes.iter().map(Part::check).collect();
        let monitor = probes.iter().find_map(Part::monitor);
        let is_monitor = |part: &Part<'_>| matches!(part.watched.probe.what, What::Monitor { .. });
        let monitored = probes.iter().any(is_monitor);
        probes.retain(|part| !is_monitor(part));
        let checked = probes.iter().map(|part| part.track.seen()).max().unwrap_or(0);

        let mut services: Vec<Service> = Vec::new();
        let mut incidents = Vec::new();
        for part in &probes {
            let name = &part.watched.probe.service;
            if services.iter().any(|service| service.name == *name) {
                continue;
            }
            let parts: Vec<&Part<'_>> = probes.iter().filter(|other| other.watched.probe.service == *name).collect();
            let lines: Vec<_> = parts.iter().map(|part| (&part.line, Level::Down)).collect();
            let line = Timeline::worst(&lines);
            let quiet = parts.iter().all(|part| part.watched.quiet && part.level() == Level::Operational);
            incidents.extend(line.incidents(INCIDENTS).into_iter().map(|incident| (name.clone(), incident)));
            if !quiet {
                services.push(Service::of(name, &parts, &line, now));
            }
        }
        incidents.sort_by_key(|(_, incident)| (incident.to.is_some(), std::cmp::Reverse(incident.from)));
        incidents.truncate(INCIDENTS);
        for (name, level) in probes.iter().filter_map(Part::told).flatten() {
            match services.iter_mut().find(|service| service.name == *name) {
                Some(service) => service.level = service.level.max(*level),
                None => services.push(Service::told(name, *level)),
            }
        }
        let worst = Level::Down;
        let lines: Vec<_> = probes.iter().map(|part| (&part.line, worst.at_most(part.watched.probe.vital))).collect();
        let line = Timeline::worst(&lines);
        let level = probes.iter().map(|part| part.level().at_most(part.watched.probe.vital)).max();
        Self {
            title: view.title.clone(),
            at: now,
            level: level.unwrap_or(Level::Operational),
            uptime: uptime(&line, now),
            services,
            incidents,
            monitor,
            monitored,
            checks,
            checked,
            fragment: OnceLock::new(),
        }
    }
}

/// A probe with what is known of it.
struct Part<'a> {
    watched: &'a Watched,
    track: &'a Track,
    seen: Option<&'a super::look::Seen>,
    line: Timeline,
    now: u64,
}

impl<'a> Part<'a> {
    fn of(watched: &'a [Watched], state: &'a State, n: usize, now: u64) -> Option<Self> {
        let (watched, track) = (watched.get(n)?, state.tracks.get(n)?);
        let seen = state.seen.get(n).and_then(Option::as_ref);
        Some(Self { watched, track, seen, line: track.until(now), now })
    }

    /// Nothing is down of which nothing is known yet.
    fn level(&self) -> Level {
        self.track.level(self.now).unwrap_or(Level::Operational)
    }

    fn check(&self) -> Check {
        let probe = &self.watched.probe;
        Check {
            name: probe.name.clone(),
            kind: probe.what.kind(),
            service: probe.service.clone(),
            level: self.track.level(self.now),
            last: self.seen.map(|seen| seen.level),
            figure: self.seen.and_then(|seen| seen.figure),
            millis: self.seen.and_then(|seen| seen.millis),
            says: self.seen.map(|seen| seen.says.clone()).unwrap_or_default(),
            at: self.track.seen(),
        }
    }

    /// What an app says of its own services.
    fn told(&self) -> Option<&'a Vec<(String, Level)>> {
        match &self.seen?.more {
            More::Services(services) => Some(services),
            _ => None,
        }
    }

    /// What the monitor says, as long as it can be reached.
    fn monitor(&self) -> Option<Monitor> {
        let More::Monitor(answer) = &self.seen?.more else { return None };
        let status = ["/status", "/overall", "/state"].iter().find_map(|at| answer.pointer(at)?.as_str());
        let status = status.map(|status| status.chars().filter(|c| !c.is_control()).take(60).collect());
        let small = answer.to_string().len() <= MONITOR;
        Some(Monitor { status, at: self.track.seen(), answer: if small { answer.clone() } else { Value::Null } })
    }
}

impl Service {
    fn of(name: &str, parts: &[&Part<'_>], line: &Timeline, now: u64) -> Self {
        // The chart is of the probe that answers: the first that does.
        let timed = parts.iter().find(|part| !part.track.points().is_empty());
        Self {
            name: name.to_owned(),
            level: parts.iter().map(|part| part.level()).max().unwrap_or(Level::Operational),
            kind: parts.first().map_or("", |part| part.watched.probe.what.kind()),
            checked: parts.iter().map(|part| part.track.seen()).max().filter(|at| *at > 0),
            millis: timed.and_then(|part| part.seen?.millis),
            uptime: uptime(line, now),
            days: days(line, now),
            times: timed.map_or_else(Vec::new, |part| times(part.track, now)),
        }
    }

    fn told(name: &str, level: Level) -> Self {
        let (checked, millis, uptime) = (None, None, [None; 3]);
        Self { name: name.to_owned(), level, kind: "app", checked, millis, uptime, days: Vec::new(), times: Vec::new() }
    }
}

fn uptime(line: &Timeline, now: u64) -> [Option<u64>; 3] {
    WINDOWS.map(|window| line.shares(now.saturating_sub(window), now).uptime())
}

/// The last days in UTC, the oldest first; the last one is today, as far as it has come.
fn days(line: &Timeline, now: u64) -> Vec<Shares> {
    let tomorrow = (now / 86_400 + 1) * 86_400;
    let day = |back: u64| {
        let end = tomorrow.saturating_sub(back * 86_400);
        line.shares(end.saturating_sub(86_400), end.min(now))
    };
    (0..DAYS).rev().map(day).collect()
}

fn times(track: &Track, now: u64) -> Vec<Option<u64>> {
    let last = now - now % POINT;
    let mean = |from: u64| {
        let point = track.points().iter().find(|point| point.from == from)?;
        point.sum.checked_div(point.count)
    };
    (0..144).rev().map(|back| mean(last.saturating_sub(back * POINT))).collect()
}
