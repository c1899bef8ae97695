//! Names of upstreams: looked up when they are first needed, every half a minute, and when no address of a name answers.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A name and what is known of it.
#[derive(Debug)]
pub(super) struct Name {
    host: String,
    port: u16,
    /// Sorted; empty until it was first looked up.
    known: Mutex<Arc<[SocketAddr]>>,
    generation: AtomicU32,
}

impl Name {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, known: Mutex::new(Arc::new([])), generation: AtomicU32::new(0) }
    }

    /// Changes when its addresses do: connections of another generation go nowhere any more.
    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The addresses that are known, looked up where there are none.
    pub(super) async fn addresses(&self) -> io::Result<Arc<[SocketAddr]>> {
        let known = Arc::clone(&self.known.lock().unwrap_or_else(PoisonError::into_inner));
        if known.is_empty() { self.look_up().await } else { Ok(known) }
    }

    /// Asks for its addresses anew. Where there is no answer, those that are known stay.
    pub(super) async fn look_up(&self) -> io::Result<Arc<[SocketAddr]>> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        self.learn(found.collect()).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
    }

    fn learn(&self, mut found: Vec<SocketAddr>) -> Option<Arc<[SocketAddr]>> {
        // Name servers turn the order at every answer, to spread the load.
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return None;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known[..] != found[..] {
            if !known.is_empty() {
                self.generation.fetch_add(1, Ordering::Relaxed);
                tracing::info!(name = self.host, addresses = ?found, "the name has other addresses");
            }
            *known = found.into();
        }
        Some(Arc::clone(&known))
    }
}

#[cfg(test)]
mod tests {
    use super::Name;
    use std::net::SocketAddr;

    fn addresses(last: &[u8]) -> Vec<SocketAddr> {
        last.iter().map(|n| SocketAddr::from(([192, 0, 2, *n], 80))).collect()
    }

    #[test]
    fn only_other_addresses_make_a_new_generation() {
        let name = Name::new("app.internal", 80);
        for (found, generation) in [(&[1, 2][..], 0), (&[2, 1], 0), (&[2, 1, 2], 0), (&[], 0), (&[3], 1), (&[3, 1], 2)]
        {
            name.learn(addresses(found));
            assert_eq!(name.generation(), generation, "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_and_an_unknown_one_is_an_error() {
        let name = Name::new("localhost", 80);
        let found = name.addresses().await.expect("localhost has an address");
        assert!(found.iter().all(|a| a.ip().is_loopback()), "{found:?}");
        name.learn(addresses(&[9]));
        assert_eq!(name.addresses().await.expect("known")[..], addresses(&[9])[..]);
        assert!(Name::new("nowhere.invalid", 80).addresses().await.is_err());
    }
}
