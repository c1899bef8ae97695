//! Things by what a text may begin with.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Values under texts, to be found for every text that begins with one of them. However many there are, a look-up takes as many steps as the
/// text is long, at most, and few of them where texts differ early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefixes<V>(BTreeMap<Box<str>, V>);

impl<V> Default for Prefixes<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V> Prefixes<V> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What stands under exactly this.
    #[must_use]
    pub fn get(&self, prefix: &str) -> Option<&V> {
        self.0.get(prefix)
    }

    /// What stands under exactly this; where nothing does, now the default.
    pub fn entry(&mut self, prefix: &str) -> &mut V
    where
        V: Default,
    {
        self.0.entry(prefix.into()).or_default()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(prefix, value)| (&**prefix, value))
    }

    /// Those that a text begins with, the longest first.
    pub fn of<'a>(&'a self, text: &'a str) -> impl Iterator<Item = (&'a str, &'a V)> {
        // Whatever is left to find is a prefix of `rest`, and not beyond `end`, which it may be equal to the first time.
        let (mut rest, mut end) = (text, Bound::Included(text));
        std::iter::from_fn(move || {
            loop {
                let (known, value) = self.0.range::<str, _>((Bound::Unbounded, end)).next_back()?;
                if rest.starts_with(&**known) {
                    rest = rest.get(..known.len())?;
                    end = Bound::Excluded(rest);
                    return Some((&**known, value));
                }
                // Between `known` and `end` there is nothing. What shares more with `rest` than `known` does would lie there.
                let shared = rest.bytes().zip(known.bytes()).take_while(|(a, b)| a == b).count();
                rest = rest.get(..rest.floor_char_boundary(shared))?;
                end = Bound::Included(rest);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Prefixes;
    use proptest::prelude::*;

    fn of<'a>(all: &'a [String], text: &'a str) -> Vec<&'a str> {
        let mut prefixes = Prefixes::default();
        all.iter().for_each(|one| *prefixes.entry(one) = one.as_str());
        let found: Vec<_> = prefixes.of(text).map(|(prefix, value)| (prefix.to_owned(), *value)).collect();
        found.iter().for_each(|(prefix, value)| assert_eq!(prefix, value));
        found.into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn the_longest_comes_first() {
        let all = ["/a", "/a/b", "/a/b/c", "/a/b/d", "/b", "", "/a/ä", "/a/á"].map(str::to_owned);
        assert_eq!(of(&all, "/a/b/cd"), ["/a/b/c", "/a/b", "/a", ""]);
        assert_eq!(of(&all, "/a/äa"), ["/a/ä", "/a", ""]);
        assert_eq!(of(&all, ""), [""]);
        assert!(of(&[], "/a").is_empty());
    }

    proptest! {
        #[test]
        fn agrees_with_trying_all(all in prop::collection::vec("[abäá]{0,5}", 0..40), text in "[abäá]{0,7}") {
            let mut right: Vec<&str> = all.iter().map(String::as_str).filter(|one| text.starts_with(one)).collect();
            right.sort_unstable_by_key(|one| std::cmp::Reverse(one.len()));
            right.dedup();
            prop_assert_eq!(of(&all, &text), right);
        }
    }
}
