//! Health: `/api/health` on every site for the monitor, `/livez` and `/readyz` on the private listener.
//!
//! The state is found in the background, so that asking costs nothing and never hangs. An answer is never stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};
use serde::Serialize;
use tokio::net::{TcpStream, UnixStream};

use crate::config::{self, AppAddress, Site};
use crate::trust::Trusted;

/// Where the monitor asks.
pub const PATH: &str = contract::HEALTH;

/// How often an app is tried, and how long it may take to accept a connection.
const INTERVAL: Duration = Duration::from_secs(5);
const WITHIN: Duration = Duration::from_secs(2);

/// What is known of the site's parts.
#[derive(Clone)]
pub struct Health {
    started: Instant,
    apps: Arc<[App]>,
    /// Whether a certificate of a file is about to end.
    expiring: Arc<AtomicBool>,
}

struct App {
    app: config::App,
    hosts: String,
    up: AtomicBool,
}

/// The JSON of `/api/health`.
#[derive(Serialize)]
struct Answer<'a> {
    status: &'static str,
    /// Which way the request came: `edge-signed`, `cloudflare` or `direct`.
    via: &'static str,
    uptime_seconds: u64,
    services: Vec<Service<'a>>,
    external_monitoring: Option<()>,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'static str,
    sites: &'a str,
    status: &'static str,
}

const OPERATIONAL: &str = "Operational";
const DEGRADED: &str = "Degraded";
const ISSUES: &str = "Issues Detected";

impl Health {
    /// Nothing is known to be down yet.
    #[must_use]
    pub fn new(sites: &[Site]) -> Self {
        let mut apps: Vec<App> = Vec::new();
        for site in sites {
            if !apps.iter().any(|a| a.app == site.app) {
                let of_app = sites.iter().filter(|s| s.app == site.app).flat_map(|s| &s.hosts);
                let hosts = of_app.map(ToString::to_string).collect::<Vec<_>>().join(", ");
                apps.push(App { app: site.app.clone(), hosts, up: AtomicBool::new(true) });
            }
        }
        Self { started: Instant::now(), apps: apps.into(), expiring: Arc::default() }
    }

    /// Tries every app, for as long as the runtime lives.
    pub async fn watch(self) {
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            for app in self.apps.iter() {
                let up = any_accepts(&app.app).await;
                if app.up.swap(up, Ordering::Relaxed) != up {
                    tracing::warn!(app = %app.app, up, "the app has changed its state");
                }
            }
        }
    }

    /// Whether an app accepted a connection when it was last tried.
    pub(crate) fn accepts(&self, app: &config::App) -> bool {
        self.apps.iter().find(|known| known.app == *app).is_none_or(|known| known.up.load(Ordering::Relaxed))
    }

    /// Says whether a certificate of a file is about to end.
    pub(crate) fn set_expiring(&self, expiring: bool) {
        self.expiring.store(expiring, Ordering::Relaxed);
    }

    /// The answer to the monitor: 200 as long as the site can serve, else 503.
    #[must_use]
    pub fn answer(&self, trusted: Trusted) -> Response<Bytes> {
        let mut services: Vec<_> = self
            .apps
            .iter()
            .map(|app| Service {
                name: "app",
                sites: &app.hosts,
                status: if app.up.load(Ordering::Relaxed) { OPERATIONAL } else { ISSUES },
            })
            .collect();
        let up = services.iter().all(|s| s.status == OPERATIONAL);
        let expiring = self.expiring.load(Ordering::Relaxed);
        if expiring {
            services.push(Service { name: "certificates", sites: "", status: DEGRADED });
        }
        let answer = Answer {
            status: match (up, expiring) {
                (false, _) => ISSUES,
                (true, true) => DEGRADED,
                (true, false) => OPERATIONAL,
            },
            via: trusted.as_str(),
            uptime_seconds: self.started.elapsed().as_secs(),
            services,
            external_monitoring: None,
        };
        let body = serde_json::to_vec(&answer).unwrap_or_default();
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let headers = response.headers_mut();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        headers.insert("cache-control", http::HeaderValue::from_static("no-store"));
        response
    }
}

/// Whether an app can serve: one of its upstreams will do.
async fn any_accepts(app: &config::App) -> bool {
    for upstream in &app.upstreams {
        if tokio::time::timeout(WITHIN, accepts(&upstream.address)).await.unwrap_or(false) {
            return true;
        }
    }
    false
}

async fn accepts(app: &AppAddress) -> bool {
    match app {
        AppAddress::Tcp(address) => TcpStream::connect(address).await.is_ok(),
        AppAddress::Name(host, port) => TcpStream::connect((host.as_str(), *port)).await.is_ok(),
        AppAddress::Unix(path) => UnixStream::connect(path).await.is_ok(),
    }
}
