//! TLS by rustls. The name a client asks for (SNI) decides, before the handshake ends, which certificate it sees and
//! whether it must show our zone's client certificate.

use std::io;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::CertificateDer;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificates::{Certificates, IdentityError, Loaded, authorities};
use crate::acme::{Acme, PROTOCOL};
use crate::config::{Config, Tls, Trust};
use crate::expiry::{Expiry, Source};

/// How often the files are looked at. A pair is replaced one file after the other: it is read once nothing has changed from
/// one look to the next.
const LOOK: Duration = Duration::from_secs(2);

/// Our certificates, in two postures.
pub(crate) struct Identity {
    tls: Tls,
    certificates: Arc<Certificates>,
    anyone: Arc<ServerConfig>,
    /// Demands a certificate of our zone's authority.
    certified: Option<ArcSwap<Certified>>,
    acme: Option<Arc<Acme>>,
}

struct Certified {
    authorities: Vec<CertificateDer<'static>>,
    config: Arc<ServerConfig>,
}

/// A finished handshake.
pub(crate) struct Handshake {
    /// In a box: whoever passes it on has no room for it in each of their futures.
    pub(crate) stream: Box<TlsStream<TcpStream>>,
    /// Whether the peer showed a certificate of our zone's authority.
    pub(crate) certified: bool,
    /// Whether HTTP/2 was agreed on.
    pub(crate) http2: bool,
}

/// What tells a changed file from the one that was read.
type Stamp = Option<(i64, i64, u64, u64)>;

impl Identity {
    /// Reads the files of a configuration; nothing where it has no `[tls]`. Names of sites with `acme_ask` show what `acme` has.
    pub(crate) fn load(config: &Config, acme: Option<Arc<Acme>>) -> Result<Option<Self>, IdentityError> {
        let Some(tls) = &config.tls else { return Ok(None) };
        let certificates = Arc::new(Certificates::load(tls, config, acme.clone())?);
        let certified = match &tls.client_ca {
            None => None,
            Some(path) => Some(ArcSwap::from_pointee(Certified::load(path, &certificates)?)),
        };
        let anyone = posture(Arc::clone(&certificates), None)?;
        Ok(Some(Self { tls: tls.clone(), certificates, anyone, certified, acme }))
    }

    /// Reads the files again. Where one is not usable, all stays as it was.
    fn reload(&self) -> Result<(), IdentityError> {
        let loaded = Loaded::read(&self.tls, self.certificates.sites())?;
        if let (Some(certified), Some(path)) = (&self.certified, &self.tls.client_ca) {
            let new = Certified::load(path, &self.certificates)?;
            // Another authority also ends the sessions that the old one's clients could resume.
            if new.authorities != certified.load().authorities {
                certified.store(Arc::new(new));
            }
        }
        self.certificates.replace(loaded);
        Ok(())
    }

    /// Takes over what changes in the files, for as long as the runtime lives.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut looks = tokio::time::interval(LOOK);
        let (mut read, mut seen) = (self.stamps(), self.stamps());
        loop {
            looks.tick().await;
            let now = self.stamps();
            if now != read && now == seen {
                // Also when it fails: it is said once, and tried again when the files change.
                read.clone_from(&now);
                match self.reload() {
                    Ok(()) => tracing::info!("the certificates have changed and are in use"),
                    Err(error) => tracing::error!(%error, "changed certificates are not usable; the old ones stay"),
                }
            }
            seen = now;
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        let own = self.certificates.sites().all().iter().filter_map(|s| s.identity.as_ref());
        let own = own.flat_map(|pair| [&pair.cert, &pair.key]);
        let files = [&self.tls.cert, &self.tls.key].into_iter().chain(&self.tls.client_ca).chain(own);
        let stamp = |path: &PathBuf| {
            let file = std::fs::metadata(path).ok()?;
            Some((file.mtime(), file.mtime_nsec(), file.ino(), file.len()))
        };
        files.map(stamp).collect()
    }

    /// Every certificate that may be shown, and when it is good.
    pub(crate) fn expiries(&self) -> Vec<Expiry> {
        let acme = self.acme.iter().flat_map(|acme| acme.validities());
        let acme = acme.map(|(name, validity)| Expiry { name, source: Source::Acme, validity });
        self.of_files().into_iter().chain(acme).collect()
    }

    /// Those of files that the configuration names.
    pub(crate) fn of_files(&self) -> Vec<Expiry> {
        self.certificates.expiries()
    }

    /// Certificates of creators' own domains, where a site has them.
    pub(crate) const fn acme(&self) -> Option<&Arc<Acme>> {
        self.acme.as_ref()
    }

    /// Shakes hands with `client`, which has `within` for its own part; a name without a certificate takes longer, while one is
    /// had for it. Nothing comes of it where a CA has looked whether a name is ours.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        client: IpAddr,
        within: Duration,
    ) -> io::Result<Option<Handshake>> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream);
        let start = tokio::time::timeout(within, start).await.map_err(late)??;
        let hello = start.client_hello();
        if let (Some(acme), Some(name)) = (&self.acme, hello.server_name()) {
            // RFC 8737 section 4: this protocol and no other.
            if hello.alpn().is_some_and(|protocols| protocols.eq([PROTOCOL])) {
                let config = acme.challenge_over_tls(name).ok_or(io::ErrorKind::NotFound)?;
                tracing::info!(name, client.address = %client, "a CA looks whether the name is ours");
                let shaken = async { start.into_stream(config).await?.shutdown().await };
                tokio::time::timeout(within, shaken).await.map_err(late)??;
                return Ok(None);
            }
            if let Some(ask) = acme.asks(name)
                && let Err(why) = acme.ready(name, ask, client).await
            {
                // The resolver finds none either, and the client gets an alert.
                tracing::debug!(name, reason = why.as_str(), "no certificate for a handshake");
            }
        }
        let config = self.posture_for(start.client_hello().server_name());
        let stream = tokio::time::timeout(within, start.into_stream(config)).await.map_err(late)??;
        let (_, connection) = stream.get_ref();
        Ok(Some(Handshake {
            // The verifier has accepted whatever certificate is there.
            certified: connection.peer_certificates().is_some_and(|c| !c.is_empty()),
            http2: connection.alpn_protocol() == Some(b"h2"),
            stream: Box::new(stream),
        }))
    }

    fn posture_for(&self, name: Option<&str>) -> Arc<ServerConfig> {
        let sites = self.certificates.sites();
        let trust = name.map_or_else(
            // Without a name it may be any site's: the strictest decides.
            || sites.all().iter().map(|s| s.trust).find(|t| t.needs_certificate()),
            |name| sites.find(name).and_then(|n| sites.all().get(n)).map(|s| s.trust),
        );
        match &self.certified {
            Some(certified) if trust.is_some_and(Trust::needs_certificate) => Arc::clone(&certified.load().config),
            _ => Arc::clone(&self.anyone),
        }
    }
}

impl Certified {
    fn load(path: &Path, certificates: &Arc<Certificates>) -> Result<Self, IdentityError> {
        let authorities = authorities("tls.client_ca", path)?;
        let mut roots = RootCertStore::empty();
        for authority in &authorities {
            roots.add(authority.clone()).map_err(|e| IdentityError::unusable("tls.client_ca", &e))?;
        }
        Ok(Self { authorities, config: posture(Arc::clone(certificates), Some(roots))? })
    }
}

/// A configuration of rustls that demands a client certificate of one of the `roots`, if there are any.
///
/// Each posture has tickets of its own: a session that began without a certificate does not resume where one is needed.
/// A swap of our certificate leaves posture and tickets as they are.
fn posture(certificates: Arc<Certificates>, roots: Option<RootCertStore>) -> Result<Arc<ServerConfig>, IdentityError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|e| IdentityError::unusable("tls", &e))?;
    let builder = match roots {
        None => builder.with_no_client_auth(),
        Some(roots) => builder.with_client_cert_verifier(
            // webpki also checks that the certificate is made for clients (RFC 5280 section 4.2.1.12).
            WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .map_err(|e| IdentityError::unusable("tls.client_ca", &e))?,
        ),
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(|e| IdentityError::unusable("tls", &e))?;
    Ok(Arc::new(config))
}
