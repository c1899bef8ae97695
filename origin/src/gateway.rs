//! What all cores share, and what each has of its own.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::health::Health;
use crate::sites::Sites;
use crate::store::EntryStore;
use crate::upstream::Pool;

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
}

impl Gateway {
    /// From a checked configuration.
    #[must_use]
    pub fn new(config: Config, draining: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self {
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
