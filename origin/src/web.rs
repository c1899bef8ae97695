//! Requests of our own to servers elsewhere, a CA's or a vendor's: one connection each, over TLS. There are few of them, so a pool would
//! save little.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For one request with its answer.
const WITHIN: Duration = Duration::from_secs(30);
/// Bytes of an answer's body at most.
const LARGEST: usize = 1 << 20;
/// Where systems keep the authorities that they trust: Debian and most others, Red Hat's, BSD's and macOS.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Why a request had no answer.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Sends requests.
#[derive(Clone)]
pub(crate) struct Client(TlsConnector);

impl Client {
    /// Trusts the authorities in `ca`, else the system's. The error says which file would be needed.
    pub(crate) fn new(ca: Option<&Path>) -> Result<Self, String> {
        Ok(Self(TlsConnector::from(Arc::new(trusting(ca)?))))
    }

    /// Sends a request to its `https` URL, and reads the whole answer. Clear text is for loopback: who takes a URL from the configuration
    /// sees to that.
    pub(crate) async fn send<B>(&self, request: Request<B>) -> Result<Response<Bytes>, Error>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Error>,
    {
        tokio::time::timeout(WITHIN, self.exchange(request))
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", WITHIN.as_secs()).into()))
    }

    async fn exchange<B>(&self, request: Request<B>) -> Result<Response<Bytes>, Error>
    where
        B: Body + Send + Unpin + 'static,
        B::Data: Send,
        B::Error: Into<Error>,
    {
        let uri = request.uri();
        let authority = uri.authority().ok_or("the URL has no host")?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if uri.scheme_str() == Some("http") {
            let tcp = TcpStream::connect((host, authority.port_u16().unwrap_or(80))).await?;
            return say(tcp, request).await;
        }
        let name = ServerName::try_from(host.to_owned())?;
        let tcp = TcpStream::connect((host, authority.port_u16().unwrap_or(443))).await?;
        say(self.0.connect(name, tcp).await?, request).await
    }
}

/// TLS that trusts the authorities in `ca`, else the system's. The error says which file would be needed.
pub(crate) fn trusting(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let bundle = || BUNDLES.iter().map(PathBuf::from).find(|path| path.exists());
    let path = ca.map(Path::to_owned).or_else(bundle).ok_or_else(|| {
        "this system has no bundle of authorities: install ca-certificates, or name a PEM file".to_owned()
    })?;
    let said = |e: &dyn std::fmt::Display| format!("`{}` is not a PEM file with certificates: {e}", path.display());
    let all = CertificateDer::pem_file_iter(&path).map_err(|e| said(&e))?;
    let all = all.collect::<Result<Vec<_>, _>>().map_err(|e| said(&e))?;
    let mut roots = RootCertStore::empty();
    // A system's bundle may hold some that are of no use here.
    if roots.add_parsable_certificates(all).0 == 0 {
        return Err(said(&"there is none"));
    }
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())
        .map(|config| config.with_root_certificates(roots).with_no_client_auth())
}

async fn say<I, B>(stream: I, mut request: Request<B>) -> Result<Response<Bytes>, Error>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Error>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let uri = std::mem::take(request.uri_mut());
    let host = HeaderValue::from_str(uri.authority().map_or("", |authority| authority.as_str()))?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    *request.uri_mut() = uri.path_and_query().map_or("/", |target| target.as_str()).parse()?;
    let (parts, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(parts, Limited::new(body, LARGEST).collect().await?.to_bytes()))
}
