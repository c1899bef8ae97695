//! TLS by rustls. The name a client asks for (SNI) decides, before the handshake ends, whether it must show our zone's
//! client certificate.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{Tls, Trust};
use crate::sites::Sites;

/// Our certificate, in two postures.
pub(crate) struct Identity {
    anyone: Arc<ServerConfig>,
    /// Demands a certificate of our zone's authority.
    certified: Option<Arc<ServerConfig>>,
}

/// A finished handshake.
pub(crate) struct Handshake {
    pub(crate) stream: TlsStream<TcpStream>,
    /// Whether the peer showed a certificate of our zone's authority.
    pub(crate) certified: bool,
    /// Whether HTTP/2 was agreed on.
    pub(crate) http2: bool,
}

/// Files that do not make an identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file can't be read as PEM.
    #[error("{key}: `{path}` is not a PEM file with {what}: {error}")]
    Pem {
        /// The key in the configuration.
        key: &'static str,
        /// The file.
        path: String,
        /// What it should hold.
        what: &'static str,
        /// What the parser says.
        error: rustls_pki_types::pem::Error,
    },
    /// The certificate and the key, or the authority, are not usable.
    #[error("{key}: {error}")]
    Unusable {
        /// The key in the configuration.
        key: &'static str,
        /// What rustls says.
        error: String,
    },
}

impl Identity {
    /// Reads the files of a configuration.
    pub(crate) fn load(tls: &Tls) -> Result<Self, IdentityError> {
        let chain = certificates("tls.cert", &tls.cert)?;
        let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| IdentityError::Pem {
            key: "tls.key",
            path: tls.key.display().to_string(),
            what: "a private key",
            error,
        })?;
        let unusable = |key, error: &dyn std::fmt::Display| IdentityError::Unusable { key, error: error.to_string() };
        let mut anyone = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|e| unusable("tls.cert", &format!("certificate and key do not fit: {e}")))?;
        anyone.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let certified = match &tls.client_ca {
            None => None,
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("tls.client_ca", path)? {
                    roots.add(certificate).map_err(|e| unusable("tls.client_ca", &e))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder(roots.into()).build().map_err(|e| unusable("tls.client_ca", &e))?;
                let mut config = ServerConfig::builder()
                    .with_client_cert_verifier(verifier)
                    .with_single_cert(chain, key)
                    .map_err(|e| unusable("tls.cert", &e))?;
                config.alpn_protocols.clone_from(&anyone.alpn_protocols);
                Some(Arc::new(config))
            }
        };
        Ok(Self { anyone: Arc::new(anyone), certified })
    }

    /// Shakes hands, within a time.
    pub(crate) async fn accept(&self, sites: &Sites, stream: TcpStream, within: Duration) -> io::Result<Handshake> {
        tokio::time::timeout(within, self.shake(sites, stream))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn shake(&self, sites: &Sites, stream: TcpStream) -> io::Result<Handshake> {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
        let trust = start.client_hello().server_name().map_or_else(
            // Without a name it may be any site's: the strictest decides.
            || sites.all().iter().map(|s| s.trust).find(|t| t.needs_certificate()),
            |name| sites.find(name).and_then(|n| sites.all().get(n)).map(|s| s.trust),
        );
        let config = match &self.certified {
            Some(certified) if trust.is_some_and(Trust::needs_certificate) => certified,
            _ => &self.anyone,
        };
        let stream = start.into_stream(Arc::clone(config)).await?;
        let (_, connection) = stream.get_ref();
        Ok(Handshake {
            // The verifier has accepted whatever certificate is there.
            certified: connection.peer_certificates().is_some_and(|c| !c.is_empty()),
            http2: connection.alpn_protocol() == Some(b"h2"),
            stream,
        })
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let bad = |error| IdentityError::Pem { key, path: path.display().to_string(), what: "certificates", error };
    let all = CertificateDer::pem_file_iter(path).map_err(bad)?.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    if all.is_empty() {
        return Err(bad(rustls_pki_types::pem::Error::NoItemsFound));
    }
    Ok(all)
}
