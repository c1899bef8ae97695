//! What the app learns of a request from us, and what it does not learn from the client.

use cache::fields::list_members;
use contract::header;
use edge::Exchange;
use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Leaves only the client's own end-to-end fields.
pub(crate) fn keep_what_passes(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    let refused: Vec<HeaderName> =
        headers.keys().filter(|name| header::client_may_not_send(name.as_str())).cloned().collect();
    for name in refused {
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

/// Removes hop-by-hop fields and those that Connection names (RFC 9110 section 7.6.1).
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(list_members)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| !matches!(*name, HOST | CONTENT_LENGTH) && *name != "cookie" && *name != "authorization")
        .collect();
    for name in named {
        headers.remove(name);
    }
    let hops: Vec<HeaderName> = headers.keys().filter(|name| header::is_hop_by_hop(name.as_str())).cloned().collect();
    for name in hops {
        headers.remove(name);
    }
}

/// Says what we have verified: the id, the trace, and who asked for which host by which scheme (RFC 7239).
pub(crate) fn say(headers: &mut HeaderMap, exchange: &Exchange, authority: &str, secure: bool) {
    let client = exchange.visitor.client;
    let proto = if secure { "https" } else { "http" };
    let node = if client.is_ipv6() { format!("\"[{client}]\"") } else { client.to_string() };
    let mut set = |name: &'static str, value: String| {
        // Addresses, hexadecimal ids and checked hosts are always field values.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    set(header::REQUEST_ID, exchange.id.to_string());
    set(header::TRACEPARENT, exchange.trace.to_string());
    set("x-forwarded-for", client.to_string());
    set("x-forwarded-proto", proto.to_owned());
    set("x-forwarded-host", authority.to_owned());
    set("forwarded", format!("for={node};host=\"{authority}\";proto={proto}"));
}
