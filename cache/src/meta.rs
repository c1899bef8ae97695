//! What is known of a stored answer: parsed once, when it is stored, and kept beside the body.
//!
//! A store that keeps only bytes (the Workers Cache API) keeps it as one header value: `1;200;…;` and then the fields as
//! netstrings, so that no value needs escaping. The number at the front is [`VERSION`]; it stands in the store's key too,
//! so that a new format never meets an old entry.

use core::fmt::Write as _;

use crate::{Fields, Timestamp};

/// The version of the encoding.
pub const VERSION: u32 = 1;

/// The most bytes an encoded entry may take: one header of the Workers Cache API.
pub const MAX_ENCODED: usize = 16 * 1024;

/// Status, fields and times of a stored answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    status: u16,
    fields: Vec<(Box<str>, Box<[u8]>)>,
    stored: Timestamp,
    initial_age: u64,
    lifetime: u64,
    sequence: u64,
}

impl Meta {
    pub(crate) fn new(
        status: u16,
        fields: Vec<(Box<str>, Box<[u8]>)>,
        stored: Timestamp,
        initial_age: u64,
        lifetime: u64,
        sequence: u64,
    ) -> Self {
        Self { status, fields, stored, initial_age, lifetime, sequence }
    }

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

    /// Seconds since the origin made or validated the answer (RFC 9111 section 4.2.3).
    #[must_use]
    pub fn age(&self, now: Timestamp) -> u64 {
        self.initial_age.saturating_add(now.secs_since(self.stored))
    }

    /// Seconds it stays fresh; 0 when it is stale.
    #[must_use]
    pub fn ttl(&self, now: Timestamp) -> u64 {
        self.lifetime.saturating_sub(self.age(now))
    }

    /// The length of the body, where the origin said it.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.single("content-length")?.parse().ok()
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
            "{VERSION};{};{};{};{};{};",
            self.status,
            self.stored.as_millis(),
            self.initial_age,
            self.lifetime,
            self.sequence
        )
        .ok()?;
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
        let mut parts = encoded.strip_suffix('.')?.splitn(7, ';');
        if parts.next()?.parse::<u32>().ok()? != VERSION {
            return None;
        }
        let status = parts.next()?.parse().ok()?;
        let stored = Timestamp::from_millis(parts.next()?.parse().ok()?);
        let initial_age = parts.next()?.parse().ok()?;
        let lifetime = parts.next()?.parse().ok()?;
        let sequence = parts.next()?.parse().ok()?;
        let mut rest = parts.next()?;
        let mut fields = Vec::new();
        while !rest.is_empty() {
            let name = netstring(&mut rest)?;
            let value = netstring(&mut rest)?;
            fields.push((name.into(), value.as_bytes().into()));
        }
        Some(Self { status, fields, stored, initial_age, lifetime, sequence })
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
    use super::Meta;
    use crate::Timestamp;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(
            status in 100u16..600, age: u64, lifetime: u64, sequence: u64, millis: u64,
            fields in prop::collection::vec(("[a-z-]{1,12}", "[ -~\u{80}-\u{ff}]{0,40}"), 0..8),
        ) {
            let fields = fields.into_iter().map(|(n, v)| (n.into(), v.into_bytes().into())).collect();
            let meta = Meta::new(status, fields, Timestamp::from_millis(millis), age, lifetime, sequence);
            let encoded = meta.encode().expect("small and UTF-8");
            prop_assert_eq!(Meta::decode(&encoded), Some(meta));
        }

        #[test]
        fn decoding_never_fails_loudly(text: String) {
            let _ = Meta::decode(&text);
        }

        #[test]
        fn freshness_only_falls(age in 0u64..1000, lifetime in 0u64..1000, a in 0u64..1_000_000, b in 0u64..1_000_000) {
            let meta = Meta::new(200, vec![], Timestamp::from_millis(500), age, lifetime, 0);
            let (early, late) = (Timestamp::from_millis(a.min(b)), Timestamp::from_millis(a.max(b)));
            prop_assert!(meta.ttl(early) >= meta.ttl(late));
            prop_assert!(meta.age(early) <= meta.age(late));
        }
    }

    #[test]
    fn another_version_is_not_read() {
        let meta = Meta::new(200, vec![], Timestamp::from_secs(1), 0, 60, 0);
        let encoded = meta.encode().expect("small");
        assert_eq!(encoded, "1;200;1000;0;60;0;.");
        assert_eq!(Meta::decode(&encoded.replacen('1', "2", 1)), None);
    }

    #[test]
    fn too_large_is_not_encoded() {
        let large = vec![("x".into(), vec![b'a'; super::MAX_ENCODED].into())];
        assert_eq!(Meta::new(200, large, Timestamp::from_secs(1), 0, 60, 0).encode(), None);
    }
}
