//! A double of Cloudflare's API for one zone on the free plan, and for an empty account around it. It keeps the zone's state, writes down every request, and refuses what the
//! real one is documented, or was seen, to refuse; bodies are held to schemas made of the vendor's published description (`schemas/README.md`).
//! It knows no more than the calls that are made here.

mod answer;
mod certificates;
mod dns;
mod documents;
mod routes;
mod rules;
mod schema;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use answer::{Answer, refuse};

/// The token that may do everything.
pub const TOKEN: &str = "Zq3vLw8nT5yRk1xBc7Hd9Jf2Gs4Ma6Pe0UiOoWtX";

/// The API, until it is dropped.
#[derive(Debug)]
pub struct Cloudflare {
    address: SocketAddr,
    state: Arc<Mutex<Zone>>,
    _runtime: Runtime,
}

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Path and query, after `/client/v4`.
    pub path: String,
    /// The body, or null.
    pub body: Value,
    /// The status that it was answered with.
    pub status: u16,
}

/// An answer that is given once instead of the right one.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Of which method.
    pub method: &'static str,
    /// What the path contains.
    pub path: &'static str,
    /// How many such calls are answered rightly before.
    pub after: u32,
    /// The status: 429 comes with `Retry-After: 1`.
    pub status: u16,
    /// Cloudflare's code.
    pub code: u64,
}

/// The zone and its account.
#[derive(Debug)]
pub struct Zone {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// `active`, or `pending` until the registrar names its name servers.
    pub status: &'static str,
    /// Tokens, with what they may. `*` is everything.
    pub tokens: BTreeMap<String, Vec<&'static str>>,
    /// Records in the API's form.
    pub records: Vec<Value>,
    /// Values of settings.
    pub settings: BTreeMap<&'static str, Value>,
    /// Rules by phase.
    pub rules: BTreeMap<String, Vec<Value>>,
    /// Routes.
    pub routes: Vec<Value>,
    /// Workers that are deployed.
    pub scripts: Vec<String>,
    /// Certificates for origin pulls.
    pub pulls: Vec<Value>,
    /// Whether they are shown.
    pub pulls_enabled: bool,
    /// `disabled`, `pending`, `active`.
    pub dnssec: String,
    /// `bot_management`.
    pub bots: Map<String, Value>,
    /// `url_normalization`.
    pub url_normalization: Value,
    /// Faults to come.
    pub faults: Vec<Fault>,
    /// All requests.
    pub asked: Vec<Asked>,
    ids: u64,
}

impl Cloudflare {
    /// A zone as Cloudflare makes it, without records.
    ///
    /// # Panics
    /// Where no port is to be had.
    #[must_use]
    pub fn start(name: &str) -> Self {
        let state = Arc::new(Mutex::new(Zone::new(name)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(respond).with_state(Arc::clone(&state));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { address, state, _runtime: runtime }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/client/v4", self.address)
    }

    /// The zone, to look at and to change.
    pub fn zone(&self) -> MutexGuard<'_, Zone> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that would change something, since the last call.
    #[must_use]
    pub fn writes(&self) -> Vec<Asked> {
        let all = std::mem::take(&mut self.zone().asked);
        all.into_iter().filter(|asked| asked.method != "GET").collect()
    }
}

impl Zone {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            id: "023e105f4ecef8ad9ca31a8372d0c353".to_owned(),
            status: "active",
            tokens: BTreeMap::from([(TOKEN.to_owned(), vec!["*"])]),
            records: Vec::new(),
            settings: documents::settings(),
            rules: BTreeMap::new(),
            routes: Vec::new(),
            scripts: Vec::new(),
            pulls: Vec::new(),
            pulls_enabled: false,
            dnssec: "disabled".to_owned(),
            bots: documents::bots(),
            url_normalization: json!({ "scope": "incoming", "type": "cloudflare" }),
            faults: Vec::new(),
            asked: Vec::new(),
            ids: 0,
        }
    }

    /// A new id: 32 hexadecimal digits.
    pub(crate) fn id(&mut self) -> String {
        self.ids += 1;
        format!("{:032x}", 0xfeed_0000_0000_u64 + self.ids)
    }

    /// A time that only grows.
    pub(crate) fn time(&mut self) -> String {
        self.ids += 1;
        format!("2026-11-28T{:02}:{:02}:{:02}.000000Z", self.ids / 3600 % 24, self.ids / 60 % 60, self.ids % 60)
    }

    fn answer(&mut self, method: &str, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Answer {
        let path = uri.path().strip_prefix("/client/v4").unwrap_or_default();
        let fault = self.faults.iter_mut().position(|fault| {
            let meant = fault.method == method && path.contains(fault.path);
            if meant && fault.after > 0 {
                fault.after -= 1;
                return false;
            }
            meant
        });
        if let Some(at) = fault {
            let fault = self.faults.remove(at);
            return Err(refuse(fault.status, fault.code, "as the test asked"));
        }
        let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(token) = authorization.strip_prefix("Bearer ") else {
            return Err(refuse(400, 6003, "Invalid request headers"));
        };
        let Some(may) = self.tokens.get(token).cloned() else {
            return Err(refuse(403, 9109, "Invalid access token"));
        };
        let needs = |what: &str| {
            let edit = method != "GET";
            let enough = |has: &&str| {
                **has == *"*"
                    || has.strip_suffix(": Edit") == Some(what)
                    || (!edit && has.strip_suffix(": Read") == Some(what))
            };
            if may.iter().any(enough) {
                Ok(())
            } else {
                Err(refuse(403, 9109, "Unauthorized to access requested resource"))
            }
        };
        let json: Value = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body).map_err(|_| refuse(400, 9207, "Request body is invalid."))?
        };
        let query: BTreeMap<&str, &str> =
            uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();

        if path == "/zones" && method == "GET" {
            needs("Zone")?;
            // Fewer on a page than other lists.
            if query.get("per_page").is_some_and(|size| size.parse::<u32>().is_ok_and(|size| size > 50)) {
                return Err(refuse(400, 1105, "Invalid pagination parameters"));
            }
            let meant = query.get("name").is_none_or(|name| *name == self.name);
            return answer::page(&if meant { vec![self.shown()] } else { Vec::new() }, &query);
        }
        if path == "/certificates" && method == "POST" {
            needs("SSL and Certificates")?;
            return certificates::issue(self, &json);
        }
        let below = path.strip_prefix(&format!("/zones/{}/", self.id));
        let Some(below) = below else {
            return Err(refuse(404, 7003, "Could not route to that, perhaps your object identifier is invalid?"));
        };
        let parts: Vec<&str> = below.split('/').collect();
        // Of these only records come in pages.
        if !query.is_empty() && parts[0] != "dns_records" {
            return Err(refuse(400, 7001, "Unknown query parameters"));
        }
        match (method, &parts[..]) {
            (_, ["dns_records", rest @ ..]) => {
                needs("DNS").and_then(|()| dns::answer(self, method, rest, &json, &query))
            }
            (_, ["dnssec"]) => needs("DNS").and_then(|()| documents::dnssec(self, method, &json)),
            (_, ["settings", name]) => {
                needs("Zone Settings").and_then(|()| documents::setting(self, method, name, &json))
            }
            (_, ["bot_management"]) => {
                needs("Bot Management").and_then(|()| documents::bot_management(self, method, &json))
            }
            (_, ["url_normalization"]) => {
                needs("Sanitize").and_then(|()| documents::url_normalization(self, method, &json))
            }
            (_, ["rulesets", "phases", phase, "entrypoint"]) => {
                needs(if *phase == "http_request_cache_settings" { "Cache Rules" } else { "Zone WAF" })?;
                rules::answer(self, method, phase, &json)
            }
            (_, ["workers", "routes", rest @ ..]) => {
                needs("Workers Routes").and_then(|()| routes::answer(self, method, rest, &json))
            }
            (_, ["origin_tls_client_auth", rest @ ..]) => {
                needs("SSL and Certificates").and_then(|()| certificates::pulls(self, method, rest, &json))
            }
            _ => Err(refuse(404, 7000, "No route for that URI")),
        }
    }

    fn shown(&self) -> Value {
        json!({
            "id": self.id, "name": self.name, "status": self.status, "plan": { "legacy_id": "free" },
            "name_servers": ["amy.ns.example", "bob.ns.example"],
        })
    }
}

async fn respond(
    Shared(state): Shared<Arc<Mutex<Zone>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut zone = state.lock().unwrap_or_else(PoisonError::into_inner);
    let answered = zone.answer(method.as_str(), &uri, &headers, &body);
    let (status, response) = answer::respond(answered);
    let path = uri.path_and_query().map_or("", |it| it.as_str()).trim_start_matches("/client/v4").to_owned();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    zone.asked.push(Asked { method: method.to_string(), path, body, status });
    response
}
