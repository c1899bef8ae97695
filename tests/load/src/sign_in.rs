//! Signing in before anything is measured: the form's token, then a session cookie.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use http_body_util::Full;

use crate::asker::once;
use crate::run::wait;
use crate::scenario::SignIn;
use crate::way::{Line, Way};

/// By name.
type Secrets = BTreeMap<String, String>;

/// Who is turned away all this time is not let in.
const PATIENCE: Duration = Duration::from_secs(10);

/// As many sessions as the scenario wants, one after the other. Who is turned away tries again, as what was asked before may still keep the
/// server busy.
///
/// # Errors
/// The form does not answer as a form with a token and a cookie does, or `stop` is set.
pub(crate) async fn sign_in(
    way: &Way,
    wanted: &SignIn,
    secrets: &Secrets,
    stop: &AtomicBool,
) -> Result<Vec<HeaderValue>, String> {
    let mut sessions = Vec::with_capacity(wanted.sessions);
    let mut until = Instant::now() + PATIENCE;
    while sessions.len() < wanted.sessions {
        if stop.load(Ordering::Relaxed) {
            return Err("interrupted while visitors signed in".to_owned());
        }
        match session(way, wanted, secrets, sessions.len()).await {
            Ok(session) => {
                sessions.push(session);
                until = Instant::now() + PATIENCE;
            }
            Err(why) if Instant::now() > until => return Err(why),
            Err(_) => {}
        }
        if sessions.len() < wanted.sessions {
            wait(Instant::now() + wanted.every.0, stop).await;
        }
    }
    Ok(sessions)
}

/// All of them again, as the app may have forgotten who was signed in. They come at once, as people do; who is turned away comes again after
/// `every`, and each is said to be in as soon as it is. Says, when it is over, how many are out, and why.
pub(crate) async fn sign_in_again(
    way: &Way,
    wanted: &SignIn,
    secrets: &Secrets,
    over: &AtomicBool,
    is_in: impl Fn(usize, HeaderValue),
) -> Option<String> {
    let is_in = &is_in;
    let each = (0..wanted.sessions).map(|n| async move {
        let mut why = "there was no time left".to_owned();
        while !over.load(Ordering::Relaxed) {
            match session(way, wanted, secrets, n).await {
                Ok(session) => {
                    is_in(n, session);
                    return None;
                }
                Err(turned_away) => why = turned_away,
            }
            wait(Instant::now() + wanted.every.0, over).await;
        }
        Some(why)
    });
    let out: Vec<String> = futures_util::future::join_all(each).await.into_iter().flatten().collect();
    let why = out.last()?;
    Some(format!("after the outage {} of {} could not sign in again: {why}", out.len(), wanted.sessions))
}

async fn session(way: &Way, wanted: &SignIn, secrets: &Secrets, n: usize) -> Result<HeaderValue, String> {
    let line = way.visitor(n as u64);
    let (status, fields, page) = ask(way, &line, Method::GET, &wanted.path, &HeaderMap::new(), String::new()).await?;
    let page = String::from_utf8_lossy(&page);
    let token = token(&page, &wanted.token)
        .ok_or_else(|| format!("{}: status {status}, and no hidden field `{}`", wanted.path, wanted.token))?;
    let mut with = HeaderMap::new();
    if let Some(cookie) = cookies(&fields) {
        with.insert(header::COOKIE, cookie);
    }
    with.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let mut form = format!("{}={}", encoded(&wanted.token), encoded(token));
    for (name, value) in &wanted.fields {
        let mut value = value.replace("{n}", &n.to_string());
        for (secret, text) in secrets {
            value = value.replace(&format!("{{secret.{secret}}}"), text);
        }
        form.push_str(&format!("&{}={}", encoded(name), encoded(&value)));
    }
    let (status, fields, _) = ask(way, &line, Method::POST, &wanted.path, &with, form).await?;
    let session = cookies(&fields).filter(|_| (200..400).contains(&status));
    session.ok_or_else(|| format!("{}: signing in got status {status} and no cookie", wanted.path))
}

async fn ask(
    way: &Way,
    line: &Line,
    method: Method,
    path: &str,
    with: &HeaderMap,
    form: String,
) -> Result<(u16, HeaderMap, Bytes), String> {
    let base = way.uri().to_string();
    let request = Request::builder().method(method.clone()).uri(format!("{}{path}", base.trim_end_matches('/')));
    let mut request = request.body(Full::new(Bytes::from(form))).map_err(|e| e.to_string())?;
    request.headers_mut().extend(with.clone());
    way.sign(line, method.as_str(), path, request.headers_mut())?;
    once(line.sender(), request).await
}

/// The value of a hidden field.
fn token<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    let field = page.split("<input").find(|field| field.contains(&format!("name=\"{name}\"")))?;
    field.split_once("value=\"")?.1.split_once('"').map(|(token, _)| token)
}

/// What was set, as a browser sends it back.
fn cookies(fields: &HeaderMap) -> Option<HeaderValue> {
    let set = fields.get_all(header::SET_COOKIE).iter();
    let pairs: Vec<&str> = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next()).collect();
    (!pairs.is_empty()).then(|| HeaderValue::try_from(pairs.join("; ")).ok()).flatten()
}

/// As a form's field (WHATWG URL, application/x-www-form-urlencoded).
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
