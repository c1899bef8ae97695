//! The gateway as a host of the edge's pipeline: moka as its cache store, and the next hop is the app.
//!
//! Requests that our Worker has signed come in at the cache stage, where this is the shield.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cache::purge::{Scope, Verdict};
use cache::range::ByteRange;
use cache::{Fields, Key, Mark, Meta, Settings, Store, Timestamp};
use contract::Problem;
use edge::{Answer, Conditions, Errand, Exchange, Fetched, FieldsMut, Head, Host, Sharing, Standing, fetch};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH, TE, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

use crate::body::Body;
use crate::config::{HealthOwner, Site};
use crate::conversation::Connection;
use crate::flights::{Boarding, Landing};
use crate::gateway::{Core, Gateway};
use crate::limits::connections::Place;
use crate::store::{Entry, Kept};
use crate::trust::Trusted;
use crate::{assets, forwarded, health, panics, storage, upstream};

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
        // Room for the three that every answer gets.
        let mut fields = Self(HeaderMap::with_capacity(meta.iter().count() + 3));
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

/// A request as it came from downstream, without its body.
pub(crate) struct Incoming {
    pub(crate) parts: Parts,
    /// Host and port, checked.
    pub(crate) authority: Box<str>,
    /// Whether the client speaks TLS, to us or to what stands before us.
    pub(crate) secure: bool,
}

impl Fields for Incoming {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.parts.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes()))
    }
}

impl Head for Incoming {
    fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn secure(&self) -> bool {
        self.secure
    }

    fn target(&self) -> &str {
        self.parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
    }
}

/// How long an app may take to answer where a stored answer may stand in: so long somebody looks at nothing.
const LITTLE_PATIENCE: Duration = Duration::from_secs(1);

/// The gateway, for one request.
#[derive(Clone)]
pub(crate) struct Native {
    pub(crate) core: Arc<Core>,
    /// The site's number; that of any site where there is none.
    pub(crate) site: usize,
    pub(crate) trusted: Trusted,
    pub(crate) connection: Connection,
}

impl Store for Native {
    type Handle = Entry;
    type Body = Body;

    async fn get(&self, key: &Key) -> Option<cache::Kept<Entry>> {
        Some(match self.gateway().store.get(key)? {
            Kept::Answer(entry) => cache::Kept::Answer { meta: Arc::clone(&entry.meta), handle: entry },
            Kept::Mark(mark) => mark.into(),
        })
    }

    async fn body(&self, _key: &Key, handle: Entry, part: Option<ByteRange>) -> Option<Body> {
        handle.body(part)
    }

    fn join(&self, first: Body, second: Body) -> Option<Body> {
        Some(Body::joined(first, second))
    }

    fn put(&self, key: Key, meta: Meta, body: Body) -> Body {
        self.gateway().store.put(key, meta, body)
    }

    fn refresh(&self, key: Key, meta: Arc<Meta>, handle: Entry) -> Entry {
        self.gateway().store.refresh(key, meta, handle)
    }

    fn mark(&self, key: Key, mark: Mark) {
        self.gateway().store.mark(key, mark);
    }

    async fn remove(&self, key: &Key) {
        self.gateway().store.remove(key);
    }
}

impl Host for Native {
    type Request = Incoming;
    type Upload = Body;
    type Fields = HeaderFields;

    const CACHE: &'static str = "gateway";
    const PARTS: bool = true;

    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    fn object_limit(&self) -> u64 {
        self.gateway().store.object_limit()
    }

    fn settings(&self) -> Settings {
        Settings { stale_on_failure: self.gateway().config.cache.stale.0.as_secs(), ..Settings::default() }
    }

    fn sequence(&self) -> u64 {
        self.gateway().orders.newest()
    }

    fn standing<T>(&self, read: impl FnOnce(&Standing) -> T) -> T {
        self.gateway().orders.standing(read)
    }

    fn verdict(&self, key: &Key, stored: &Meta) -> Verdict {
        match self.gateway().orders.verdict(key, stored) {
            // The edge has it validated while it sends its own. Sent from here once more, it would be stored there as new.
            Verdict::Doubtful if self.trusted == Trusted::EdgeSigned => Verdict::Gone,
            verdict => verdict,
        }
    }

    fn invalidate_groups(&self, origin: &str, groups: Vec<String>) {
        let of = |name: String| Scope::Group { origin: origin.into(), name: name.into() };
        self.gateway().orders.purge(&groups.into_iter().map(of).collect::<Vec<_>>(), false);
    }

    fn stored_fields(&self, _stored: &Meta, entry: &Entry) -> HeaderFields {
        HeaderFields(HeaderMap::clone(&entry.headers))
    }

    fn again(&self, incoming: &Incoming) -> Incoming {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = incoming.parts.method.clone();
        parts.uri = incoming.parts.uri.clone();
        parts.version = incoming.parts.version;
        parts.headers = incoming.parts.headers.clone();
        Incoming { parts, authority: incoming.authority.clone(), secure: incoming.secure }
    }

    async fn fetch(&self, errand: Errand<Self>) -> Fetched<Self> {
        let Some(key) = errand.shared_key() else { return fetch::run(self, errand).await };
        match self.gateway().flights.board(key.as_str()) {
            Boarding::Alone => {
                let fetched = fetch::run(self, errand.alone()).await;
                if matches!(&fetched, Fetched::Answer { sharing: Sharing::Found | Sharing::Next, .. }) {
                    self.gateway().flights.forget(key.as_str());
                }
                fetched
            }
            // What it did not find has landed meanwhile.
            Boarding::Lead(flight) if errand.is_cold() && self.gateway().store.get(&key).is_some() => {
                flight.land(Landing::Stored);
                Fetched::Again(Box::new(errand))
            }
            Boarding::Lead(flight) => {
                let (mut done, answer) = oneshot::channel();
                let native = self.clone();
                // A task of its own: others may wait for it, and then it goes on when the client that it began with has left.
                tokio::spawn(async move {
                    let mut fetching = pin!(native.run(errand));
                    let fetched = tokio::select! {
                        fetched = &mut fetching => fetched,
                        () = done.closed() => {
                            if !flight.is_followed() {
                                return;
                            }
                            fetching.await
                        }
                    };
                    flight.land(match &fetched {
                        Fetched::Answer { sharing: Sharing::Found, .. } => Landing::Stored,
                        Fetched::Failed(problem) => Landing::Failed(*problem),
                        Fetched::Answer { .. } | Fetched::Again(_) => Landing::NotStored,
                    });
                    // Where nobody is there any more to have it, that is that.
                    drop(done.send(fetched));
                });
                answer.await.unwrap_or(Fetched::Failed(Problem::Internal))
            }
            Boarding::Follow(follow) => match follow.landed().await {
                Landing::Failed(problem) => fetch::failed(self, problem, errand).await,
                Landing::Stored | Landing::Gone => Fetched::Again(Box::new(errand)),
                Landing::NotStored => fetch::run(self, errand).await,
            },
        }
    }

    fn fetch_later(&self, errand: Errand<Self>) {
        let key = errand.exchange.key();
        // One at a time is enough.
        if let Boarding::Lead(flight) = self.gateway().refreshes.board(key.as_str()) {
            let native = self.clone();
            tokio::spawn(async move {
                drop(native.run(errand).await);
                flight.land(Landing::Stored);
            });
        }
    }

    fn asset(
        &self,
        exchange: &Exchange,
        request: &Incoming,
    ) -> impl Future<Output = Option<Answer<HeaderFields, Body>>> {
        // Before our Worker stands Cloudflare, which has served it or does not have it.
        let folder = self.site().assets.as_deref().filter(|_| self.trusted != Trusted::EdgeSigned);
        let asked = folder.and_then(|folder| assets::find(folder, exchange.target.path(), &request.parts));
        async { asked?.serve().await }
    }

    async fn forward(
        &self,
        exchange: &Exchange,
        incoming: Incoming,
        upload: Option<Body>,
        conditions: Conditions,
        spare: bool,
    ) -> Result<Answer<HeaderFields, Body>, Problem> {
        if exchange.target.path() == health::PATH && self.site().health == HealthOwner::Gateway {
            return Ok(answer(self.gateway().health.answer(self.trusted)));
        }
        let Incoming { parts, authority, .. } = incoming;
        let mut request = Request::from_parts(parts, upload.unwrap_or_else(Body::empty));
        condition(request.headers_mut(), conditions)?;
        let read = if *request.method() == Method::HEAD { storage::Read::Head } else { storage::Read::Get };
        let upgrade = upgrade_of(&request).then(|| hyper::upgrade::on(&mut request));
        let request = self.onward(exchange, request, &authority, upgrade.is_some())?;
        let timeouts = &self.site().timeouts;
        let app = self.app().ok_or(Problem::UnknownHost)?;
        let sent = upstream::send(&self.core.pool, app, request, timeouts);
        let (response, lease) = if spare {
            tokio::time::timeout(LITTLE_PATIENCE, sent).await.map_err(|_| Problem::AppTimeout)??
        } else {
            sent.await?
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = upgrade.ok_or(Problem::AppInvalid)?;
            self.connection.switched.set();
            lease.detach();
            return Ok(switch(&self.core, response, upgrade, Arc::clone(&self.connection.place)));
        }
        let (mut parts, body) = response.into_parts();
        let handoff = parts.headers.get(&forwarded::HANDOFF).cloned();
        forwarded::keep_the_apps(&mut parts.headers);
        if let Some(handoff) = handoff {
            return self.hand_off(&handoff, read, parts.headers);
        }
        let drain = is_event_stream(&parts.headers).then(|| self.gateway().draining.clone());
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

/// Puts our own conditions in place of the client's.
fn condition(headers: &mut HeaderMap, conditions: Conditions) -> Result<(), Problem> {
    let Conditions::Own(conditions) = conditions else { return Ok(()) };
    headers.remove(IF_NONE_MATCH);
    headers.remove(IF_MODIFIED_SINCE);
    for (name, value) in conditions {
        headers.insert(name, HeaderValue::from_str(&value).map_err(|_| Problem::Internal)?);
    }
    Ok(())
}

impl Native {
    /// Carries an errand out in a task of its own, where a panic is told like one that a client's request has.
    async fn run(&self, errand: Errand<Self>) -> Fetched<Self> {
        let id = errand.exchange.id;
        let mut running = pin!(fetch::run(self, errand));
        poll_fn(|cx| panics::poll(running.as_mut(), cx)).await.unwrap_or_else(|panic| {
            tracing::error!(request.id = %id, panic, "a request's handling panicked");
            Fetched::Failed(Problem::Internal)
        })
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        &self.core.gateway
    }

    /// The site that answers.
    pub(crate) fn site(&self) -> &Site {
        // Its number is one of theirs.
        &self.core.gateway.sites.all()[self.site]
    }

    /// The site's app; `None` where there is no site.
    fn app(&self) -> Option<&Arc<upstream::App>> {
        self.core.gateway.apps.get(self.site)
    }

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
            storage::resolve(&self.gateway().config.buckets, value, read, self.now().as_secs()).map_err(|error| {
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
