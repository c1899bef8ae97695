//! Certificates of creators' own domains, had by ACME (RFC 8555) when a name is first asked for.
//!
//! ```text
//! handshake ▸ known? ▸ refused lately? ▸ wait ◂ control plane: on disk? ▸ ask the app ▸ order ▸ keep ▸ known
//!                                                              every minute: renew what is due
//! ```
//!
//! A handshake never does the work: it leaves the name with the control plane and waits, for a bounded time, as all others
//! for the same name do. What is known is served whatever the app or the CA do.

mod ask;
mod budget;
mod certificate;
mod challenge;
mod import;
mod issue;
mod name;
mod order;
mod refusals;
mod renew;
mod storage;
mod transport;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use http::Uri;
use moka::sync::Cache;
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use tokio::sync::{Semaphore, mpsc, watch};

use budget::Budget;
use certificate::Certificate;
pub(crate) use certificate::Validity;
pub(crate) use challenge::{PATH, PROTOCOL};
pub use import::{Imported, Outcome, import_caddy};
use name::issuable;
use order::{Ca, Way};
pub(crate) use refusals::Refusal;
use refusals::Refusals;
use storage::Storage;
use transport::Transport;

use crate::config::{self, Config};
use crate::sites::Sites;
use crate::web::Client;

/// Names that are worked on at once; past it a new one is refused.
const AT_ONCE: usize = 64;
/// Handshakes that wait at once.
const WAITING: usize = 1_000;
/// Of the names, those that an app is asked for, and those that are ordered.
const ASKS_AT_ONCE: usize = 8;
const ORDERS_AT_ONCE: usize = 4;
/// New names that one address (or IPv6 /64) may bring in a minute: a flood from a few uses up no other's share.
const PER_CLIENT: u32 = 10;
/// Addresses of which that is remembered.
const CLIENTS: u64 = 10_000;

/// What keeps ACME from being used at all.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The folder can't be made or written to.
    #[error("acme.storage: `{folder}` can't be written to: {error}")]
    Storage {
        /// The CA's folder.
        folder: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// The CA's server can't be known.
    #[error("acme.ca: {0}")]
    Authorities(String),
}

/// All about the names that certificates are had for.
pub(crate) struct Acme {
    sites: Sites,
    wait: Duration,
    storage: Storage,
    ca: Ca,
    known: RwLock<HashMap<String, Arc<Certificate>>>,
    refusals: Refusals,
    flights: Mutex<HashMap<String, Flight>>,
    clients: Cache<IpAddr, Arc<Mutex<Budget>>>,
    asks: Mutex<Budget>,
    orders: Mutex<Budget>,
    waiting: Semaphore,
    asking: Semaphore,
    ordering: Semaphore,
    wanted: mpsc::Sender<Wanted>,
}

/// What handshakes use, and what they want, for [`Acme::run`].
type Opened = (Arc<Acme>, mpsc::Receiver<Wanted>);

/// What a name's work came to, once it has ended.
type Flight = watch::Receiver<Option<Result<(), Refusal>>>;

/// A name that the control plane is to work on.
pub(crate) struct Wanted {
    name: String,
    /// Where its site's app is asked.
    ask: Uri,
    landed: watch::Sender<Option<Result<(), Refusal>>>,
}

impl Acme {
    /// Opens the storage and reads what is in it; nothing where no site wants it. The other part goes to [`run`](Self::run).
    pub(crate) fn open(config: &Config) -> Result<Option<Opened>, AcmeError> {
        let Some(acme) = &config.acme else { return Ok(None) };
        let storage = Storage::new(&acme.storage, &acme.directory);
        let failed = |error| AcmeError::Storage { folder: storage.folder().display().to_string(), error };
        storage.open().map_err(failed)?;
        let mut known = HashMap::new();
        for name in storage.names().map_err(failed)? {
            match storage.certificate(&name) {
                Ok(Some(certificate)) => drop(known.insert(name, Arc::new(certificate))),
                Ok(None) => {}
                // It is ordered anew when it is asked for.
                Err(error) => tracing::error!(name, %error, "a certificate in the storage is not usable"),
            }
        }
        let ca = Ca::new(
            acme,
            ways(&config.listen),
            Transport(Client::new(acme.ca.as_deref()).map_err(AcmeError::Authorities)?),
        );
        let (wanted, wishes) = mpsc::channel(AT_ONCE);
        let (now, minute) = (Instant::now(), Duration::from_secs(60));
        let this = Self {
            sites: Sites::new(config.sites.clone()),
            wait: acme.wait,
            storage,
            ca,
            known: RwLock::new(known),
            refusals: Refusals::new(),
            flights: Mutex::default(),
            clients: Cache::builder().max_capacity(CLIENTS).time_to_idle(minute).build(),
            asks: Mutex::new(Budget::new(acme.asks, minute, now)),
            orders: Mutex::new(Budget::new(acme.orders, minute * 60, now)),
            waiting: Semaphore::new(WAITING),
            asking: Semaphore::new(ASKS_AT_ONCE),
            ordering: Semaphore::new(ORDERS_AT_ONCE),
            wanted,
        };
        Ok(Some((Arc::new(this), wishes)))
    }

    /// The certificate of a name, where it is there.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let lower;
        let name = if name.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = name.to_ascii_lowercase();
            &lower
        } else {
            name
        };
        known.get(name).filter(|c| c.lives(SystemTime::now())).map(|c| Arc::clone(&c.shown))
    }

    /// Where the app of a name's site is asked whether the name is its own; nothing where the site does not use ACME.
    pub(crate) fn asks(&self, name: &str) -> Option<&Uri> {
        self.sites.all().get(self.sites.find(name)?)?.acme_ask.as_ref()
    }

    /// Comes back when the name's certificate is there, at once where it is known. `client` wants it; `ask` is its
    /// site's ([`asks`](Self::asks)).
    pub(crate) async fn ready(&self, name: &str, ask: &Uri, client: IpAddr) -> Result<(), Refusal> {
        if self.find(name).is_some() {
            return Ok(());
        }
        let name = issuable(name).ok_or(Refusal::Name)?;
        let now = Instant::now();
        if let Some(why) = self.refusals.find(&name, now) {
            return Err(why);
        }
        let _place = self.waiting.try_acquire().map_err(|_| Refusal::Busy)?;
        let mut flight = self.board(name, ask, client, now)?;
        let landed = tokio::time::timeout(self.wait, flight.wait_for(Option::is_some)).await;
        // The sender is gone when the control plane is.
        landed.map_or(Err(Refusal::Waiting), |landed| landed.ok().and_then(|l| *l).unwrap_or(Err(Refusal::Busy)))
    }

    /// The work on a name: what goes on already, else new work, where there is room for it.
    fn board(&self, name: String, ask: &Uri, client: IpAddr, now: Instant) -> Result<Flight, Refusal> {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&name) {
            return Ok(flight.clone());
        }
        // Behind loopback stands a proxy of ours, with many clients.
        let share = (!client.is_loopback()).then(|| {
            self.clients
                .get_with(group(client), || Arc::new(Mutex::new(Budget::new(PER_CLIENT, Duration::from_secs(60), now))))
        });
        // The client's share first, so that it uses up nothing of the others'.
        let may = share.is_none_or(|share| lock(&share).take(now));
        if flights.len() >= AT_ONCE || !may || !lock(&self.asks).take(now) {
            return Err(Refusal::Busy);
        }
        let (landed, flight) = watch::channel(None);
        let wanted = Wanted { name: name.clone(), ask: ask.clone(), landed };
        self.wanted.try_send(wanted).map_err(|_| Refusal::Busy)?;
        flights.insert(name, flight.clone());
        Ok(flight)
    }

    /// TLS for a CA that looks whether a name is ours; nothing where it has no reason to.
    pub(crate) fn challenge_over_tls(&self, name: &str) -> Option<Arc<ServerConfig>> {
        let name = issuable(name)?;
        let config = challenge::over_tls(&name, &self.storage.challenge(&name)?);
        config.inspect_err(|error| tracing::error!(name, %error, "a challenge can't be answered")).ok()
    }

    /// The same over HTTP: what to answer to a path.
    pub(crate) fn challenge_over_http(&self, name: &str, path: &str) -> Option<String> {
        challenge::over_http(path, self.storage.challenge(&issuable(name)?)?)
    }

    /// Every name with a certificate, and when that is good.
    pub(crate) fn validities(&self) -> Vec<(String, Validity)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(name, certificate)| (name.clone(), certificate.validity)).collect()
    }
}

/// TLS first: that clients reach us over it we know, for one is waiting.
fn ways(listen: &config::Listen) -> Vec<Way> {
    let tls = (!listen.https.is_empty()).then_some(Way::Tls);
    let http = (!listen.redirect.is_empty()).then_some(Way::Http);
    tls.into_iter().chain(http).collect()
}

/// Who counts as one client: an IPv6 network of a household has 2^64 addresses.
fn group(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{AT_ONCE, Acme, PER_CLIENT, Refusal, group};
    use crate::config;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Instant;

    /// Nobody works on what is wanted.
    fn idle(asks: u32) -> (tempfile::TempDir, Arc<Acme>, tokio::sync::mpsc::Receiver<super::Wanted>) {
        let folder = tempfile::TempDir::new().expect("a folder");
        let pem = folder.path().join("ca.pem");
        let pair = rcgen::generate_simple_self_signed(vec!["c.example".to_owned()]).expect("a certificate");
        std::fs::write(&pem, pair.cert.pem()).expect("written");
        let text = format!(
            "tls = {{ cert = {pem:?}, key = {pem:?} }}\nacme = {{ ca = {pem:?}, storage = {:?}, asks = {asks} }}\n\
             [[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"\nacme_ask = \"http://127.0.0.1:1/\"\n",
            folder.path().join("storage")
        );
        let config = config::parse(&text).expect("a good configuration");
        let (acme, wishes) = Acme::open(&config).expect("opened").expect("a site has it");
        (folder, acme, wishes)
    }

    #[test]
    fn a_client_has_its_share_and_all_together_theirs() {
        let (_folder, acme, _wishes) = idle(2 * PER_CLIENT + 5);
        let now = Instant::now();
        let ask = acme.asks("a.example").expect("the site has it");
        let had = |client: &str| {
            let client: IpAddr = client.parse().expect("an address");
            let names =
                (0..2 * PER_CLIENT).map(|n| format!("{}.{n}.example", client.to_string().replace([':', '.'], "-")));
            names.filter(|name| acme.board(name.clone(), ask, client, now).is_ok()).count()
        };
        assert_eq!(had("192.0.2.1"), PER_CLIENT as usize);
        assert_eq!(had("2001:db8::1"), PER_CLIENT as usize);
        assert_eq!(had("2001:db8::2"), 0, "of the same network");
        assert_eq!(had("2001:db8:0:1::2"), 5, "what is left for all");
        let again = acme.board("192-0-2-1.0.example".to_owned(), ask, "192.0.2.9".parse().expect("an address"), now);
        assert!(again.is_ok(), "what goes on already takes nothing");
    }

    #[test]
    fn so_many_at_once() {
        let (_folder, acme, _wishes) = idle(1_000_000);
        let (now, client) = (Instant::now(), IpAddr::from([127, 0, 0, 1]));
        let ask = acme.asks("a.example").expect("the site has it");
        let boarded: Vec<_> = (0..2 * AT_ONCE).map(|n| acme.board(format!("{n}.example"), ask, client, now)).collect();
        assert_eq!(boarded.iter().filter(|b| b.is_ok()).count(), AT_ONCE);
        assert!(matches!(boarded.last(), Some(Err(Refusal::Busy))));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| group(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
