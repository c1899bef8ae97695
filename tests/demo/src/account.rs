//! Signing in and out, and what only the signed-in person sees. Nothing here may be stored by any cache.

use askama::Template;
use axum::{
    Form, Json,
    extract::{Query, State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use crate::{
    Demo, api,
    pages::{self, is_htmx, private},
    renders::Stamp,
    session::{Session, set_cookie, unset_cookie},
};

/// What everyone's passphrase is here.
const PASSPHRASE: &str = "demo";

/// Characters of a name.
const MAX_NAME: usize = 60;

/// What a path needs escaped as a query's value.
const QUERY_VALUE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'+').add(b'<').add(b'>');

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    stamp: Option<Stamp>,
    csrf: &'a str,
    next: &'a str,
    name: &'a str,
    problem: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage<'a> {
    stamp: Option<Stamp>,
    name: &'a str,
    csrf: &'a str,
}

#[derive(Template)]
#[template(path = "account_box.html")]
struct AccountBox<'a> {
    signed_in: Option<(&'a str, &'a str)>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

/// `GET /sign-in?next=/path`: the form, and a session to hold its token where there is none.
pub(crate) async fn sign_in_form(State(demo): State<Demo>, Query(query): Query<Next>, request: HeaderMap) -> Response {
    let next = local_path(&query.next);
    let (id, session) = demo.shared.sessions.of(&request).unwrap_or_else(|| demo.shared.sessions.start(None));
    if session.name.is_some() {
        return see_other(next, set_cookie(&id));
    }
    let page = SignInPage { stamp: None, csrf: &session.csrf, next, name: "", problem: None };
    ([(header::SET_COOKIE, set_cookie(&id))], private(StatusCode::OK, &page)).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SignIn {
    #[serde(rename = "_csrf")]
    csrf: String,
    name: String,
    passphrase: String,
    next: String,
}

/// `POST /sign-in`: a new session on success, so that an id planted before it is worth nothing after.
pub(crate) async fn sign_in(
    State(demo): State<Demo>,
    request: HeaderMap,
    form: Result<Form<SignIn>, FormRejection>,
) -> Response {
    let form = form.map(|Form(form)| form).unwrap_or_default();
    let Some((id, session)) = vouched(&demo, &form.csrf, &request) else { return forged() };
    let (name, next) = (form.name.trim(), local_path(&form.next));
    let problem = if !bool::from(PASSPHRASE.as_bytes().ct_eq(form.passphrase.as_bytes())) {
        Some("That is not the passphrase. (Here it is the word “demo”.)")
    } else if name.is_empty() {
        Some("Please say what we may call you.")
    } else if name.chars().count() > MAX_NAME {
        Some("That name is longer than 60 characters.")
    } else {
        None
    };
    if problem.is_some() {
        let page = SignInPage { stamp: None, csrf: &session.csrf, next, name, problem };
        return private(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    demo.shared.sessions.end(&id);
    let (id, _) = demo.shared.sessions.start(Some(name.to_owned()));
    see_other(next, set_cookie(&id))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SignOut {
    #[serde(rename = "_csrf")]
    csrf: String,
}

/// `POST /sign-out`.
pub(crate) async fn sign_out(
    State(demo): State<Demo>,
    request: HeaderMap,
    form: Result<Form<SignOut>, FormRejection>,
) -> Response {
    let form = form.map(|Form(form)| form).unwrap_or_default();
    let Some((id, _)) = vouched(&demo, &form.csrf, &request) else { return forged() };
    demo.shared.sessions.end(&id);
    see_other("/", unset_cookie())
}

/// `GET /account`.
pub(crate) async fn page(State(demo): State<Demo>, request: HeaderMap) -> Response {
    match signed_in(&demo, &request) {
        Some((id, name, session)) => {
            let page = AccountPage { stamp: None, name: &name, csrf: &session.csrf };
            ([(header::SET_COOKIE, set_cookie(&id))], private(StatusCode::OK, &page)).into_response()
        }
        None => to_sign_in("/account"),
    }
}

/// `GET /fragment/account`: the header's account box for HTMX, the account page for everyone else.
pub(crate) async fn fragment(State(demo): State<Demo>, request: HeaderMap) -> Response {
    let mut response = if is_htmx(&request) {
        let who = signed_in(&demo, &request);
        let signed_in = who.as_ref().map(|(_, name, session)| (name.as_str(), session.csrf.as_str()));
        private(StatusCode::OK, &AccountBox { signed_in })
    } else {
        page(State(demo), request).await
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("HX-Request"));
    response
}

/// `GET /api/me`: also the way for a script to its CSRF token.
pub(crate) async fn me(State(demo): State<Demo>, request: HeaderMap) -> Response {
    match signed_in(&demo, &request) {
        Some((_, name, session)) => {
            let me = Json(json!({ "name": name, "csrf": session.csrf }));
            ([(header::CACHE_CONTROL, "private, no-store")], me).into_response()
        }
        None => api::error(StatusCode::UNAUTHORIZED, "not signed in"),
    }
}

/// The session's id, the person's name and the session, if the request comes from someone who signed in.
pub(crate) fn signed_in(demo: &Demo, request: &HeaderMap) -> Option<(String, String, Session)> {
    let (id, session) = demo.shared.sessions.of(request)?;
    Some((id, session.name.clone()?, session))
}

/// 303 to the form, which leads back to `path`.
pub(crate) fn to_sign_in(path: &str) -> Response {
    let location = format!("/sign-in?next={}", utf8_percent_encode(path, QUERY_VALUE));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location), (header::CACHE_CONTROL, "private, no-store".to_owned())])
        .into_response()
}

/// Where to go after signing in: a path on this host, else the account page. `//host` and, to browsers, `/\host` lead to another
/// host, and control characters vanish from URLs.
fn local_path(next: &str) -> &str {
    let local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.bytes().all(|byte| byte.is_ascii_graphic());
    if local { next } else { "/account" }
}

fn vouched(demo: &Demo, csrf: &str, request: &HeaderMap) -> Option<(String, Session)> {
    demo.shared.sessions.of(request).filter(|(_, session)| session.vouches_for(csrf, request))
}

fn forged() -> Response {
    pages::error(
        StatusCode::FORBIDDEN,
        "That form is out of date",
        "It did not carry this session’s token. Go back, reload the page, and send it again.",
    )
}

fn see_other(location: &str, cookie: HeaderValue) -> Response {
    let location = HeaderValue::from_str(location).unwrap_or_else(|_| HeaderValue::from_static("/account"));
    let fields = [
        (header::LOCATION, location),
        (header::SET_COOKIE, cookie),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    (StatusCode::SEE_OTHER, fields).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_stays_on_this_host() {
        for good in ["/", "/account", "/download/tide", "/c/mira?page=2", "/a//b"] {
            assert_eq!(local_path(good), good);
        }
        for bad in [
            "",
            "account",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example/",
            "/\t/evil.example",
            "/a\r\nSet-Cookie: x",
            "/a b",
            "/ü",
            "///evil.example",
        ] {
            assert_eq!(local_path(bad), "/account", "{bad:?}");
        }
    }
}
