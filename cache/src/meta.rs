//! What is known of a stored answer: judged once, when it is stored, and kept beside the body.
//!
//! A store that keeps only bytes (the Workers Cache API) keeps it as one header value: numbers, and then the fields as
//! netstrings, so that no value needs escaping. The number at the front is [`VERSION`]; it belongs into the store's key, too,
//! so that a new format never meets an old entry.

use core::fmt::Write as _;

use crate::{Ask, Fields, Settings, Timestamp};

/// The version of the encoding.
pub const VERSION: u32 = 2;

/// The most bytes an encoded entry may take: one header of the Workers Cache API.
pub const MAX_ENCODED: usize = 16 * 1024;

/// What of an answer's headers decides about its reuse, apart from its age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Bits of the constants below.
    bits: u16,
}

impl Terms {
    /// Validate before each use (`no-cache`).
    pub const NO_CACHE: Self = Self { bits: 1 };
    /// Never stale, whatever happens (`must-revalidate`, `proxy-revalidate`).
    pub const REVALIDATE: Self = Self { bits: 1 << 1 };
    /// `s-maxage` gave the lifetime: not stale unless the answer says when it may be (RFC 9111 section 5.2.2.10).
    pub const S_MAXAGE: Self = Self { bits: 1 << 2 };
    /// Said to be for everyone, signed in or not: `public`, `s-maxage`, or a targeted field.
    pub const SHARED: Self = Self { bits: 1 << 3 };
    /// May answer requests with `Authorization`: `public`, `s-maxage`, `must-revalidate` (RFC 9111 section 3.5).
    pub const AUTHORIZED: Self = Self { bits: 1 << 4 };
    /// The lifetime is a guess (RFC 9111 section 4.2.2).
    pub const HEURISTIC: Self = Self { bits: 1 << 5 };

    /// With those of `other`, where `condition` holds.
    #[must_use]
    pub const fn with(self, other: Self, condition: bool) -> Self {
        if condition { Self { bits: self.bits | other.bits } } else { self }
    }

    /// Whether all of `other` hold.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.bits & other.bits == other.bits
    }
}

/// Status, fields, times and terms of a stored answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(Box<str>, Box<[u8]>)>,
    pub(crate) received: Timestamp,
    pub(crate) initial_age: u64,
    pub(crate) lifetime: u64,
    pub(crate) sequence: u64,
    pub(crate) terms: Terms,
    pub(crate) stale_while_revalidate: u64,
    pub(crate) stale_if_error: Option<u64>,
    pub(crate) length: Option<u64>,
}

impl Meta {
    /// The stored status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The purge log's number when the request for this answer left.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What its headers say of its reuse.
    #[must_use]
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// When its head arrived.
    #[must_use]
    pub fn received(&self) -> Timestamp {
        self.received
    }

    /// Seconds since the origin made or validated the answer (RFC 9111 section 4.2.3).
    #[must_use]
    pub fn age(&self, now: Timestamp) -> u64 {
        self.initial_age.saturating_add(now.secs_since(self.received))
    }

    /// Seconds it stays fresh; at and below 0 it is stale, for so many seconds.
    #[must_use]
    pub fn ttl(&self, now: Timestamp) -> i64 {
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        signed(self.lifetime).saturating_sub(signed(self.age(now)))
    }

    /// Whether it is for a request like this one, as far as credentials go.
    #[must_use]
    pub fn is_for(&self, ask: &Ask) -> bool {
        (!ask.authorized || self.terms.has(Terms::AUTHORIZED)) && (!ask.cookie || self.terms.has(Terms::SHARED))
    }

    /// Whether it may stand in for an origin that fails (RFC 9111 section 4.2.4, RFC 5861 section 4).
    #[must_use]
    pub fn stands_in(&self, ask: &Ask, now: Timestamp, settings: &Settings) -> bool {
        if self.terms.has(Terms::REVALIDATE) || self.terms.has(Terms::NO_CACHE) {
            return false;
        }
        let stale = u64::try_from(self.ttl(now).saturating_neg()).unwrap_or(0);
        let said = self.stale_if_error.max(ask.stale_if_error);
        match said {
            Some(window) => stale < window || self.ttl(now) > 0,
            None if self.terms.has(Terms::S_MAXAGE) => self.ttl(now) > 0,
            None => stale <= settings.stale_on_failure,
        }
    }

    /// Seconds from `now` for which it can be of any use, so that a store may drop it then.
    #[must_use]
    pub fn keep(&self, now: Timestamp, settings: &Settings) -> u64 {
        let stale = self.stale_while_revalidate.max(self.stale_if_error.unwrap_or(0)).max(settings.stale_on_failure);
        self.lifetime.saturating_add(stale).saturating_sub(self.age(now))
    }

    /// The length of the body, where it is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The same, with the length that its body turned out to have.
    #[must_use]
    pub fn with_length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// The tags it carries: `Cache-Tag` is a list with commas, `Surrogate-Key` one with spaces, and `Handoff-Object` names what a hand-off leads to.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        let keys = self.values("surrogate-key").filter_map(|v| core::str::from_utf8(v).ok());
        self.members("cache-tag").chain(keys.flat_map(str::split_ascii_whitespace)).chain(self.single("handoff-object"))
    }

    /// Bytes it takes in memory, near enough to bound a store by.
    #[must_use]
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.fields.iter().map(|(n, v)| n.len() + v.len() + 32).sum::<usize>()
    }

    /// As one header value; `None` where a field is not UTF-8 or the whole is over [`MAX_ENCODED`].
    #[must_use]
    pub fn encode(&self) -> Option<String> {
        let mut out = String::with_capacity(512);
        write!(
            out,
            "{VERSION};{};{};{};{};{};{};{};",
            self.status,
            self.received.as_millis(),
            self.initial_age,
            self.lifetime,
            self.sequence,
            self.terms.bits,
            self.stale_while_revalidate,
        )
        .ok()?;
        for number in [self.stale_if_error, self.length] {
            number.map_or(Ok(()), |n| write!(out, "{n}")).ok()?;
            out.push(';');
        }
        for (name, value) in &self.fields {
            let value = core::str::from_utf8(value).ok()?;
            write!(out, "{}:{name}{}:{value}", name.len(), value.len()).ok()?;
        }
        // The store trims white space at the end of a header value; a final mark keeps the last field whole.
        out.push('.');
        (out.len() <= MAX_ENCODED).then_some(out)
    }

    /// Reads what [`Meta::encode`] wrote; `None` for anything else.
    #[must_use]
    pub fn decode(encoded: &str) -> Option<Self> {
        let mut parts = encoded.strip_suffix('.')?.splitn(11, ';');
        if parts.next()?.parse::<u32>().ok()? != VERSION {
            return None;
        }
        let mut number = || parts.next()?.parse::<u64>().ok();
        let status = u16::try_from(number()?).ok()?;
        let received = Timestamp::from_millis(number()?);
        let (initial_age, lifetime, sequence) = (number()?, number()?, number()?);
        let terms = Terms { bits: u16::try_from(number()?).ok()? };
        let stale_while_revalidate = number()?;
        let mut perhaps = || match parts.next()? {
            "" => Some(None),
            text => text.parse::<u64>().ok().map(Some),
        };
        let (stale_if_error, length) = (perhaps()?, perhaps()?);
        let mut rest = parts.next()?;
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let name = netstring(&mut rest)?;
            let value = netstring(&mut rest)?;
            fields.push((name.into(), value.as_bytes().into()));
        }
        Some(Self {
            status,
            fields,
            received,
            initial_age,
            lifetime,
            sequence,
            terms,
            stale_while_revalidate,
            stale_if_error,
            length,
        })
    }
}

/// Takes one `length:bytes` off the front.
fn netstring<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let (length, after) = rest.split_once(':')?;
    let (taken, left) = after.split_at_checked(length.parse().ok()?)?;
    *rest = left;
    Some(taken)
}

impl Fields for Meta {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(n, v)| (&**n, &**v))
    }
}

#[cfg(test)]
mod tests {
    use super::{Meta, Terms};
    use crate::Timestamp;
    use proptest::prelude::*;

    fn meta(fields: Vec<(Box<str>, Box<[u8]>)>, received: u64, initial_age: u64, lifetime: u64) -> Meta {
        Meta {
            status: 200,
            fields,
            received: Timestamp::from_millis(received),
            initial_age,
            lifetime,
            sequence: 0,
            terms: Terms::default(),
            stale_while_revalidate: 0,
            stale_if_error: None,
            length: None,
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(
            status in 100u16..600, age: u64, lifetime: u64, sequence: u64, millis: u64, bits in 0u16..64, swr: u64,
            sie: Option<u64>, length: Option<u64>,
            fields in prop::collection::vec(("[a-z-]{1,12}", "[ -~\u{80}-\u{ff}]{0,40}"), 0..8),
        ) {
            let fields = fields.into_iter().map(|(n, v)| (n.into(), v.into_bytes().into())).collect();
            let terms = Terms { bits };
            let meta = Meta { status, sequence, terms, stale_while_revalidate: swr, stale_if_error: sie, length,
                ..meta(fields, millis, age, lifetime) };
            let encoded = meta.encode().expect("small and UTF-8");
            prop_assert_eq!(Meta::decode(&encoded), Some(meta));
        }

        #[test]
        fn decoding_never_fails_loudly(text: String, rest in "2;[0-9;:.a]{0,60}") {
            let _ = (Meta::decode(&text), Meta::decode(&rest));
        }

        #[test]
        fn freshness_only_falls(age in 0u64..1000, lifetime in 0u64..1000, a in 0u64..1_000_000, b in 0u64..1_000_000) {
            let meta = meta(vec![], 500, age, lifetime);
            let (early, late) = (Timestamp::from_millis(a.min(b)), Timestamp::from_millis(a.max(b)));
            prop_assert!(meta.ttl(early) >= meta.ttl(late));
            prop_assert!(meta.age(early) <= meta.age(late));
        }
    }

    #[test]
    fn another_version_is_not_read() {
        let encoded = meta(vec![], 1000, 0, 60).encode().expect("small");
        assert_eq!(encoded, "2;200;1000;0;60;0;0;0;;;.");
        assert_eq!(Meta::decode(&encoded.replacen('2', "1", 1)), None);
    }

    #[test]
    fn too_large_is_not_encoded() {
        let large = vec![("x".into(), vec![b'a'; super::MAX_ENCODED].into())];
        assert_eq!(meta(large, 1000, 0, 60).encode(), None);
    }

    #[test]
    fn tags_in_both_spellings() {
        let fields = vec![
            ("cache-tag".into(), b"a, b".to_vec().into()),
            ("surrogate-key".into(), b"c  d".to_vec().into()),
            ("cache-tag".into(), b"e".to_vec().into()),
            ("handoff-object".into(), b"o".to_vec().into()),
        ];
        assert_eq!(meta(fields, 0, 0, 0).tags().collect::<Vec<_>>(), ["a", "b", "e", "c", "d", "o"]);
    }
}
