//! Cache poisoning and cache deception, through both hosts: what one visitor sends must not change what the next one is given from the
//! cache, and what is one person's must not be found there.
//!
//! Each case programs the app (`/scripted/{id}`): step N of a request is answered with "entry N", fresh for a minute unless said otherwise.
//! What the app sees beyond the key is in `cache/README.md`; HTTP/2's own tricks are in `http2.rs`.

use serde::Deserialize;
use serde_json::json;

use crate::answer::Answer;
use crate::raw;
use crate::site::{Host, Site};

cases![
    what_speaks_of_another_request_never_arrives,
    it_cannot_be_named_away_nor_spelled_otherwise,
    each_query_is_its_own,
    each_path_is_its_own,
    each_host_is_its_own,
    a_host_in_other_letters_is_the_same,
    each_variant_is_its_own,
    codings_are_told_apart,
    two_hosts_in_one_request,
    a_body_is_not_in_the_key,
    head_and_get_do_not_mix,
    a_method_is_not_overridden,
    a_refusal_of_one_request_is_for_nobody_else,
    a_path_that_looks_like_a_file,
    a_path_in_two_readings_is_refused,
    a_cookie_is_set_for_one,
    who_is_authorized_is_alone,
    a_refusal_of_ours_is_not_stored,
    an_error_of_the_app_is_not_stored_by_itself,
    a_redirect_does_not_turn_in_a_circle
];

/// A request by hand.
#[derive(Clone, Default)]
struct Ask<'a> {
    method: &'a str,
    target: String,
    host: Option<&'a str>,
    fields: Vec<(&'a str, String)>,
    body: &'a str,
}

fn get<'a>(target: impl Into<String>) -> Ask<'a> {
    Ask { method: "GET", target: target.into(), ..Ask::default() }
}

impl<'a> Ask<'a> {
    fn with(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    fn host(mut self, host: &'a str) -> Self {
        self.host = Some(host);
        self
    }

    async fn send(&self, site: &Site, step: usize) -> Answer {
        let address = site.address().to_string();
        let Self { method, target, host, fields, body } = self;
        let mut text =
            format!("{method} {target} HTTP/1.1\r\nhost: {}\r\ndemo-step: {step}\r\n", host.unwrap_or(&address));
        for (name, value) in fields {
            text += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            text += &format!("content-length: {}\r\n", body.len());
        }
        raw::exchange(site.address(), format!("{text}connection: close\r\n\r\n{body}").as_bytes()).await
    }
}

/// A request as the app saw it.
#[derive(Debug, Deserialize)]
struct Seen {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

async fn seen(site: &Site, id: &str) -> Vec<Seen> {
    site.ask_app(&format!("/script/{id}")).await.json()
}

/// Programs steps that may be stored for a minute, each with its own body.
async fn program(site: &Site, id: &str, steps: usize) {
    program_with(site, id, steps, 200, &[("cache-control", "public, max-age=60")]).await;
}

async fn program_with(site: &Site, id: &str, steps: usize, status: u16, fields: &[(&str, &str)]) {
    let part = |step| json!({ "status": status, "fields": fields, "body": format!("entry {step}") });
    let put = site.tell_app(&format!("/script/{id}"), &(0..steps).map(part).collect::<Vec<_>>()).await;
    assert_eq!(put.status, 204, "{}", put.head());
}

fn is_hit(answer: &Answer) -> bool {
    answer.all("cache-status").any(|member| member.windows(5).any(|five| five == b"; hit"))
}

/// Sends it until it is answered from the cache: the Worker stores after it has answered.
#[track_caller]
fn assert_entry(answer: &Answer, step: usize, ask: &Ask<'_>) {
    let what = format!("{} {} of {:?} with {:?}", ask.method, ask.target, ask.host, ask.fields);
    assert_eq!((answer.status, answer.text()), (200, format!("entry {step}").as_str()), "{what}: {}", answer.head());
}

/// Each of the requests reaches the app, and is then answered with what it was told, and no other's.
async fn own_entries(site: &Site, id: &str, asks: &[Ask<'_>]) {
    program(site, id, asks.len()).await;
    for (step, ask) in asks.iter().enumerate() {
        assert_entry(&ask.send(site, step).await, step, ask);
    }
    for (step, ask) in asks.iter().enumerate() {
        for tries in 0.. {
            let answer = ask.send(site, step).await;
            assert_entry(&answer, step, ask);
            if is_hit(&answer) {
                break;
            }
            assert!(tries < 100, "{}{} is not stored: {}", ask.target, id, answer.head());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// The answer to a request is stored for nobody: the next one, as another would make it, reaches the app.
async fn not_stored(site: &Site, id: &str, first: Ask<'_>, next: Ask<'_>) {
    let first = first.send(site, 0).await;
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    let answer = next.send(site, 1).await;
    assert!(!is_hit(&answer), "after {}: {}", first.head(), answer.head());
    assert_eq!(answer.text(), "entry 1", "{id}: {}", answer.head());
}

async fn what_speaks_of_another_request_never_arrives(site: &Site) {
    const FIELDS: [&str; 39] = [
        "x-forwarded-host",
        "x-forwarded-server",
        "x-forwarded-scheme",
        "x-forwarded-proto",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-path",
        "x-forwarded-uri",
        "x-forwarded-ssl",
        "x-forwarded-for",
        "forwarded",
        "x-host",
        "x-original-url",
        "x-original-uri",
        "x-original-host",
        "x-original-method",
        "x-original-prefix",
        "x-original-proto",
        "x-rewrite-url",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-http-host-override",
        "x-http-path-override",
        "x-url-scheme",
        "x-scheme",
        "front-end-https",
        "x-proxy-host",
        "x-backend-host",
        "x-real-ip",
        "true-client-ip",
        "client-ip",
        "x-client-ip",
        "cf-visitor",
        "cf-ipcountry",
        "proxy",
        "handoff",
        "cdn-loop",
        "proxy-authorization",
    ];
    let id = format!("poison-fields-{}", site.host.as_str());
    program(site, &id, FIELDS.len()).await;
    for (step, field) in FIELDS.iter().enumerate() {
        let ask = get(format!("/scripted/{id}/{field}")).with(field, "evil.example");
        assert_entry(&ask.send(site, step).await, step, &ask);
    }
    let seen = seen(site, &id).await;
    assert_eq!(seen.len(), FIELDS.len());
    for Seen { target, headers, .. } in seen {
        let evil: Vec<_> = headers.iter().filter(|(_, value)| value.contains("evil")).collect();
        assert!(evil.is_empty(), "{target}: {evil:?}");
    }
}

async fn it_cannot_be_named_away_nor_spelled_otherwise(site: &Site) {
    let id = format!("poison-spelling-{}", site.host.as_str());
    program(site, &id, 8).await;
    let asks = [
        get(format!("/scripted/{id}/0")).with("X_Forwarded_Host", "evil.example"),
        get(format!("/scripted/{id}/1")).with("X-FORWARDED-HOST", "evil.example"),
        get(format!("/scripted/{id}/2")).with("x-original_url", "/evil"),
        // What we say can't be taken away by naming it as the connection's.
        get(format!("/scripted/{id}/3")).with("connection", "x-forwarded-host, x-forwarded-proto, host"),
    ];
    for (step, ask) in asks.iter().enumerate() {
        assert_entry(&ask.send(site, step).await, step, ask);
    }
    let address = site.address().to_string();
    for Seen { target, headers, .. } in seen(site, &id).await {
        assert!(!headers.iter().any(|(_, value)| value.contains("evil")), "{target}: {headers:?}");
        let host = headers.iter().find(|(name, _)| name == "x-forwarded-host").map(|(_, value)| value.as_str());
        assert_eq!(host, Some(address.as_str()), "{target}: {headers:?}");
    }
}

async fn each_query_is_its_own(site: &Site) {
    let id = format!("poison-query-{}", site.host.as_str());
    let at = |query: &str| get(format!("/scripted/{id}{query}"));
    own_entries(
        site,
        &id,
        &[
            at(""),
            at("?"),
            at("?a=1"),
            at("?a=2"),
            at("?a=1&a=2"),
            at("?a=2&a=1"),
            at("?a=1;a=2"),
            at("?a=1&utm_content=x;a=2"),
            at("?a=1&utm_content=x"),
            at("?a=1&"),
            at("?&a=1"),
            at("?A=1"),
            at("?a=%31"),
            at("?a=1%26b=2"),
            at("?a=1&b=2"),
            at("?a=1?b=2"),
            at("?a=1/../x"),
            at("?a[]=1"),
            at("?a=1%00"),
            at("?a=1%0a"),
            at("?a=1%23b"),
        ],
    )
    .await;
}

async fn each_path_is_its_own(site: &Site) {
    let id = format!("poison-path-{}", site.host.as_str());
    let at = |below: &str| get(format!("/scripted/{id}{below}"));
    own_entries(
        site,
        &id,
        &[
            at(""),
            at("/a"),
            at("/A"),
            at("/%61"),
            at("/a/"),
            at("/a//b"),
            at("/a/b"),
            at("/a;x"),
            at("/a;y"),
            at("/a%3Bx"),
            at("/a%3Fx"),
            at("/a?x"),
            at("/a%23x"),
            at("/a%20"),
            at("/a%26b"),
            at("/a.css"),
            at("/a%2Ecss"),
            at("/a|b"),
            at("/\u{7e}a"),
            at("/%7Ea"),
        ],
    )
    .await;
}

async fn each_host_is_its_own(site: &Site) {
    let id = format!("poison-host-{}", site.host.as_str());
    let address = site.address().to_string();
    let at = |host| get(format!("/scripted/{id}")).host(host);
    own_entries(
        site,
        &id,
        &[
            at(&address),
            at("one.example"),
            at("two.example"),
            at("one.example:8080"),
            at("one.example:8081"),
            at("one.exampl"),
            at("www.one.example"),
            at("one.example."),
        ],
    )
    .await;
}

async fn a_host_in_other_letters_is_the_same(site: &Site) {
    let id = format!("poison-case-{}", site.host.as_str());
    own_entries(site, &id, &[get(format!("/scripted/{id}")).host("letters.example")]).await;
    let answer = get(format!("/scripted/{id}")).host("LETTERS.Example").send(site, 0).await;
    assert!(is_hit(&answer), "{}", answer.head());
    let hosts = seen(site, &id).await.into_iter().flat_map(|seen| seen.headers).filter(|(name, _)| name == "host");
    assert!(hosts.into_iter().all(|(_, host)| host == "letters.example"));
}

async fn each_variant_is_its_own(site: &Site) {
    let id = format!("poison-variant-{}", site.host.as_str());
    let at = |a: Option<&str>, b: Option<&str>| {
        let ask = get(format!("/scripted/{id}"));
        let ask = a.map_or(ask.clone(), |a| ask.with("x-a", a));
        b.map_or(ask.clone(), |b| ask.with("x-b", b))
    };
    let asks = [
        at(None, None),
        at(Some(""), None),
        at(None, Some("")),
        at(Some("1"), None),
        at(None, Some("1")),
        at(Some("1"), Some("2")),
        at(Some("2"), Some("1")),
        at(Some("1,=2"), None),
        at(Some("1=2"), None),
        at(Some("1\tx-b=2"), None),
        at(Some("1 2"), None),
        at(Some("=1"), None),
        at(Some("1%0a=2"), None),
        at(Some("a"), Some("b")),
        at(Some("A"), Some("b")),
        at(Some("a,b"), None),
        at(Some("\"a,b\""), None),
    ];
    let part = |step| {
        let fields = [["cache-control", "public, max-age=60"], ["vary", "x-a, x-b"]];
        json!({ "fields": fields, "body": format!("entry {step}") })
    };
    let put = site.tell_app(&format!("/script/{id}"), &(0..asks.len()).map(part).collect::<Vec<_>>()).await;
    assert_eq!(put.status, 204);
    for (step, ask) in asks.iter().enumerate() {
        assert_entry(&ask.send(site, step).await, step, ask);
    }
    for (step, ask) in asks.iter().enumerate() {
        assert_entry(&ask.send(site, step).await, step, ask);
    }
}

async fn codings_are_told_apart(site: &Site) {
    let id = format!("poison-coding-{}", site.host.as_str());
    program_with(
        site,
        &id,
        2,
        200,
        &[
            ("cache-control", "public, max-age=60"),
            ("vary", "accept-encoding"),
            ("content-type", "application/octet-stream"),
        ],
    )
    .await;
    // Who takes nothing but a coding that nobody has is not what others are given.
    let odd = get(format!("/scripted/{id}")).with("accept-encoding", "evil;q=1, identity;q=0");
    let plain = get(format!("/scripted/{id}"));
    let odd = odd.send(site, 0).await;
    let plain = plain.send(site, 1).await;
    match site.host {
        Host::Native => assert_eq!((odd.text(), plain.text()), ("entry 0", "entry 1")),
        // To the Worker's next hop every client wishes the same.
        Host::Worker => assert_eq!(odd.text(), "entry 0"),
    }
    let said: Vec<_> = seen(site, &id).await.into_iter().flat_map(|seen| seen.headers).collect();
    let evil = said.iter().any(|(name, value)| name == "accept-encoding" && value.contains("evil"));
    assert_eq!(evil, site.host == Host::Native, "it is in the key there: {said:?}");
}

async fn two_hosts_in_one_request(site: &Site) {
    let id = format!("poison-hosts-{}", site.host.as_str());
    program(site, &id, 2).await;
    let target = format!("/scripted/{id}");
    let address = site.address().to_string();
    // A second Host, and a target that names another one.
    let twice = get(target.clone()).with("host", "evil.example").send(site, 0).await;
    match site.host {
        Host::Native => assert_eq!(twice.status, 400, "{}", twice.head()),
        // The runtime makes one name of the two, and no URL of that.
        Host::Worker => assert_eq!(twice.status, 500, "{}", twice.head()),
    }
    let absolute = get(format!("http://evil.example{target}")).send(site, 0).await;
    if absolute.status == 200 {
        // The runtime of the Worker takes Host, and never hands over what the target names.
        assert_eq!(site.host, Host::Worker);
    } else {
        assert_eq!(absolute.status, 400, "{}", absolute.head());
    }
    let answer = get(target).send(site, 1).await;
    assert_eq!(answer.status, 200, "{}", answer.head());
    for seen in seen(site, &id).await {
        assert!(!seen.headers.iter().any(|(_, value)| value.contains("evil")), "{seen:?}");
        assert!(seen.headers.iter().any(|(name, value)| name == "host" && *value == address), "{seen:?}");
    }
}

async fn a_body_is_not_in_the_key(site: &Site) {
    let id = format!("poison-body-{}", site.host.as_str());
    program(site, &id, 2).await;
    let target = format!("/scripted/{id}?a=1");
    not_stored(site, &id, Ask { body: "a=evil", ..get(target.clone()) }, get(target)).await;
}

async fn head_and_get_do_not_mix(site: &Site) {
    let id = format!("poison-head-{}", site.host.as_str());
    program(site, &id, 2).await;
    let target = format!("/scripted/{id}");
    not_stored(site, &id, Ask { method: "HEAD", ..get(target.clone()) }, get(target)).await;
}

async fn a_method_is_not_overridden(site: &Site) {
    let id = format!("poison-method-{}", site.host.as_str());
    program(site, &id, 3).await;
    let target = format!("/scripted/{id}");
    let asked = get(target.clone()).with("x-http-method-override", "POST").with("x-method-override", "PURGE");
    assert_entry(&asked.send(site, 0).await, 0, &asked);
    let other = Ask { method: "POST", body: "x", ..get(format!("{target}/other")) };
    let other = other.with("x-http-method-override", "GET");
    assert_entry(&other.send(site, 1).await, 1, &other);
    let then = get(format!("{target}/other"));
    assert_entry(&then.send(site, 2).await, 2, &then);
    let seen = seen(site, &id).await;
    assert_eq!(seen.iter().map(|seen| seen.method.as_str()).collect::<Vec<_>>(), ["GET", "POST", "GET"]);
    assert!(!seen.iter().any(|seen| seen.headers.iter().any(|(name, _)| name.contains("override"))), "{seen:?}");
}

async fn a_refusal_of_one_request_is_for_nobody_else(site: &Site) {
    // The app says of all its answers how long they may be stored, also of those to a Range, an Expect, too many requests, too large a head.
    for status in [400, 412, 416, 417, 425, 428, 429, 431, 511] {
        let id = format!("poison-{status}-{}", site.host.as_str());
        program_with(site, &id, 2, status, &[("cache-control", "public, max-age=60"), ("etag", "\"a\"")]).await;
        let target = format!("/scripted/{id}");
        not_stored(site, &id, get(target.clone()).with("range", "bytes=99-"), get(target)).await;
    }
}

async fn a_path_that_looks_like_a_file(site: &Site) {
    for (nth, below) in ["/x.css", "/x.js?v=1", "/;x.png", "/a%00.css", "/%3Bx.css", "/x.ico%3F"].iter().enumerate() {
        // The app takes what follows for a part of its account page, and says nothing of caching, or that it is one person's.
        for (kind, fields) in [
            ("silent", &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"), ("etag", "\"a\"")][..]),
            ("private", &[("cache-control", "private, max-age=60")]),
            ("lasting", &[("cache-control", "max-age=60")]),
        ] {
            let id = format!("deceived-{}-{nth}-{kind}", site.host.as_str());
            program_with(site, &id, 2, 200, fields).await;
            let target = format!("/scripted/{id}{below}");
            let victim = get(target.clone()).with("cookie", "session=victim");
            let first = victim.send(site, 0).await;
            if first.status == 400 {
                continue;
            }
            assert_entry(&first, 0, &victim);
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
            let attacker = get(target);
            assert_entry(&attacker.send(site, 1).await, 1, &attacker);
        }
    }
}

async fn a_path_in_two_readings_is_refused(site: &Site) {
    let id = format!("deceived-readings-{}", site.host.as_str());
    program(site, &id, 1).await;
    for below in
        ["/account%2f..%2fstatic/x.css", "/static/..%2faccount", "/a%5c..%5cb", "/a/..;/account", "/%252e%252e/a"]
    {
        let answer = get(format!("/scripted/{id}{below}")).send(site, 0).await;
        assert_eq!(answer.status, 400, "{below}: {}", answer.head());
    }
    assert_eq!(get("//scripted/x").send(site, 0).await.status, 400);
    assert!(seen(site, &id).await.is_empty());
}

async fn a_cookie_is_set_for_one(site: &Site) {
    let id = format!("leak-cookie-{}", site.host.as_str());
    program_with(site, &id, 2, 200, &[("cache-control", "public, max-age=60"), ("set-cookie", "session=victim")]).await;
    let target = format!("/scripted/{id}");
    not_stored(site, &id, get(target.clone()), get(target)).await;
}

async fn who_is_authorized_is_alone(site: &Site) {
    let id = format!("leak-authorization-{}", site.host.as_str());
    program_with(site, &id, 2, 200, &[("cache-control", "max-age=60")]).await;
    let target = format!("/scripted/{id}");
    not_stored(site, &id, get(target.clone()).with("authorization", "Bearer victim"), get(target)).await;
}

async fn a_refusal_of_ours_is_not_stored(site: &Site) {
    let id = format!("dos-refusal-{}", site.host.as_str());
    program(site, &id, 4).await;
    let attacks = [
        ("too large", get(format!("/scripted/{id}/0")).with("x-big", "a".repeat(200 << 10))),
        ("a control byte", get(format!("/scripted/{id}/1")).with("x-odd", "a\u{1}b")),
        ("two lengths", get(format!("/scripted/{id}/2")).with("content-length", "0").with("content-length", "1")),
        ("an expectation", get(format!("/scripted/{id}/3")).with("expect", "nonsense")),
    ];
    for (step, (what, attack)) in attacks.iter().enumerate() {
        // A server that refuses early may close before all is read; what counts is what the next visitor gets.
        let _ = tokio::spawn({
            let (address, attack) = (site.address(), attack.clone());
            let text = format!(
                "GET {} HTTP/1.1\r\nhost: {address}\r\ndemo-step: {step}\r\n{}connection: close\r\n\r\n",
                attack.target,
                attack.fields.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect::<String>()
            );
            async move { raw::bytes(address, text.as_bytes()).await }
        })
        .await;
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        let next = get(attack.target.clone());
        let answer = next.send(site, step).await;
        assert_eq!(
            (answer.status, answer.text()),
            (200, format!("entry {step}").as_str()),
            "{what}: {}",
            answer.head()
        );
    }
}

async fn an_error_of_the_app_is_not_stored_by_itself(site: &Site) {
    for status in [400, 401, 403, 413, 429, 431, 500, 502, 503] {
        let id = format!("dos-{status}-{}", site.host.as_str());
        program_with(site, &id, 2, status, &[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")]).await;
        let target = format!("/scripted/{id}");
        not_stored(site, &id, get(target.clone()).with("x-attack", "1"), get(target)).await;
    }
}

async fn a_redirect_does_not_turn_in_a_circle(site: &Site) {
    // An app that sends everyone to https looks at what we say of the scheme, never at what the client says.
    let id = format!("dos-redirect-{}", site.host.as_str());
    program(site, &id, 3).await;
    let asks = [
        get(format!("/scripted/{id}/0")).with("x-forwarded-proto", "http"),
        get(format!("/scripted/{id}/1")).with("x-forwarded-scheme", "nothttps"),
        get(format!("/scripted/{id}/2")).with("cf-visitor", "{\"scheme\":\"http\"}"),
    ];
    for (step, ask) in asks.iter().enumerate() {
        assert_entry(&ask.send(site, step).await, step, ask);
    }
    let proto = match site.host {
        Host::Native => "http",
        Host::Worker => "https",
    };
    for Seen { target, headers, .. } in seen(site, &id).await {
        let of = |name: &str| headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
        assert_eq!(of("x-forwarded-proto"), [proto], "{target}");
        assert!(of("x-forwarded-scheme").is_empty() && of("cf-visitor").is_empty(), "{target}: {headers:?}");
    }
}
