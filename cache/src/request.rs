//! What a request allows (RFC 9111 sections 3 and 5.2.1).

use crate::Fields;
use crate::control::Control;
use crate::phase::Bypass;

/// How the cache takes part in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Neither looked up nor stored.
    Pass(Bypass),
    /// Looked up, and the answer may be stored.
    Look(Ask),
}

/// What a request for GET or HEAD asks of the cache. Ages are whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// HEAD: answered without a body, never stored.
    pub head: bool,
    /// It carries `Authorization`.
    pub authorized: bool,
    /// It carries `Cookie`.
    pub cookie: bool,
    /// It carries `Range`: an answer from the origin may be a part.
    pub range: bool,
    /// `no-cache`, or `Pragma: no-cache` without Cache-Control
    pub no_cache: bool,
    /// `only-if-cached`
    pub only_if_cached: bool,
    /// `max-age`
    pub max_age: Option<u64>,
    /// `min-fresh`
    pub min_fresh: Option<u64>,
    /// `max-stale`
    pub max_stale: Option<u64>,
    /// `stale-if-error` (RFC 5861)
    pub stale_if_error: Option<u64>,
}

impl Ask {
    /// Whether nothing tells who asks: then the request that goes on may be made for everyone.
    #[must_use]
    pub const fn is_anonymous(&self) -> bool {
        !self.authorized && !self.cookie
    }
}

/// Decides from method and fields.
pub fn plan(method: &str, fields: &(impl Fields + ?Sized)) -> Plan {
    let head = method == "HEAD";
    if !head && method != "GET" {
        return Plan::Pass(Bypass::Method);
    }
    let mut ask = Ask { head, ..Ask::default() };
    let (mut control, mut pragma) = (false, false);
    for (name, value) in fields.iter() {
        match name {
            "authorization" => ask.authorized = true,
            "cookie" => ask.cookie = true,
            "range" => ask.range = true,
            "cache-control" => control = true,
            "pragma" => pragma = true,
            "upgrade" => return Plan::Pass(Bypass::Upgrade),
            // A body would be an input that is not in the key.
            "transfer-encoding" => return Plan::Pass(Bypass::Body),
            "content-length" if value != b"0" => return Plan::Pass(Bypass::Body),
            // These are for the origin alone to evaluate (RFC 9111 section 4.3.2).
            "if-match" | "if-unmodified-since" => return Plan::Pass(Bypass::Precondition),
            _ => {}
        }
    }
    if control {
        let control = Control::of(fields);
        if control.no_store {
            return Plan::Pass(Bypass::NoStore);
        }
        ask.no_cache = control.no_cache || !control.withheld.is_empty();
        ask.only_if_cached = control.only_if_cached;
        ask.max_age = control.max_age;
        ask.min_fresh = control.min_fresh;
        ask.max_stale = control.max_stale;
        ask.stale_if_error = control.stale_if_error;
    } else if pragma {
        ask.no_cache = fields.members("pragma").any(|m| m.eq_ignore_ascii_case("no-cache"));
    }
    Plan::Look(ask)
}

/// Whether a method is safe (RFC 9110 section 9.2.1): a success of any other makes what is stored of its target invalid. What is
/// unknown is not safe (RFC 9111 section 4.4).
#[must_use]
pub fn is_safe(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY")
}

#[cfg(test)]
mod tests {
    use super::{Ask, Plan, is_safe, plan};
    use crate::phase::Bypass;

    #[test]
    fn what_passes_by() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], Bypass);
        let cases: &[Case] = &[
            ("POST", &[], Bypass::Method),
            ("get", &[], Bypass::Method),
            ("GET", &[("upgrade", "websocket")], Bypass::Upgrade),
            ("GET", &[("cache-control", "no-store")], Bypass::NoStore),
            ("GET", &[("content-length", "3")], Bypass::Body),
            ("GET", &[("transfer-encoding", "chunked")], Bypass::Body),
            ("GET", &[("if-match", "*")], Bypass::Precondition),
        ];
        for (method, fields, expected) in cases {
            assert_eq!(plan(method, *fields), Plan::Pass(*expected), "{method} {fields:?}");
        }
    }

    #[test]
    fn what_is_asked() {
        let ask = |fields: &[(&str, &str)]| match plan("GET", fields) {
            Plan::Look(ask) => ask,
            Plan::Pass(why) => panic!("{why:?}"),
        };
        assert_eq!(ask(&[("content-length", "0")]), Ask::default());
        assert!(ask(&[("cookie", "a=b")]).cookie && ask(&[("authorization", "x")]).authorized);
        assert!(ask(&[("pragma", "no-cache")]).no_cache);
        assert!(!ask(&[("pragma", "no-cache"), ("cache-control", "max-stale")]).no_cache);
        let all = ask(&[(
            "cache-control",
            "no-cache, max-age=1, min-fresh=2, max-stale=3, stale-if-error=4, only-if-cached",
        )]);
        assert!(all.no_cache && all.only_if_cached);
        assert_eq!(
            (all.max_age, all.min_fresh, all.max_stale, all.stale_if_error),
            (Some(1), Some(2), Some(3), Some(4))
        );
    }

    #[test]
    fn unknown_methods_are_not_safe() {
        assert!(is_safe("GET") && !is_safe("POST") && !is_safe("FOO") && !is_safe("get"));
    }
}
