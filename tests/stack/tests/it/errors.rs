//! What goes wrong behind or before us is said by us, with a status and a code that tell where: a page to people, JSON to programs, under the
//! request's id. A body that breaks off looks broken to the client too.

use reqwest::Method;
use rustix::process::Signal;

use crate::answer::{Answer, send};
use crate::own::{App, Own};
use crate::raw;
use crate::site::{Host, Site};

cases![
    an_app_that_lets_us_down,
    people_get_a_page,
    a_body_that_breaks_off_looks_broken,
    the_apps_own_errors_pass,
    a_target_too_long,
    a_head_too_large,
    the_gateway_does_not_answer_in_time on Worker,
    the_gateway_is_gone on Worker,
    the_app_does_not_answer_in_time on Native,
    the_app_is_not_there on Native,
    a_connection_that_the_app_has_closed_costs_nothing on Native,
    what_the_app_may_have_seen_is_not_sent_again on Native,
    a_host_that_nobody_serves on Native,
];

async fn an_app_that_lets_us_down(site: &Site) {
    for (path, code) in [
        ("/misbehave/close", "app-unreachable"),
        ("/misbehave/panic", "app-unreachable"),
        ("/misbehave/garbage", "app-invalid"),
        ("/misbehave/huge-headers?bytes=300000", "app-invalid"),
    ] {
        let answer = site.fetch(path).await;
        answer.assert_problem(502, code);
        assert_eq!(site.gateway_line(answer.id())["reason"], code, "{path}");
        let answer = send(site.post(path).body("a body")).await;
        assert_eq!(answer.status, 502, "POST {path}: {}", answer.text());
    }
    // The connection after it works.
    assert_eq!(site.fetch("/echo").await.status, 200);
    // A head that takes its time is no failure.
    let late = site.fetch("/misbehave/drip-headers?ms=1").await;
    assert_eq!((late.status, late.text()), (200, "the head took its time\n"));
}

async fn people_get_a_page(site: &Site) {
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let answer = send(site.get("/misbehave/close").header("accept", browser)).await;
    assert_page(&answer, 502, "app-unreachable");
    // What lies below /api/ is for programs, whatever they say they like.
    send(site.get("/api/a%2fb").header("accept", browser)).await.assert_problem(400, "path-refused");
    let head = send(site.request(Method::HEAD, "/misbehave/close").header("accept", browser)).await;
    assert_eq!((head.status, head.body.len()), (502, 0));
}

#[track_caller]
fn assert_page(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.field("content-type")),
        (status, "text/html; charset=utf-8"),
        "{}",
        answer.text()
    );
    let page = answer.text();
    assert!(page.starts_with("<!doctype html>") && page.contains(code) && page.contains(answer.id()), "{page}");
    assert_eq!(answer.field("cache-control"), "no-store");
    assert!(answer.field("content-security-policy").starts_with("default-src 'none'"), "{}", answer.head());
}

async fn a_body_that_breaks_off_looks_broken(site: &Site) {
    for path in ["/misbehave/cut?after=100000", "/misbehave/cut-chunked?after=100000"] {
        let response = site.get(path).send().await.expect("a head");
        assert_eq!(response.status(), 200);
        let id = response.headers()["x-request-id"].to_str().expect("ASCII").to_owned();
        assert!(response.bytes().await.is_err(), "{path}: the body looks whole");
        assert_eq!(site.gateway_line(&id)["http.response.cut"], true, "{path}");
    }
    // Where all breaks off at once the gateway may not have sent the head yet, and the Worker says so.
    match site.get("/misbehave/cut?after=0").send().await {
        Ok(response) => assert!(response.status() == 502 || response.bytes().await.is_err()),
        Err(broken_off) => assert_eq!(site.host, Host::Native, "{broken_off}"),
    }
    let whole = site.fetch("/misbehave/stall?after=1000&ms=50").await;
    assert_eq!(whole.body.len(), 2024);
    assert_eq!(site.gateway_line(whole.id())["http.response.cut"], false);
}

async fn the_apps_own_errors_pass(site: &Site) {
    // Those from 520 on look like Cloudflare's, but the gateway has vouched for them.
    for status in [400, 403, 404, 418, 429, 500, 502, 503, 504, 520, 522, 530, 599] {
        let answer = site.fetch(&format!("/misbehave/status/{status}")).await;
        assert_eq!((answer.status, answer.text()), (status, format!("{status}, as you asked\n").as_str()));
        assert_eq!(answer.all("gateway").count(), 0, "the gateway's mark came through");
    }
    let missing = send(site.get("/no/such/page").header("accept", "text/html")).await;
    assert!(missing.status == 404 && missing.text().contains("This address leads nowhere"), "{}", missing.text());
}

async fn a_target_too_long(site: &Site) {
    let target = |length: usize| format!("/echo?{}", "a".repeat(length - 6));
    assert_eq!(site.fetch(&target(8192)).await.status, 200);
    site.fetch(&target(8193)).await.assert_problem(414, "uri-too-long");
    // Longer once it is spelled as it is served.
    let sent = format!("/echo?{}", "'".repeat(3000));
    raw::get(site.address(), sent.as_bytes()).await.assert_problem(414, "uri-too-long");
}

async fn a_head_too_large(site: &Site) {
    let with = |bytes: usize| site.get("/echo").header("x-large", "a".repeat(bytes));
    let answer = send(with(30_000)).await;
    assert_eq!((answer.status, answer.seen().field("x-large").len()), (200, 30_000));
    let answer = send(with(70_000)).await;
    match site.host {
        Host::Native => assert_eq!(answer.status, 431, "{}", answer.head()),
        // The Worker takes it, the gateway refuses it; the runtime may still be sending, and sees a closed connection then.
        Host::Worker => assert!(matches!(answer.status, 431 | 502), "{}", answer.head()),
    }
}

async fn the_gateway_does_not_answer_in_time(site: &Site) {
    let answer = site.fetch("/misbehave/slow?ms=8000").await;
    answer.assert_problem(504, "gateway-timeout");
}

async fn the_gateway_is_gone(_: &Site) {
    let mut own = Site::start(Host::Worker).await.expect("a site of its own");
    let page = own.fetch("/c/mira").await;
    while !own.fetch("/c/mira").await.head().contains("edge; hit") {}
    own.stack.gateway.signal(Signal::KILL);
    crate::site::eventually("the gateway's end", || own.stack.gateway.ended().then_some(())).await;

    let hit = own.fetch("/c/mira").await;
    assert!(hit.status == 200 && hit.body == page.body && hit.head().contains("edge; hit"), "{}", hit.head());
    own.fetch("/c/jonas").await.assert_problem(502, "gateway-unreachable");
    assert_page(&send(own.get("/c/jonas").header("accept", "text/html")).await, 502, "gateway-unreachable");
    let answer = send(own.post("/webhooks/stripe").body("{}")).await;
    answer.assert_problem(502, "gateway-unreachable");
    assert_eq!(own.worker_line(answer.id()).await["http.response.status_code"], 502);
    // Assets need no gateway.
    assert_eq!(own.fetch("/static/favicon.svg").await.status, 200);
    own.stack.stop().await;
}

async fn the_app_does_not_answer_in_time(site: &Site) {
    let app = App::start().await;
    let own = Own::start(
        site,
        &format!("timeouts.answer = \"300ms\"\n[[site]]\nhosts = [\"*\"]\napp = \"{}\"", app.address()),
    );
    let answer = tokio::spawn(send(own.get("/slow")));
    let mut got = app.request().await;
    let answer = answer.await.expect("no panic");
    answer.assert_problem(504, "app-timeout");
    assert_eq!(own.line(answer.id())["reason"], "app-timeout");
    // And the app need not finish what nobody waits for.
    got.hung_up().await;
}

async fn the_app_is_not_there(site: &Site) {
    let own = Own::start(site, "timeouts.hold = \"100ms\"\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"");
    let answer = send(own.get("/")).await;
    answer.assert_problem(502, "app-unreachable");
    assert_page(&send(own.get("/").header("accept", "text/html")).await, 502, "app-unreachable");
    let own =
        Own::start(site, "timeouts.hold = \"100ms\"\n[[site]]\nhosts = [\"*\"]\napp = \"unix:/nowhere/app.sock\"");
    send(own.get("/")).await.assert_problem(502, "app-unreachable");
}

/// A gateway before an app that is driven by hand.
async fn by_hand(site: &Site) -> (App, Own) {
    let app = App::start().await;
    // One core, so that the next request finds the connection of the one before.
    let own = Own::start(site, &format!("listen.cores = 1\n[[site]]\nhosts = [\"*\"]\napp = \"{}\"", app.address()));
    (app, own)
}

async fn a_connection_that_the_app_has_closed_costs_nothing(site: &Site) {
    let (app, own) = by_hand(site).await;
    for method in ["GET", "POST", "GET"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = tokio::spawn(send(own.request(method.clone(), "/idle")));
        let mut got = app.request().await;
        assert!(got.head.starts_with(method.as_str()), "{}", got.head);
        got.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        assert_eq!(answer.await.expect("no panic").status, 200, "{method}");
        // The app lets go of what it said it would keep.
        drop(got);
    }
}

async fn what_the_app_may_have_seen_is_not_sent_again(site: &Site) {
    let (app, own) = by_hand(site).await;
    for method in ["POST", "GET"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let answer = tokio::spawn(send(own.request(method.clone(), "/once")));
        drop(app.request().await);
        answer.await.expect("no panic").assert_problem(502, "app-unreachable");
    }
    let answer = tokio::spawn(send(own.get("/next")));
    let mut got = app.request().await;
    assert!(got.head.starts_with("GET /next "), "it was sent again: {}", got.head);
    got.say("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(answer.await.expect("no panic").status, 204);
}

async fn a_host_that_nobody_serves(site: &Site) {
    let app = site.stack.addresses.app.trim_start_matches("http://");
    let own = Own::start(site, &format!("[[site]]\nhosts = [\"makenot.work\", \"*.makenot.work\"]\napp = \"{app}\""));
    for host in ["makenot.work", "MAKENOT.work:8443", "a.makenot.work"] {
        assert_eq!(send(own.get("/echo").header("host", host)).await.status, 200, "{host}");
    }
    for host in ["evil.example", "evilmakenot.work", "makenot.work.evil.example", "127.0.0.1"] {
        send(own.get("/echo").header("host", host)).await.assert_problem(421, "unknown-host");
    }
    for host in ["", "a b", "a/b", "a,b"] {
        send(own.get("/echo").header("host", host)).await.assert_problem(400, "bad-request");
    }
}
