//! What all cores share, and what each has of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use crate::config::Config;
use crate::health::Health;
use crate::limits::concurrency::Concurrency;
use crate::limits::connections::Connections;
use crate::sites::Sites;
use crate::store::EntryStore;
use crate::upstream::{Held, Pool};

/// The gateway's state, shared by all cores.
pub struct Gateway {
    /// The configuration.
    pub config: Config,
    /// The sites by host.
    pub sites: Sites,
    /// The native cache.
    pub store: EntryStore,
    /// What the health endpoints say.
    pub health: Health,
    /// Whether we are going down.
    pub draining: watch::Receiver<bool>,
    /// The open connections.
    pub(crate) connections: Arc<Connections>,
    /// How many requests may be with a site's app, by the site's number; sites with one app share it.
    pub(crate) concurrency: Vec<Arc<Concurrency>>,
    /// The requests that wait for an app.
    pub(crate) held: Held,
}

impl Gateway {
    /// From a checked configuration.
    #[must_use]
    pub fn new(config: Config, draining: watch::Receiver<bool>) -> Arc<Self> {
        let limits = &config.limits;
        let connections = Connections::new(limits.connections as usize, limits.connections_per_client as usize);
        let mut by_app = HashMap::new();
        let concurrency = config.sites.iter().map(|site| {
            let new = || Concurrency::new(limits.in_flight, Instant::now());
            Arc::clone(by_app.entry(&site.app).or_insert_with(new))
        });
        Arc::new(Self {
            connections,
            held: Held::new(limits.held),
            concurrency: concurrency.collect(),
            sites: Sites::new(config.sites.clone()),
            store: EntryStore::new(&config.cache),
            health: Health::new(&config.sites),
            config,
            draining,
        })
    }
}

/// What one core has of its own.
pub(crate) struct Core {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) pool: Pool,
}
