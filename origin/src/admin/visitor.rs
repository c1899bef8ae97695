//! Who may ask on the private listener.
//!
//! Files are for those only who have shown that they may: with either token, or by the rights of a Unix socket. Another program of this machine, or a
//! server that can be made to ask an address of it, is not enough.
//!
//! With a token: who shows it (RFC 6750 section 2.1); `/livez` and `/readyz` are for balancers, which have none. Without one:
//! any program of this machine, but no page in a browser of its operator's. A page may ask any address from there. Where that
//! could change something the browser says where the page is from (`Origin`), and where the page could read the answer, its
//! name must lead here: so whoever asks by a name other than localhost is refused (DNS rebinding).

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;

use super::refusal::Refusal;
use crate::config::Token;

/// Where visitors come in.
pub(super) struct Door {
    pub(super) token: Option<Token>,
    /// An app's, which opens files and nothing else.
    pub(super) app: Option<Token>,
    /// Whether it is a Unix socket, which no browser reaches.
    pub(super) unix: bool,
}

/// Lets a request by, or not.
pub(super) async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    match door.refuses(request.uri().path(), request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

impl Door {
    fn refuses(&self, path: &str, headers: &HeaderMap) -> Option<Refusal> {
        let files = opens_files(path);
        let is = |token: &Token| shown(headers).is_some_and(|shown| token.is(shown));
        match &self.token {
            _ if files && self.app.as_ref().is_some_and(is) => None,
            Some(_) if matches!(path, "/livez" | "/readyz") => None,
            Some(token) => (!is(token)).then_some(Refusal::Token),
            None if self.unix => None,
            None if files => Some(Refusal::AppToken),
            None => (headers.contains_key(ORIGIN) || !asks_by_address(headers)).then_some(Refusal::Browser),
        }
    }
}

/// Whether it is where files are asked for.
fn opens_files(path: &str) -> bool {
    ["/sign", "/uploads", "/lfs"].iter().any(|begin| crate::storage::key::covers(begin, path))
}

/// The token that a request shows.
fn shown(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

fn asks_by_address(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(authority) = Authority::try_from(host.as_bytes()) else { return false };
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::{Door, Refusal};
    use crate::config::Token;
    use http::HeaderMap;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn without_a_token_by_address_and_from_no_page() {
        let door = Door { token: None, app: None, unix: false };
        for host in ["127.0.0.1:9180", "[::1]:9180", "localhost", "LOCALHOST:1", "192.0.2.1"] {
            assert_eq!(door.refuses("/", &headers(&[("host", host)])), None, "{host}");
            let page = headers(&[("host", host), ("origin", "https://evil.test")]);
            assert_eq!(door.refuses("/", &page), Some(Refusal::Browser), "{host}");
        }
        for host in ["evil.test", "localhost.evil.test:9180", "127.0.0.1.evil.test", "evil.test@127.0.0.1:9180", ""] {
            assert_eq!(door.refuses("/", &headers(&[("host", host)])), Some(Refusal::Browser), "{host}");
        }
        assert_eq!(door.refuses("/", &headers(&[])), Some(Refusal::Browser));
        let twice = headers(&[("host", "127.0.0.1"), ("host", "evil.test")]);
        assert_eq!(door.refuses("/", &twice), Some(Refusal::Browser));
        let unix = Door { token: None, app: None, unix: true };
        assert_eq!(unix.refuses("/drain", &headers(&[("host", "origin")])), None);
    }

    #[test]
    fn with_a_token_only_who_shows_it() {
        let door = Door { token: Token::new(TOKEN).ok(), app: None, unix: true };
        for (authorization, refused) in [
            ("Bearer 0123456789abcdef0123456789abcdef", None),
            ("bearer 0123456789abcdef0123456789abcdef", None),
            ("Bearer 0123456789abcdef0123456789abcdee", Some(Refusal::Token)),
            ("Bearer 0123456789abcdef0123456789abcdef0", Some(Refusal::Token)),
            ("Bearer ", Some(Refusal::Token)),
            ("Basic 0123456789abcdef0123456789abcdef", Some(Refusal::Token)),
        ] {
            let asked = headers(&[("authorization", authorization), ("host", "any.test")]);
            assert_eq!(door.refuses("/metrics", &asked), refused, "{authorization}");
        }
        assert_eq!(door.refuses("/metrics", &headers(&[("host", "127.0.0.1")])), Some(Refusal::Token));
        assert_eq!(door.refuses("/readyz", &headers(&[("host", "any.test")])), None, "balancers have none");
    }

    #[test]
    fn an_apps_token_opens_files_and_nothing_else() {
        let app = "fedcba9876543210fedcba9876543210";
        let shown = |token: &'static str| headers(&[("authorization", token), ("host", "127.0.0.1")]);
        let (theirs, operators) =
            (shown("Bearer fedcba9876543210fedcba9876543210"), shown("Bearer 0123456789abcdef0123456789abcdef"));
        let both = Door { token: Token::new(TOKEN).ok(), app: Token::new(app).ok(), unix: false };
        let one = Door { token: None, app: Token::new(app).ok(), unix: false };
        for path in ["/sign", "/uploads", "/uploads/parts", "/lfs/a/objects/batch"] {
            for door in [&both, &one] {
                assert_eq!(door.refuses(path, &theirs), None, "{path}");
            }
            assert_eq!(both.refuses(path, &operators), None, "{path}");
            assert_eq!(one.refuses(path, &operators), Some(Refusal::AppToken), "{path}");
            assert_eq!(one.refuses(path, &headers(&[("host", "127.0.0.1")])), Some(Refusal::AppToken), "{path}");
        }
        for path in ["/purge", "/drain", "/config", "/signs", "/metrics"] {
            assert_eq!(both.refuses(path, &theirs), Some(Refusal::Token), "{path}");
        }
    }
}
