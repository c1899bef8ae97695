//! The pipeline over a host of variables: what it decides, without a network.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::Ipv4Addr;

use cache::{Fields, Index, Meta, PrimaryKey, Store, Stored, Timestamp};
use contract::Problem;
use edge::exchange::Refused;
use edge::{Answer, Exchange, FieldsMut, Head, Host, Visitor, pipeline};
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
    fn target(&self) -> &str {
        self.target
    }
}

/// An app that answers `public, max-age=60`, or a problem; a clock that stands until it is set.
struct World {
    now: Cell<u64>,
    stored: RefCell<HashMap<PrimaryKey, (Meta, String)>>,
    asked: RefCell<Vec<String>>,
    answers: Result<Vec<(&'static str, &'static str)>, Problem>,
}

impl World {
    fn answering(answers: Result<Vec<(&'static str, &'static str)>, Problem>) -> Self {
        Self { now: Cell::new(1_700_000_000), stored: RefCell::default(), asked: RefCell::default(), answers }
    }

    fn get(&self, method: &'static str, target: &'static str, fields: &[(&str, &str)]) -> Answer<Headers, String> {
        let request = Request::new(method, target, fields);
        let visitor = Visitor { client: Ipv4Addr::LOCALHOST.into(), country: None, asn: None };
        match pipeline::admit(&request, visitor, [7; 16], 8192) {
            Ok(exchange) => {
                pipeline::answer(self, &exchange, request).now_or_never().expect("nothing here waits").answer
            }
            Err(refused) => pipeline::refuse(self, &refused),
        }
    }
}

impl Store for World {
    type Handle = String;
    type Body = String;

    async fn lookup(&self, key: &PrimaryKey) -> Option<Index<String>> {
        let (meta, body) = self.stored.borrow().get(key).cloned()?;
        Some(Index { entries: vec![Stored { id: 0, meta: meta.into() }], handle: body })
    }
    async fn body(&self, handle: String, _id: u32) -> Option<String> {
        Some(handle)
    }
    fn put(&self, key: PrimaryKey, meta: Meta, body: String) -> String {
        self.stored.borrow_mut().insert(key, (meta, body.clone()));
        body
    }
}

impl Host for World {
    type Request = Request;
    type Fields = Headers;

    const CACHE: &'static str = "test";

    fn now(&self) -> Timestamp {
        Timestamp::from_secs(self.now.get())
    }
    fn object_limit(&self) -> u64 {
        1000
    }
    async fn asset(&self, exchange: &Exchange, _request: &Request) -> Option<Answer<Headers, String>> {
        (exchange.target.path() == "/static/a.css").then(|| Answer {
            status: 200,
            fields: Headers::default(),
            body: "asset".to_owned(),
        })
    }
    async fn forward(&self, exchange: &Exchange, _request: Request) -> Result<Answer<Headers, String>, Problem> {
        self.asked.borrow_mut().push(exchange.target.as_str().to_owned());
        let fields = self.answers.clone()?;
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
        Ok(Answer { status: 200, fields: Headers(fields), body: format!("answer {}", self.asked.borrow().len()) })
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
    assert_eq!(world.get("GET", "/a", &[]).body, "answer 2");
}

#[test]
fn what_is_too_large_is_not_stored() {
    let world = World::answering(Ok(vec![("cache-control", "public, max-age=60"), ("content-length", "1001")]));
    let answer = world.get("GET", "/a", &[]);
    assert_eq!(said(&answer, "cache-status"), Some("test; fwd=uri-miss"));
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
