//! `Edge-Counts`: what an isolate of the edge has counted since the last time, on an exchange ([`crate::news`]), as one dictionary
//! (RFC 9651 section 3.2).
//!
//! ```text
//! Edge-Counts: from="0af7651916cd43dd", batch=3, cache.hit=12, cache.miss=4, problem.gateway-timeout=1
//! ```
//!
//! `from` is the isolate, by a number that it has drawn when it began, and `batch` which one of its batches it is: a batch that was not answered
//! is sent again as it was, under the same number, and whoever adds up counts it once. All other members are counts. Which of them mean
//! something the reader knows; it ignores the others, so either side may be updated first.
//!
//! The signature does not cover it, like a body: it rests on TLS, and a replay is a batch that was counted.

use std::convert::Infallible;
use std::fmt;

use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser, StringRef};

/// The longest value that is read, in bytes.
pub const MAX_LEN: usize = 4096;
/// The largest count that is believed: more than an isolate can see between two batches.
pub const MAX_COUNT: u64 = 1_000_000_000;

/// A batch of counts. [`Display`](fmt::Display) writes the field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// Which isolate has counted.
    pub from: u64,
    /// Which of its batches this is.
    pub number: u64,
    /// What, and how often: names as RFC 9651 has keys.
    pub counts: Vec<(&'a str, u64)>,
}

impl<'a> Batch<'a> {
    /// Reads the field's value.
    ///
    /// `None` where it is too long or no dictionary, lacks `from` or `batch`, or has a count below 0 or above [`MAX_COUNT`]: of what is not
    /// whole nothing is believed.
    #[must_use]
    pub fn parse(value: &'a str) -> Option<Self> {
        if value.len() > MAX_LEN {
            return None;
        }
        let members = Parser::new(value).parse_dictionary_with_visitor(Members::default()).ok()?;
        let from = members.from.as_ref().and_then(BareItemFromInput::as_string).map(StringRef::as_str)?;
        let from = (from.len() == 16).then(|| u64::from_str_radix(from, 16).ok())??;
        let number = members.batch.as_ref().and_then(BareItemFromInput::as_integer)?;
        let mut counts = Vec::with_capacity(members.counts.len());
        for (name, value) in members.counts {
            // What is no number is from a newer version.
            let Some(count) = value.as_ref().and_then(BareItemFromInput::as_integer) else { continue };
            counts.push((name, count.try_into().ok().filter(|count| *count <= MAX_COUNT)?));
        }
        Some(Self { from, number: number.try_into().ok()?, counts })
    }
}

impl fmt::Display for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from=\"{:016x}\", batch={}", self.from, self.number)?;
        self.counts.iter().try_for_each(|(name, count)| write!(f, ", {name}={count}"))
    }
}

type Value<'a> = Option<BareItemFromInput<'a>>;

#[derive(Default)]
struct Members<'a> {
    from: Value<'a>,
    batch: Value<'a>,
    counts: Vec<(&'a str, Value<'a>)>,
}

impl<'a> DictionaryVisitor<'a> for Members<'a> {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'a KeyRef) -> Result<impl EntryVisitor<'a>, Infallible> {
        let value = match key.as_str() {
            "from" => &mut self.from,
            "batch" => &mut self.batch,
            name => {
                // The last member of a name is the one that counts (RFC 9651 3.2).
                self.counts.retain(|(known, _)| *known != name);
                self.counts.push((name, None));
                let Some((_, value)) = self.counts.last_mut() else { return Ok(None) };
                value
            }
        };
        *value = None;
        Ok(Some(Member(value)))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

struct Member<'v, 'a>(&'v mut Value<'a>);

impl<'a> EntryVisitor<'a> for Member<'_, 'a> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'a>, Infallible> {
        Ok(|item| {
            *self.0 = Some(item);
            Ok::<_, Infallible>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'a>, Infallible> {
        Ok(Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, MAX_COUNT, MAX_LEN};
    use proptest::prelude::*;

    const FROM: &str = "from=\"0af7651916cd43dd\"";

    #[test]
    fn what_is_not_whole_is_not_believed() {
        let good = format!("{FROM}, batch=3, cache.hit=12, problem.gateway-timeout=1");
        let read = Batch::parse(&good).expect("good");
        assert_eq!((read.from, read.number), (0x0af7_6519_16cd_43dd, 3));
        assert_eq!(read.counts, [("cache.hit", 12), ("problem.gateway-timeout", 1)]);
        assert_eq!(read.to_string(), good);
        for bad in [
            "",
            "cache.hit=1",
            "batch=1, cache.hit=1",
            "from=\"0af7651916cd43dd\", cache.hit=1",
            "from=7, batch=1",
            "from=\"7\", batch=1",
            "from=\"xaf7651916cd43dd\", batch=1",
            "from=\"0af7651916cd43dd\", batch=-1",
            "from=\"0af7651916cd43dd\", batch=1, cache.hit=-1",
            &format!("{FROM}, batch=1, cache.hit={}", MAX_COUNT + 1),
            "from=\"0af7651916cd43dd\", batch=1, cache.hit=9999999999999999",
            "from=\"0af7651916cd43dd\", batch=1, \u{e9}=1",
            &format!("{FROM}, batch=1, a{}=1", "a".repeat(MAX_LEN)),
        ] {
            assert_eq!(Batch::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_a_newer_edge_says_does_no_harm() {
        let newer = format!("{FROM}, batch=3, cache.hit=1, since=@1796000000, list=(1 2), note=\"x\", cache.hit=2;a=1");
        let read = Batch::parse(&newer).expect("good");
        assert_eq!(read.counts, [("cache.hit", 2)]);
    }

    proptest! {
        #[test]
        fn there_and_back(from: u64, number in 0u64..1 << 49, counts in prop::collection::btree_map("[a-z]{1,5}\\.[a-z-]{0,9}", 0..=MAX_COUNT, 0..40)) {
            let counts = counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
            let batch = Batch { from, number, counts };
            let text = batch.to_string();
            prop_assert_eq!(Batch::parse(&text), Some(batch));
        }

        #[test]
        fn reads_anything(text in "(from=\"[0-9a-f]{15,17}\", batch=[0-9-]{1,3})?\\PC{0,40}", list in "[a-z]=[ ,;=()\"0-9a-z.]{0,30}") {
            let _ = (Batch::parse(&text), Batch::parse(&list));
        }
    }
}
