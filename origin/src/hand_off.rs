//! The way of a hand-off through the gateway. What the app said is checked when it comes, and goes through the pipeline as it is: where the app
//! lets it be stored, the shield keeps the hand-off, never a URL. On the way out it becomes a URL, signed for this one answer.

use cache::fields::list_members;
use contract::{Problem, names_json};
use edge::{Answer, Host as _};
use http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, EXPIRES,
    LAST_MODIFIED, LOCATION, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::body::Body;
use crate::config::Bucket;
use crate::forwarded::{HANDOFF, HANDOFF_OBJECT};
use crate::head::HeaderFields;
use crate::native::Native;
use crate::storage::{Handoff, HandoffError, Redirect, object_tag};
use crate::trust::Trusted;

/// What says something of the body that the app's answer has, and the client's has not.
const OF_THE_BODY: [HeaderName; 7] =
    [ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED];
/// What says how long the hand-off may be stored, not its URL.
const OF_ITS_STORAGE: [HeaderName; 3] = [AGE, EXPIRES, HeaderName::from_static("cdn-cache-control")];

/// Takes the hand-off out of the fields of an app's answer.
pub(crate) fn take(headers: &mut HeaderMap) -> Option<Result<HeaderValue, Problem>> {
    let mut all = headers.get_all(&HANDOFF).iter();
    let first = all.next()?.clone();
    let taken = if all.next().is_none() { Ok(first) } else { Err(refused(&"the app's answer has several")) };
    headers.remove(&HANDOFF);
    Some(taken)
}

/// The app's answer as it goes through the pipeline. An error is for the log; the client learns that there is one.
pub(crate) fn check(
    buckets: &[Bucket],
    value: HeaderValue,
    mut headers: HeaderMap,
    now: u64,
) -> Result<Answer<HeaderFields, Body>, Problem> {
    let handoff = parse(&value)?;
    handoff.resolve(buckets, false, now).map_err(|error| refused(&error))?;
    for name in &OF_THE_BODY {
        headers.remove(name);
    }
    let tag = object_tag(&handoff.role, &handoff.key);
    headers.insert(&HANDOFF_OBJECT, HeaderValue::try_from(tag).map_err(|_| Problem::HandoffRefused)?);
    headers.insert(&HANDOFF, value);
    Ok(Answer { status: 302, fields: HeaderFields(headers), body: Body::empty() })
}

/// What the client gets: a redirect, or JSON where it names that in `Accept`. Any other answer as it is.
pub(crate) fn carry_out(
    native: &Native,
    mut answer: Answer<HeaderFields, Body>,
    head: bool,
    accept: Option<&HeaderValue>,
) -> Result<Answer<HeaderFields, Body>, Problem> {
    let Answer { fields: HeaderFields(headers), .. } = &mut answer;
    let Some(value) = headers.remove(&HANDOFF) else { return Ok(answer) };
    let buckets = &native.core.gateway.config.buckets;
    let resolved = parse(&value)?.resolve(buckets, head, native.now().as_secs());
    let Redirect { url, cache_control, expires_at } = resolved.map_err(|error| refused(&error))?;
    if native.trusted != Trusted::EdgeSigned {
        headers.remove(&HANDOFF_OBJECT);
    }
    for name in &OF_ITS_STORAGE {
        headers.remove(name);
    }
    let field = |text: &str| HeaderValue::try_from(text).map_err(|_| Problem::HandoffRefused);
    headers.insert(CACHE_CONTROL, field(&cache_control)?);
    let varies = headers.get_all(VARY).iter().filter_map(|v| v.to_str().ok()).flat_map(list_members);
    if !varies.into_iter().any(|member| member.eq_ignore_ascii_case("accept") || member == "*") {
        headers.append(VARY, HeaderValue::from_static("accept"));
    }
    if names_json(accept.and_then(|accept| accept.to_str().ok())) {
        let text = serde_json::json!({"url": url, "expires_at": expires_at}).to_string();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
        (answer.status, answer.body) = (200, Body::full(text));
    } else {
        headers.insert(LOCATION, field(&url)?);
    }
    Ok(answer)
}

fn parse(value: &HeaderValue) -> Result<Handoff, Problem> {
    let not_ascii = |_| HandoffError::Malformed("it is not ASCII".to_owned());
    value.to_str().map_err(not_ascii).and_then(Handoff::parse).map_err(|error| refused(&error))
}

fn refused(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "the app's hand-off is refused");
    Problem::HandoffRefused
}
