//! The pipeline over a host of variables: what it decides, without a network.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use cache::purge::{Log, Scope, Verdict};
use cache::range::ByteRange;
use cache::{Fields, Kept, Key, Mark, Meta, Settings, Store, Timestamp};
use contract::Problem;
use edge::exchange::Refused;
use edge::{Answer, Conditions, Errand, Exchange, Fetched, FieldsMut, Head, Host, Standing, Visitor, fetch, pipeline};
use futures_util::FutureExt as _;

type Lines = Vec<(String, Vec<u8>)>;

#[derive(Clone, Debug, Default)]
struct Headers(Lines);

impl Fields for Headers {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_slice()))
    }
}

impl FieldsMut for Headers {
    fn empty() -> Self {
        Self::default()
    }
    fn of_meta(meta: &Meta) -> Self {
        Self(meta.iter().map(|(n, v)| (n.to_owned(), v.to_vec())).collect())
    }
    fn append(&mut self, name: &'static str, value: &[u8]) {
        self.0.push((name.to_owned(), value.to_vec()));
    }
    fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| n != name);
    }
}

#[derive(Clone)]
struct Request {
    method: &'static str,
    target: &'static str,
    fields: Headers,
}

impl Request {
    fn new(method: &'static str, target: &'static str, fields: &[(&str, &str)]) -> Self {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
        Self { method, target, fields: Headers(fields) }
    }
}

impl Fields for Request {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter()
    }
}

impl Head for Request {
    fn method(&self) -> &str {
        self.method
    }
    fn authority(&self) -> &str {
        "Makenot.Work"
    }
    fn secure(&self) -> bool {
        true
    }
    fn target(&self) -> &str {
        self.target
    }
}

/// What an app answers: status, fields, or a problem on the way to it.
type Said = Result<(u16, Vec<(&'static str, &'static str)>), Problem>;

/// An app that says what it is told to; a clock that stands until it is set.
struct World {
    now: Cell<u64>,
    stored: RefCell<HashMap<Key, Held>>,
    /// What the app was asked, and its conditions.
    asked: RefCell<Vec<String>>,
    conditions: RefCell<Vec<String>>,
    said: RefCell<Said>,
    purges: RefCell<Log>,
    standing: RefCell<Standing>,
    /// Errands for nobody, done by [`World::rest`].
    later: RefCell<Vec<Errand<World>>>,
}

#[derive(Clone)]
enum Held {
    Answer(Meta, String),
    Mark(Mark),
}

impl World {
    fn answering(answers: Result<Vec<(&'static str, &'static str)>, Problem>) -> Self {
        Self {
            now: Cell::new(1_700_000_000),
            stored: RefCell::default(),
            asked: RefCell::default(),
            conditions: RefCell::default(),
            said: RefCell::new(answers.map(|fields| (200, fields))),
            purges: RefCell::default(),
            standing: RefCell::default(),
            later: RefCell::default(),
        }
    }

    fn says(&self, status: u16, fields: &[(&'static str, &'static str)]) {
        *self.said.borrow_mut() = Ok((status, fields.to_vec()));
    }

    fn wait(&self, seconds: u64) {
        self.now.set(self.now.get() + seconds);
    }

    /// Does what was left for later.
    fn rest(&self) {
        for errand in self.later.take() {
            fetch::run(self, errand).now_or_never().expect("nothing here waits");
        }
    }

    fn get(&self, method: &'static str, target: &'static str, fields: &[(&str, &str)]) -> Answer<Headers, String> {
        let request = Request::new(method, target, fields);
        let visitor = Visitor { client: Ipv4Addr::LOCALHOST.into(), country: None, asn: None };
        match pipeline::admit(&request, visitor, [7; 16], 8192) {
            Ok(exchange) => {
                let closed = pipeline::come_back_later(self, &exchange).now_or_never().expect("nothing here waits");
                if let Some(closed) = closed {
                    return closed.answer;
                }
                pipeline::answer(self, &exchange.into(), request, None)
                    .now_or_never()
                    .expect("nothing here waits")
                    .answer
            }
            Err(refused) => pipeline::refuse(self, &refused),
        }
    }
}

impl Store for World {
    type Handle = String;
    type Body = String;

    async fn get(&self, key: &Key) -> Option<Kept<String>> {
        Some(match self.stored.borrow().get(key).cloned()? {
            Held::Answer(meta, body) => Kept::Answer { meta: meta.into(), handle: body },
            Held::Mark(mark) => mark.into(),
        })
    }
    async fn body(&self, _key: &Key, handle: String, part: Option<ByteRange>) -> Option<String> {
        Some(match part {
            Some(part) => handle[usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap()].to_owned(),
            None => handle,
        })
    }
    fn put(&self, key: Key, meta: Meta, body: String) -> String {
        let meta = meta.with_length(body.len() as u64);
        self.stored.borrow_mut().insert(key, Held::Answer(meta, body.clone()));
        body
    }
    fn refresh(&self, key: Key, meta: Arc<Meta>, handle: String) -> String {
        self.stored.borrow_mut().insert(key, Held::Answer(Meta::clone(&meta), handle.clone()));
        handle
    }
    fn mark(&self, key: Key, mark: Mark) {
        self.stored.borrow_mut().insert(key, Held::Mark(mark));
    }
    async fn remove(&self, key: &Key) {
        self.stored.borrow_mut().remove(key);
    }
}

impl Host for World {
    type Request = Request;
    type Upload = String;
    type Fields = Headers;

    const CACHE: &'static str = "test";

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.now.get())
    }
    fn object_limit(&self) -> u64 {
        1000
    }
    fn settings(&self) -> Settings {
        Settings::default()
    }
    fn sequence(&self) -> u64 {
        self.purges.borrow().newest()
    }
    fn standing<T>(&self, read: impl FnOnce(&Standing) -> T) -> T {
        read(&self.standing.borrow())
    }
    fn verdict(&self, key: &Key, stored: &Meta) -> Verdict {
        self.purges.borrow().verdict(key, stored)
    }
    fn invalidate_groups(&self, origin: &str, groups: Vec<String>) {
        for name in groups {
            self.purges.borrow_mut().add(&Scope::Group { origin: origin.into(), name: name.into() }, false);
        }
    }
    async fn asset(&self, exchange: &Exchange, _request: &Request) -> Option<Answer<Headers, String>> {
        (exchange.target.path() == "/static/a.css").then(|| Answer {
            status: 200,
            fields: Headers::default(),
            body: "asset".to_owned(),
        })
    }
    fn again(&self, request: &Request) -> Request {
        request.clone()
    }
    async fn forward(
        &self,
        exchange: &Exchange,
        request: Request,
        _upload: Option<String>,
        conditions: Conditions,
        _spare: bool,
    ) -> Result<Answer<Headers, String>, Problem> {
        self.asked.borrow_mut().push(exchange.target.as_str().to_owned());
        let conditions = match conditions {
            Conditions::Clients => request.single("if-none-match").unwrap_or_default().to_owned(),
            Conditions::Own(own) => own.iter().map(|(name, value)| format!("own {name}: {value}")).collect(),
        };
        self.conditions.borrow_mut().push(conditions);
        let (status, fields) = self.said.borrow().clone()?;
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
        Ok(Answer { status, fields: Headers(fields), body: format!("answer {}", self.asked.borrow().len()) })
    }
    async fn fetch(&self, errand: Errand<Self>) -> Fetched<Self> {
        fetch::run(self, errand).await
    }
    fn fetch_later(&self, errand: Errand<Self>) {
        self.later.borrow_mut().push(errand);
    }
    fn text(&self, text: String) -> String {
        text
    }
}

fn public() -> World {
    World::answering(Ok(vec![("cache-control", "public, max-age=60"), ("etag", "\"a\""), ("content-length", "8")]))
}

fn said<'a>(answer: &'a Answer<Headers, String>, name: &'a str) -> Option<&'a str> {
    answer.fields.single(name)
}

#[test]
fn the_second_answer_comes_from_the_store_and_says_its_age() {
    let world = public();
    let first = world.get("GET", "/a", &[]);
    assert_eq!(said(&first, "cache-status"), Some("test; fwd=uri-miss; stored"));
    assert_eq!(said(&first, "x-request-id"), Some("07070707070707070707070707070707"));
    world.now.set(world.now.get() + 20);
    let second = world.get("GET", "/a", &[("cookie", "session=1")]);
    assert_eq!(said(&second, "cache-status"), Some("test; hit; ttl=40"));
    assert_eq!((said(&second, "age"), second.body.as_str()), (Some("20"), "answer 1"));
    assert_eq!(world.get("HEAD", "/a", &[]).body, "");
    let held = world.get("GET", "/a", &[("if-none-match", "W/\"a\", \"b\"")]);
    assert_eq!((held.status, said(&held, "content-length"), said(&held, "etag")), (304, None, Some("\"a\"")));
    world.now.set(world.now.get() + 40);
    let third = world.get("GET", "/a", &[]);
    assert_eq!((said(&third, "cache-status"), third.body.as_str()), (Some("test; fwd=stale; stored"), "answer 2"));
    assert_eq!(world.asked.borrow().len(), 2);
}

#[test]
fn different_spellings_share_an_entry_and_different_queries_do_not() {
    let world = public();
    world.get("GET", "/x/../a?b", &[]);
    assert_eq!(world.get("GET", "/a?b", &[]).body, "answer 1");
    assert_eq!(world.get("GET", "/a?c", &[]).body, "answer 2");
    assert_eq!(world.get("GET", "/a", &[]).body, "answer 3");
    assert_eq!(*world.asked.borrow(), ["/a?b", "/a?c", "/a"]);
}

#[test]
fn what_a_client_may_ask_of_the_cache() {
    let world = public();
    assert_eq!(world.get("GET", "/a", &[("cache-control", "only-if-cached")]).status, 504);
    assert!(world.asked.borrow().is_empty());
    world.get("GET", "/a", &[]);
    assert_eq!(world.get("GET", "/a", &[("cache-control", "only-if-cached")]).body, "answer 1");
    let fresh = world.get("GET", "/a", &[("cache-control", "no-cache")]);
    assert_eq!((said(&fresh, "cache-status"), fresh.body.as_str()), (Some("test; fwd=request; stored"), "answer 2"));
    let past = world.get("POST", "/a", &[]);
    assert_eq!(said(&past, "cache-status"), Some("test; fwd=method"));
    assert_eq!(world.get("GET", "/a", &[]).body, "answer 4", "a success of POST makes it invalid");
}

#[test]
fn what_is_too_large_is_not_stored() {
    let world = World::answering(Ok(vec![("cache-control", "public, max-age=60"), ("content-length", "1001")]));
    let answer = world.get("GET", "/a", &[]);
    assert_eq!(said(&answer, "cache-status"), Some("test; fwd=uri-miss; detail=too-large"));
    assert!(world.stored.borrow().is_empty());
}

#[test]
fn an_asset_is_neither_looked_up_nor_forwarded() {
    let world = public();
    let asset = world.get("GET", "/static/a.css", &[]);
    assert_eq!((asset.body.as_str(), said(&asset, "cache-status")), ("asset", None));
    assert_eq!(world.get("GET", "/static/b.css", &[]).body, "answer 1");
}

#[test]
fn a_problem_is_said_in_the_clients_language() {
    let world = World::answering(Err(Problem::GatewayUnreachable));
    let page = world.get("GET", "/a", &[("accept", "text/html")]);
    assert_eq!((page.status, said(&page, "content-type")), (502, Some("text/html; charset=utf-8")));
    assert!(page.body.contains("07070707070707070707070707070707"), "{}", page.body);
    let json = world.get("GET", "/api/a", &[("accept", "text/html")]);
    assert_eq!(said(&json, "content-type"), Some("application/json"));
    assert_eq!(said(&json, "cache-control"), Some("no-store"));
}

#[test]
fn what_is_not_admitted_is_not_forwarded() {
    let world = public();
    for (method, target, status) in
        [("TRACE", "/", 405), ("CONNECT", "/", 405), ("GET", "/a%2fb", 400), ("GET", "//evil", 400)]
    {
        assert_eq!(world.get(method, target, &[]).status, status, "{method} {target}");
    }
    assert!(world.asked.borrow().is_empty());
    let visitor = Visitor { client: Ipv4Addr::LOCALHOST.into(), country: None, asn: None };
    let long = Request::new("GET", "/abcdefgh", &[("accept", "application/json")]);
    let refused = pipeline::admit(&long, visitor, [7; 16], 8).expect_err("too long");
    assert!(matches!(refused, Refused { problem: Problem::UriTooLong, json: true, .. }));
}

#[test]
fn variants_are_kept_apart_and_share_equal_wishes() {
    let world = World::answering(Ok(vec![("cache-control", "max-age=60"), ("vary", "Accept-Language, HX-Request")]));
    assert_eq!(world.get("GET", "/a", &[("accept-language", "de, en;q=0.5")]).body, "answer 1");
    let same = world.get("GET", "/a", &[("accept-language", "DE,en;q=0.50")]);
    assert_eq!((same.body.as_str(), said(&same, "cache-status")), ("answer 1", Some("test; hit; ttl=60")));
    let other = world.get("GET", "/a", &[("accept-language", "de, en;q=0.5"), ("hx-request", "true")]);
    assert_eq!((other.body.as_str(), said(&other, "cache-status")), ("answer 2", Some("test; fwd=vary-miss; stored")));
    assert_eq!(world.get("GET", "/a", &[]).body, "answer 3");
    assert_eq!(world.get("GET", "/a", &[("accept-language", "de, en;q=0.5")]).body, "answer 1");
    // Without the signpost nothing leads to them.
    world.get("POST", "/a", &[]);
    assert_eq!(world.get("GET", "/a", &[("accept-language", "de, en;q=0.5")]).body, "answer 5");
}

#[test]
fn a_304_freshens_what_is_stored_and_no_other() {
    let world = public();
    world.get("GET", "/a", &[]);
    world.wait(61);
    world.says(304, &[("cache-control", "public, max-age=90"), ("etag", "\"a\""), ("x-new", "1")]);
    let validated = world.get("GET", "/a", &[("if-none-match", "\"z\"")]);
    assert_eq!(world.conditions.borrow()[1], "own if-none-match: \"a\"");
    assert_eq!((validated.status, validated.body.as_str(), said(&validated, "x-new")), (200, "answer 1", Some("1")));
    assert_eq!(said(&validated, "cache-status"), Some("test; fwd=stale; fwd-status=304; stored"));
    world.wait(80);
    assert_eq!(said(&world.get("GET", "/a", &[]), "cache-status"), Some("test; hit; ttl=10"));
    // A 304 of something else: asked again, without conditions.
    world.wait(80);
    world.says(304, &[("etag", "\"b\"")]);
    assert_eq!(world.get("GET", "/a", &[]).status, 304);
    assert_eq!(world.conditions.borrow()[3], "");
}

#[test]
fn an_answer_without_a_date_of_change_is_sent() {
    let world = World::answering(Ok(vec![("cache-control", "max-age=10")]));
    let since = ("if-modified-since", "Wed, 14 Nov 2040 00:00:00 GMT");
    assert_eq!(world.get("GET", "/a", &[since]).status, 200);
    world.says(200, &[("last-modified", "Tue, 14 Nov 2023 00:00:00 GMT"), ("cache-control", "max-age=10")]);
    assert_eq!(world.get("GET", "/b", &[since]).status, 304);
}

#[test]
fn a_failing_origin_is_stood_in_for() {
    let world = World::answering(Ok(vec![("cache-control", "max-age=10"), ("etag", "\"a\"")]));
    world.get("GET", "/a", &[]);
    world.wait(30);
    world.says(503, &[]);
    let stale = world.get("GET", "/a", &[]);
    assert_eq!((stale.status, stale.body.as_str(), said(&stale, "age")), (200, "answer 1", Some("30")));
    assert_eq!(said(&stale, "cache-status"), Some("test; hit; ttl=-20; detail=stale-if-error"));
    *world.said.borrow_mut() = Err(Problem::AppUnreachable);
    assert_eq!(world.get("GET", "/a", &[]).status, 200);
    assert_eq!(world.get("GET", "/b", &[]).status, Problem::AppUnreachable.status());
    world.says(200, &[("cache-control", "max-age=10, must-revalidate"), ("etag", "\"a\"")]);
    world.get("GET", "/a", &[]);
    world.wait(30);
    world.says(503, &[]);
    assert_eq!(world.get("GET", "/a", &[]).status, 503);
}

#[test]
fn stale_while_it_is_validated() {
    let world = World::answering(Ok(vec![("cache-control", "max-age=10, stale-while-revalidate=10")]));
    world.get("GET", "/a", &[]);
    world.wait(15);
    let stale = world.get("GET", "/a", &[]);
    assert_eq!((stale.body.as_str(), world.asked.borrow().len()), ("answer 1", 1));
    assert_eq!(said(&stale, "cache-status"), Some("test; hit; ttl=-5; detail=stale-while-revalidate"));
    world.rest();
    assert_eq!(said(&world.get("GET", "/a", &[]), "cache-status"), Some("test; hit; ttl=10"));
    world.wait(20);
    assert_eq!(world.get("GET", "/a", &[]).body, "answer 3");
}

/// What HEAD brings has no body, and must not take the place of what has one.
#[test]
fn a_stale_answer_to_head_is_not_refreshed_by_head() {
    let world = World::answering(Ok(vec![("cache-control", "max-age=10, stale-while-revalidate=10")]));
    world.get("GET", "/a", &[]);
    world.wait(15);
    assert_eq!(world.get("HEAD", "/a", &[]).status, 200);
    assert!(world.later.borrow().is_empty());
    assert_eq!(world.get("GET", "/a", &[]).body, "answer 1");
    assert_eq!(world.later.borrow().len(), 1);
}

#[test]
fn parts_of_what_is_stored() {
    let world = public();
    world.get("GET", "/a", &[]);
    let part = world.get("GET", "/a", &[("range", "bytes=0-5")]);
    assert_eq!((part.status, part.body.as_str()), (206, "answer"));
    assert_eq!((said(&part, "content-range"), said(&part, "content-length")), (Some("bytes 0-5/8"), Some("6")));
    assert_eq!(world.get("GET", "/a", &[("range", "bytes=-1"), ("if-range", "\"a\"")]).body, "1");
    assert_eq!(world.get("GET", "/a", &[("range", "bytes=-1"), ("if-range", "\"b\"")]).status, 200);
    let none = world.get("GET", "/a", &[("range", "bytes=8-")]);
    assert_eq!((none.status, said(&none, "content-range")), (416, Some("bytes */8")));
    assert_eq!(world.asked.borrow().len(), 1);
}

#[test]
fn unsafe_requests_and_purges_make_invalid() {
    let world =
        World::answering(Ok(vec![("cache-control", "max-age=60"), ("cache-groups", "\"g\""), ("location", "/b")]));
    let is_hit = |target| said(&world.get("GET", target, &[]), "cache-status").is_some_and(|s| s.contains("hit"));
    let fill = || {
        for target in ["/a", "/b", "/c"] {
            world.get("GET", target, &[]);
            assert!(is_hit(target), "{target}");
        }
    };
    fill();
    world.get("FOO", "/a", &[]);
    assert!(!is_hit("/a") && !is_hit("/b") && is_hit("/c"));
    fill();
    world.says(500, &[]);
    world.get("POST", "/a", &[]);
    assert!(is_hit("/a"));
    world.says(200, &[("cache-control", "max-age=60"), ("cache-group-invalidation", "\"g\"")]);
    world.get("POST", "/x", &[]);
    world.says(200, &[("cache-control", "max-age=60")]);
    assert!(!is_hit("/c"));
    fill();
    world.purges.borrow_mut().add(&Scope::Prefix("https://makenot.work/b".into()), true);
    let soft = world.get("GET", "/b", &[]);
    assert_eq!(said(&soft, "cache-status"), Some("test; hit; ttl=60; detail=purged"));
    world.rest();
    assert_eq!(said(&world.get("GET", "/b", &[]), "cache-status"), Some("test; hit; ttl=60"));
}

#[test]
fn a_post_that_says_what_it_is_answers_gets() {
    let answers = vec![("cache-control", "max-age=60"), ("content-location", "/a")];
    let world = World::answering(Ok(answers));
    assert_eq!(world.get("POST", "/a", &[]).body, "answer 1");
    assert_eq!(world.get("GET", "/a", &[]).body, "answer 1");
    assert_eq!(world.get("POST", "/b", &[]).body, "answer 2");
    assert_eq!(world.get("GET", "/b", &[]).body, "answer 3");
}

#[test]
fn queries_of_which_a_part_counts() {
    let world = World::answering(Ok(vec![("cache-control", "max-age=60"), ("no-vary-search", "params=(\"utm\")")]));
    world.get("GET", "/a?id=1&utm=x", &[]);
    let same = world.get("GET", "/a?utm=y&id=1", &[]);
    assert_eq!((same.body.as_str(), said(&same, "cache-status")), ("answer 1", Some("test; hit; ttl=60")));
    assert_eq!(world.get("GET", "/a?id=2", &[]).body, "answer 2");
}

#[test]
fn what_has_a_cookie_is_shared_only_where_the_app_says_so() {
    let world = World::answering(Ok(vec![("cache-control", "max-age=60"), ("etag", "\"a\"")]));
    let signed_in = [("cookie", "session=1"), ("if-none-match", "\"mine\"")];
    let own = world.get("GET", "/a", &signed_in);
    assert_eq!(said(&own, "cache-status"), Some("test; fwd=uri-miss; detail=cookie"));
    assert_eq!(world.conditions.borrow()[0], "\"mine\"");
    world.get("GET", "/a", &[]);
    assert_eq!(said(&world.get("GET", "/a", &signed_in), "cache-status"), Some("test; fwd=miss; detail=cookie"));
    assert_eq!(said(&world.get("GET", "/a", &[]), "cache-status"), Some("test; hit; ttl=60"));
}
