//! A double of a registry's RDAP server (RFC 9083), and of IANA's list that names it (RFC 9224); beside it dnsmasq, which knows the DS records.

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::{Needed, have};

/// Both, until they are dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    dns: Child,
    /// Where dnsmasq answers: `SERVER#PORT`.
    pub dns_address: String,
    answer: Arc<Mutex<Value>>,
    _runtime: Runtime,
}

impl Registry {
    /// Of one domain; `signed` is whether DNS has its DS record.
    ///
    /// # Panics
    /// Where a server can't be started.
    #[must_use]
    pub fn start(domain: &str, signed: bool) -> Self {
        have(&[
            Needed { program: "dig", package: "bind9-dnsutils" },
            Needed { program: "dnsmasq", package: "dnsmasq-base" },
        ]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(Value::Null));
        let state = (domain.to_owned(), address, Arc::clone(&answer));
        let router = Router::new().fallback(respond).with_state(state);
        runtime.spawn(async move { axum::serve(listener, router).await });

        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut dnsmasq = Command::new("dnsmasq");
        dnsmasq.args([
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--local=/#/",
            "--pid-file=",
        ]);
        dnsmasq.args(["--listen-address=127.0.0.1", "--bind-interfaces", &format!("--port={port}")]);
        if signed {
            // Key tag 2371, algorithm 13, digest 2 (RFC 4034 section 5.1).
            dnsmasq.arg(format!("--dns-rr={domain},43,09430D02{}", "AB".repeat(32)));
        }
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let dns = dnsmasq.env("PATH", path).stderr(Stdio::null()).spawn().expect("dnsmasq can be started");
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "dnsmasq does not listen");
            sleep(Duration::from_millis(20));
        }
        Self { address, dns, dns_address: format!("127.0.0.1#{port}"), answer, _runtime: runtime }
    }

    /// Where IANA's list is.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("http://{}/dns.json", self.address)
    }

    /// What it says of the domain from now on; null is that it is not registered.
    pub fn says(&self, answer: Value) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.dns.kill();
        let _ = self.dns.wait();
    }
}

type Known = (String, SocketAddr, Arc<Mutex<Value>>);

async fn respond(Shared((domain, address, answer)): Shared<Known>, uri: Uri) -> Response {
    let end = domain.rsplit('.').next().unwrap_or_default();
    let own = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let (status, body) = match uri.path() {
        "/dns.json" => {
            let services =
                json!([[["example"], ["https://rdap.example/"]], [[end], [format!("http://{address}/rdap/")]]]);
            (200, json!({ "version": "1.0", "services": services }))
        }
        path if path == format!("/rdap/domain/{domain}") && !own.is_null() => (200, own),
        _ => (404, json!({ "errorCode": 404, "title": "Not Found" })),
    };
    let response = Response::builder().status(status).header("content-type", "application/rdap+json");
    response.body(Body::from(body.to_string())).expect("a response")
}
