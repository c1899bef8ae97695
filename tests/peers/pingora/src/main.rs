//! A proxy on Pingora that does what the gateway does for a request that is passed through: TLS or clear text from the client,
//! keep-alive to the app, forwarding fields, a bound for bodies, and a JSON line a request on standard output.
//!
//! `peer-pingora HTTP HTTPS APP CERT KEY LOG`: three addresses and three files. SIGTERM ends it.

use std::env;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{ProxyHttp, Session};

const MAX_BODY: usize = 1 << 30;

struct Proxy {
    app: String,
    log: SyncSender<String>,
}

struct Exchange {
    id: String,
    started: Instant,
    received: usize,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Exchange;

    fn new_ctx(&self) -> Exchange {
        Exchange { id: format!("{:032x}", rand::random::<u128>()), started: Instant::now(), received: 0 }
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut Exchange) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.app.as_str(), false, String::new());
        peer.options.connection_timeout = Some(Duration::from_secs(3));
        peer.options.read_timeout = Some(Duration::from_secs(60));
        peer.options.idle_timeout = Some(Duration::from_secs(60));
        Ok(Box::new(peer))
    }

    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        _end: bool,
        exchange: &mut Exchange,
    ) -> Result<()> {
        exchange.received += body.as_ref().map_or(0, Bytes::len);
        if exchange.received > MAX_BODY {
            return Err(Error::new(ErrorType::HTTPStatus(413)));
        }
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        let client = session.client_addr().and_then(|a| a.as_inet()).map(|a| a.ip().to_string()).unwrap_or_default();
        let secure = session.digest().is_some_and(|d| d.ssl_digest.is_some());
        let host = host(session);
        request.insert_header("Host", &host)?;
        request.insert_header("X-Request-Id", &exchange.id)?;
        request.insert_header("X-Forwarded-For", client)?;
        request.insert_header("X-Forwarded-Proto", if secure { "https" } else { "http" })?;
        request.insert_header("X-Forwarded-Host", host)?;
        Ok(())
    }

    async fn response_filter(
        &self,
        _: &mut Session,
        response: &mut ResponseHeader,
        exchange: &mut Exchange,
    ) -> Result<()> {
        response.insert_header("X-Request-Id", &exchange.id)?;
        Ok(())
    }

    async fn logging(&self, session: &mut Session, _: Option<&Error>, exchange: &mut Exchange) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let client = session.client_addr().and_then(|a| a.as_inet()).map(|a| a.ip().to_string()).unwrap_or_default();
        let head = session.req_header();
        let mut line = String::with_capacity(384);
        // Everything that stands in quotes here comes from a parsed head; a path with quotes is escaped.
        let _ = writeln!(
            line,
            "{{\"timestamp\":{}.{:06},\"request.id\":\"{}\",\"client.address\":\"{client}\",\"http.request.method\":\"{}\",\"url.host\":\"{}\",\
             \"url.path\":\"{}\",\"network.protocol\":\"{:?}\",\"http.response.status_code\":{},\"http.response.body.bytes\":{},\
             \"duration.total_ms\":{}.{:03}}}",
            now.as_secs(),
            now.subsec_micros(),
            exchange.id,
            head.method,
            host(session).escape_default(),
            head.uri.path().escape_default(),
            head.version,
            session.response_written().map_or(0, |r| r.status.as_u16()),
            session.body_bytes_sent(),
            exchange.started.elapsed().as_millis(),
            exchange.started.elapsed().subsec_micros() % 1000,
        );
        let _ = self.log.try_send(line);
    }
}

/// Host, or `:authority` in HTTP/2.
fn host(session: &Session) -> String {
    let head = session.req_header();
    let host = head.headers.get("host").and_then(|h| h.to_str().ok());
    host.or_else(|| head.uri.authority().map(|a| a.as_str())).unwrap_or_default().to_owned()
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [http, https, app, cert, key, log] = arguments.as_slice() else {
        eprintln!("peer-pingora HTTP HTTPS APP CERT KEY LOG");
        std::process::exit(2);
    };
    let mut file = BufWriter::with_capacity(16 << 10, File::create(log).expect("the log can be written"));
    let (sender, lines) = sync_channel::<String>(64_000);
    // A thread of its own writes, as the gateway's does.
    thread::spawn(move || {
        loop {
            match lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => drop(file.write_all(line.as_bytes())),
                Err(RecvTimeoutError::Timeout) => drop(file.flush()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    });
    let conf = ServerConf {
        threads: 2,
        work_stealing: false,
        upstream_keepalive_pool_size: 128,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let proxy = Proxy { app: app.clone(), log: sender };
    let mut service = pingora_proxy::http_proxy_service(&server.configuration, proxy);
    service.add_tcp(http);
    let mut tls = TlsSettings::intermediate(cert, key).expect("certificate and key");
    tls.enable_h2();
    service.add_tls_with_settings(https, None, tls);
    server.add_service(service);
    server.run_forever();
}
