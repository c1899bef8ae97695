//! `/health`, for people: made once for each picture, on the server, and kept up to date by events where there is a script. It loads nothing,
//! and says everything without one.

use std::fmt::Write as _;

use askama::Template;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use super::Health;
use super::level::Level;
use super::shown::{DAYS, Service as Seen, Shown};
use super::timeline::{Incident as Happened, Shares};
use crate::sites;

const STYLE: &str = include_str!("../../templates/health.css");
const SCRIPT: &str = include_str!("../../templates/health.js");

const UP: &str = r#"<svg class="icon is-up" viewBox="0 0 16 16" aria-hidden="true"><path fill-rule="evenodd" d="M8 0a8 8 0 1 1 0 16A8 8 0 0 1 8 0m3.7 5.1-1.1-1-3.6 4.2-1.8-1.7-1.1 1.1 3 2.8z"/></svg>"#;
const DEGRADED: &str = r#"<svg class="icon is-degraded" viewBox="0 0 16 16" aria-hidden="true"><path fill-rule="evenodd" d="M8 .8 16 15H0zM7.2 5.6v4.6h1.6V5.6zm0 5.8V13h1.6v-1.6z"/></svg>"#;
const DOWN: &str = r#"<svg class="icon is-down" viewBox="0 0 16 16" aria-hidden="true"><path fill-rule="evenodd" d="M4.7 0h6.6L16 4.7v6.6L11.3 16H4.7L0 11.3V4.7zm.8 4.4L4.4 5.5 6.9 8l-2.5 2.5 1.1 1.1L8 9.1l2.5 2.5 1.1-1.1L9.1 8l2.5-2.5-1.1-1.1L8 6.9z"/></svg>"#;

#[derive(Template)]
#[template(path = "health.html")]
struct Page<'a> {
    title: &'a str,
    word: &'static str,
    at: String,
    css: &'static str,
    script: &'static str,
    status: &'a str,
}

/// What changes.
#[derive(Template)]
#[template(path = "health_status.html")]
struct Status {
    overall: State,
    headline: &'static str,
    checked: Option<String>,
    uptime: [(&'static str, String); 3],
    services: Vec<Service>,
    incidents: Vec<Incident>,
    outside: Option<String>,
}

/// A level as it looks: a class, a word and a form, so that none of it is said by colour alone.
struct State {
    class: &'static str,
    word: &'static str,
    icon: &'static str,
}

struct Service {
    name: String,
    state: State,
    uptime: String,
    said: String,
    /// Days that have nothing to say: class and path.
    bars: Vec<(&'static str, String)>,
    /// Days that have.
    days: Vec<Day>,
    times: Option<Times>,
}

struct Day {
    class: &'static str,
    x: usize,
    /// Days that were better stand lower, so that it is not colour alone.
    y: u8,
    title: String,
}

struct Times {
    said: String,
    label: String,
    path: String,
}

struct Incident {
    service: String,
    state: State,
    lasts: bool,
    when: String,
}

impl Health {
    /// The page for people, who have asked for this authority; `None` where there is none.
    pub(crate) fn page(&self, site: usize, authority: &str) -> Option<Response<Bytes>> {
        let shown = self.shown(site).filter(|_| self.has_page())?;
        let mut response = Response::new(Bytes::from(page(&shown, authority)));
        if shown.level == Level::Down {
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Ok(policy) = HeaderValue::try_from(policy()) {
            headers.insert(CONTENT_SECURITY_POLICY, policy);
        }
        Some(response)
    }
}

/// Nothing but what stands in the page itself.
fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// A site of any host is called as it was asked for.
fn page(shown: &Shown, authority: &str) -> String {
    let title = if shown.title.is_empty() { sites::without_port(authority) } else { &shown.title };
    let (word, at, status) = (shown.level.as_str(), moment(shown.at), shown.fragment());
    Page { title, word, at, css: STYLE, script: SCRIPT, status }.render().unwrap_or_default()
}

impl Shown {
    /// The part that changes, as HTML: made once for all who ask.
    pub(super) fn fragment(&self) -> &str {
        self.fragment.get_or_init(|| fragment(self))
    }
}

fn fragment(shown: &Shown) -> String {
    let headline = match shown.level {
        Level::Operational => "Everything works",
        Level::Degraded => "It works, with limits",
        Level::Down => "The site has trouble",
    };
    let uptime = |n: usize| percent(shown.uptime.get(n).copied().flatten());
    let status = Status {
        overall: State::of(shown.level),
        headline,
        checked: (shown.checked > 0).then(|| moment(shown.checked)),
        uptime: [("24 hours", uptime(0)), ("7 days", uptime(1)), ("90 days", uptime(2))],
        services: shown.services.iter().map(|service| Service::of(service, shown.at)).collect(),
        incidents: shown.incidents.iter().map(|(name, incident)| Incident::of(name, incident, shown.at)).collect(),
        outside: outside(shown),
    };
    status.render().unwrap_or_default()
}

fn outside(shown: &Shown) -> Option<String> {
    shown.monitored.then(|| match &shown.monitor {
        Some(monitor) => {
            let said = monitor.status.as_deref().unwrap_or("an answer without a state");
            format!("The monitor that watches from elsewhere says: {said} ({}).", moment(monitor.at))
        }
        None => "The monitor that watches from elsewhere can't be reached from here.".to_owned(),
    })
}

impl State {
    const fn of(level: Level) -> Self {
        let (class, icon) = match level {
            Level::Operational => ("up", UP),
            Level::Degraded => ("degraded", DEGRADED),
            Level::Down => ("down", DOWN),
        };
        Self { class, word: level.as_str(), icon }
    }
}

impl Service {
    fn of(seen: &Seen, now: u64) -> Self {
        let (mut up, mut unknown, mut days) = (String::new(), String::new(), Vec::new());
        let mut troubled = 0;
        for (n, shares) in seen.days.iter().enumerate() {
            let x = n * 4;
            let path = match shares.worst() {
                None => &mut unknown,
                Some(Level::Operational) => &mut up,
                Some(level) => {
                    troubled += 1;
                    let title = format!("{}: {}", day(now, seen.days.len() - n - 1), said(shares));
                    let y = if level == Level::Down { 0 } else { 10 };
                    days.push(Day { class: State::of(level).class, x, y, title });
                    continue;
                }
            };
            // Writing to a String does not fail.
            let _ = match shares.worst() {
                None => write!(path, "M{x} 24h3v8h-3z"),
                Some(_) => write!(path, "M{x} 0h3v32h-3z"),
            };
        }
        let bars = [("up", up), ("unknown", unknown)].into_iter().filter(|(_, path)| !path.is_empty()).collect();
        let quarter = seen.uptime.last().copied().flatten();
        let trouble = match troubled {
            0 => "no day with trouble".to_owned(),
            1 => "one day with trouble".to_owned(),
            many => format!("{many} days with trouble"),
        };
        Self {
            name: seen.name.clone(),
            state: State::of(seen.level),
            uptime: quarter.map_or_else(|| "not known yet".to_owned(), |_| format!("{} uptime", percent(quarter))),
            said: format!("The last {DAYS} days: {} uptime, {trouble}", percent(quarter)),
            bars,
            days,
            times: Times::of(seen),
        }
    }
}

impl Times {
    /// A line over the last day, with gaps where nothing was measured; `None` before there are two points.
    fn of(seen: &Seen) -> Option<Self> {
        let known = || seen.times.iter().flatten();
        let (most, count) = (known().max().copied()?, known().count());
        if count < 2 {
            return None;
        }
        let sum: u64 = known().sum();
        let mean = sum / u64::try_from(count).ok()?;
        let mut path = String::new();
        let mut pen = 'M';
        for (n, millis) in seen.times.iter().enumerate() {
            match millis {
                Some(millis) => {
                    // Tenths of the chart's height, from its top.
                    let y = 270 - 250 * millis / most.max(1);
                    let _ = write!(path, "{pen}{n} {}.{}", y / 10, y % 10);
                    pen = 'L';
                }
                None => pen = 'M',
            }
        }
        let in_words = |millis: u64| if millis == 0 { "under 1 ms".to_owned() } else { format!("{millis} ms") };
        let now = seen.millis.map_or_else(String::new, |millis| format!("{} now, ", in_words(millis)));
        let usual = in_words(mean);
        Some(Self {
            said: format!("{now}{usual} on average in 24 hours"),
            label: format!(
                "Response times of the last 24 hours: {usual} on average, {most} ms in the slowest ten minutes"
            ),
            path,
        })
    }
}

impl Incident {
    fn of(service: &str, incident: &Happened, now: u64) -> Self {
        let took = span(incident.to.unwrap_or(now).saturating_sub(incident.from));
        let when = match incident.to {
            Some(to) => format!("{} to {} ({took})", moment(incident.from), moment(to)),
            None => format!("since {} ({took})", moment(incident.from)),
        };
        let service = service.to_owned();
        Self { service, state: State::of(incident.worst), lasts: incident.to.is_none(), when }
    }
}

/// A day's shares in words.
fn said(shares: &Shares) -> String {
    let parts = [(shares.down, "down"), (shares.degraded, "degraded"), (shares.unknown, "not known")];
    let parts: Vec<_> = parts
        .iter()
        .filter(|(seconds, _)| *seconds > 0)
        .map(|(seconds, what)| format!("{} {what}", span(*seconds)))
        .collect();
    parts.join(", ")
}

fn percent(hundredths: Option<u64>) -> String {
    match hundredths {
        None => "–".to_owned(),
        Some(10_000) => "100 %".to_owned(),
        Some(hundredths) => format!("{}.{:02} %", hundredths / 100, hundredths % 100),
    }
}

/// A duration for people, in the two units that matter.
fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, 0) => format!("{hours} h"),
        (0, ..) => format!("{hours} h {minutes} min"),
        (_, 0, _) => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

fn date(at: u64) -> OffsetDateTime {
    let at = i64::try_from(at).ok().and_then(|at| OffsetDateTime::from_unix_timestamp(at).ok());
    at.unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn month(at: OffsetDateTime) -> &'static str {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    MONTHS.get(usize::from(u8::from(at.month())) - 1).copied().unwrap_or_default()
}

/// `28 Nov, 18:00`
fn moment(at: u64) -> String {
    let at = date(at);
    format!("{} {}, {:02}:{:02}", at.day(), month(at), at.hour(), at.minute())
}

/// The day so many days ago.
fn day(now: u64, back: usize) -> String {
    let at = date(now.saturating_sub(u64::try_from(back).unwrap_or(0) * 86_400));
    format!("{} {}", at.day(), month(at))
}

#[cfg(test)]
mod tests {
    use super::{day, moment, percent, span};

    #[test]
    fn figures_for_people() {
        assert_eq!([None, Some(10_000), Some(9_999), Some(5)].map(percent), ["–", "100 %", "99.99 %", "0.05 %"]);
        let spans = [5, 60, 3_599, 3_600, 5_400, 86_400, 100_000].map(span);
        assert_eq!(spans, ["5 s", "1 min", "59 min", "1 h", "1 h 30 min", "1 d", "1 d 3 h"]);
        assert_eq!((moment(1_790_000_000), day(1_790_000_000, 21)), ("21 Sep, 14:13".to_owned(), "31 Aug".to_owned()));
    }
}
