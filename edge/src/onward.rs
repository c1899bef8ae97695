//! Which of a client's fields go on to the next hop.
//!
//! Left behind are hop-by-hop fields (RFC 9110 section 7.6.1) with those that `Connection` names, and all that a client may
//! not say because we say it ([`contract::header::client_may_not_send`]). `Connection` can't name ours away: what we say is
//! added afterwards.

use cache::Fields;
use cache::fields::list_members;
use contract::header;

/// Whether the field `name` (lower-case) of `request` goes on.
pub fn passes(request: &(impl Fields + ?Sized), name: &str) -> bool {
    !header::is_hop_by_hop(name) && !header::client_may_not_send(name) && !named_by_connection(request, name)
}

/// Whether a `Connection` line names the field. Names that carry a message's meaning can't be named away.
fn named_by_connection(request: &(impl Fields + ?Sized), name: &str) -> bool {
    request
        .values("connection")
        .filter_map(|v| core::str::from_utf8(v).ok())
        .flat_map(list_members)
        .any(|m| m.eq_ignore_ascii_case(name))
        && !matches!(name, "host" | "content-length" | "authorization" | "cookie" | "cache-control")
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn what_goes_on() {
        let request = [("connection", "close, X-Mine, Cookie, te"), ("x-mine", "1"), ("cookie", "session=1")];
        let goes = |name| passes(&request[..], name);
        for name in ["accept", "cookie", "content-length", "authorization", "x-csrf-token", "range", "hx-request"] {
            assert!(goes(name), "{name}");
        }
        for name in
            ["connection", "x-mine", "te", "x-forwarded-for", "edge-facts", "signature", "forwarded", "x-request-id"]
        {
            assert!(!goes(name), "{name}");
        }
    }
}
