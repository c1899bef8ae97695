//! The gateway as a host of the edge's pipeline: moka as its cache store, and the next hop is the app.
//!
//! Requests that our Worker has signed come in at the cache stage, where this is the shield.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cache::purge::{Scope, Verdict};
use cache::range::ByteRange;
use cache::{Fields as _, Kept, Key, Mark, Meta, Settings, Store, Timestamp};
use contract::Problem;
use edge::challenge::Said;
use edge::{Answer, Conditions, Errand, Exchange, Fetched, Gate, Host, Standing, fetch};
use http::header::{CONNECTION, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH, TE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};

use crate::body::Body;
use crate::config::{HealthOwner, Site};
use crate::conversation::Connection;
use crate::gateway::{Core, Gateway};
use crate::head::{HeaderFields, Incoming};
use crate::store::{Entry, Slot};
use crate::trust::Trusted;
use crate::upstream::Course;
use crate::{assets, collapse, forwarded, hand_off, health, upgrade, upstream};

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
    /// When the request's head had been read.
    pub(crate) started: Instant,
}

impl Store for Native {
    type Handle = Entry;
    type Body = Body;

    async fn get(&self, key: &Key) -> Option<Kept<Entry>> {
        Some(match self.gateway().store.get(key)? {
            Slot::Answer(entry) => Kept::Answer { meta: Arc::clone(&entry.meta), handle: entry },
            Slot::Mark(mark) => mark.into(),
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
        self.gateway().orders.sequence()
    }

    fn standing<T>(&self, read: impl FnOnce(&Standing) -> T) -> T {
        self.gateway().orders.standing(read)
    }

    fn gate(&self) -> Option<Gate<'_>> {
        let gateway = self.gateway();
        let (turnstile, edge) = (gateway.turnstile.as_ref()?, gateway.config.edge.as_ref()?);
        Some(Gate { site_key: turnstile.site_key(), keys: &edge.keys, clearance: turnstile.clearance() })
    }

    async fn verify(&self, exchange: &Exchange, token: &str) -> Result<Said, Problem> {
        let turnstile = self.gateway().turnstile.as_ref().ok_or(Problem::ChallengeUnavailable)?;
        turnstile.verify(token, exchange.visitor.client).await
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
        incoming.again()
    }

    fn fetch(&self, errand: Errand<Self>) -> impl Future<Output = Fetched<Self>> {
        collapse::fetch(self, errand)
    }

    fn fetch_later(&self, errand: Errand<Self>) {
        collapse::fetch_later(self, errand);
    }

    fn asset(
        &self,
        exchange: &Exchange,
        request: &Incoming,
    ) -> impl Future<Output = Option<Answer<HeaderFields, Body>>> {
        let (site, path) = (self.site(), exchange.target.path());
        // Before our Worker stands Cloudflare, which has served it or does not have it.
        let folder = site.assets.as_deref().filter(|_| self.trusted != Trusted::EdgeSigned);
        let asked = folder.and_then(|folder| assets::find(folder, path, &request.parts));
        let well_known = || assets::well_known(site.well_known.as_deref()?, path, &request.parts);
        let asked = asked.or_else(well_known);
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
        if exchange.target.path().starts_with(health::PAGE)
            && self.site().health != HealthOwner::App
            && matches!(incoming.parts.method, Method::GET | Method::HEAD)
        {
            let Gateway { health, draining, .. } = self.gateway();
            if let Some(response) = health.at(exchange.target.path(), self.site, &incoming.authority, draining) {
                return Ok(own(response));
            }
        }
        if exchange.target.path() == health::PATH && self.site().health != HealthOwner::App {
            let asked = health::Asked { site: self.site, trusted: self.trusted, headers: &incoming.parts.headers };
            let answer = self.gateway().health.answer(asked, self.gateway().config.written.hash());
            return Ok(own(answer.map(Body::full)));
        }
        let Incoming { parts, authority, .. } = incoming;
        let mut request = Request::from_parts(parts, upload.unwrap_or_else(Body::empty));
        condition(request.headers_mut(), conditions)?;
        let upgrade = upgrade::is_wanted(&request).then(|| hyper::upgrade::on(&mut request));
        let request = self.onward(exchange, request, &authority, upgrade.is_some())?;
        let timeouts = &self.site().timeouts;
        let app = self.app().ok_or(Problem::UnknownHost)?;
        let enough = AtomicBool::new(false);
        let course = Course { spent: &exchange.spent, since: self.started, enough: &enough };
        let began = tokio::time::Instant::now();
        let mut sent = pin!(upstream::send(&self.core.pool, app, request, timeouts, course));
        let (response, lease) = if spare {
            let in_time = tokio::time::timeout(LITTLE_PATIENCE, sent.as_mut()).await;
            // It is dropped after this, and learns why.
            let given_up = |_| {
                course.given_up(began);
                Problem::AppTimeout
            };
            in_time.map_err(given_up)??
        } else {
            sent.await?
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = upgrade.ok_or(Problem::AppInvalid)?;
            self.connection.switched.set();
            lease.detach();
            return Ok(upgrade::switch(&self.core, response, upgrade, Arc::clone(&self.connection.place)));
        }
        let (mut parts, body) = response.into_parts();
        let handed_off = hand_off::take(&mut parts.headers);
        forwarded::keep_the_apps(&mut parts.headers);
        if let Some(handed_off) = handed_off {
            // Its body does not matter. Where there is none, as there should be, the connection serves on.
            drop(Body::upstream(body, lease, timeouts.idle.0, None));
            return hand_off::check(&self.gateway().config.buckets, handed_off?, parts.headers, self.now().as_secs());
        }
        let fields = HeaderFields(parts.headers);
        // Without an end, and its client comes back when it ends.
        let endless = fetch::is_event_stream(&fields) && !fields.has("content-length");
        let drain = endless.then(|| self.gateway().draining.clone());
        Ok(Answer { status: parts.status.as_u16(), fields, body: Body::upstream(body, lease, timeouts.idle.0, drain) })
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

    /// What the log calls an upstream of the site's app.
    pub(crate) fn upstream_name(&self, upstream: u32) -> &'static str {
        self.app().map_or("", |app| app.upstream_name(upstream))
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

/// Whether a client takes trailers (RFC 9110 section 10.1.4); so do we then, and pass them on.
fn takes_trailers(te: &HeaderValue) -> bool {
    te.to_str().is_ok_and(|te| cache::fields::list_members(te).any(|m| m.eq_ignore_ascii_case("trailers")))
}

/// An answer of one of our own routes.
fn own(response: Response<Body>) -> Answer<HeaderFields, Body> {
    let (parts, body) = response.into_parts();
    Answer { status: parts.status.as_u16(), fields: HeaderFields(parts.headers), body }
}
