//! Metrics, for whoever asks `/metrics` on the private listener.
//!
//! Each core counts for itself (`counts.rs`); a scrape adds the cores up and reads the rest where it stands (`scrape.rs`). Labels
//! come from the configuration and from words of ours, never from a client, so there are as many series as that makes.

mod conventions;
mod counts;
mod day;
mod families;
mod isolates;
mod process;
mod sample;
mod scrape;
mod tally;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::runtime::RuntimeMetrics;

use crate::upstream::{App, Pool};

use conventions::Known;
pub(crate) use counts::{Counts, Ended, Event, Failure, UpstreamCounts, count, event};
pub(crate) use isolates::Isolates;
pub(crate) use process::{max_fds, open_fds};
pub use sample::{Change, Sample};
pub(crate) use scrape::{Format, scrape};

/// What has been counted since the start.
pub struct Metrics {
    /// The series of requests by site; the last is for requests that belong to none.
    known: Arc<[Known]>,
    /// Apps, upstreams of all apps.
    sizes: [usize; 2],
    cores: Mutex<Vec<(Arc<Counts>, Pool, RuntimeMetrics)>>,
    certificates: Mutex<Vec<Certificate>>,
    started: SystemTime,
    /// What the Worker has counted.
    pub(crate) isolates: Isolates,
}

/// A certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// What it is called, in words of the configuration: a host, or the section that names its file.
    pub name: String,
    /// When it expires.
    pub not_after: SystemTime,
}

impl Metrics {
    /// Nothing has been counted yet. `apps` are those of the sites; what outlives the process lies in `state`, where there is one.
    pub(crate) fn new(sites: usize, apps: &[Arc<App>], state: Option<&Path>) -> Self {
        let count = apps.iter().map(|app| app.number() + 1).max().unwrap_or(0);
        let upstreams = apps.iter().map(|app| app.series().end).max().unwrap_or(0);
        let (known, sizes) = ((0..=sites).map(|_| Known::default()).collect(), [count, upstreams]);
        Self {
            known,
            sizes,
            cores: Mutex::default(),
            certificates: Mutex::default(),
            started: SystemTime::now(),
            isolates: Isolates::kept_in(state),
        }
    }

    /// Has this thread count as a core of its own, for as long as it and its runtime run.
    pub(crate) fn count_on_this_thread(&self, pool: &Pool, runtime: RuntimeMetrics) {
        let [apps, upstreams] = self.sizes;
        let own = Arc::new(Counts::new(Arc::clone(&self.known), apps, upstreams));
        lock(&self.cores).push((Arc::clone(&own), pool.clone(), runtime));
        counts::count_in(own);
    }

    /// Says which certificates are in use, in place of those before.
    pub fn set_certificates(&self, certificates: Vec<Certificate>) {
        *lock(&self.certificates) = certificates;
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
