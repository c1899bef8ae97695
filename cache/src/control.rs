//! `Cache-Control` (RFC 9111 section 5.2, with RFC 5861 and RFC 8246), read leniently enough never to fail and strictly enough
//! never to store too much.

use crate::Fields;
use crate::fields::{leaves_a_quote_open, list_members};

/// What a message's `Cache-Control` said. Ages are whole seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// `public`
    pub public: bool,
    /// `private` without field names
    pub private: bool,
    /// `no-store`, or a line that can't be read
    pub no_store: bool,
    /// `no-cache` without field names
    pub no_cache: bool,
    /// The fields of `private="…"` and `no-cache="…"`, lower-case: not stored.
    pub withheld: Vec<Box<str>>,
    /// `must-revalidate`
    pub must_revalidate: bool,
    /// `proxy-revalidate`
    pub proxy_revalidate: bool,
    /// `must-understand`
    pub must_understand: bool,
    /// `immutable` (RFC 8246)
    pub immutable: bool,
    /// `only-if-cached` (request)
    pub only_if_cached: bool,
    /// `max-age`; the smallest where it is repeated, 0 where it can't be read
    pub max_age: Option<u64>,
    /// `s-maxage`; likewise
    pub s_maxage: Option<u64>,
    /// `stale-while-revalidate` (RFC 5861); likewise
    pub stale_while_revalidate: Option<u64>,
    /// `stale-if-error` (RFC 5861), in responses and requests; likewise
    pub stale_if_error: Option<u64>,
    /// `min-fresh` (request); the largest where it is repeated
    pub min_fresh: Option<u64>,
    /// `max-stale` (request); without a value any staleness will do
    pub max_stale: Option<u64>,
}

impl Control {
    /// Reads every `Cache-Control` line of a message.
    pub fn of(fields: &(impl Fields + ?Sized)) -> Self {
        let mut control = Self::default();
        for line in fields.values("cache-control") {
            let Ok(line) = core::str::from_utf8(line) else {
                // Nobody knows what it would have forbidden.
                control.no_store = true;
                continue;
            };
            list_members(line).for_each(|member| control.member(member));
            if leaves_a_quote_open(line) {
                // A quoted string that does not end must not swallow what comes after it.
                line.split(',').for_each(|member| control.member(member.trim_matches([' ', '\t'])));
            }
        }
        control
    }

    fn member(&mut self, member: &str) {
        let (name, value) = match member.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
            None => (member, None),
        };
        self.directive(name, value);
    }

    /// Takes one directive; what is unknown says nothing.
    pub(crate) fn directive(&mut self, name: &str, value: Option<&str>) {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match () {
            () if is("public") => self.public = true,
            () if is("private") => self.private |= !self.withhold(value),
            () if is("no-store") => self.no_store = true,
            () if is("no-cache") => self.no_cache |= !self.withhold(value),
            () if is("must-revalidate") => self.must_revalidate = true,
            () if is("proxy-revalidate") => self.proxy_revalidate = true,
            () if is("must-understand") => self.must_understand = true,
            () if is("immutable") => self.immutable = true,
            () if is("only-if-cached") => self.only_if_cached = true,
            () if is("max-age") => self.max_age = least(self.max_age, value),
            () if is("s-maxage") => self.s_maxage = least(self.s_maxage, value),
            () if is("stale-while-revalidate") => {
                self.stale_while_revalidate = least(self.stale_while_revalidate, value)
            }
            () if is("stale-if-error") => self.stale_if_error = least(self.stale_if_error, value),
            () if is("min-fresh") => {
                let wish = value.and_then(delta_seconds).unwrap_or(FOREVER);
                self.min_fresh = Some(self.min_fresh.map_or(wish, |before| before.max(wish)));
            }
            () if is("max-stale") => {
                let wish = value.map_or(FOREVER, |v| delta_seconds(v).unwrap_or(0));
                self.max_stale = Some(self.max_stale.map_or(wish, |before| before.min(wish)));
            }
            () => {}
        }
    }

    /// The names in the argument of `private` or `no-cache`; `false` where there are none, so that the whole is meant.
    fn withhold(&mut self, value: Option<&str>) -> bool {
        let names = value.map(unquoted).unwrap_or_default();
        let before = self.withheld.len();
        self.withheld.extend(list_members(names).map(|name| name.to_ascii_lowercase().into()));
        self.withheld.len() > before
    }

    /// The freshness lifetime a shared cache takes from it (RFC 9111 section 4.2.1): `s-maxage` before `max-age`.
    #[must_use]
    pub fn shared_lifetime(&self) -> Option<u64> {
        self.s_maxage.or(self.max_age)
    }
}

/// The most that delta-seconds are taken for (RFC 9111 section 1.2.2).
pub(crate) const FOREVER: u64 = 1 << 31;

/// The smaller of two lifetimes; what can't be read counts as 0, which is stale (RFC 9111 section 4.2.1 encourages it).
fn least(before: Option<u64>, value: Option<&str>) -> Option<u64> {
    let now = value.and_then(delta_seconds).unwrap_or(0);
    Some(before.map_or(now, |b| b.min(now)))
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
}

/// delta-seconds (RFC 9111 section 1.2.2), quoted or not; too large saturates; anything else than digits is none.
pub(crate) fn delta_seconds(value: &str) -> Option<u64> {
    let digits = unquoted(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(FOREVER).min(FOREVER))
}

#[cfg(test)]
mod tests {
    use super::{Control, FOREVER};
    use proptest::prelude::*;

    fn of(value: &str) -> Control {
        Control::of(&[("cache-control", value)][..])
    }

    #[test]
    fn reads_directives_in_any_case_and_form() {
        let control = of(r#"Public, MAX-AGE="60", foo="no-store, private", s-maxage = 7"#);
        assert!(control.public && !control.no_store && !control.private);
        assert_eq!((control.max_age, control.s_maxage), (Some(60), Some(7)));
        let control = of(r#"private="X-A, set-cookie", no-cache=b, max-stale, min-fresh=5"#);
        assert!(!control.private && !control.no_cache);
        assert_eq!(control.withheld, ["x-a".into(), "set-cookie".into(), "b".into()]);
        assert_eq!((control.max_stale, control.min_fresh), (Some(FOREVER), Some(5)));
    }

    #[test]
    fn doubt_is_stale() {
        for odd in
            ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=a", "max-age=60, max-age=0", "max-age='60'"]
        {
            assert_eq!(of(odd).max_age, Some(0), "{odd}");
        }
        assert_eq!(of("max-age=99999999999999999999999").max_age, Some(FOREVER));
        assert!(of("no-cache=\"\"").no_cache && of("private=").private);
        assert!(of("public, x=\"y, no-store").no_store, "an open quote hides nothing");
        assert!(of(r#"public, x="y\", no-store"#).no_store, "nor does one whose end is escaped");
        assert!(!of(r#"x="y\", no-store, z", max-age=60"#).no_store, "an escaped quote is within the string");
        assert!(Control::of(&[("cache-control", &b"max-age=60, \xff"[..])][..]).no_store);
    }

    proptest! {
        #[test]
        fn never_fails(bytes: Vec<u8>) {
            let _ = Control::of(&[("cache-control", bytes)][..]);
        }
    }
}
