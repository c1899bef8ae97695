//! `Cache-Control` (RFC 9111 section 5.2), read leniently enough never to fail and strictly enough never to store too much.

use crate::Fields;

/// What a message's `Cache-Control` said. Ages are whole seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// `public`
    pub public: bool,
    /// `private`, with or without field names
    pub private: bool,
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`, with or without field names
    pub no_cache: bool,
    /// `only-if-cached` (request)
    pub only_if_cached: bool,
    /// `max-age`; the smallest where it is repeated, 0 where it can't be read
    pub max_age: Option<u64>,
    /// `s-maxage`; likewise
    pub s_maxage: Option<u64>,
}

impl Control {
    /// Reads every `Cache-Control` line of a message.
    pub fn of(fields: &(impl Fields + ?Sized)) -> Self {
        let mut control = Self::default();
        for member in fields.members("cache-control") {
            let (name, value) = match member.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
                None => (member, None),
            };
            match name.to_ascii_lowercase().as_str() {
                "public" => control.public = true,
                "private" => control.private = true,
                "no-store" => control.no_store = true,
                "no-cache" => control.no_cache = true,
                "only-if-cached" => control.only_if_cached = true,
                "max-age" => control.max_age = Some(least(control.max_age, value)),
                "s-maxage" => control.s_maxage = Some(least(control.s_maxage, value)),
                _ => {}
            }
        }
        control
    }

    /// The freshness lifetime a shared cache takes from it (RFC 9111 section 4.2.1): `s-maxage` before `max-age`.
    #[must_use]
    pub fn shared_lifetime(&self) -> Option<u64> {
        self.s_maxage.or(self.max_age)
    }
}

/// The smaller of two lifetimes; what can't be read counts as 0, which is stale (RFC 9111 section 4.2.1 encourages it).
fn least(before: Option<u64>, value: Option<&str>) -> u64 {
    let now = value.map_or(0, delta_seconds);
    before.map_or(now, |b| b.min(now))
}

/// delta-seconds (RFC 9111 section 1.2.2), quoted or not; too large saturates, anything else than digits is 0.
fn delta_seconds(value: &str) -> u64 {
    let digits = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    digits.parse().unwrap_or(u64::from(u32::MAX)).min(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::Control;
    use proptest::prelude::*;

    fn of(value: &str) -> Control {
        Control::of(&[("cache-control", value)][..])
    }

    #[test]
    fn reads_directives_in_any_case_and_form() {
        let control = of(r#"Public, MAX-AGE="60", foo="no-store, private", s-maxage = 7"#);
        assert!(control.public && !control.no_store && !control.private);
        assert_eq!((control.max_age, control.s_maxage), (Some(60), Some(7)));
    }

    #[test]
    fn doubt_is_stale() {
        for odd in ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=a", "max-age=60, max-age=0"] {
            assert_eq!(of(odd).max_age, Some(0), "{odd}");
        }
        assert_eq!(of("max-age=99999999999999999999999").max_age, Some(u64::from(u32::MAX)));
    }

    proptest! {
        #[test]
        fn never_fails(bytes: Vec<u8>) {
            let _ = Control::of(&[("cache-control", bytes)][..]);
        }
    }
}
