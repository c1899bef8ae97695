//! `Server-Timing`: for the operator, through both hops, and for nobody else, neither at once nor from a cache.

use reqwest::Method;

use crate::answer::{Answer, send};
use crate::site::{Host, Site};

cases![the_operator_is_told_by_each_hop_and_nobody_else_is, what_is_stored_tells_nothing];

async fn timed(site: &Site, path: &str) -> Answer {
    send(site.get(path).header("origin-timing", &site.stack.credentials.timing_token)).await
}

/// What the answer says of the time.
fn told(answer: &Answer) -> Vec<String> {
    answer.all("server-timing").map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

async fn the_operator_is_told_by_each_hop_and_nobody_else_is(site: &Site) {
    let answer = timed(site, "/echo").await;
    let said = told(&answer).join(", ");
    assert!(said.contains("gateway;dur=") && said.contains("app;dur=") && said.contains("cache;desc="), "{said}");
    assert_eq!(said.contains("edge;dur="), site.host == Host::Worker, "{said}");
    assert_eq!(answer.field("cache-control"), "no-store");
    assert!(answer.seen().all("origin-timing").is_empty(), "the app does not get the token");
    for other in [None, Some("0123456789abcdef0123456789abcdef")] {
        let request = site.get("/echo");
        let request = if let Some(other) = other { request.header("origin-timing", other) } else { request };
        let answer = send(request).await;
        assert_eq!(told(&answer), [""; 0]);
        assert!(answer.seen().all("origin-timing").is_empty());
    }
    // What goes wrong is timed, too.
    let failed = timed(site, "/misbehave/close").await;
    assert_eq!(failed.status, 502);
    assert!(told(&failed).join(", ").contains("gateway;dur="), "{}", failed.head());
}

async fn what_is_stored_tells_nothing(site: &Site) {
    let path = "/cache?cc=public,max-age=60&timing";
    assert!(!told(&timed(site, path).await).is_empty());
    for _ in 0..3 {
        let answer = site.fetch(path).await;
        assert_eq!(
            (told(&answer), answer.field("cache-control")),
            (Vec::new(), "public,max-age=60"),
            "{}",
            answer.head()
        );
    }
    assert!(site.fetch(path).await.field("cache-status").contains("hit"));
    // HEAD tells of what is stored for GET; and the next visitor is told nothing of it, either.
    let head = site.request(Method::HEAD, path).header("origin-timing", &site.stack.credentials.timing_token);
    send(head).await;
    let answer = site.fetch(path).await;
    assert_eq!((told(&answer), answer.field("cache-control")), (Vec::new(), "public,max-age=60"));
}
