//! HTTP/2 clients that ask all the time, and see every GOAWAY.

use std::error::Error as _;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::process::Signal;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::app::{Mood, Server};
use crate::load::Outcome;
use crate::process::{Place, send};

/// The type of a GOAWAY frame (RFC 9113 section 6.8).
const GOAWAY: u8 = 7;

/// A connection whose frames from the server are looked at as they come by.
pub(crate) struct Tap<I> {
    io: I,
    head: Vec<u8>,
    payload: usize,
    goaways: Arc<AtomicUsize>,
}

impl<I> Tap<I> {
    pub(crate) fn new(io: I, goaways: Arc<AtomicUsize>) -> Self {
        Self { io, head: Vec::new(), payload: 0, goaways }
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.payload.min(bytes.len());
            self.payload -= skipped;
            bytes = &bytes[skipped..];
            let taken = (9 - self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let [a, b, c, kind, ..] = self.head[..]
                && self.head.len() == 9
            {
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                self.goaways.fetch_add(usize::from(kind == GOAWAY), Ordering::Relaxed);
                self.head.clear();
            }
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Tap<I> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.follow(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Tap<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Begins to speak HTTP/2 on a connection.
pub(crate) async fn speak<I>(io: I, goaways: &Arc<AtomicUsize>) -> Result<SendRequest<Full<Bytes>>, String>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let io = TokioIo::new(Tap::new(io, Arc::clone(goaways)));
    let (sender, connection) = handshake(TokioExecutor::new(), io).await.map_err(|e| format!("handshake: {e}"))?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Writes a certificate and its key where [`LISTEN`] finds them; gives a client that trusts it.
fn identity(place: &Place) -> (String, TlsConnector) {
    let own = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).expect("a certificate");
    let write = |name: &str, text: String| {
        let path = place.path(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let cert = write("cert.pem", own.cert.pem());
    let key = write("key.pem", own.signing_key.serialize_pem());
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let section = format!(
        "listen.https = [\"127.0.0.1:0\"]\nlisten.cores = 2\n[tls]\ncert = {}\nkey = {}\n",
        quoted(&cert),
        quoted(&key)
    );
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    (section, TlsConnector::from(Arc::new(config)))
}

fn request(asked: &str) -> Request<Full<Bytes>> {
    let (method, path) = asked.split_once(' ').expect("two words");
    let body = if method == "POST" { Full::from("abc") } else { Full::default() };
    Request::builder().method(method).uri(format!("https://a.example{path}")).body(body).expect("a request")
}

/// The server has said that it did not take this request: its stream is above the last one of a GOAWAY, or it was never opened
/// because a GOAWAY had come. Any method may then go out once more (RFC 9113 section 6.8), and every client does so: the HEADERS
/// of a request may cross the last GOAWAY on their way.
fn not_processed(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|e| e.is_go_away() && e.is_remote() && e.reason() == Some(h2::Reason::NO_ERROR))
}

/// One of several clients.
struct Client {
    address: SocketAddr,
    tls: TlsConnector,
    goaways: Arc<AtomicUsize>,
    open: Option<SendRequest<Full<Bytes>>>,
    connections: usize,
    /// Requests that a connection which was going away did not take, and which went out on the next one.
    again: usize,
}

impl Client {
    async fn connect(&mut self) -> Result<SendRequest<Full<Bytes>>, String> {
        if let Some(open) = self.open.as_ref().filter(|open| !open.is_closed()) {
            return Ok(open.clone());
        }
        let stream = TcpStream::connect(self.address).await.map_err(|e| format!("connect: {e}"))?;
        let name = ServerName::try_from("a.example").expect("a name");
        let stream = self.tls.connect(name, stream).await.map_err(|e| format!("TLS: {e}"))?;
        self.connections += 1;
        Ok(self.open.insert(speak(stream, &self.goaways).await?).clone())
    }

    async fn run(mut self, name: usize, time: Duration) -> (Outcome, usize, usize) {
        let mut outcome = Outcome::default();
        let mut ticks = tokio::time::interval(Duration::from_millis(40));
        let began = Instant::now();
        let mut number = 0;
        while began.elapsed() < time {
            ticks.tick().await;
            let asked = format!("{} /{name}/{number}", if number % 2 == 0 { "GET" } else { "POST" });
            number += 1;
            let sent = loop {
                let mut sender = match self.connect().await {
                    Ok(sender) => sender,
                    Err(why) => break Err(why),
                };
                if sender.ready().await.is_err() {
                    self.open = None;
                    continue;
                }
                match tokio::time::timeout(Duration::from_secs(30), sender.try_send_request(request(&asked))).await {
                    Err(_) => break Err("no answer in 30 s".to_owned()),
                    Ok(Ok(answer)) => break Ok(answer),
                    Ok(Err(mut failed)) => {
                        if failed.take_message().is_none() && !not_processed(failed.error()) {
                            break Err(format!("{:?}", failed.error()));
                        }
                        self.again += 1;
                        self.open = None;
                    }
                }
            };
            outcome.asked.push(asked.clone());
            match sent {
                Err(why) => outcome.lost.push(format!("{asked}: {why}")),
                Ok(answer) => {
                    let status = answer.status();
                    let body = answer.into_body().collect().await.map(|body| body.to_bytes());
                    if status != StatusCode::OK || !body.as_ref().is_ok_and(|body| body == "ok") {
                        outcome.lost.push(format!("{asked}: {status}, {body:?}"));
                    }
                }
            }
        }
        (outcome, self.connections, self.again)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_under_load_loses_nothing() {
    let app = Server::start(Mood::Good).await;
    let place = Place::new();
    let (section, tls) = identity(&place);
    place.configure(&section, app.address);
    let mut gateway = place.start();
    let first = gateway.serving(0).await;
    let goaways = Arc::<AtomicUsize>::default();
    let mut clients = JoinSet::new();
    for name in 0..8 {
        let (tls, goaways) = (tls.clone(), Arc::clone(&goaways));
        let address = first.at("https");
        let client = Client { address, tls, goaways, open: None, connections: 0, again: 0 };
        clients.spawn(client.run(name, Duration::from_secs(9)));
    }
    let mut pid = first.pid();
    for n in 1..=3 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        send(pid, Signal::HUP);
        pid = gateway.serving(n).await.pid();
    }
    assert_eq!(gateway.ended().await, Some(0));
    let (mut all, mut connections, mut again) = (Outcome::default(), 0, 0);
    while let Some(done) = clients.join_next().await {
        let (outcome, opened, repeated) = done.expect("no panic");
        all.add(outcome);
        connections += opened;
        again += repeated;
    }
    let goaways = goaways.load(Ordering::Relaxed);
    println!(
        "row 2, three reloads under 200 requests/s over HTTP/2: {} of {} lost, {goaways} GOAWAY on {connections} connections, \
         {again} requests went out on the next connection, not taken by the one before",
        all.lost.len(),
        all.asked.len()
    );
    assert!(all.asked.len() >= 1_600);
    // Every connection but the last of each client is told.
    assert!(goaways >= connections - 8 && connections >= 8 * 4, "{goaways} on {connections}");
    all.assert_whole(&app.seen());
}
