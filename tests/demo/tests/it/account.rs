//! Signing in and out, CSRF, and that none of it may be stored.

use reqwest::Response;
use serde_json::Value;

use crate::{App, field};

/// The `session=…` pair that a response sets.
fn cookie(response: &Response) -> String {
    field(response, "set-cookie").split(';').next().unwrap_or_default().to_owned()
}

/// The token in a page's form.
fn token(html: &str) -> String {
    let (_, rest) = html.split_once("name=\"_csrf\" value=\"").expect("a form with a token");
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// A cookie and a token from the form.
async fn form(app: &App, path: &str) -> (String, String) {
    let form = app.fetch(path).await;
    let cookie = cookie(&form);
    (cookie, token(&form.text().await.expect("a page")))
}

async fn post_sign_in(app: &App, cookie: &str, fields: &[(&str, &str)]) -> Response {
    app.post("/sign-in").header("cookie", cookie).form(fields).send().await.expect("an answer")
}

/// Signs in; returns the cookie.
pub(crate) async fn sign_in(app: &App, name: &str) -> String {
    let (before, csrf) = form(app, "/sign-in").await;
    let fields = [("_csrf", csrf.as_str()), ("name", name), ("passphrase", "demo")];
    cookie(&post_sign_in(app, &before, &fields).await)
}

#[tokio::test]
async fn signing_in_changes_the_session_and_leads_back() {
    let app = App::start().await;
    let (before, csrf) = form(&app, "/sign-in?next=/download/tide").await;
    let fields = [("_csrf", csrf.as_str()), ("name", " Ada <b> "), ("passphrase", "demo"), ("next", "/download/tide")];
    let done = post_sign_in(&app, &before, &fields).await;
    assert_eq!((done.status().as_u16(), field(&done, "location")), (303, "/download/tide"));
    assert_eq!(field(&done, "cache-control"), "private, no-store");
    let set = field(&done, "set-cookie");
    assert!(set.ends_with("; Path=/; Max-Age=604800; HttpOnly; Secure; SameSite=Lax"), "{set}");
    let after = cookie(&done);
    assert_ne!(after, before, "the id from before signing in lives on");

    let me: Value =
        app.get("/api/me").header("cookie", &after).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(me["name"], "Ada <b>");
    let old = app.get("/api/me").header("cookie", &before).send().await.expect("an answer");
    assert_eq!((old.status().as_u16(), field(&old, "cache-control")), (401, "private, no-store"));
    let page =
        app.get("/account").header("cookie", &after).send().await.expect("an answer").text().await.expect("a page");
    assert!(page.contains("Hello, Ada") && !page.contains("<b> "), "the name is escaped");
}

#[tokio::test]
async fn a_wrong_passphrase_or_name_shows_the_form_again() {
    let app = App::start().await;
    let (cookie, csrf) = form(&app, "/sign-in").await;
    let long = "x".repeat(61);
    for (name, passphrase, message) in [
        ("Ada", "demo ", "not the passphrase"),
        ("  ", "demo", "what we may call you"),
        (&long, "demo", "longer than 60"),
    ] {
        let fields = [("_csrf", csrf.as_str()), ("name", name), ("passphrase", passphrase), ("next", "//evil.example")];
        let again = post_sign_in(&app, &cookie, &fields).await;
        assert_eq!((again.status().as_u16(), field(&again, "cache-control")), (422, "private, no-store"));
        let html = again.text().await.expect("a page");
        assert!(html.contains(message) && html.contains("role=\"alert\"") && !html.contains("evil"), "{html}");
    }
}

#[tokio::test]
async fn a_form_without_its_sessions_token_is_refused() {
    let app = App::start().await;
    let (cookie, csrf) = form(&app, "/sign-in").await;
    let (stranger, _) = form(&app, "/sign-in").await;
    for (cookie, csrf) in [(cookie.as_str(), ""), (&cookie, "guess"), ("", &csrf), (&stranger, &csrf)] {
        let fields = [("_csrf", csrf), ("name", "Ada"), ("passphrase", "demo")];
        let refused = post_sign_in(&app, cookie, &fields).await;
        assert_eq!((refused.status().as_u16(), field(&refused, "set-cookie")), (403, ""));
    }
}

#[tokio::test]
async fn signing_out_takes_a_token_in_the_field_or_the_header() {
    let app = App::start().await;
    for in_header in [false, true] {
        let cookie = sign_in(&app, "Ada").await;
        let refused = app.post("/sign-out").header("cookie", &cookie).send().await.expect("an answer");
        assert_eq!(refused.status(), 403);
        let me = app.get("/api/me").header("cookie", &cookie).send().await.expect("an answer");
        let me: Value = me.json().await.expect("still signed in");
        let csrf = me["csrf"].as_str().expect("a token");
        let request = app.post("/sign-out").header("cookie", &cookie);
        let request = if in_header { request.header("X-CSRF-Token", csrf) } else { request.form(&[("_csrf", csrf)]) };
        let out = request.send().await.expect("an answer");
        assert_eq!((out.status().as_u16(), field(&out, "location")), (303, "/"));
        assert!(field(&out, "set-cookie").starts_with("session=; Path=/; Max-Age=0;"));
        let gone = app.get("/api/me").header("cookie", &cookie).send().await.expect("an answer");
        assert_eq!(gone.status(), 401);
    }
}

#[tokio::test]
async fn the_account_fragment_varies_and_is_never_stored() {
    let app = App::start().await;
    let path = "/fragment/account";
    let stranger = app.get(path).header("HX-Request", "true").send().await.expect("an answer");
    assert_eq!(
        (field(&stranger, "cache-control"), field(&stranger, "vary"), field(&stranger, "set-cookie")),
        ("private, no-store", "HX-Request", "")
    );
    assert!(stranger.text().await.expect("a fragment").starts_with("<a class=\"button\" href=\"/sign-in\""));
    let page = app.fetch(path).await;
    assert_eq!((page.status().as_u16(), field(&page, "location")), (303, "/sign-in?next=/account"));
    assert_eq!(field(&page, "vary"), "HX-Request");

    let cookie = sign_in(&app, "Ada").await;
    let known = app.get(path).header("HX-Request", "true").header("cookie", &cookie);
    let known = known.send().await.expect("an answer").text().await.expect("a fragment");
    assert!(known.contains(">Ada</a>") && known.contains("_csrf") && !known.contains("<html"), "{known}");
    let page = app.get(path).header("cookie", &cookie).send().await.expect("an answer");
    assert_eq!(field(&page, "vary"), "HX-Request");
    assert!(page.text().await.expect("a page").starts_with("<!doctype html>"));
}
