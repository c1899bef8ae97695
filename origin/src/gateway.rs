//! What all cores share, and what each has of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio_util::task::TaskTracker;

use crate::config::{Config, Site};
use crate::drain::Drain;
use crate::files::Files;
use crate::flights::{self, Flights};
use crate::health::Health;
use crate::limits::connections::Connections;
use crate::limits::descriptors;
use crate::limits::rate::Rates;
use crate::metrics::Metrics;
use crate::orders::Orders;
use crate::ranges::Ranges;
use crate::sites::Sites;
use crate::store::EntryStore;
use crate::traces::Traces;
use crate::turnstile::Turnstile;
use crate::uploads::Uploads;
use crate::upstream::{self, Pool};
use crate::webhooks::Webhooks;
use crate::zone_cache::ZoneCache;

/// The gateway's state, shared by all cores.
pub struct Gateway {
    /// The configuration.
    pub config: Config,
    /// The sites by host.
    pub sites: Sites,
    /// The native cache.
    pub store: EntryStore,
    /// What the operator has ordered: purges, and what holds until it is ordered otherwise.
    pub orders: Orders,
    /// Cloudflare's cache of our zone, where we may purge it.
    pub(crate) zone_cache: Option<ZoneCache>,
    /// Who says whether a challenge was passed, where visitors are challenged.
    pub(crate) turnstile: Option<Turnstile>,
    /// Where spans of requests go, where anywhere.
    pub(crate) traces: Option<Arc<Traces>>,
    /// Cloudflare's addresses.
    pub(crate) ranges: Ranges,
    /// How often one client may do something.
    pub(crate) rates: Rates,
    /// Who tells us of something, and how it shows who it is.
    pub(crate) webhooks: Webhooks,
    /// Where clients upload.
    pub(crate) uploads: Uploads,
    /// Requests under way for an answer that others wait for, and those that freshen what is stored.
    pub(crate) flights: Flights,
    pub(crate) refreshes: Flights,
    /// The way to the buckets, for the private API.
    pub(crate) files: Files,
    /// What the health endpoints say.
    pub health: Health,
    /// Whether we are going down.
    pub draining: Drain,
    /// Whether an operator has us out of the rotation: we serve, and say that we are not ready.
    pub resting: AtomicBool,
    /// What has been counted.
    pub metrics: Metrics,
    /// The open connections.
    pub(crate) connections: Arc<Connections>,
    /// The app of each site, by the site's number.
    pub(crate) apps: Vec<Arc<upstream::App>>,
}

impl Gateway {
    /// From a checked configuration.
    #[must_use]
    pub fn new(config: Config, draining: Drain) -> Arc<Self> {
        let limits = &config.limits;
        let ranges = Ranges::of(config.state.as_ref());
        let connections = Connections::new(
            descriptors::connections(limits.connections as usize),
            limits.connections_per_client as usize,
            ranges.clone(),
        );
        let apps = upstream::of_sites(&config.sites, limits, &config.timeouts);
        let zone_cache = config.cloudflare.as_ref().and_then(|cloudflare| match ZoneCache::new(cloudflare) {
            Ok(zone) => Some(zone),
            Err(error) => {
                tracing::error!(error, "Cloudflare can't be asked to purge");
                None
            }
        });
        let turnstile = config.turnstile.as_ref().and_then(|settings| match Turnstile::new(settings) {
            Ok(turnstile) => Some(turnstile),
            Err(error) => {
                tracing::error!(error, "Turnstile can't be asked: rules that challenge block");
                None
            }
        });
        Arc::new(Self {
            turnstile,
            connections,
            resting: AtomicBool::new(false),
            metrics: Metrics::new(config.sites.len(), &apps, config.state.as_ref().map(|state| state.folder.as_path())),
            apps,
            sites: Sites::new(config.sites.clone()),
            store: EntryStore::new(&config.cache),
            orders: Orders::of(config.state.as_ref().map(|state| state.folder.as_path()), config.peer.is_some()),
            zone_cache,
            ranges,
            rates: Rates::new(&config.rates),
            webhooks: Webhooks::new(&config.webhooks),
            uploads: Uploads::new(&config.uploads),
            flights: Flights::new(flights::ALONE),
            refreshes: Flights::new(flights::ALONE),
            files: Files::new(&config),
            health: Health::new(&config),
            traces: config.traces.as_ref().map(Traces::new),
            config,
            draining,
        })
    }
}

impl Gateway {
    /// Each app once, with the first site that it serves.
    pub(crate) fn distinct_apps(&self) -> impl Iterator<Item = (&Site, &Arc<upstream::App>)> {
        let mut known = Vec::new();
        self.sites.all().iter().zip(&self.apps).filter(move |(_, app)| {
            let new = !known.contains(&app.number());
            known.push(app.number());
            new
        })
    }
}

/// What one core has of its own.
pub(crate) struct Core {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) pool: Pool,
    /// The connections from downstream.
    pub(crate) connections: TaskTracker,
    /// Those of them that have switched to another protocol.
    pub(crate) upgraded: TaskTracker,
}
