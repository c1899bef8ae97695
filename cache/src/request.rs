//! What a request allows (RFC 9111 sections 3 and 5.2.1, and the conditional requests of RFC 9110 section 13).

use crate::control::Control;
use crate::phase::Bypass;
use crate::{Fields, Meta, Phase};

/// How the cache takes part in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Neither looked up nor stored.
    Bypass(Bypass),
    /// Looked up; the answer may be stored.
    Lookup,
    /// Answered from the store or with 504 (`only-if-cached`).
    OnlyIfCached,
    /// Not answered from the store, but the answer may be stored (`no-cache`, `max-age=0`, `Pragma: no-cache`).
    Reload,
}

impl Plan {
    /// The phase as long as nothing was found.
    #[must_use]
    pub const fn phase(self) -> Phase {
        match self {
            Self::Bypass(why) => Phase::Bypass(why),
            Self::Lookup | Self::OnlyIfCached => Phase::Miss { stored: false },
            Self::Reload => Phase::Reload { stored: false },
        }
    }
}

/// Decides from method and fields.
pub fn plan(method: &str, fields: &(impl Fields + ?Sized)) -> Plan {
    if !matches!(method, "GET" | "HEAD") {
        return Plan::Bypass(Bypass::Method);
    }
    if fields.has("authorization") {
        return Plan::Bypass(Bypass::Authorization);
    }
    if fields.has("range") {
        return Plan::Bypass(Bypass::Range);
    }
    if fields.has("upgrade") {
        return Plan::Bypass(Bypass::Upgrade);
    }
    let control = Control::of(fields);
    if control.no_store {
        return Plan::Bypass(Bypass::NoStore);
    }
    if control.only_if_cached {
        return Plan::OnlyIfCached;
    }
    // Any demand on the age of the answer is met by asking the origin.
    let pragma = !fields.has("cache-control") && fields.members("pragma").any(|m| m.eq_ignore_ascii_case("no-cache"));
    if control.no_cache || control.max_age.is_some() || pragma {
        return Plan::Reload;
    }
    Plan::Lookup
}

/// Whether the client already holds what is stored, so that 304 answers it (RFC 9110 section 13.1.2, weak comparison).
pub fn not_modified(fields: &(impl Fields + ?Sized), stored: &Meta) -> bool {
    let Some(tag) = stored.single("etag") else {
        return false;
    };
    let opaque = |t: &str| t.strip_prefix("W/").unwrap_or(t).to_owned();
    let held = opaque(tag);
    fields.members("if-none-match").any(|m| m == "*" || opaque(m) == held)
}

#[cfg(test)]
mod tests {
    use super::{Plan, plan};
    use crate::phase::Bypass;

    #[test]
    fn plans() {
        type Case = (&'static str, &'static [(&'static str, &'static str)], Plan);
        let cases: &[Case] = &[
            ("GET", &[], Plan::Lookup),
            ("HEAD", &[("cookie", "session=1")], Plan::Lookup),
            ("POST", &[], Plan::Bypass(Bypass::Method)),
            ("get", &[], Plan::Bypass(Bypass::Method)),
            ("GET", &[("authorization", "Bearer x")], Plan::Bypass(Bypass::Authorization)),
            ("GET", &[("range", "bytes=0-1")], Plan::Bypass(Bypass::Range)),
            ("GET", &[("upgrade", "websocket")], Plan::Bypass(Bypass::Upgrade)),
            ("GET", &[("cache-control", "no-store")], Plan::Bypass(Bypass::NoStore)),
            ("GET", &[("cache-control", "no-cache")], Plan::Reload),
            ("GET", &[("cache-control", "max-age=0")], Plan::Reload),
            ("GET", &[("pragma", "no-cache")], Plan::Reload),
            ("GET", &[("cache-control", "only-if-cached")], Plan::OnlyIfCached),
        ];
        for (method, fields, expected) in cases {
            assert_eq!(plan(method, *fields), *expected, "{method} {fields:?}");
        }
    }
}
