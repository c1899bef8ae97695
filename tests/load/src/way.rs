//! The way to the server: connections as browsers have them (six, or one with HTTP/2, for each visitor) or as Cloudflare's edge does (few, for
//! everyone), and the edge's signature.

mod counted;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use contract::{EdgeFacts, Keys, Message, RequestId};
use http::{HeaderMap, HeaderValue, Uri};
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

use crate::asker::chain;
use crate::target::{Edge, Target, is_loopback};
use counted::{Counted, Opened};

/// Connections of one browser to one host (HTTP/1.1).
const OF_A_BROWSER: usize = 6;
/// Who does not accept a connection in that time is not there.
const REACHED: Duration = Duration::from_secs(5);
/// Where Debian and its kin keep the authorities that a system trusts.
const SYSTEMS_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

type Connector = Counted<HttpsConnector<HttpConnector<Names>>>;
/// What sends requests.
pub(crate) type Sender = Client<Connector, Full<Bytes>>;

/// What all visitors have in common.
pub(crate) struct Way {
    uri: Uri,
    names: Names,
    tls: Arc<ClientConfig>,
    upgrade_tls: Arc<ClientConfig>,
    http2: bool,
    here: bool,
    edge: Option<Shared>,
    /// Connections that were opened, and those that could not be.
    pub(crate) opened: Arc<Opened>,
}

/// The edge's connections.
struct Shared {
    keys: Keys,
    /// One with HTTP/1.1, which has as many connections as it may; with HTTP/2 one for each connection.
    lines: Vec<Line>,
}

/// Connections that one visitor, or the edge, has.
#[derive(Clone)]
pub(crate) struct Line {
    sender: Sender,
    /// For files to which a redirect leads: not all buckets have HTTP/2.
    files: Sender,
    /// For what is upgraded, which has a connection of its own.
    pub(crate) upgrade: Connector,
    free: Option<Arc<Semaphore>>,
    /// The visitor's address, as the edge tells it.
    client: Ipv4Addr,
}

impl Way {
    /// Reads keys and certificates, and finds out where the host's name leads.
    ///
    /// # Errors
    /// A file that can't be read, or a name that leads nowhere.
    pub(crate) async fn prepare(target: &Target) -> Result<Self, String> {
        let uri = target.uri()?;
        let host = uri.host().unwrap_or_default().to_owned();
        let bare = host.trim_matches(['[', ']']);
        let address = match (target.connect, bare.parse::<IpAddr>()) {
            (Some(address), _) | (None, Ok(address)) => address,
            // By definition, whatever a file of hosts says.
            (None, Err(_)) if is_loopback(bare) => Ipv4Addr::LOCALHOST.into(),
            (None, Err(_)) => {
                let mut found = tokio::net::lookup_host((bare, 0)).await.map_err(|e| format!("{host}: {e}"))?;
                found.next().ok_or_else(|| format!("{host} has no address"))?.ip()
            }
        };
        let http2 = target.http == Some(2);
        let roots = roots(target)?;
        let tls = |protocol: &[u8]| tls(&roots, target.edge.as_ref(), protocol).map(Arc::new);
        let mut way = Self {
            uri,
            names: Names { host: Arc::from(bare), address },
            tls: tls(if http2 { b"h2" } else { b"http/1.1" })?,
            upgrade_tls: tls(b"http/1.1")?,
            http2,
            here: target.is_here(),
            edge: None,
            opened: Arc::default(),
        };
        if let Some(edge) = &target.edge {
            let text =
                std::fs::read_to_string(&edge.keys_file).map_err(|e| format!("{}: {e}", edge.keys_file.display()))?;
            let keys = Keys::parse(&text).map_err(|e| format!("{}: {e}", edge.keys_file.display()))?;
            let lines = if way.http2 {
                (0..edge.connections).map(|_| way.line(Ipv4Addr::LOCALHOST, None)).collect()
            } else {
                vec![way.line(Ipv4Addr::LOCALHOST, Some(edge.connections))]
            };
            way.edge = Some(Shared { keys, lines });
        }
        Ok(way)
    }

    /// Whether anybody listens there at all.
    ///
    /// # Errors
    /// No connection can be opened.
    pub(crate) async fn reach(&self) -> Result<(), String> {
        let usual = if self.uri.scheme_str() == Some("https") { 443 } else { 80 };
        let address = SocketAddr::new(self.names.address, self.uri.port_u16().unwrap_or(usual));
        let failed = |what: &dyn std::fmt::Display| format!("{}: no connection to {address}: {what}", self.uri);
        let late = || failed(&format!("nothing within {} s", REACHED.as_secs()));
        let connected = tokio::time::timeout(REACHED, TcpStream::connect(address)).await;
        connected.map_err(|_| late())?.map_err(|error| failed(&error))?;
        if self.uri.scheme_str() != Some("https") {
            return Ok(());
        }
        // Whether its certificate is trusted, and ours.
        let mut connector = self.visitor(0).upgrade;
        let secured = tokio::time::timeout(REACHED, connector.call(self.uri.clone())).await;
        let own = "where its authority is your own, name it in the target's file: `ca = \"ca.pem\"`";
        secured.map_err(|_| late())?.map(drop).map_err(|error| failed(&format!("{}; {own}", chain(error.as_ref()))))
    }

    /// Where a Location leads; relative ones are of the server (RFC 9110 section 10.2.2).
    pub(crate) fn resolve(&self, location: &str) -> Option<Uri> {
        if !location.starts_with('/') {
            return location.parse().ok().filter(|uri: &Uri| uri.authority().is_some());
        }
        let scheme = self.uri.scheme_str()?;
        match location.strip_prefix("//") {
            Some(elsewhere) => format!("{scheme}://{elsewhere}").parse().ok(),
            None => format!("{scheme}://{}{location}", self.uri.authority()?).parse().ok(),
        }
    }

    /// Scheme, host and port.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The connections of a visitor who just came; on loopback everyone has an address of their own.
    pub(crate) fn visitor(&self, number: u64) -> Line {
        let [_, _, high, middle, low] = [0, 0, number >> 16, number >> 8, number].map(|n| n.to_le_bytes()[0]);
        let ours = self.edge.as_ref().and_then(|edge| edge.lines.iter().cycle().nth((number % 64) as usize));
        match ours {
            // 198.18.0.0/15 is for benchmarks (RFC 2544).
            Some(line) => Line { client: Ipv4Addr::new(198, 18 | (high & 1), middle, low), ..line.clone() },
            None => self.line(Ipv4Addr::new(127, 1 + (high & 63), middle, low), (!self.http2).then_some(OF_A_BROWSER)),
        }
    }

    fn line(&self, client: Ipv4Addr, connections: Option<usize>) -> Line {
        let connect = |tls: &Arc<ClientConfig>, from: Option<IpAddr>| {
            let mut http = HttpConnector::new_with_resolver(self.names.clone());
            http.enforce_http(false);
            http.set_nodelay(true);
            http.set_local_address(from);
            HttpsConnector::from((http, Arc::clone(tls)))
        };
        let has_address = self.here && self.names.address.is_ipv4() && self.edge.is_none();
        let connector = |tls: &Arc<ClientConfig>| Counted {
            inner: connect(tls, has_address.then_some(client.into())),
            elsewhere: has_address.then(|| (Arc::clone(&self.names.host), connect(tls, None))),
            counts: Arc::clone(&self.opened),
        };
        let mut builder = Client::builder(TokioExecutor::new());
        let files = builder.pool_timer(TokioTimer::new()).build(connector(&self.upgrade_tls));
        let sender = if self.http2 { builder.http2_only(true).build(connector(&self.tls)) } else { files.clone() };
        Line {
            sender,
            files,
            upgrade: connector(&self.upgrade_tls),
            free: connections.map(|most| Arc::new(Semaphore::new(most))),
            client,
        }
    }

    /// Adds the edge's word on who asks.
    ///
    /// # Errors
    /// A path that the edge would not forward.
    pub(crate) fn sign(&self, line: &Line, method: &str, target: &str, fields: &mut HeaderMap) -> Result<(), String> {
        let Some(edge) = &self.edge else { return Ok(()) };
        let id = RequestId::from_random(rand::random());
        let facts =
            EdgeFacts { client: line.client.into(), id, country: None, asn: None, ruleset: None, cleared: false };
        let facts = facts.to_string();
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let authority = self.uri.authority().map_or("", |authority| authority.as_str());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let message = Message { method, authority, path, query, facts: &facts };
        let signed = edge.keys.signing().sign(&message, now);
        for (name, value) in [("edge-facts", facts), ("signature-input", signed.input), ("signature", signed.signature)]
        {
            fields.insert(name, HeaderValue::try_from(value).map_err(|e| e.to_string())?);
        }
        Ok(())
    }
}

impl Line {
    /// Waits for a connection that is free, where there are only so many.
    pub(crate) async fn free(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(self.free.as_ref()?).acquire_owned().await.ok()
    }

    pub(crate) fn sender(&self) -> &Sender {
        &self.sender
    }

    pub(crate) fn files(&self) -> &Sender {
        &self.files
    }
}

fn roots(target: &Target) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    if target.uri()?.scheme_str() != Some("https") {
        return Ok(roots);
    }
    let system = std::path::PathBuf::from(SYSTEMS_AUTHORITIES);
    let path = target.ca.as_ref().unwrap_or(&system);
    let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| failed(&e))? {
        roots.add(certificate.map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
    }
    Ok(roots)
}

fn tls(roots: &RootCertStore, edge: Option<&Edge>, protocol: &[u8]) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots.clone());
    let pair = edge.and_then(|edge| Some((edge.certificate.as_ref()?, edge.key.as_ref()?)));
    let mut config = match pair {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let failed = |path: &std::path::Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
            let chain: Result<Vec<_>, _> =
                CertificateDer::pem_file_iter(certificate).map_err(|e| failed(certificate, &e))?.collect();
            let chain = chain.map_err(|e| failed(certificate, &e))?;
            let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| failed(key, &e))?;
            builder.with_client_auth_cert(chain, secret).map_err(|e| failed(certificate, &e))?
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

/// Where names lead: the target's to its address, others where the system says.
#[derive(Clone)]
pub(crate) struct Names {
    host: Arc<str>,
    address: IpAddr,
}

type Resolving = Pin<Box<dyn Future<Output = io::Result<std::vec::IntoIter<SocketAddr>>> + Send>>;

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Resolving;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let known = name.as_str().eq_ignore_ascii_case(&self.host).then_some(self.address);
        Box::pin(async move {
            match known {
                Some(address) => Ok(vec![SocketAddr::new(address, 0)].into_iter()),
                None => Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect::<Vec<_>>().into_iter()),
            }
        })
    }
}

/// Whether a URL's host is neither this one nor this machine.
fn is_elsewhere(uri: &Uri, here: &str) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    !host.eq_ignore_ascii_case(here) && !is_loopback(host)
}

#[cfg(test)]
mod tests {
    use super::{Way, is_elsewhere};
    use crate::target::Target;

    #[tokio::test]
    async fn a_location_may_be_relative() {
        let way = Way::prepare(&Target { url: "http://127.0.0.1:81".to_owned(), ..Target::default() }).await.unwrap();
        for (location, leads) in [
            ("/files/a?b", Some("http://127.0.0.1:81/files/a?b")),
            ("//files.example/a", Some("http://files.example/a")),
            ("https://files.example/a", Some("https://files.example/a")),
            ("files/a", None),
            ("", None),
            ("http://", None),
        ] {
            assert_eq!(way.resolve(location).map(|uri| uri.to_string()).as_deref(), leads, "{location}");
        }
    }

    #[test]
    fn only_this_machine_is_asked_from_addresses_of_visitors() {
        for (uri, elsewhere) in [
            ("http://site.test:8080/a", false),
            ("http://127.0.0.1:9000/bucket/a", false),
            ("https://localhost/a", false),
            ("https://[::1]:1/a", false),
            ("https://files.example/a", true),
            ("https://192.0.2.1/a", true),
        ] {
            assert_eq!(is_elsewhere(&uri.parse().unwrap(), "site.test"), elsewhere, "{uri}");
        }
    }
}
