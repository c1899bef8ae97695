//! The app's headers drive the cache (RFC 9111): what says `public` and how long is served from the edge until then, under host and whole
//! target; what is anybody's own, or says nothing, never is.
//!
//! The app counts what it answers by the whole query, so each case has a query of its own.

use futures_util::future::join_all;
use reqwest::Method;

use crate::answer::{Answer, send};
use crate::site::{Host, Site};

cases![
    a_public_page_is_a_hit,
    what_is_never_stored,
    a_request_that_is_ones_own_is_not_stored,
    a_cookie_does_not_keep_a_public_page_from_anyone,
    the_query_is_part_of_the_key,
    the_host_is_part_of_the_key,
    s_maxage_and_age_count,
    what_the_client_holds_is_not_sent_again,
    head_is_answered_from_a_stored_get,
    head_and_post_store_nothing,
    an_expired_entry_is_fetched_again,
    a_reload_asks_the_app,
    only_if_cached_never_asks_the_app,
    a_cut_body_is_never_stored,
    a_body_of_unknown_length_is_stored,
    a_body_too_large_is_not_stored,
    many_at_once,
];

/// What the edge's own cache says of an answer: on the Worker the gateway's has spoken before (RFC 9211 section 2).
fn said(answer: &Answer) -> &str {
    let last = answer.all("cache-status").last().unwrap_or_default();
    std::str::from_utf8(last).expect("ASCII")
}

fn is_hit(answer: &Answer) -> bool {
    said(answer).contains("; hit; ttl=")
}

/// The first answer that comes from the edge's cache. The Worker stores after it has answered, so a request at once may still miss.
async fn hit(site: &Site, path: &str) -> Answer {
    for nth in 0..100 {
        let answer = site.fetch(path).await;
        if is_hit(&answer) {
            return answer;
        }
        assert!(site.host == Host::Worker || nth == 0, "no hit: {}", answer.head());
    }
    panic!("{path} is never a hit");
}

async fn a_public_page_is_a_hit(site: &Site) {
    let miss = site.fetch("/c/mira").await;
    let name = match site.host {
        Host::Native => "gateway",
        Host::Worker => "edge",
    };
    assert_eq!((miss.status, said(&miss)), (200, format!("{name}; fwd=uri-miss; stored").as_str()));
    assert_eq!(miss.field("age"), "");
    let hit = hit(site, "/c/mira").await;
    let ttl: u64 = said(&hit).strip_prefix(&format!("{name}; hit; ttl=")).expect("a hit").parse().expect("seconds");
    let age: u64 = hit.field("age").parse().expect("seconds");
    assert!((50..=60).contains(&ttl) && age + ttl == 60, "{}", hit.head());
    assert_eq!(hit.body, miss.body);
    for name in ["content-type", "content-length", "etag", "cache-control", "cache-tag", "demo-render", "date"] {
        assert_eq!(hit.field(name), miss.field(name), "{name}");
    }
    match site.host {
        Host::Native => assert_eq!(site.gateway_line(hit.id())["cache"], "hit"),
        Host::Worker => assert_eq!(site.worker_line(hit.id()).await["cache"], "hit"),
    }
}

async fn what_is_never_stored(site: &Site) {
    for query in [
        "never",
        "never&cc=public",
        "never&cc=public,max-age=0",
        "never&cc=public,max-age=60,private",
        "never&cc=public,max-age=60&cc=no-store",
        "never&cc=public,max-age=60,no-cache",
        "never&cc=public,s-maxage=0,max-age=60",
        "never&cc=public,max-age=60&set-cookie=a%3Db",
        "never&cc=public,max-age=60&vary=*",
        "never&cc=public,max-age=60&age=60",
        "never&cc=max-age=60&cdn-cc=no-store",
        "never&cc=max-age=60&status=206",
        "never&expires=0",
    ] {
        for render in 1..=2 {
            let answer = site.fetch(&format!("/cache?{query}")).await;
            assert_eq!(answer.field("demo-render"), render.to_string(), "{query}");
            assert!(!answer.head().contains("stored") && !is_hit(&answer), "{query}: {}", answer.head());
        }
    }
}

async fn a_request_that_is_ones_own_is_not_stored(site: &Site) {
    for (name, value, why) in [
        ("authorization", "Bearer x", "authorization"),
        ("cookie", "session=1", "cookie"),
        ("cache-control", "no-store", ""),
    ] {
        let query = format!("cc=max-age=60&own={why}");
        let path = format!("/cache?{query}");
        for render in 1..=2 {
            let answer = send(site.get(&path).header(name, value)).await;
            assert_eq!(answer.field("demo-render"), render.to_string(), "{name}");
            match why {
                "" => assert!(said(&answer).ends_with("fwd=request"), "{}", answer.head()),
                _ => assert!(said(&answer).ends_with(&format!("fwd=uri-miss; detail={why}")), "{}", answer.head()),
            }
        }
        // Nor is it answered from what others have stored.
        hit(site, &path).await;
        assert_eq!(send(site.get(&path).header(name, value)).await.field("demo-render"), "4", "{name}");
    }
}

async fn a_cookie_does_not_keep_a_public_page_from_anyone(site: &Site) {
    let query = "cc=public,max-age=60&cookie";
    let path = format!("/cache?{query}");
    send(site.get(&path).header("cookie", "session=a")).await;
    let plain = hit(site, &path).await;
    let signed_in = send(site.get(&path).header("cookie", "session=b; theme=dark")).await;
    assert!(is_hit(&signed_in) && signed_in.body == plain.body);
    assert_eq!(site.renders(query).await, 1);
}

async fn the_query_is_part_of_the_key(site: &Site) {
    for query in ["key&a=1&b=2", "key&a=1&b=3", "key&b=2&a=1", "key&a=1&b=2&", "key&A=1&b=2"] {
        let query = format!("cc=public,max-age=60&{query}");
        hit(site, &format!("/cache?{query}&body={}", query.len())).await;
        let answer = site.fetch(&format!("/cache?{query}")).await;
        assert_eq!((answer.text(), is_hit(&answer)), ("render 1\n", false), "{query}");
    }
}

async fn the_host_is_part_of_the_key(site: &Site) {
    let path = "/cache?cc=public,max-age=60&host";
    let at = |host: &'static str| site.get(path).header("host", host);
    assert_eq!(send(at("a.example")).await.text(), "render 1\n");
    assert_eq!(send(at("b.example")).await.text(), "render 2\n");
    assert_eq!(send(at("a.example:8080")).await.text(), "render 3\n");
    for (host, body) in [("a.example", "render 1\n"), ("A.Example", "render 1\n"), ("b.example", "render 2\n")] {
        assert_eq!(send(at(host)).await.text(), body, "{host}");
    }
}

async fn s_maxage_and_age_count(site: &Site) {
    let path = "/cache?cc=public,max-age=1000,s-maxage=100&age=30";
    let miss = site.fetch(path).await;
    assert_eq!(miss.field("age"), "30");
    let hit = hit(site, path).await;
    let age: u64 = hit.field("age").parse().expect("seconds");
    assert!((30..40).contains(&age), "{}", hit.head());
    assert!(said(&hit).ends_with(&format!("ttl={}", 100 - age)), "{}", hit.head());
}

async fn what_the_client_holds_is_not_sent_again(site: &Site) {
    let query = "cc=public,max-age=60&etag=%22v1%22&held";
    let path = format!("/cache?{query}");
    let with = |tag: &'static str| site.get(&path).header("if-none-match", tag);
    // Nothing is stored yet: the whole is asked for, and the client needs to hear no more than that it has it.
    let asked = send(with("\"v1\"")).await;
    assert_eq!((asked.status, asked.field("demo-render"), asked.body.len()), (304, "1", 0), "{}", asked.head());
    let stored = hit(site, &path).await;
    for tag in ["\"v1\"", "W/\"v1\"", "\"v0\", \"v1\"", "*"] {
        let held = send(with(tag)).await;
        assert_eq!((held.status, held.body.len(), is_hit(&held)), (304, 0, true), "{tag}: {}", held.head());
        assert_eq!((held.field("etag"), held.field("cache-control")), ("\"v1\"", stored.field("cache-control")));
        assert_eq!((held.field("content-type"), held.all("age").count()), ("", 1), "{}", held.head());
    }
    for tag in ["\"v0\"", "v1", "\"v1"] {
        let sent = send(with(tag)).await;
        assert_eq!((sent.status, sent.text(), is_hit(&sent)), (200, "render 1\n", true), "{tag}");
    }
    assert_eq!(site.renders(query).await, 1);
}

async fn head_is_answered_from_a_stored_get(site: &Site) {
    let query = "cc=public,max-age=60&etag=%22h%22&head";
    let path = format!("/cache?{query}");
    let get = hit(site, &path).await;
    let head = send(site.request(Method::HEAD, &path)).await;
    assert_eq!((head.status, head.body.len(), is_hit(&head)), (200, 0, true), "{}", head.head());
    for name in ["content-length", "content-type", "etag", "demo-render"] {
        assert_eq!(head.field(name), get.field(name), "{name}");
    }
    assert_eq!(site.renders(query).await, 1);
}

async fn head_and_post_store_nothing(site: &Site) {
    for (method, why) in [(Method::HEAD, "uri-miss"), (Method::POST, "method"), (Method::OPTIONS, "method")] {
        let path = format!("/cache?cc=public,max-age=60&nothing={method}");
        for render in 1..=2 {
            let answer = send(site.request(method.clone(), &path)).await;
            assert_eq!(answer.field("demo-render"), render.to_string(), "{method}");
            assert!(said(&answer).ends_with(&format!("fwd={why}")), "{}", answer.head());
        }
        assert_eq!(site.fetch(&path).await.field("demo-render"), "3", "{method}");
    }
}

async fn an_expired_entry_is_fetched_again(site: &Site) {
    let path = "/cache?cc=public,max-age=1&expired";
    assert_eq!(site.fetch(path).await.text(), "render 1\n");
    let again = loop {
        let answer = site.fetch(path).await;
        if answer.text() != "render 1\n" {
            break answer;
        }
        // Hits until then, once it is stored, and never with an age that it may not have.
        assert_ne!(answer.field("age"), "1", "{}", answer.head());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert_eq!(again.text(), "render 2\n");
    match site.host {
        Host::Native => assert_eq!(said(&again), "gateway; fwd=stale; stored"),
        // The runtime's store drops an entry when its time is over, so that nothing stale is found.
        Host::Worker => assert!(said(&again).starts_with("edge; fwd="), "{}", again.head()),
    }
}

async fn a_reload_asks_the_app(site: &Site) {
    for (nth, control) in [(1, "no-cache"), (2, "max-age=0")] {
        let path = format!("/cache?cc=public,max-age=60&reload={nth}");
        assert_eq!(hit(site, &path).await.text(), "render 1\n");
        let reloaded = send(site.get(&path).header("cache-control", control)).await;
        assert_eq!(reloaded.text(), "render 2\n");
        assert!(said(&reloaded).ends_with("; fwd=request; stored"), "{}", reloaded.head());
        // Everyone has it then; the Worker stores after it has answered.
        let mut after = site.fetch(&path).await;
        while site.host == Host::Worker && after.text() == "render 1\n" {
            after = site.fetch(&path).await;
        }
        assert!(is_hit(&after) && after.text() == "render 2\n", "{control}: {}", after.head());
    }
}

async fn only_if_cached_never_asks_the_app(site: &Site) {
    let query = "cc=public,max-age=60&only";
    let path = format!("/cache?{query}");
    let only = || site.get(&path).header("cache-control", "only-if-cached");
    send(only()).await.assert_problem(504, "not-cached");
    hit(site, &path).await;
    let held = send(only()).await;
    assert_eq!((held.status, held.text(), is_hit(&held)), (200, "render 1\n", true));
    assert_eq!(site.renders(query).await, 1);
}

async fn a_cut_body_is_never_stored(site: &Site) {
    for how in ["cut=10", "cut=10&chunked", "cut=0", "cut=6999", "cut=7000&chunked"] {
        let path = format!("/cache?cc=public,max-age=60&body={}&{how}", "x".repeat(7_000));
        // The Worker stores after it has answered: what is stored in spite of all may be seen the second time only.
        for _ in 0..3 {
            // Where head and end come at once, the gateway ends without a head, which the Worker answers with 502.
            let whole = match site.get(&path).send().await {
                Ok(response) => response.status() == 200 && response.bytes().await.is_ok(),
                Err(_) => false,
            };
            assert!(!whole, "{how}: a cut body looks whole");
            send(site.get(&path).header("cache-control", "only-if-cached")).await.assert_problem(504, "not-cached");
        }
    }
}

async fn a_body_of_unknown_length_is_stored(site: &Site) {
    let path = "/cache?cc=public,max-age=60&body=0123456789&chunked";
    assert_eq!(site.fetch(path).await.text(), "0123456789");
    let hit = hit(site, path).await;
    assert_eq!((hit.text(), hit.field("demo-render")), ("0123456789", "1"));
}

async fn a_body_too_large_is_not_stored(site: &Site) {
    for path in ["/bytes/8388609?cache", "/bytes/8388609?cache&chunked"] {
        for _ in 0..2 {
            let answer = site.fetch(path).await;
            assert_eq!(answer.body.len(), 8_388_609);
            assert!(!is_hit(&answer), "{path}: {}", answer.head());
        }
    }
    assert!(!said(&site.fetch("/bytes/8388609?cache").await).contains("stored"));
}

async fn many_at_once(site: &Site) {
    let query = "cc=public,max-age=60&ms=30&many";
    let path = format!("/cache?{query}");
    let answers = join_all((0..30).map(|_| site.fetch(&path))).await;
    for answer in &answers {
        assert!(answer.status == 200 && answer.text().starts_with("render "), "{}", answer.head());
    }
    let ids: std::collections::HashSet<_> = answers.iter().map(Answer::id).collect();
    assert_eq!(ids.len(), 30);
    let stored = hit(site, &path).await;
    let asked = site.renders(query).await;
    assert!(asked <= 30, "{asked}");
    let later = join_all((0..30).map(|_| site.fetch(&path))).await;
    assert!(later.iter().all(|answer| is_hit(answer) && answer.body.len() == stored.body.len()));
}
