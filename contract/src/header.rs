//! Names of fields, and which of them pass: what a client may not send, and what no proxy forwards (RFC 9110 7.6.1).

/// The request's id, on every answer and to the app.
pub const REQUEST_ID: &str = "x-request-id";
/// W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";
/// What the systems that a trace has passed say of it ([`crate::trace::tracestate`]).
pub const TRACESTATE: &str = "tracestate";
/// The operator's token, for being told where a request's time goes. It reaches the gateway and no app.
pub const ORIGIN_TIMING: &str = "origin-timing";
/// Where a request's time went (W3C Server Timing).
pub const SERVER_TIMING: &str = "server-timing";
/// What the edge knows about the request, signed ([`crate::facts`]).
pub const EDGE_FACTS: &str = "edge-facts";
/// What an isolate of the edge has counted ([`crate::counts`]), on its exchanges.
pub const EDGE_COUNTS: &str = "edge-counts";
/// RFC 9421 4.2.
pub const SIGNATURE: &str = "signature";
/// RFC 9421 4.1.
pub const SIGNATURE_INPUT: &str = "signature-input";
/// The gateway's mark on every answer that it makes or forwards. A 5xx without it comes from somewhere between.
pub const GATEWAY: &str = "gateway";
/// The number of the newest purge that the gateway knew when the request came, on every answer to the edge.
pub const PURGE_SEQUENCE: &str = "purge-sequence";
/// The app's hand-off to an object in a bucket; the gateway turns it into a redirect and never forwards it.
pub const HANDOFF: &str = "handoff";
/// The object that a hand-off's answer leads to, as a tag by which it is purged: from the gateway to the edge, which keeps it to itself.
pub const HANDOFF_OBJECT: &str = "handoff-object";
/// RFC 9211.
pub const CACHE_STATUS: &str = "cache-status";
/// RFC 9213.
pub const CDN_CACHE_CONTROL: &str = "cdn-cache-control";
/// The names by which an answer is purged.
pub const CACHE_TAG: &str = "cache-tag";
/// The client's address, as Cloudflare says it.
pub const CF_CONNECTING_IP: &str = "cf-connecting-ip";
/// The client's address, to the app.
pub const X_FORWARDED_FOR: &str = "x-forwarded-for";
/// The client's scheme, to the app.
pub const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
/// The host that the client asked for, to the app.
pub const X_FORWARDED_HOST: &str = "x-forwarded-host";
/// The client's address, to an app that reads only this.
pub const X_REAL_IP: &str = "x-real-ip";

/// What a client may not send, lower case. The edge strips it before it looks at anything else: it would speak for us, for
/// a proxy in front of us, or for another method or path than the one that was filtered, cached and signed.
pub const FROM_CLIENT_NEVER: &[&str] = &[
    // Ours.
    REQUEST_ID,
    EDGE_FACTS,
    EDGE_COUNTS,
    SIGNATURE,
    SIGNATURE_INPUT,
    GATEWAY,
    HANDOFF,
    // Of what it says here goes on what is valid, and beside a `traceparent`.
    TRACESTATE,
    ORIGIN_TIMING,
    // Who the client is: RFC 7239, and what platforms and servers use instead.
    "forwarded",
    "x-forwarded",
    X_REAL_IP,
    "true-client-ip",
    "client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-originating-ip",
    "x-remote-ip",
    "x-remote-addr",
    "fastly-client-ip",
    "x-azure-clientip",
    "x-envoy-external-address",
    // Another target, host or scheme than the one asked for.
    "x-rewrite-url",
    "x-host",
    "x-proxy-host",
    "x-backend-host",
    "x-http-host-override",
    "x-http-path-override",
    "x-scheme",
    "x-url-scheme",
    "front-end-https",
    // Another method than the one asked for.
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    // Becomes HTTP_PROXY in a CGI environment (httpoxy).
    "proxy",
    // RFC 8586: a platform's loop count, which its own network sets.
    "cdn-loop",
];

/// What the names of further fields that a client may not send begin with.
pub const FROM_CLIENT_NEVER_PREFIXES: &[&str] = &["cf-", "x-forwarded-", "x-original-"];

/// For each first letter, the lengths that names in [`FROM_CLIENT_NEVER`] have: one look decides most names.
#[cfg_attr(not(test), expect(clippy::indexing_slicing, reason = "a constant: out of bounds does not compile"))]
const SHAPES: [u32; 26] = {
    let mut shapes = [0; 26];
    let mut names = FROM_CLIENT_NEVER;
    while let [name, rest @ ..] = names {
        // Fails to compile for a name that is empty, of 32 bytes or more, or begins with no lower-case letter.
        assert!(name.len() < 32);
        shapes[(name.as_bytes()[0] - b'a') as usize] |= 1 << name.len();
        names = rest;
    }
    shapes
};

/// Whether the edge strips this field from a client's request. Case does not matter, and `_` counts as `-`, since gateway
/// interfaces that put fields into variables do not tell the two apart.
pub fn client_may_not_send(name: &str) -> bool {
    let Some(letter) = name.as_bytes().first().map(|first| first.to_ascii_lowercase().wrapping_sub(b'a')) else {
        return false;
    };
    let Some(lengths) = SHAPES.get(usize::from(letter)) else { return false };
    let known = name.len() < 32 && lengths & (1 << name.len()) != 0;
    (known && FROM_CLIENT_NEVER.iter().any(|never| never.len() == name.len() && begins_with(name, never)))
        || FROM_CLIENT_NEVER_PREFIXES.iter().any(|prefix| begins_with(name, prefix))
}

fn begins_with(name: &str, prefix: &str) -> bool {
    let same = |(a, b): (u8, u8)| a.eq_ignore_ascii_case(&b) || (a == b'_' && b == b'-');
    name.len() >= prefix.len() && name.bytes().zip(prefix.bytes()).all(same)
}

/// Fields of one connection, which no proxy forwards in either direction (RFC 9110 7.6.1). Whatever else `Connection` names
/// goes with them. `Trailer` is not here: it describes the message. The two `Proxy-Auth…` fields are: they are between a
/// client and its own proxy (RFC 9110 11.7), for which neither the app nor we are one.
pub const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "proxy-authenticate",
    "proxy-authorization",
];

/// Whether the field belongs to one connection; case does not matter.
pub fn is_hop_by_hop(name: &str) -> bool {
    // Most names are of no such length.
    matches!(name.len(), 2 | 7 | 10 | 16..=19) && HOP_BY_HOP.iter().any(|hop| hop.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_each_name_in_any_case() {
        for name in FROM_CLIENT_NEVER {
            assert_eq!(*name, name.to_ascii_lowercase());
            for name in [(*name).to_owned(), name.to_ascii_uppercase(), name.replace('-', "_")] {
                assert!(client_may_not_send(&name), "{name}");
            }
        }
        for name in
            ["X-Forwarded-For", "x_forwarded_for", "x-forwarded-", "x-forwarded-anything-at-all-however-long", "CF-Ray"]
        {
            assert!(client_may_not_send(name), "{name}");
        }
    }

    #[test]
    fn leaves_neighbours_and_ordinary_names() {
        for name in [
            "",
            "-",
            "x",
            "ä",
            "{",
            "`",
            "@",
            "accept",
            "accept-encoding",
            "authorization",
            "cache-control",
            "cf",
            "cfg-x",
            "content-type",
            "cookie",
            "edge-fact",
            "edge-factss",
            "host",
            "hx-request",
            "if-none-match",
            "priority",
            "range",
            "sec-fetch-site",
            "signatures",
            "traceparent",
            "user-agent",
            "x-csrf-token",
            "x-forwarde",
            "x-forwardedfor",
            "x-request-ie",
            "x-requested-with",
        ] {
            assert!(!client_may_not_send(name), "{name}");
        }
    }

    #[test]
    fn a_connections_own_fields_stay() {
        for name in ["Connection", "keep-alive", "TE", "Transfer-Encoding", "upgrade", "Proxy-Connection"] {
            assert!(is_hop_by_hop(name), "{name}");
        }
        for name in ["trailer", "t", "tea", "upgrade-insecure-requests", "proxy", "content-length", ""] {
            assert!(!is_hop_by_hop(name), "{name}");
        }
    }
}
