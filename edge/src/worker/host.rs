//! The Workers runtime as a host of the pipeline.

use std::net::{IpAddr, Ipv6Addr};

use cache::{Index, Meta, PrimaryKey, Store, Stored, Timestamp, meta};
use contract::signature::{Key, Message};
use contract::{Country, Problem, client, header};
use worker::js_sys::Date;
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::web_sys;

use super::glue;
use super::lines::{Lines, add};
use crate::{Answer, Exchange, Head, Host, Visitor, onward};

/// How long to wait for the head of the gateway's answer, in ms: a black hole must not hold a visitor. Requests with a
/// body wait as long as their upload takes.
const PATIENCE: u32 = 5_000;

/// Bytes of the largest body that is stored: what goes by within the time that the runtime grants after an answer, and what
/// JavaScript may hold until it is there to its end.
const OBJECT_LIMIT: u32 = 8 << 20;

/// The header that carries an entry's metadata in the store.
const META: &str = "edge-meta";

/// A request: its head in one string, its body left with JavaScript.
pub(super) struct Request {
    js: web_sys::Request,
    fields: Lines,
    method: Box<str>,
    scheme: Box<str>,
    authority: Box<str>,
    target: Box<str>,
    visitor: Visitor,
}

impl Request {
    pub(super) fn new(js: web_sys::Request) -> Self {
        let text = glue::request_head(&js);
        let mut parts = text.splitn(5, '\n');
        let mut next = || parts.next().unwrap_or_default();
        let (method, url, country, asn) = (next(), next(), next(), next());
        let from = method.len() + url.len() + country.len() + asn.len() + 4;
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
        let (authority, target) =
            rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len())).unwrap_or((rest, "/"));
        let (method, scheme, authority, target) = (method.into(), scheme.into(), authority.into(), target.into());
        let (country, asn) = (Country::parse(country), asn.parse().ok());
        let fields = Lines::unpack(text, from);
        // The runtime sets it on every request; what is missing (a request made by hand) is nobody.
        let address = cache::Fields::single(&fields, header::CF_CONNECTING_IP).and_then(client::parse);
        let visitor = Visitor { client: address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), country, asn };
        Self { js, fields, method, scheme, authority, target, visitor }
    }

    pub(super) fn visitor(&self) -> Visitor {
        self.visitor
    }
}

impl cache::Fields for Request {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter()
    }
}

impl Head for Request {
    fn method(&self) -> &str {
        &self.method
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn target(&self) -> &str {
        &self.target
    }
}

/// The runtime, for one request.
pub(super) struct Runtime {
    pub(super) key: &'static Key,
    pub(super) context: JsValue,
}

impl Store for Runtime {
    type Handle = web_sys::Response;
    type Body = JsValue;

    async fn lookup(&self, key: &PrimaryKey) -> Option<Index<Self::Handle>> {
        let matched: web_sys::Response = glue::cache_match(&url(key)).await.ok()?.dyn_into().ok()?;
        let encoded = matched.headers().get(META).ok()??;
        let meta = Meta::decode(&encoded)?.into();
        Some(Index { entries: vec![Stored { id: 0, meta }], handle: matched })
    }

    async fn body(&self, handle: Self::Handle, _id: u32) -> Option<Self::Body> {
        Some(handle.into())
    }

    fn put(&self, key: PrimaryKey, meta: Meta, body: Self::Body) -> Self::Body {
        let (Some(encoded), Ok(response)) = (meta.encode(), body.clone().dyn_into::<web_sys::Response>()) else {
            return body;
        };
        let mut packed = String::with_capacity(encoded.len() + 128);
        add(&mut packed, META, &encoded);
        add(&mut packed, "cache-control", &format!("public, max-age={}", meta.ttl(self.now())));
        if let Some(coding) = cache::Fields::single(&meta, "content-encoding") {
            add(&mut packed, "content-encoding", coding);
        }
        glue::cache_put(&self.context, &url(&key), &response, &packed, OBJECT_LIMIT).map_or(body, Into::into)
    }
}

/// The store's name for a key. No client's request is looked up under another, so it can't be reached from outside.
fn url(key: &PrimaryKey) -> String {
    let (authority, target) = key.parts();
    format!("https://{authority}/.edge-cache/{}{target}", meta::VERSION)
}

impl Host for Runtime {
    type Request = Request;
    type Fields = Lines;

    const CACHE: &'static str = "edge";

    fn now(&self) -> Timestamp {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
        Timestamp::from_millis(Date::now() as u64)
    }

    fn object_limit(&self) -> u64 {
        u64::from(OBJECT_LIMIT)
    }

    async fn asset(&self, _exchange: &Exchange, _request: &Request) -> Option<Answer<Lines, JsValue>> {
        // Cloudflare has served those before the Worker runs; what comes here is a miss.
        None
    }

    async fn forward(&self, exchange: &Exchange, request: Request) -> Result<Answer<Lines, JsValue>, Problem> {
        // The trace that goes on is ours; a second line of it would be none (W3C Trace Context section 3.2).
        let mut packed =
            request.fields.pack(|name| name != header::TRACEPARENT && onward::passes(&request.fields, name));
        let facts = exchange.facts().to_string();
        let signed = self.key.sign(
            &Message {
                method: &request.method,
                authority: &exchange.authority,
                path: exchange.target.path(),
                query: exchange.target.query(),
                facts: &facts,
            },
            self.now().as_secs(),
        );
        add(&mut packed, header::EDGE_FACTS, &facts);
        add(&mut packed, header::SIGNATURE_INPUT, &signed.input);
        add(&mut packed, header::SIGNATURE, &signed.signature);
        add(&mut packed, header::TRACEPARENT, &exchange.trace.to_string());
        if cache::Fields::has(&request.fields, "upgrade") {
            add(&mut packed, "upgrade", "websocket");
        }
        let url = format!("{}://{}{}", request.scheme, request.authority, exchange.target.as_str());
        let patience = if request.js.body().is_some() { 0 } else { PATIENCE };
        let came =
            glue::forward(&request.js, &url, &packed, patience).await.map_err(|_| Problem::GatewayUnreachable)?;
        let response: web_sys::Response = came.dyn_into().map_err(|status: JsValue| match status.as_f64() {
            Some(504.0) => Problem::GatewayTimeout,
            _ => Problem::GatewayUnreachable,
        })?;
        let status = response.status();
        let head = glue::response_head(&response);
        let mut fields = Lines::unpack(head, 0);
        if let Some(problem) = onward::never_arrived(status, cache::Fields::has(&fields, header::GATEWAY)) {
            return Err(problem);
        }
        crate::FieldsMut::remove(&mut fields, header::GATEWAY);
        Ok(Answer { status, fields, body: response.into() })
    }

    fn text(&self, text: String) -> JsValue {
        glue::text(&text)
    }
}
