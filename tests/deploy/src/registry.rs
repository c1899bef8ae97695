//! A double of a registry's RDAP server (RFC 9083), and of IANA's list that names it (RFC 9224); beside it a DNS server, which knows the DS records.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::dns::Dns;

/// Both, until they are dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    /// The DNS server.
    pub dns: Dns,
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
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(Value::Null));
        let state = (domain.to_owned(), address, Arc::clone(&answer));
        let router = Router::new().fallback(respond).with_state(state);
        runtime.spawn(async move { axum::serve(listener, router).await });

        // Key tag 2371, algorithm 13, digest 2 (RFC 4034 section 5.1).
        let signature = signed.then(|| format!("--dns-rr={domain},43,09430D02{}", "AB".repeat(32)));
        let dns = Dns::start(signature.as_slice());
        Self { address, dns, answer, _runtime: runtime }
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
