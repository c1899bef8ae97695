//! What all cores share, and what each has of its own.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::health::Health;
use crate::limits::connections::Connections;
use crate::limits::descriptors;
use crate::sites::Sites;
use crate::store::EntryStore;
use crate::upstream::{self, Pool};

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
    /// The app of each site, by the site's number.
    pub(crate) apps: Vec<Arc<upstream::App>>,
}

impl Gateway {
    /// From a checked configuration.
    #[must_use]
    pub fn new(config: Config, draining: watch::Receiver<bool>) -> Arc<Self> {
        let limits = &config.limits;
        let connections = Connections::new(
            descriptors::connections(limits.connections as usize),
            limits.connections_per_client as usize,
        );
        Arc::new(Self {
            connections,
            apps: upstream::of_sites(&config.sites, limits, &config.timeouts),
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
