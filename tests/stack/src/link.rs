//! A connection to a server, in clear text or TLS, for load that needs more than a closed loop.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection's bytes.
pub trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Where to connect, and how.
#[derive(Clone)]
pub struct Link {
    /// The server.
    pub address: SocketAddr,
    /// For TLS.
    pub tls: Option<TlsConnector>,
}

impl Link {
    /// Connects and shakes hands.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn connect(&self) -> Result<Box<dyn Io>, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", self.address);
        let stream = TcpStream::connect(self.address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => {
                let name = ServerName::IpAddress(self.address.ip().into());
                Ok(Box::new(tls.connect(name, stream).await.map_err(failed)?))
            }
        }
    }
}

/// TLS 1.3 with AES-128-GCM and nothing else, for HTTP/1.1, trusting one authority (PEM).
///
/// # Errors
/// The authority can't be read.
pub fn tls(authority: &str) -> Result<TlsConnector, String> {
    tls_as(authority, None)
}

/// The same, showing a certificate (both PEM, with its key) to a server that asks for one.
///
/// # Errors
/// One of them can't be read.
pub fn tls_as(authority: &str, identity: Option<&(String, String)>) -> Result<TlsConnector, String> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes()).map_err(|e| e.to_string())?;
    roots.add(authority).map_err(|e| e.to_string())?;
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|e| e.to_string())?;
    let config = config.with_root_certificates(roots);
    let mut config = match identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|e| e.to_string())?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|e| e.to_string())?;
            config.with_client_auth_cert(vec![certificate], key).map_err(|e| e.to_string())?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Every connection a whole handshake.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}
