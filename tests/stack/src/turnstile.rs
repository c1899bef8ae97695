//! A double of Cloudflare Turnstile's `siteverify`, over TLS and under the vendor's name: it answers as the vendor's documentation says
//! (<https://developers.cloudflare.com/turnstile/get-started/server-side-validation/>), for tokens that say themselves what they are.

use std::collections::HashSet;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The vendor's host.
pub const HOST: &str = "challenges.cloudflare.com";
/// The site key of the one widget.
pub const SITE_KEY: &str = "0x4AAAAAAAstandInForTests";
/// Its secret key.
pub const SECRET: &str = "0x4AAAAAAAsecretOfTheStandInForTests0";
/// A token that it does not answer for a long time.
pub const STALLS: &str = "stand-in/stalls";
/// A token that it answers with a page, as something between might.
pub const BREAKS: &str = "stand-in/breaks";
/// A token for which it has a fault of its own.
pub const FAULT: &str = "stand-in/fault";

/// What it was asked: the token, and for which client.
pub type Asked = (String, String);

/// The running double; it ends when this is dropped.
#[derive(Debug)]
pub struct Double {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Double {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A token as the widget makes one: for a page of a host, and an action. The same `nonce` is the same token.
#[must_use]
pub fn token(host: &str, action: &str, nonce: &str) -> String {
    format!("stand-in/{host}/{action}/{nonce}")
}

impl Double {
    /// Starts it with a certificate and its key, in PEM.
    ///
    /// # Errors
    /// They can't be read, or there is no port.
    pub async fn start(certificate: &str, key: &str) -> io::Result<Self> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(io::Error::other)?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
            .map_err(io::Error::other)?;
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let asked = Arc::default();
        let widget = Widget { asked: Arc::clone(&asked), used: Arc::default() };
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, widget) = (acceptor.clone(), widget.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(widget.clone(), request));
                    let served = hyper::server::conn::http1::Builder::new();
                    let _ = served.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, asked, task })
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Clone)]
struct Widget {
    asked: Arc<Mutex<Vec<Asked>>>,
    used: Arc<Mutex<HashSet<String>>>,
}

async fn answer(widget: Widget, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_its = request.uri().path() == "/turnstile/v0/siteverify" && request.method() == "POST";
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |key: &str| sent[key].as_str().unwrap_or_default().to_owned();
    let (secret, token, client) = (text("secret"), text("response"), text("remoteip"));
    let (mut status, mut page) = (200, None);
    match &*token {
        _ if !is_its => status = 404,
        STALLS => tokio::time::sleep(Duration::from_secs(20)).await,
        BREAKS => (status, page) = (502, Some("<html>Bad gateway</html>")),
        _ => {}
    }
    let said = widget.judge(&secret, &token);
    widget.asked.lock().unwrap_or_else(PoisonError::into_inner).push((token, client));
    let said = page.map_or_else(|| said.to_string(), ToOwned::to_owned);
    let answer = Response::builder().status(status).header("content-type", "application/json");
    Ok(answer.body(Full::new(Bytes::from(said))).unwrap_or_default())
}

impl Widget {
    fn judge(&self, secret: &str, token: &str) -> Value {
        let refused = |code: &str| json!({ "success": false, "error-codes": [code], "messages": [] });
        match (secret, token) {
            ("", _) => return refused("missing-input-secret"),
            (secret, _) if secret != SECRET => return refused("invalid-input-secret"),
            (_, "") => return refused("missing-input-response"),
            (_, FAULT) => return refused("internal-error"),
            _ => {}
        }
        let parts: Vec<&str> = token.split('/').collect();
        let ["stand-in", host, action, _] = parts[..] else { return refused("invalid-input-response") };
        if !self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(token.to_owned()) {
            return refused("timeout-or-duplicate");
        }
        json!({
            "success": true,
            "challenge_ts": "2026-11-28T18:00:00.000Z",
            "hostname": host,
            "error-codes": [],
            "action": action,
            "cdata": "",
            "metadata": { "interactive": false },
        })
    }
}
