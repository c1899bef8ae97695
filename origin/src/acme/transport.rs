//! HTTP to the CA: one connection a request, over TLS. An order has some ten requests, so a pool would save little.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For one request with its answer.
const WITHIN: Duration = Duration::from_secs(30);
/// Bytes of an answer's body at most.
const LARGEST: usize = 1 << 20;
/// Where systems keep the authorities that they trust: Debian and most others, Red Hat's, BSD's and macOS.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

#[derive(Clone)]
pub(super) struct Transport(TlsConnector);

impl Transport {
    /// Trusts the authorities in `ca`, else the system's. The error says which file would be needed.
    pub(super) fn new(ca: Option<&Path>) -> Result<Self, String> {
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
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    async fn ask(self, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let other = |e: &str| Error::Other(e.into());
        let uri = request.uri().clone();
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("https"));
        let authority = authority.ok_or_else(|| other("the CA names a URL that is not https"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|e| Error::Other(e.into()))?;
        let tcp = TcpStream::connect((host, authority.port_u16().unwrap_or(443)));
        let tcp = tcp.await.map_err(|e| Error::Other(e.into()))?;
        let tls = self.0.connect(name, tcp).await.map_err(|e| Error::Other(e.into()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(|e| Error::Other(e.into()))?;
        tokio::spawn(connection);
        let host = HeaderValue::from_str(authority.as_str()).map_err(|e| Error::Other(e.into()))?;
        request.headers_mut().insert(HOST, host);
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        let target = uri.path_and_query().map_or("/", |p| p.as_str());
        *request.uri_mut() = target.parse()?;
        let answer = sender.send_request(request).await.map_err(|e| Error::Other(e.into()))?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, LARGEST).collect().await.map_err(Error::Other)?.to_bytes();
        Ok(BytesResponse::from(Response::from_parts(parts, Full::new(body))))
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let this = self.clone();
        Box::pin(async move {
            let asked = tokio::time::timeout(WITHIN, this.ask(request));
            asked.await.unwrap_or_else(|_| Err(Error::Other("the CA does not answer in time".into())))
        })
    }
}
