//! Health: what is looked at in the background, how it was, and what `/api/health` and `/health` say of it.
//!
//! ```text
//! look (one probe, every few seconds) ▸ track (levels that last) ▸ shown (a picture of everything) ▸ answer, page
//!                                            ▾ history (a file)
//! ```
//!
//! Asking costs nothing and never hangs: whoever asks gets the last picture. An answer is never stored.

mod answer;
mod history;
mod level;
mod live;
mod look;
mod page;
mod shown;
mod timeline;
mod track;
mod watching;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use tokio::sync::{Notify, Semaphore, watch};

pub use history::{All, History, KEPT, Kept};
pub use level::{Bounds, Level};
pub use timeline::{Incident, MOST_SPANS, Shares, Span, Timeline};
pub use track::{POINT, Pace, Point, Track};

pub(crate) use answer::Asked;
use look::{Found, Seen};
use shown::{Shown, View};

use crate::body::Body;
use crate::config::{self, Bucket, Config, HealthOwner, HostPattern, Probe, Site, Storage, What};
use crate::drain::Drain;
use crate::listen::Identity;
use crate::storage::{Store, Transport};

/// Where the monitor asks.
pub const PATH: &str = contract::HEALTH;
/// Where people look, and where their browsers hear what changes.
pub const PAGE: &str = contract::STATUS_PAGE;
const EVENTS: &str = "/health/events";

/// How often an app is tried, and how long it may take.
const INTERVAL: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(2);
/// Calls of a bucket's probe: less patient than others, so that it can say what is wrong within the probe's time.
const CALLS: Storage = Storage {
    at_once: 4,
    rate: 10,
    attempt: config::Span(Duration::from_secs(3)),
    within: config::Span(Duration::from_secs(8)),
};
/// The service that apps are, where the configuration does not name one.
const APP: &str = "app";
/// The service that certificates are.
const CERTIFICATES: &str = "certificates";

/// What is known of the site's parts. A clone is the same.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    started: Instant,
    probes: Vec<Watched>,
    views: Vec<View>,
    /// The view of each site, by the site's number.
    of_sites: Vec<usize>,
    around: Around,
    state: Mutex<State>,
    shown: ArcSwap<Vec<Arc<Shown>>>,
    settings: Option<config::Health>,
    /// Something has changed that should be kept.
    changed: Notify,
    /// There is a new picture.
    news: watch::Sender<()>,
    /// Places of those that have the page open.
    subscribers: Arc<Semaphore>,
}

struct Watched {
    probe: Probe,
    /// Not shown while it is operational.
    quiet: bool,
    /// Nobody looks: the certificates' watch says how it is.
    told: bool,
}

/// What metrics count in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Seconds,
    Ratio,
}

/// A probe's last figures, for metrics.
pub(crate) struct Reading<'a> {
    pub(crate) probe: &'a str,
    pub(crate) level: Option<Level>,
    pub(crate) millis: Option<u64>,
    /// A number of seconds, or a share of 1.
    pub(crate) figure: Option<(f64, Base)>,
}

/// What all probes know.
struct State {
    tracks: Vec<Track>,
    seen: Vec<Option<Seen>>,
    shown_at: Option<Instant>,
    /// Up to when everything is kept.
    kept_until: u64,
}

/// What looks need besides their own probe.
struct Around {
    buckets: BTreeMap<String, Result<Stores, String>>,
    /// What holds the certificates, once something looks at them.
    identity: OnceLock<Arc<Identity>>,
}

struct Stores {
    reader: Store,
    writer: Option<Store>,
}

impl Around {
    fn new(probes: &[Probe], buckets: &[Bucket]) -> Self {
        let wanted = |role: &str| {
            probes.iter().any(|probe| matches!(&probe.what, What::Bucket { role: wanted, .. } if wanted == role))
        };
        let stores = |bucket: &Bucket| {
            let transport = Transport::new(&CALLS)?;
            let writer = bucket.writer.as_ref().map(|key| Store::with(&bucket.role, key, &transport));
            Ok(Stores { reader: Store::new(bucket, &transport), writer })
        };
        let buckets = buckets.iter().filter(|bucket| wanted(&bucket.role));
        Self { buckets: buckets.map(|b| (b.role.clone(), stores(b))).collect(), identity: OnceLock::new() }
    }

    fn stores(&self, role: &str) -> Result<&Stores, String> {
        match self.buckets.get(role) {
            Some(Ok(stores)) => Ok(stores),
            Some(Err(why)) => Err(why.clone()),
            None => Err(format!("there is no bucket {role}")),
        }
    }

    fn certificates(&self) -> Result<Found, String> {
        let of_files = self.identity.get().map(|identity| identity.of_files()).unwrap_or_default();
        let Some(first) = of_files.into_iter().min_by_key(|expiry| expiry.validity.not_after) else {
            return Err("there is no certificate of a file".to_owned());
        };
        let (name, until) = (first.name, first.validity.not_after);
        let now = SystemTime::now();
        let left =
            until.duration_since(now).map_or_else(|over| -over.duration().as_secs_f64(), |left| left.as_secs_f64());
        let days = left / 86_400.0;
        let when = humantime::format_rfc3339_seconds(until);
        let says = if days > 0.0 {
            format!("{name} ends at {when}, in {days:.1} days")
        } else {
            format!("{name} ended at {when}, {:.1} days ago", -days)
        };
        Ok(Found::figure(days, "days", says))
    }
}

impl Health {
    /// Nothing is known to be down yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let probes = watched(config);
        let plain: Vec<Probe> = probes.iter().map(|watched| watched.probe.clone()).collect();
        let (views, of_sites) = shown::views(&config.sites, &probes);
        let pace = |probe: &Probe| Pace {
            fall: probe.fall,
            rise: probe.rise,
            reach: (probe.every * 2 + probe.within).as_secs() + 1,
        };
        let state = State {
            tracks: plain.iter().map(|probe| Track::new(pace(probe))).collect(),
            seen: plain.iter().map(|_| None).collect(),
            shown_at: None,
            kept_until: 0,
        };
        let around = Around::new(&plain, &config.buckets);
        let places = config.health.as_ref().map_or(0, |health| health.subscribers as usize);
        let health = Self(Arc::new(Inner {
            started: Instant::now(),
            probes,
            views,
            of_sites,
            around,
            state: Mutex::new(state),
            shown: ArcSwap::default(),
            settings: config.health.clone(),
            changed: Notify::new(),
            news: watch::Sender::new(()),
            subscribers: Arc::new(Semaphore::new(places)),
        }));
        health.show(&mut lock(&health.0.state), seconds(SystemTime::now()));
        health
    }

    /// Whether there is a status page.
    pub(crate) fn has_page(&self) -> bool {
        self.0.settings.is_some()
    }

    /// The answer to what is asked below [`PAGE`] of this authority; `None` where that is the app's.
    pub(crate) fn at(&self, path: &str, site: usize, authority: &str, draining: &Drain) -> Option<Response<Body>> {
        if !self.has_page() {
            return None;
        }
        if path == PAGE {
            return self.page(site, authority).map(|page| page.map(Body::full));
        }
        if path != EVENTS {
            return None;
        }
        let mut response = match self.events(site, draining.clone()) {
            Some(events) => Response::new(Body::own(axum::body::Body::new(events))),
            None => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
                response
            }
        };
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }

    /// Whether an app did what is asked of it when it was last looked at.
    pub(crate) fn accepts(&self, app: &config::App) -> bool {
        let state = lock(&self.0.state);
        let of_app = self.0.probes.iter().zip(&state.seen).find_map(|(watched, seen)| match &watched.probe.what {
            What::App { app: known, .. } if known == app => Some(seen),
            _ => None,
        });
        of_app.and_then(Option::as_ref).is_none_or(|seen| seen.level != Level::Down)
    }

    /// Says whether a certificate of a file ends soon.
    pub(crate) fn set_certificates(&self, soon: bool) {
        let Some(n) = self.0.probes.iter().position(|watched| watched.told) else { return };
        if let Ok(found) = self.0.around.certificates() {
            self.observed(n, found.told(if soon { Level::Degraded } else { Level::Operational }));
        }
    }

    /// What each probe has seen, for metrics.
    pub(crate) fn readings(&self) -> Vec<Reading<'_>> {
        let state = lock(&self.0.state);
        let now = seconds(SystemTime::now());
        let probes = self.0.probes.iter().zip(&state.tracks).zip(&state.seen);
        probes
            .map(|((watched, track), seen)| Reading {
                probe: &watched.probe.name,
                level: track.level(now),
                millis: seen.as_ref().and_then(|seen| seen.millis),
                figure: seen.as_ref().and_then(|seen| seen.figure).map(look::Figure::in_base),
            })
            .collect()
    }

    /// Takes what a probe has seen.
    fn observed(&self, n: usize, seen: Seen) {
        let now = seconds(SystemTime::now());
        let mut state = lock(&self.0.state);
        let (Some(watched), Some(track)) = (self.0.probes.get(n), state.tracks.get_mut(n)) else { return };
        let before = track.level(now);
        let changed = track.observe(now, seen.level, seen.millis);
        let probe = &watched.probe.name;
        if changed {
            let level = track.level(now).unwrap_or(seen.level).as_str();
            let why = &seen.says;
            match (before, seen.level) {
                (None, Level::Operational) => tracing::info!(probe, level, why, "a probe has its first result"),
                (_, Level::Operational) => tracing::info!(probe, level, why, "a probe has changed its level"),
                _ => tracing::warn!(probe, level, why, "a probe has changed its level"),
            }
        }
        if let Some(place) = state.seen.get_mut(n) {
            *place = Some(seen);
        }
        // One a second is enough for figures; what has changed is seen at once.
        if changed || state.shown_at.is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
            self.show(&mut state, now);
        }
        drop(state);
        if changed {
            self.0.changed.notify_one();
        }
    }

    /// Makes the picture anew.
    fn show(&self, state: &mut State, now: u64) {
        state.shown_at = Some(Instant::now());
        let shown = self.0.views.iter().map(|view| Arc::new(Shown::of(view, &self.0.probes, state, now)));
        self.0.shown.store(Arc::new(shown.collect()));
        self.0.news.send_replace(());
    }

    /// The picture for a site.
    fn shown(&self, site: usize) -> Option<Arc<Shown>> {
        self.0.shown.load().get(*self.0.of_sites.get(site)?).cloned()
    }
}

/// The probes of the configuration, and those that nobody need ask for: the apps, and certificates that end.
fn watched(config: &Config) -> Vec<Watched> {
    let mut all: Vec<Watched> = Vec::new();
    let plain = |name: String, service: &str, hosts: Vec<HostPattern>, what: What| Probe {
        name,
        service: service.to_owned(),
        hosts,
        every: INTERVAL,
        within: WITHIN,
        fall: 2,
        rise: 2,
        vital: true,
        bounds: Bounds::default(),
        what,
    };
    let mut known: Vec<(&config::App, bool)> = Vec::new();
    for site in &config.sites {
        let both = site.health == HealthOwner::Both;
        if known.contains(&(&site.app, both)) {
            continue;
        }
        known.push((&site.app, both));
        let is_asked = |probe: &Probe| matches!(&probe.what, What::App { app, .. } if *app == site.app);
        if !both && config.probes.iter().any(is_asked) {
            continue;
        }
        let of_app: Vec<&Site> = config
            .sites
            .iter()
            .filter(|other| other.app == site.app && (other.health == site.health || !both))
            .collect();
        let hosts = of_app.iter().flat_map(|site| site.hosts.iter().cloned()).collect();
        let (name, path) = if both {
            (format!("health:{}", site.name()), Some(PATH.to_owned()))
        } else {
            (format!("{APP}:{}", site.name()), None)
        };
        let host = match site.hosts.first() {
            Some(HostPattern::Exact(name)) => name.clone(),
            Some(HostPattern::Suffix(name)) => name.trim_start_matches('.').to_owned(),
            _ => "localhost".to_owned(),
        };
        let what = What::App { app: site.app.clone(), host, path, expect: None, health: both };
        all.push(Watched { probe: plain(name, APP, hosts, what), quiet: false, told: false });
    }
    all.extend(config.probes.iter().map(|probe| Watched { probe: probe.clone(), quiet: false, told: false }));
    if config.tls.is_some() && !config.probes.iter().any(|probe| matches!(probe.what, What::Certificates)) {
        let probe = plain(CERTIFICATES.to_owned(), CERTIFICATES, Vec::new(), What::Certificates);
        // Told once a minute; at once for the better, too.
        let probe = Probe { vital: false, every: Duration::from_secs(60), fall: 1, rise: 1, ..probe };
        all.push(Watched { probe, quiet: true, told: true });
    }
    all
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
