//! The gateway as a host of the edge's pipeline: moka as its cache store, and the next hop is the app.
//!
//! Requests that our Worker has signed come in at the cache stage, where this is the shield.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cache::{Fields, Index, Meta, PrimaryKey, Store, Stored, Timestamp};
use contract::Problem;
use edge::{Answer, Exchange, FieldsMut, Head, Host};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use crate::body::Body;
use crate::config::{HealthOwner, Site};
use crate::conversation::Connection;
use crate::gateway::{Core, Gateway};
use crate::limits::connections::Place;
use crate::store::Entry;
use crate::trust::Trusted;
use crate::{assets, forwarded, health, storage, upstream};

/// A header map as the pipeline reads and changes it.
#[derive(Debug, Default)]
pub(crate) struct HeaderFields(pub(crate) HeaderMap);

impl Fields for HeaderFields {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_bytes()))
    }
}

impl FieldsMut for HeaderFields {
    fn empty() -> Self {
        Self(HeaderMap::with_capacity(16))
    }

    fn of_meta(meta: &Meta) -> Self {
        let mut fields = Self::empty();
        for (name, value) in meta.iter() {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                fields.0.append(name, value);
            }
        }
        fields
    }

    fn append(&mut self, name: &'static str, value: &[u8]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.0.append(forwarded::name(name), value);
        }
    }

    fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.0.insert(forwarded::name(name), value);
        }
    }

    fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
}

/// A request as it came from downstream.
pub(crate) struct Incoming {
    pub(crate) request: Request<Body>,
    /// Host and port, checked.
    pub(crate) authority: Box<str>,
}

impl Fields for Incoming {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.request.headers().iter().map(|(n, v)| (n.as_str(), v.as_bytes()))
    }
}

impl Head for Incoming {
    fn method(&self) -> &str {
        self.request.method().as_str()
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn target(&self) -> &str {
        self.request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
    }
}

/// The gateway, for one request.
pub(crate) struct Native<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) core: &'a Core,
    pub(crate) site: &'a Site,
    /// The site's app; `None` where there is no site.
    pub(crate) app: Option<&'a Arc<upstream::App>>,
    pub(crate) trusted: Trusted,
    pub(crate) connection: &'a Connection,
}

impl Store for Native<'_> {
    type Handle = Entry;
    type Body = Body;

    async fn lookup(&self, key: &PrimaryKey) -> Option<Index<Entry>> {
        let entry = self.gateway.store.get(key)?;
        Some(Index { entries: vec![Stored { id: 0, meta: Arc::clone(&entry.meta) }], handle: entry })
    }

    async fn body(&self, handle: Entry, _id: u32) -> Option<Body> {
        Some(Body::stored(handle.chunks))
    }

    fn put(&self, key: PrimaryKey, meta: Meta, body: Body) -> Body {
        body.recorded(self.gateway.store.record(key, meta))
    }
}

impl Host for Native<'_> {
    type Request = Incoming;
    type Fields = HeaderFields;

    const CACHE: &'static str = "gateway";

    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    fn object_limit(&self) -> u64 {
        self.gateway.store.object_limit()
    }

    fn asset(
        &self,
        exchange: &Exchange,
        request: &Incoming,
    ) -> impl Future<Output = Option<Answer<HeaderFields, Body>>> {
        // Before our Worker stands Cloudflare, which has served it or does not have it.
        let folder = self.site.assets.as_deref().filter(|_| self.trusted != Trusted::EdgeSigned);
        let asked = folder.and_then(|folder| assets::find(folder, exchange.target.path(), &request.request));
        async { asked?.serve().await }
    }

    async fn forward(&self, exchange: &Exchange, incoming: Incoming) -> Result<Answer<HeaderFields, Body>, Problem> {
        if exchange.target.path() == health::PATH && self.site.health == HealthOwner::Gateway {
            return Ok(answer(self.gateway.health.answer(self.trusted)));
        }
        let Incoming { mut request, authority } = incoming;
        let read = if *request.method() == Method::HEAD { storage::Read::Head } else { storage::Read::Get };
        let upgrade = upgrade_of(&request).then(|| hyper::upgrade::on(&mut request));
        let request = self.onward(exchange, request, &authority, upgrade.is_some())?;
        let timeouts = &self.site.timeouts;
        let app = self.app.ok_or(Problem::UnknownHost)?;
        let (response, lease) = upstream::send(&self.core.pool, app, request, timeouts).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = upgrade.ok_or(Problem::AppInvalid)?;
            self.connection.switched.set();
            lease.detach();
            return Ok(switch(self.core, response, upgrade, Arc::clone(&self.connection.place)));
        }
        let (mut parts, body) = response.into_parts();
        let handoff = parts.headers.get(&forwarded::HANDOFF).cloned();
        forwarded::keep_the_apps(&mut parts.headers);
        if let Some(handoff) = handoff {
            return self.hand_off(&handoff, read, parts.headers);
        }
        let drain = is_event_stream(&parts.headers).then(|| self.gateway.draining.clone());
        Ok(Answer {
            status: parts.status.as_u16(),
            fields: HeaderFields(parts.headers),
            body: Body::upstream(body, lease, timeouts.idle.0, drain),
        })
    }

    fn text(&self, text: String) -> Body {
        Body::full(text)
    }
}

impl Native<'_> {
    /// The request as the app gets it: what the client may not say is gone, what we know is said.
    fn onward(
        &self,
        exchange: &Exchange,
        request: Request<Body>,
        authority: &str,
        upgrade: bool,
    ) -> Result<Request<Body>, Problem> {
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        let protocol = if upgrade { headers.get(UPGRADE).cloned() } else { None };
        let trailers = headers.get(TE).is_some_and(takes_trailers);
        forwarded::keep_the_clients(&mut headers);
        forwarded::join_cookies(&mut headers);
        forwarded::pass_by(&mut headers, parts.version)?;
        headers.insert(HOST, HeaderValue::from_str(authority).map_err(|_| Problem::BadRequest)?);
        let secure = self.connection.peer.tls || self.trusted != Trusted::Direct;
        forwarded::say(&mut headers, exchange, authority, secure);
        if let Some(protocol) = protocol {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol);
        } else if trailers {
            headers.insert(CONNECTION, HeaderValue::from_static("te"));
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let mut onward = Request::new(body);
        *onward.method_mut() = parts.method;
        *onward.uri_mut() = target(parts.uri, exchange)?;
        *onward.headers_mut() = headers;
        Ok(onward)
    }

    /// Turns the app's hand-off into a redirect to the bucket.
    fn hand_off(
        &self,
        handoff: &HeaderValue,
        read: storage::Read,
        mut headers: HeaderMap,
    ) -> Result<Answer<HeaderFields, Body>, Problem> {
        let value = handoff.to_str().map_err(|_| Problem::HandoffRefused)?;
        let url =
            storage::resolve(&self.gateway.config.buckets, value, read, self.now().as_secs()).map_err(|error| {
                tracing::error!(%error, "the app's hand-off is refused");
                Problem::HandoffRefused
            })?;
        for name in ["content-length", "content-type", "content-encoding", "etag", "last-modified"] {
            headers.remove(name);
        }
        let mut fields = HeaderFields(headers);
        fields.set("location", &url);
        // The URL is a key to the object for as long as it lasts: it is this client's only.
        fields.set("cache-control", "private, no-store");
        Ok(Answer { status: 302, fields, body: Body::empty() })
    }
}

/// The target in origin form, after the one path rule: the client's own, where the rule changed nothing.
fn target(uri: Uri, exchange: &Exchange) -> Result<Uri, Problem> {
    let mut parts = uri.into_parts();
    (parts.scheme, parts.authority) = (None, None);
    match &parts.path_and_query {
        Some(same) if same.as_str() == exchange.target.as_str() => {}
        _ => parts.path_and_query = Some(exchange.target.as_str().parse().map_err(|_| Problem::PathRefused)?),
    }
    Uri::from_parts(parts).map_err(|_| Problem::PathRefused)
}

/// Whether a request asks for another protocol on its connection (RFC 9110 section 7.8).
fn upgrade_of(request: &Request<Body>) -> bool {
    request.version() == http::Version::HTTP_11
        && request.headers().contains_key(UPGRADE)
        && request.headers().get(CONNECTION).is_some_and(|c| {
            c.to_str().is_ok_and(|c| cache::fields::list_members(c).any(|m| m.eq_ignore_ascii_case("upgrade")))
        })
}

/// Whether a client takes trailers (RFC 9110 section 10.1.4); so do we then, and pass them on.
fn takes_trailers(te: &HeaderValue) -> bool {
    te.to_str().is_ok_and(|te| cache::fields::list_members(te).any(|m| m.eq_ignore_ascii_case("trailers")))
}

/// Whether an answer is a stream of events without an end, whose client comes back when it ends (HTML section 9.2).
fn is_event_stream(headers: &HeaderMap) -> bool {
    const TYPE: &[u8] = b"text/event-stream";
    let of_type =
        |value: &HeaderValue| value.as_bytes().get(..TYPE.len()).is_some_and(|t| t.eq_ignore_ascii_case(TYPE));
    !headers.contains_key(CONTENT_LENGTH) && headers.get(CONTENT_TYPE).is_some_and(of_type)
}

/// Joins the two connections once the client's has switched too. It keeps its `place` among the open ones.
fn switch(
    core: &Core,
    mut response: Response<hyper::body::Incoming>,
    downstream: hyper::upgrade::OnUpgrade,
    place: Arc<Place>,
) -> Answer<HeaderFields, Body> {
    let upstream = hyper::upgrade::on(&mut response);
    let started = Instant::now();
    core.upgraded.spawn(async move {
        let _place = place;
        let joined = async {
            let (downstream, upstream) = tokio::try_join!(downstream, upstream)?;
            let (mut downstream, mut upstream) = (TokioIo::new(downstream), TokioIo::new(upstream));
            let copied = tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await;
            copied.map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        };
        match joined.await {
            Ok((sent, received)) => {
                tracing::debug!(sent, received, seconds = started.elapsed().as_secs(), "upgrade ended")
            }
            Err(error) => tracing::debug!(%error, "upgrade broke off"),
        }
    });
    let protocol = response.headers().get(UPGRADE).cloned();
    let mut headers = std::mem::take(response.headers_mut());
    forwarded::keep_the_apps(&mut headers);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
    Answer { status: 101, fields: HeaderFields(headers), body: Body::empty() }
}

/// An answer of one of our own routes.
fn answer(response: Response<Bytes>) -> Answer<HeaderFields, Body> {
    let (parts, body) = response.into_parts();
    Answer { status: parts.status.as_u16(), fields: HeaderFields(parts.headers), body: Body::full(body) }
}
