//! A cache on the way, run by the real engine: the same pipeline as in the Worker and in the gateway, over a store of variables and a clock that
//! is set. An edge's next hop is the gateway, the gateway's is the app.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::sync::Arc;

use cache::purge::{Log, Verdict};
use cache::range::ByteRange;
use cache::{Kept, Key, Mark, Meta, Plan, Settings, Store, Timestamp};
use contract::Problem;
use edge::following::{self, BOUND, Following, Hearing};
use edge::{Answer, Conditions, Errand, Exchange, Fetched, Host, Standing, Visitor, fetch, pipeline, stored};
use futures_util::FutureExt as _;

use super::wire::{Lines, Request, Said};

/// The time in milliseconds, as all of them see it.
pub type Clock = Rc<Cell<u64>>;

type App = dyn Fn(&str) -> Said;

/// Where what is not stored is asked for.
enum Next {
    Gateway(Rc<Place>),
    App(Rc<App>),
}

#[derive(Clone)]
enum Held {
    Answer(Arc<Meta>, u64),
    Mark(Mark),
}

/// An edge, or the gateway.
pub struct Place {
    now: Clock,
    next: Next,
    stored: RefCell<HashMap<Key, Held>>,
    later: RefCell<Vec<Errand<Place>>>,
    /// What an edge knows of the gateway's orders.
    following: Option<RefCell<Following>>,
    sent_on: Cell<u64>,
    bytes: Cell<u64>,
    news: Cell<u64>,
    heard: Cell<u64>,
}

/// The number of the gateway's newest order: nothing is purged here.
const ORDERS: u64 = 1;

impl Place {
    /// The gateway, before an app.
    pub fn gateway(now: &Clock, app: impl Fn(&str) -> Said + 'static) -> Rc<Self> {
        Rc::new(Self::new(now, Next::App(Rc::new(app)), None))
    }

    /// An edge before it.
    #[must_use]
    pub fn edge(gateway: &Rc<Self>) -> Self {
        Self::new(&gateway.now, Next::Gateway(Rc::clone(gateway)), Some(RefCell::default()))
    }

    fn new(now: &Clock, next: Next, following: Option<RefCell<Following>>) -> Self {
        let (stored, later) = (RefCell::default(), RefCell::default());
        let [sent_on, bytes, news, heard] = std::array::from_fn(|_| Cell::new(0));
        Self { now: Rc::clone(now), next, stored, later, following, sent_on, bytes, news, heard }
    }

    /// Requests that went on from here.
    pub fn sent_on(&self) -> u64 {
        self.sent_on.get()
    }

    /// Bytes of the bodies that came here.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// How often it asked for orders.
    pub fn news(&self) -> u64 {
        self.news.get()
    }

    /// For how many milliseconds from now it knows of all orders.
    pub fn knows_for(&self) -> u64 {
        (self.heard.get() + BOUND).saturating_sub(self.now.get())
    }

    /// Asks for orders, if a request that is looked up would now.
    pub fn hear_now(&self) {
        if let Some(following) = &self.following
            && following.borrow().hearing(self.now.get()) == Hearing::Ask
        {
            self.learn();
        }
    }

    /// The gateway has answered something, and with it said how new its orders are.
    pub fn told(&self, at: u64) {
        let Some(following) = &self.following else { return };
        if following.borrow_mut().told(ORDERS, at) {
            self.learn();
        }
        self.heard.set(self.heard.get().max(at));
    }

    fn learn(&self) {
        let Some(following) = &self.following else { return };
        let news = following::news(
            &Log::starting_at(ORDERS),
            &Standing::default(),
            following.borrow().sequence(),
            following::OF_AN_EDGE,
        );
        following.borrow_mut().learn(&news, self.now.get());
        self.heard.set(self.now.get());
        self.news.set(self.news.get() + 1);
    }

    /// Answers a request, and does what it leaves for later.
    pub fn ask(&self, request: &Request) -> Answer<Lines, u64> {
        let Some(exchange) = admit(request) else {
            return Answer { status: 400, fields: Lines::default(), body: 0 };
        };
        let answered = pipeline::answer(self, &Arc::new(exchange), request.clone(), None).now_or_never();
        for errand in self.later.take() {
            let _ = fetch::run(self, errand).now_or_never();
        }
        match answered {
            Some(answered) => answered.answer,
            None => Answer { status: 500, fields: Lines::default(), body: 0 },
        }
    }

    /// For how many milliseconds from now a request is surely answered from here, and changes nothing.
    pub fn fresh_for(&self, request: &Request) -> u64 {
        let Some(exchange) = admit(request) else { return 0 };
        let Plan::Look(ask) = exchange.plan else { return 0 };
        let stored = stored::look_up(self, &exchange, request, &ask).now_or_never();
        let Some(Ok(stored)) = stored else { return 0 };
        u64::try_from(stored.meta.ttl(self.now())).unwrap_or(0) * 1000
    }
}

fn admit(request: &Request) -> Option<Exchange> {
    let visitor = Visitor { client: Ipv4Addr::LOCALHOST.into(), country: None, asn: None };
    pipeline::admit(request, visitor, [7; 16], 8192).ok()
}

impl Store for Place {
    type Handle = u64;
    type Body = u64;

    async fn get(&self, key: &Key) -> Option<Kept<u64>> {
        Some(match self.stored.borrow().get(key)?.clone() {
            Held::Answer(meta, handle) => Kept::Answer { meta, handle },
            Held::Mark(mark) => mark.into(),
        })
    }
    async fn body(&self, _key: &Key, handle: u64, part: Option<ByteRange>) -> Option<u64> {
        Some(part.map_or(handle, |part| part.end - part.start))
    }
    fn put(&self, key: Key, meta: Meta, body: u64) -> u64 {
        self.stored.borrow_mut().insert(key, Held::Answer(Arc::new(meta.with_length(body)), body));
        body
    }
    fn refresh(&self, key: Key, meta: Arc<Meta>, handle: u64) -> u64 {
        self.stored.borrow_mut().insert(key, Held::Answer(meta, handle));
        handle
    }
    fn mark(&self, key: Key, mark: Mark) {
        self.stored.borrow_mut().insert(key, Held::Mark(mark));
    }
    async fn remove(&self, key: &Key) {
        self.stored.borrow_mut().remove(key);
    }
}

impl Host for Place {
    type Request = Request;
    type Upload = ();
    type Fields = Lines;

    const CACHE: &'static str = "model";

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.get())
    }
    fn object_limit(&self) -> u64 {
        u64::MAX
    }
    fn settings(&self) -> Settings {
        Settings::default()
    }
    fn sequence(&self) -> u64 {
        self.following.as_ref().map_or(ORDERS, |following| following.borrow().sequence())
    }
    fn hear(&self, _exchange: &Exchange) -> impl Future<Output = bool> {
        // As in the Worker it begins at once, also for what turns out to be a miss.
        self.hear_now();
        std::future::ready(true)
    }
    fn standing<T>(&self, read: impl FnOnce(&Standing) -> T) -> T {
        read(&Standing::default())
    }
    fn verdict(&self, key: &Key, stored: &Meta) -> Verdict {
        self.following.as_ref().map_or(Verdict::Valid, |following| following.borrow().verdict(key, stored))
    }
    fn invalidate_groups(&self, _origin: &str, _groups: Vec<String>) {}
    async fn asset(&self, _exchange: &Exchange, _request: &Request) -> Option<Answer<Lines, u64>> {
        None
    }
    fn again(&self, request: &Request) -> Request {
        request.clone()
    }
    async fn forward(
        &self,
        _exchange: &Exchange,
        request: Request,
        _upload: Option<()>,
        conditions: Conditions,
        _spare: bool,
    ) -> Result<Answer<Lines, u64>, Problem> {
        self.sent_on.set(self.sent_on.get() + 1);
        let mut fields: Vec<_> = request.fields.to_vec();
        if let Conditions::Own(own) = conditions {
            fields.retain(|(name, _)| !matches!(*name, "if-none-match" | "if-modified-since"));
            fields.extend(own);
        }
        let request = Request { target: request.target, fields: fields.into() };
        let answer = match &self.next {
            Next::Gateway(gateway) => gateway.ask(&request),
            Next::App(app) => app(&request.target).to(&request, self.now()),
        };
        self.told(self.now.get());
        self.bytes.set(self.bytes.get() + answer.body);
        Ok(answer)
    }
    async fn fetch(&self, errand: Errand<Self>) -> Fetched<Self> {
        fetch::run(self, errand).await
    }
    fn fetch_later(&self, errand: Errand<Self>) {
        self.later.borrow_mut().push(errand);
    }
    fn text(&self, text: String) -> u64 {
        text.len() as u64
    }
}
