//! Clients: one request each, on a connection of its own, from an address of their choice.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::LOCATION;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

/// The site's name.
pub(crate) const HOST: &str = "makenot.work";
/// For one request.
const WITHIN: Duration = Duration::from_secs(10);

/// Whom to ask, and from where.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) server: SocketAddr,
    pub(crate) from: IpAddr,
    /// None for clear text.
    pub(crate) tls: Option<TlsConnector>,
}

/// TLS that trusts this authority (PEM).
pub(crate) fn trusting(authority: &str) -> TlsConnector {
    stack::link::tls(authority).expect("an authority")
}

impl Client {
    pub(crate) fn at(&self, server: SocketAddr) -> Self {
        Self { server, ..self.clone() }
    }

    /// A GET's status and body.
    pub(crate) async fn get(&self, target: &str) -> Result<(u16, String), String> {
        let request = Request::get(target).body(Full::default()).expect("good");
        self.ask(request).await.map(|answer| (answer.status().as_u16(), text(answer.body())))
    }

    /// Sends a request with the site's Host; gives the whole answer.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
        let late = |_| "no answer in time".to_owned();
        tokio::time::timeout(WITHIN, self.exchange(request)).await.map_err(late)?
    }

    async fn exchange(&self, mut request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
        fn said(error: impl std::fmt::Debug) -> String {
            format!("{error:?}")
        }
        let socket = if self.server.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(said)?;
        socket.bind(SocketAddr::new(self.from, 0)).map_err(said)?;
        let stream = socket.connect(self.server).await.map_err(said)?;
        let io: Box<dyn stack::link::Io> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from(HOST).map_err(said)?;
                Box::new(tls.connect(name, stream).await.map_err(said)?)
            }
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(said)?;
        tokio::spawn(connection);
        let headers = request.headers_mut();
        if !headers.contains_key("host") {
            headers.insert("host", HOST.parse().expect("a name"));
        }
        headers.insert("connection", "close".parse().expect("a word"));
        let (parts, body) = sender.send_request(request).await.map_err(said)?.into_parts();
        let body = body.collect().await.map_err(said)?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }

    /// Whether a visitor is served: with 200, or in clear text by being sent to the same path of `https`.
    pub(crate) async fn is_served(&self, target: &str) -> Result<(), String> {
        let answer = self.ask(Request::get(target).body(Full::default()).expect("good")).await?;
        let to = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or_default();
        let served = match self.tls {
            Some(_) => answer.status() == 200,
            None => answer.status() == 308 && to == format!("https://{HOST}{target}"),
        };
        if served { Ok(()) } else { Err(format!("{} {to} {}", answer.status(), text(answer.body()))) }
    }

    /// Asks so often a second for as long as it is told to, at even times whatever becomes of the others; gives what went wrong, and how many there were.
    pub(crate) async fn load(
        self,
        target: &'static str,
        per_second: u32,
        goes_on: impl Fn() -> bool,
    ) -> (u32, Vec<String>) {
        let client = Arc::new(self);
        let mut due = tokio::time::interval(Duration::from_secs(1) / per_second);
        let mut asked = tokio::task::JoinSet::new();
        while goes_on() {
            due.tick().await;
            let client = Arc::clone(&client);
            asked.spawn(async move { client.is_served(target).await.err() });
        }
        let all = u32::try_from(asked.len()).expect("few");
        (all, asked.join_all().await.into_iter().flatten().collect())
    }
}

pub(crate) fn text(body: &Bytes) -> String {
    String::from_utf8_lossy(body).into_owned()
}
