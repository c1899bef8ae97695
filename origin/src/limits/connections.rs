//! How many connections may be open: in all, and from one address that speaks for itself. Addresses of Cloudflare, known
//! by our zone's certificate or from its list, stand for many clients and are not counted.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::client::household;

use crate::ranges::Ranges;

/// The open connections of all cores.
#[derive(Debug)]
pub(crate) struct Connections {
    most: usize,
    most_per_client: usize,
    /// Addresses that stand for many clients.
    shared: Ranges,
    open: AtomicUsize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection's place among the open ones, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    client: Option<IpAddr>,
    /// Requests that it has had.
    requests: AtomicU64,
}

impl Connections {
    pub(crate) fn new(most: usize, most_per_client: usize, shared: Ranges) -> Arc<Self> {
        Arc::new(Self { most, most_per_client, shared, open: AtomicUsize::new(0), by_client: Mutex::default() })
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A place for a new connection, if there is one.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Place { connections: Arc::clone(self), client: None, requests: AtomicU64::new(0) })
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Counts the connection as `client`'s; `false` where that client has enough of them.
    pub(crate) fn is_of(&mut self, client: IpAddr) -> bool {
        if self.connections.shared.contain(client) {
            return true;
        }
        let client = household(client);
        let mut clients = self.connections.clients();
        let count = clients.entry(client).or_default();
        if *count >= self.connections.most_per_client {
            return false;
        }
        *count += 1;
        drop(clients);
        self.client = Some(client);
        true
    }

    /// Counts a request, which holds the place until its answer has been sent.
    pub(crate) fn request(self: &Arc<Self>) -> Arc<Self> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Arc::clone(self)
    }

    /// Ends when no request has been open for `time`. It looks every `time`, and where it finds one open ever less often, down to
    /// every `longest`. `holders` hold the place besides requests.
    pub(crate) async fn unused(self: &Arc<Self>, holders: usize, time: Duration, longest: Duration) {
        // Its requests at the last look, where none was open.
        let mut seen = Some(0);
        let mut wait = time;
        loop {
            tokio::time::sleep(wait).await;
            let open = Arc::strong_count(self) > holders;
            let now = (!open).then(|| self.requests.load(Ordering::Relaxed));
            if now.is_some() && now == seen {
                return;
            }
            wait = if open { (wait * 2).min(longest) } else { time };
            seen = now;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.client
            && let Entry::Occupied(mut count) = self.connections.clients().entry(client)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Connections;
    use crate::ranges::Ranges;
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    fn ranges() -> Ranges {
        Ranges::load(None).expect("shipped")
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn places_are_given_back() {
        let connections = Connections::new(2, 1, ranges());
        let mut first = connections.enter().expect("room");
        let mut second = connections.enter().expect("room");
        assert!(connections.enter().is_none());
        assert!(first.is_of(ip("192.0.2.1")));
        assert!(!second.is_of(ip("192.0.2.1")), "one is enough for it");
        assert!(second.is_of(ip("192.0.2.2")));
        for _ in 0..2 {
            assert!(connections.enter().is_none_or(|mut place| place.is_of(ip("104.16.0.1"))), "many stand behind it");
        }
        drop(first);
        let mut third = connections.enter().expect("room again");
        assert!(third.is_of(ip("192.0.2.1")));
        drop((second, third));
        assert!(connections.clients().is_empty(), "a flood of addresses leaves nothing behind");
    }

    #[tokio::test]
    async fn an_unused_connection_is_known() {
        let place = Arc::new(Connections::new(1, 1, ranges()).enter().expect("room"));
        let (time, began) = (Duration::from_millis(40), std::time::Instant::now());
        let open = place.request();
        let unused = async {
            place.unused(1, time, time).await;
            began.elapsed()
        };
        let requests = async {
            tokio::time::sleep(10 * time).await;
            drop(open);
            tokio::time::sleep(time / 2).await;
            drop(place.request());
        };
        let (unused, ()) = tokio::join!(unused, requests);
        assert!(unused >= 10 * time + time / 2 + time, "{unused:?}");
    }

    #[test]
    fn a_64_is_one_client() {
        let connections = Connections::new(9, 1, ranges());
        let (mut a, mut b) = (connections.enter().expect("room"), connections.enter().expect("room"));
        assert!(a.is_of(ip("2001:db8::1")));
        assert!(!b.is_of(ip("2001:db8::ffff")));
        assert!(b.is_of(ip("2001:db8:0:1::1")));
    }
}
