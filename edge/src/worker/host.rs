//! The Workers runtime as a host of the pipeline.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use cache::purge::Verdict;
use cache::range::ByteRange;
use cache::{Kept, Key, Mark, Meta, Settings, Store, Timestamp, meta};
use contract::news::{self, News};
use contract::signature::{Keys, Message};
use contract::{Country, EdgeFacts, Problem, RequestId, client, header};
use sha2::{Digest as _, Sha256};
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use worker::js_sys::{Date, Promise};
use worker::wasm_bindgen::{JsCast as _, JsValue};
use worker::web_sys;

use super::glue;
use super::lines::{Lines, add};
use crate::challenge::{self, Gate, Said};
use crate::counts::{self, Counting, Counts, Kind};
use crate::following::{Following, Hearing};
use crate::{Answer, Conditions, Errand, Exchange, Fetched, Head, Host, Standing, Visitor, fetch, onward};

/// How long to wait for the head of the gateway's answer, in ms: a black hole must not hold a visitor. Requests with a
/// body wait as long as their upload takes.
const PATIENCE: u32 = 5_000;

/// The same, where an answer from the store may stand in.
const LITTLE_PATIENCE: u32 = 1_000;

/// How long a hit waits to hear of purges, in ms, while what is stored is looked up.
const WAIT: u32 = 250;

/// How long asking for them may take, for the sake of those that come later.
const ASKING: u32 = 2_000;

/// Bytes of the largest body that is stored: what goes by within the time that the runtime grants after an answer, and what
/// JavaScript may hold until it is there to its end.
const OBJECT_LIMIT: u32 = 8 << 20;

/// The header that carries an entry's metadata in the store.
const META: &str = "edge-meta";

/// The header that carries the length of a stored body.
const LENGTH: &str = "edge-length";

/// A request: its head in one string, its body left with JavaScript.
pub(super) struct Request {
    fields: Lines,
    method: Box<str>,
    scheme: Box<str>,
    authority: Box<str>,
    target: Box<str>,
    visitor: Visitor,
}

impl Request {
    pub(super) fn new(js: &web_sys::Request) -> Self {
        let text = glue::request_head(js);
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
        Self { fields, method, scheme, authority, target, visitor }
    }

    /// Takes the clearance out of its cookies.
    pub(super) fn take_clearance(&mut self) -> Option<Box<str>> {
        challenge::take(&mut self.fields)
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

    fn secure(&self) -> bool {
        &*self.scheme == "https"
    }

    fn target(&self) -> &str {
        &self.target
    }
}

/// The runtime, for one request.
#[derive(Clone)]
pub(super) struct Runtime {
    pub(super) keys: &'static Keys,
    /// What the build has put in.
    pub(super) own: &'static super::Own,
    /// The widget that challenges, where there is one.
    pub(super) turnstile: Option<&'static super::Turnstile>,
    pub(super) context: JsValue,
    /// A rate limit of the platform's, or undefined: coarse, and each data centre's own.
    pub(super) limiter: JsValue,
}

impl Store for Runtime {
    type Handle = web_sys::Response;
    type Body = JsValue;

    async fn get(&self, key: &Key) -> Option<Kept<Self::Handle>> {
        let matched: web_sys::Response = glue::cache_match(&url(key)).await.ok()?.dyn_into().ok()?;
        let headers = matched.headers();
        let encoded = headers.get(META).ok()??;
        if let Some(mark) = Mark::decode(&encoded) {
            glue::discard(&matched);
            return Some(mark.into());
        }
        let mut meta = Meta::decode(&encoded)?;
        if let Some(length) = headers.get(LENGTH).ok().flatten().and_then(|length| length.parse().ok()) {
            meta = meta.with_length(length);
        }
        Some(Kept::Answer { meta: meta.into(), handle: matched })
    }

    async fn body(&self, key: &Key, handle: Self::Handle, part: Option<ByteRange>) -> Option<Self::Body> {
        let Some(part) = part else { return Some(handle.into()) };
        glue::discard(&handle);
        #[expect(clippy::cast_precision_loss, reason = "an object is far smaller than 2^53 bytes")]
        let matched = glue::cache_part(&url(key), part.start as f64, part.end as f64).await.ok()?;
        matched.is_object().then_some(matched)
    }

    fn put(&self, key: Key, meta: Meta, body: Self::Body) -> Self::Body {
        let (Some(packed), Ok(response)) = (self.packed(&meta), body.clone().dyn_into::<web_sys::Response>()) else {
            return body;
        };
        glue::cache_put(&self.context, &url(&key), &response, &packed, OBJECT_LIMIT).map_or(body, Into::into)
    }

    fn refresh(&self, key: Key, meta: Arc<Meta>, handle: Self::Handle) -> Self::Handle {
        if let Some(packed) = self.packed(&meta) {
            // Where it fails what is stored stays as it was.
            let _ = glue::cache_refresh(&self.context, &url(&key), &handle, &packed);
        }
        handle
    }

    fn mark(&self, key: Key, mark: Mark) {
        let mut packed = String::with_capacity(128);
        add(&mut packed, META, &mark.encode());
        add(&mut packed, "cache-control", "public, max-age=31536000");
        // Without it what it leads to is not found, which is a miss.
        let _ = glue::cache_mark(&self.context, &url(&key), &packed);
    }

    async fn remove(&self, key: &Key) {
        if let Err(error) = glue::cache_delete(&url(key)).await {
            worker::console_error!("cache delete: {error:?}");
        }
    }
}

thread_local! {
    /// What this isolate knows of what was ordered.
    static FOLLOWING: RefCell<Following> = RefCell::default();
    /// What it has counted.
    static COUNTING: RefCell<Counting> = RefCell::default();
}

/// Counts, and sees to it that the counts are carried to the gateway in time: by an exchange that there is anyway, or by one for them, in the name
/// of `exchange`.
pub(super) fn count(runtime: &Runtime, exchange: Option<&Arc<Exchange>>, what: impl FnOnce(&mut Counts)) {
    COUNTING.with_borrow_mut(|counting| {
        let Some(exchange) = exchange else { return counting.only_count(what) };
        let Some(number) = counting.count(runtime.now().as_millis(), what) else { return };
        let (runtime, exchange) = (runtime.clone(), Arc::clone(exchange));
        let context = runtime.context.clone();
        let carried = future_to_promise(async move {
            let _ = JsFuture::from(glue::sleep(counts::WAIT)).await;
            // What had been sent before and got no answer goes first.
            while COUNTING.with_borrow_mut(|counting| counting.waits(number)) {
                let _ = JsFuture::from(runtime.ask(&exchange)).await;
                if !COUNTING.with_borrow(Counting::is_answered) {
                    break;
                }
            }
            Ok(JsValue::UNDEFINED)
        });
        glue::wait_until(&context, &carried);
    });
}

impl Runtime {
    /// Asks the gateway for the purges that are not known here, and learns them, also where nobody waits for it.
    fn ask(&self, exchange: &Exchange) -> Promise {
        let (left, after) = (self.now().as_millis(), self.sequence());
        FOLLOWING.with_borrow_mut(|following| following.asking(left));
        let query = news::query(after);
        let mut packed = String::with_capacity(512);
        // A request of our own, in the name of the visitor for whom we ask.
        let facts = EdgeFacts { id: RequestId::from_random(super::random()), ..exchange.facts() };
        self.sign(&mut packed, &exchange.authority, &facts, "GET", news::PATH, Some(&query));
        let batch = COUNTING.with_borrow_mut(|counting| counting.batch(drawn()));
        let number = batch.map(|(batch, number)| {
            add(&mut packed, header::EDGE_COUNTS, &batch);
            number
        });
        let scheme = if exchange.secure { "https" } else { "http" };
        let url = format!("{scheme}://{}{}?{query}", exchange.authority, news::PATH);
        let runtime = self.clone();
        let asked = future_to_promise(async move {
            let said = glue::ask(&url, &packed, ASKING).await.ok().and_then(|text| text.as_string());
            let news = said.as_deref().and_then(News::parse);
            if let (Some(_), Some(number)) = (&news, number) {
                COUNTING.with_borrow_mut(|counting| counting.carried(number));
            }
            FOLLOWING.with_borrow_mut(|following| match news {
                Some(news) => following.learn(&news, left),
                None => following.failed(runtime.now().as_millis()),
            });
            Ok(JsValue::UNDEFINED)
        });
        glue::wait_until(&self.context, &asked);
        asked
    }

    /// Adds what makes the gateway take a request for ours.
    fn sign(
        &self,
        packed: &mut String,
        authority: &str,
        facts: &EdgeFacts,
        method: &str,
        path: &str,
        query: Option<&str>,
    ) {
        let facts = facts.to_string();
        let message = Message { method, authority, path, query, facts: &facts };
        let signed = self.keys.signing().sign(&message, self.now().as_secs());
        add(packed, header::EDGE_FACTS, &facts);
        add(packed, header::SIGNATURE_INPUT, &signed.input);
        add(packed, header::SIGNATURE, &signed.signature);
    }

    /// The header section under which an answer is kept; `None` where it is too large to be one.
    fn packed(&self, meta: &Meta) -> Option<String> {
        let encoded = meta.encode()?;
        let mut packed = String::with_capacity(encoded.len() + 128);
        add(&mut packed, META, &encoded);
        let keep = meta.keep(self.now(), &self.settings());
        add(&mut packed, "cache-control", &format!("public, max-age={}", keep.min(31_536_000)));
        if let Some(coding) = cache::Fields::single(meta, "content-encoding") {
            add(&mut packed, "content-encoding", coding);
        }
        Some(packed)
    }
}

/// A number by which the gateway tells isolates apart.
fn drawn() -> u64 {
    u64::from_be_bytes(super::random().first_chunk().copied().unwrap_or_default())
}

/// The store's name for a key. No client's request is looked up under another, so it can't be reached from outside.
fn url(key: &Key) -> String {
    let origin = key.origin();
    let (scheme, authority) = origin.split_once("://").unwrap_or(("https", origin));
    let version = meta::VERSION;
    if key.as_str().contains('\n') {
        let mut digest = String::with_capacity(64);
        for byte in Sha256::digest(key.as_str()) {
            // Writing to a String does not fail.
            let _ = write!(digest, "{byte:02x}");
        }
        return format!("https://{authority}/.edge-cache/{version}/below/{digest}");
    }
    format!("https://{authority}/.edge-cache/{version}/{scheme}{}", key.target())
}

impl Host for Runtime {
    type Request = Request;
    type Upload = web_sys::ReadableStream;
    type Fields = Lines;

    const CACHE: &'static str = "edge";

    fn now(&self) -> Timestamp {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
        Timestamp::from_millis(Date::now() as u64)
    }

    fn object_limit(&self) -> u64 {
        u64::from(OBJECT_LIMIT)
    }

    fn settings(&self) -> Settings {
        Settings::default()
    }

    fn sequence(&self) -> u64 {
        FOLLOWING.with_borrow(Following::sequence)
    }

    fn hear(&self, exchange: &Exchange) -> impl Future<Output = bool> {
        let hearing = || FOLLOWING.with_borrow(|following| following.hearing(self.now().as_millis()));
        // Each request asks for itself: what another waits for may not be awaited here.
        let asking = (hearing() == Hearing::Ask).then(|| glue::at_most(&self.ask(exchange), WAIT));
        async move {
            let Some(asking) = asking else { return hearing() == Hearing::Known };
            // It ends in any case, and what came of it is known then.
            let _ = JsFuture::from(asking).await;
            let known = hearing() == Hearing::Known;
            if !known {
                // Those that come next need not wait for the same nothing.
                FOLLOWING.with_borrow_mut(|following| following.failed(self.now().as_millis()));
            }
            known
        }
    }

    fn standing<T>(&self, read: impl FnOnce(&Standing) -> T) -> T {
        FOLLOWING.with_borrow(|following| read(following.standing()))
    }

    fn gate(&self) -> Option<Gate<'_>> {
        let clearance = self.own.terms.clearance;
        self.turnstile.map(|turnstile| Gate { site_key: &turnstile.site_key, keys: self.keys, clearance })
    }

    fn is_for_programs(&self, path: &str) -> bool {
        self.own.terms.for_programs.iter().any(|known| **known == *path)
    }

    async fn verify(&self, exchange: &Exchange, token: &str) -> Result<Said, Problem> {
        let secret = self.turnstile.map(|turnstile| &*turnstile.secret).unwrap_or_default();
        let within = u32::try_from(self.own.terms.within).unwrap_or(u32::MAX);
        let client = exchange.visitor.client;
        let household = client::household(client).to_string();
        let said = glue::verify(&self.limiter, &household, secret, token, &client.to_string(), within).await;
        let said = said.map_err(|_| Problem::ChallengeUnavailable)?;
        if said.as_f64().is_some() {
            return Err(Problem::RateLimited);
        }
        let said = said.as_string().ok_or(Problem::ChallengeUnavailable)?;
        let mut lines = said.split('\n');
        let mut next = || lines.next().unwrap_or_default().to_owned();
        let said = Said { success: next() == "true", hostname: next(), action: next() };
        if let Some(code) = lines.find(|code| challenge::says_nothing(code)) {
            worker::console_error!("turnstile: {code}");
            return Err(Problem::ChallengeUnavailable);
        }
        Ok(said)
    }

    fn verdict(&self, key: &Key, stored: &Meta) -> Verdict {
        FOLLOWING.with_borrow(|following| following.verdict(key, stored))
    }

    // The gateway has seen the answer that says so, and its purge is in force here as soon as it is heard of.
    fn invalidate_groups(&self, _origin: &str, _groups: Vec<String>) {}

    fn again(&self, request: &Request) -> Request {
        Request {
            fields: request.fields.clone(),
            method: request.method.clone(),
            scheme: request.scheme.clone(),
            authority: request.authority.clone(),
            target: request.target.clone(),
            visitor: request.visitor,
        }
    }

    async fn fetch(&self, errand: Errand<Self>) -> Fetched<Self> {
        // What another request waits for may not be awaited here, so each goes by itself.
        fetch::run(self, errand).await
    }

    fn fetch_later(&self, errand: Errand<Self>) {
        thread_local!(static BEGUN: RefCell<HashSet<Key>> = RefCell::default());
        let key = errand.exchange.key();
        if !BEGUN.with_borrow_mut(|begun| begun.insert(key.clone())) {
            return;
        }
        let runtime = self.clone();
        let fetched = future_to_promise(async move {
            let fetched = fetch::run(&runtime, errand).await;
            BEGUN.with_borrow_mut(|begun| begun.remove(&key));
            if let Fetched::Answer { answer, .. } = fetched {
                glue::discard(&answer.body);
            }
            Ok(JsValue::UNDEFINED)
        });
        glue::wait_until(&self.context, &fetched);
    }

    async fn asset(&self, _exchange: &Exchange, _request: &Request) -> Option<Answer<Lines, JsValue>> {
        // Cloudflare has served those before the Worker runs; what comes here is a miss.
        None
    }

    async fn forward(
        &self,
        exchange: &Exchange,
        request: Request,
        upload: Option<web_sys::ReadableStream>,
        conditions: Conditions,
        spare: bool,
    ) -> Result<Answer<Lines, JsValue>, Problem> {
        let own = matches!(conditions, Conditions::Own(_));
        // The trace that goes on is ours; a second line of it would be none (W3C Trace Context section 3.2).
        let mut packed = request.fields.pack(|name| {
            let asks_again = own && matches!(name, "if-none-match" | "if-modified-since");
            // The operator's token is the gateway's to look at.
            name == header::ORIGIN_TIMING
                || (name != header::TRACEPARENT && !asks_again && onward::passes(&request.fields, name))
        });
        if let Conditions::Own(conditions) = &conditions {
            for (name, value) in conditions {
                add(&mut packed, name, value);
            }
        }
        let (facts, target) = (exchange.facts(), &exchange.target);
        self.sign(&mut packed, &exchange.authority, &facts, &request.method, target.path(), target.query());
        add(&mut packed, header::TRACEPARENT, &exchange.trace.onward(0).to_string());
        if let Some(state) = &exchange.tracestate {
            add(&mut packed, header::TRACESTATE, state);
        }
        if cache::Fields::has(&request.fields, "upgrade") {
            add(&mut packed, "upgrade", "websocket");
        }
        let url = format!("{}://{}{}", request.scheme, request.authority, exchange.target.as_str());
        let patience = match () {
            () if upload.is_some() => 0,
            () if spare => LITTLE_PATIENCE,
            () => PATIENCE,
        };
        let left = self.now().as_millis();
        let client = client::household(exchange.visitor.client).to_string();
        let upload = upload.map_or(JsValue::NULL, Into::into);
        let path = exchange.target.path();
        // Monitors and senders of webhooks are no visitors.
        let free = path == contract::HEALTH || self.is_for_programs(path);
        let limiter = if free { &JsValue::UNDEFINED } else { &self.limiter };
        let failed = |problem: Problem| {
            COUNTING.with_borrow_mut(|counting| {
                counting.only_count(|counts| counts.add(Kind::Gateway, problem.as_str()));
            });
            problem
        };
        let came = glue::forward(limiter, &client, &request.method, &upload, &url, &packed, patience)
            .await
            .map_err(|_| failed(Problem::GatewayUnreachable));
        let took = Duration::from_millis(self.now().as_millis().saturating_sub(left));
        exchange.spent.answer.note(Duration::ZERO, took);
        let came = came?;
        let response: web_sys::Response = came.dyn_into().map_err(|status: JsValue| match status.as_f64() {
            Some(429.0) => Problem::RateLimited,
            Some(504.0) => failed(Problem::GatewayTimeout),
            _ => failed(Problem::GatewayUnreachable),
        })?;
        let status = response.status();
        let head = glue::response_head(&response);
        let mut fields = Lines::unpack(head, 0);
        if let Some(problem) = onward::never_arrived(status, cache::Fields::has(&fields, header::GATEWAY)) {
            return Err(failed(problem));
        }
        crate::FieldsMut::remove(&mut fields, header::GATEWAY);
        let sequence =
            cache::Fields::single(&fields, header::PURGE_SEQUENCE).and_then(|sequence| sequence.parse().ok());
        crate::FieldsMut::remove(&mut fields, header::PURGE_SEQUENCE);
        if sequence.is_some_and(|sequence| FOLLOWING.with_borrow_mut(|following| following.told(sequence, left))) {
            drop(self.ask(exchange));
        }
        Ok(Answer { status, fields, body: response.into() })
    }

    fn text(&self, text: String) -> JsValue {
        glue::text(&text)
    }
}
