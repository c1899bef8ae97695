//! What the app learns of a request from us, and what it does not learn from the client; and what a client learns of an app.

use bytes::{BufMut as _, BytesMut};
use cache::fields::list_members;
use contract::{Problem, header};
use edge::Exchange;
use http::header::{CONNECTION, COOKIE, FORWARDED, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::address;

/// Names that are parsed once instead of with every request.
pub(crate) static HANDOFF: HeaderName = HeaderName::from_static(header::HANDOFF);
pub(crate) static HANDOFF_OBJECT: HeaderName = HeaderName::from_static(header::HANDOFF_OBJECT);
pub(crate) static PURGE_SEQUENCE: HeaderName = HeaderName::from_static(header::PURGE_SEQUENCE);
pub(crate) static GATEWAY: HeaderName = HeaderName::from_static(header::GATEWAY);
static REQUEST_ID: HeaderName = HeaderName::from_static(header::REQUEST_ID);
static CACHE_STATUS: HeaderName = HeaderName::from_static(header::CACHE_STATUS);
static TRACEPARENT: HeaderName = HeaderName::from_static(header::TRACEPARENT);
static TRACESTATE: HeaderName = HeaderName::from_static(header::TRACESTATE);
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static(header::X_FORWARDED_FOR);
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static(header::X_FORWARDED_PROTO);
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static(header::X_FORWARDED_HOST);

/// The number of the span in which a request is with the app, below that of the gateway.
pub(crate) const TO_THE_APP: u8 = 1;

/// Gateways of ours that a request may pass, one behind the other.
const MOST_TIMES: usize = 4;

/// The name of a field that we say; lower-case.
pub(crate) fn name(name: &'static str) -> HeaderName {
    match name {
        header::REQUEST_ID => REQUEST_ID.clone(),
        header::CACHE_STATUS => CACHE_STATUS.clone(),
        name => HeaderName::from_static(name),
    }
}

/// Leaves only the client's own end-to-end fields.
pub(crate) fn keep_the_clients(headers: &mut HeaderMap) {
    keep(headers, header::client_may_not_send);
}

/// Leaves of an app's answer what is not its connection's, and not only ours to say.
pub(crate) fn keep_the_apps(headers: &mut HeaderMap) {
    keep(headers, |name| {
        matches!(
            name,
            header::HANDOFF | header::HANDOFF_OBJECT | header::GATEWAY | header::PURGE_SEQUENCE | header::EDGE_FACTS
        )
    });
}

/// Removes hop-by-hop fields, those that Connection names (RFC 9110 section 7.6.1), and those `refused`.
fn keep(headers: &mut HeaderMap, refused: impl Fn(&str) -> bool) {
    let goes = |name: &str| header::is_hop_by_hop(name) || refused(name);
    let named = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok()).flat_map(list_members);
    let named: Vec<HeaderName> = named
        // What goes anyway need not be looked for. What carries a message's meaning can't be named away.
        .filter(|name| !name.eq_ignore_ascii_case("close") && !header::is_hop_by_hop(name))
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| !matches!(name.as_str(), "host" | "content-length" | "cookie" | "authorization"))
        .collect();
    let gone: Vec<HeaderName> = headers.keys().filter(|name| goes(name.as_str())).cloned().collect();
    for name in named.into_iter().chain(gone) {
        headers.remove(name);
    }
}

/// Joins the pieces into which HTTP/2 may cut a cookie, as HTTP/1.1 has one line of it (RFC 9113 section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(COOKIE).iter();
    let (Some(_), Some(_)) = (lines.next(), lines.next()) else { return };
    let joined = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

/// Says what we have verified: the id, the trace, and who asked for which host by which scheme (RFC 7239). All of it stands in
/// one piece of memory, of which each value is a part.
pub(crate) fn say(headers: &mut HeaderMap, exchange: &Exchange, authority: &str, secure: bool) {
    let client = exchange.visitor.client;
    let (id, trace) = (exchange.id.text(), exchange.trace.onward(TO_THE_APP).text());
    let mut text = BytesMut::with_capacity(id.as_ref().len() + trace.len() + address::MOST + authority.len() + 32);
    let mut put = |part: &[u8]| {
        let from = text.len();
        text.put_slice(part);
        from..text.len()
    };
    let (id, trace) = (put(id.as_ref()), put(&trace));
    let from = put(b"for=").start;
    put(if client.is_ipv6() { b"\"[" } else { b"" });
    let client_text = address::text(client);
    let node = put(client_text.as_bytes());
    put(if client.is_ipv6() { b"]\";host=\"" } else { b";host=\"" });
    let host = put(authority.as_bytes());
    let to = put(if secure { b"\";proto=https" } else { b"\";proto=http" }).end;
    let text = text.freeze();
    for (name, part) in [
        (&REQUEST_ID, id),
        (&TRACEPARENT, trace),
        (&X_FORWARDED_FOR, node),
        (&X_FORWARDED_HOST, host),
        (&FORWARDED, from..to),
    ] {
        // Addresses, hexadecimal ids and checked hosts are always field values.
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(part)) {
            headers.insert(name.clone(), value);
        }
    }
    if let Some(state) = exchange.tracestate.as_deref().and_then(|state| HeaderValue::from_str(state).ok()) {
        headers.insert(TRACESTATE.clone(), state);
    }
    headers.insert(X_FORWARDED_PROTO.clone(), HeaderValue::from_static(if secure { "https" } else { "http" }));
}

/// Adds us to the proxies that a request has passed (RFC 9110 section 7.6.3).
///
/// # Errors
/// The request has passed us so often already that an app's address must lead back to us.
pub(crate) fn pass_by(headers: &mut HeaderMap, version: Version) -> Result<(), Problem> {
    let lines = headers.get_all(VIA).iter().filter_map(|v| v.to_str().ok());
    if lines.flat_map(list_members).filter(|by| by.ends_with(" origin")).count() >= MOST_TIMES {
        return Err(Problem::Loop);
    }
    let us = if version == Version::HTTP_2 { "2.0 origin" } else { "1.1 origin" };
    headers.append(VIA, HeaderValue::from_static(us));
    Ok(())
}
