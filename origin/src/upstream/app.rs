//! What all cores share of an app: its upstreams, how many requests may be with it, and the queue of those that wait for it.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::balance::{Balance, Change};
use super::resolve::Name;
use super::state::{LastError, MemberState};
use crate::config::{self, AppAddress, Check, Limits, Protocol, Site, Timeouts};
use crate::limits::concurrency::Concurrency;
use crate::metrics::{self, Failure, UpstreamCounts};

/// An app.
#[derive(Debug)]
pub(crate) struct App {
    /// Its place in the pool of each core.
    pub(super) number: usize,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) protocol: Protocol,
    /// Only where there are several upstreams.
    balance: Option<Balance>,
    pub(super) check: Option<Check>,
    pub(super) concurrency: Arc<Concurrency>,
    pub(super) queue: Arc<Queue>,
}

/// One of an app's upstreams.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) address: AppAddress,
    /// Where the address is a name.
    pub(super) name: Option<Name>,
    /// Its number among the upstreams of all apps, by which it is counted.
    pub(super) series: usize,
    last_error: Mutex<Option<LastError>>,
    /// Its address as the log calls it, of which there is one as long as the process lives: each request has it.
    text: &'static str,
}

/// A request that is with an upstream, for as long as it lives.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) app: Arc<App>,
    pub(super) upstream: usize,
}

/// The places of requests that wait for an app to accept connections, for all apps and cores together.
#[derive(Debug)]
pub(super) struct Queue {
    most: u32,
    pub(super) held: AtomicU32,
}

/// A place in the queue.
#[derive(Debug)]
pub(super) struct Place(Arc<Queue>);

/// The app of each site, by the site's number; sites with the same app share it.
pub(crate) fn of_sites(sites: &[Site], limits: &Limits, timeouts: &Timeouts) -> Vec<Arc<App>> {
    let queue = Arc::new(Queue { most: limits.held, held: AtomicU32::new(0) });
    let mut known: HashMap<&config::App, Arc<App>> = HashMap::new();
    let mut apps = Vec::with_capacity(sites.len());
    let mut upstreams = 0;
    for site in sites {
        let number = known.len();
        let new = || {
            let first = upstreams;
            upstreams += site.app.upstreams.len();
            Arc::new(App::new((number, first), &site.app, limits, timeouts, &queue))
        };
        apps.push(Arc::clone(known.entry(&site.app).or_insert_with(new)));
    }
    apps
}

impl App {
    fn new(
        (number, first): (usize, usize),
        app: &config::App,
        limits: &Limits,
        timeouts: &Timeouts,
        queue: &Arc<Queue>,
    ) -> Self {
        let upstreams = app.upstreams.iter().enumerate().map(|(n, upstream)| Upstream {
            series: first + n,
            last_error: Mutex::default(),
            text: Box::leak(upstream.address.to_string().into_boxed_str()),
            address: upstream.address.clone(),
            name: match &upstream.address {
                AppAddress::Name(host, port) => Some(Name::new(host, *port)),
                AppAddress::Tcp(_) | AppAddress::Unix(_) => None,
            },
        });
        let weights = app.upstreams.iter().map(|upstream| upstream.weight);
        let several = app.upstreams.len() > 1;
        Self {
            number,
            upstreams: upstreams.collect(),
            protocol: app.protocol,
            balance: several.then(|| Balance::new(weights, limits.failures, timeouts.ejected.0)),
            check: app.check.clone(),
            concurrency: Concurrency::new(limits.in_flight, limits.failures, Instant::now()),
            queue: Arc::clone(queue),
        }
    }

    /// The upstream for a request, if there is one that is not among `tried`, one bit each.
    pub(super) fn pick(self: &Arc<Self>, tried: u64) -> Option<Load> {
        let upstream = match &self.balance {
            None => (tried == 0).then_some(0),
            Some(balance) => balance.pick(tried, Instant::now(), rand::random()),
        };
        upstream.map(|upstream| Load { app: Arc::clone(self), upstream })
    }

    /// What the log calls the upstream of this number and one; nothing where there is none.
    pub(crate) fn upstream_name(&self, upstream: u32) -> &'static str {
        let upstream = (upstream as usize).checked_sub(1).and_then(|n| self.upstreams.get(n));
        upstream.map_or("", |upstream| upstream.text)
    }

    /// Whether it has several upstreams.
    pub(super) const fn several(&self) -> bool {
        self.balance.is_some()
    }

    pub(super) fn succeeded(&self, upstream: usize) {
        if let Some(balance) = &self.balance {
            self.report(upstream, balance.succeeded(upstream, Instant::now()));
        }
    }

    /// An upstream has failed a request.
    pub(super) fn failed(&self, upstream: usize, failure: Failure, error: &dyn Display) {
        let failed = &self.upstreams[upstream];
        failed.count(|counts| counts.failed(failure));
        let what = format!("{}: {error}", failure.as_str());
        *failed.last_error.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(LastError { at: Instant::now(), what });
        if let Some(balance) = &self.balance {
            self.report(upstream, balance.failed(upstream, Instant::now()));
        }
    }

    pub(super) fn checked(&self, upstream: usize, well: bool) {
        if let Some(balance) = &self.balance {
            self.report(upstream, balance.checked(upstream, well));
        }
    }

    pub(super) fn members(&self, now: Instant) -> Vec<MemberState> {
        self.balance.as_ref().map_or_else(Vec::new, |balance| balance.state(now))
    }

    fn report(&self, upstream: usize, change: Option<Change>) {
        let app = &self.upstreams[upstream].address;
        match change {
            None => {}
            Some(Change::Ejected(time)) => {
                self.upstreams[upstream].count(|counts| counts.ejections.add(1));
                tracing::warn!(app = %app, time = ?time, "ejected: it fails again and again")
            }
            Some(Change::Readmitted) => tracing::info!(app = %app, "readmitted"),
            Some(Change::Ill) => tracing::warn!(app = %app, "its checks fail"),
            Some(Change::Well) => tracing::info!(app = %app, "its checks succeed again"),
        }
    }
}

impl Upstream {
    /// Counts for it, on this core.
    pub(super) fn count(&self, of: impl FnOnce(&UpstreamCounts)) {
        metrics::count(|counts| of(&counts.upstreams[self.series]));
    }

    pub(super) fn last_error(&self) -> Option<LastError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Load {
    /// The upstream.
    pub(super) fn upstream(&self) -> &Upstream {
        &self.app.upstreams[self.upstream]
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(balance) = &self.app.balance {
            balance.left(self.upstream);
        }
    }
}

impl Queue {
    /// A place, if there is one.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Place> {
        if self.held.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.held.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn a_queue_is_bounded_and_who_leaves_makes_room() {
        let queue = Arc::new(Queue { most: 2, held: AtomicU32::new(0) });
        let (first, _second) = (queue.enter().expect("a place"), queue.enter().expect("a place"));
        assert!(queue.enter().is_none());
        assert!(queue.enter().is_none(), "who was refused has taken none");
        drop(first);
        assert!(queue.enter().is_some());
    }
}
