//! Which of a client's fields go on to the next hop, and whether what comes back is the next hop's.
//!
//! Left behind are hop-by-hop fields (RFC 9110 section 7.6.1) with those that `Connection` names, and all that a client may
//! not say because we say it ([`contract::header::client_may_not_send`]). `Connection` can't name ours away: what we say is
//! added afterwards.

use cache::Fields;
use cache::fields::list_members;
use contract::{Problem, header};

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

/// Whether a status tells that the request never reached the gateway: where Cloudflare can't reach it, it answers itself, with
/// 520 to 530. The gateway marks what it answers ([`header::GATEWAY`]), so a marked 52x is the app's own.
#[must_use]
pub fn never_arrived(status: u16, marked: bool) -> Option<Problem> {
    match status {
        _ if marked => None,
        522 | 524 => Some(Problem::GatewayTimeout),
        520..=530 => Some(Problem::GatewayUnreachable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{never_arrived, passes};
    use contract::Problem;

    #[test]
    fn whose_52x_it_is() {
        for (status, problem) in
            [(520, Problem::GatewayUnreachable), (522, Problem::GatewayTimeout), (530, Problem::GatewayUnreachable)]
        {
            assert_eq!(never_arrived(status, false), Some(problem), "{status}");
            assert_eq!(never_arrived(status, true), None, "{status}");
        }
        for status in [200, 403, 500, 502, 504, 519, 531] {
            assert_eq!(never_arrived(status, false), None, "{status}");
        }
    }

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
