//! What a rule compares a text with: the text itself, or with `*` for anything at all, also for slashes.

use core::fmt;

use super::indexed::{Text, Way, backwards, host_backwards};

/// A text in which `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// From how it is written.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// What all that fits begins with.
    #[must_use]
    pub fn head(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// What all that fits ends with.
    #[must_use]
    pub fn tail(&self) -> &str {
        self.0.rsplit('*').next().unwrap_or_default()
    }

    /// The ways to find what has paths: by what they begin with, or by what they end with. One that has neither is found by both, under nothing.
    pub(super) fn ways_of_paths(paths: &[Self]) -> Vec<Way> {
        let way = |heads: bool| -> Way {
            let one = |path: &Self| match (path.head(), path.tail()) {
                (head, tail) if tail.is_empty() || (heads && !head.is_empty()) => (Text::Path, head.to_owned()),
                (_, tail) => (Text::PathBackwards, backwards(tail)),
            };
            paths.iter().map(one).collect()
        };
        if paths.is_empty() { Vec::new() } else { vec![way(true), way(false)] }
    }

    /// The way to find what has hosts: by what they end with.
    pub(super) fn way_of_hosts(hosts: &[Self]) -> Way {
        hosts.iter().map(|host| (Text::HostBackwards, host_backwards(host.tail()))).collect()
    }

    /// Whether a text fits.
    #[must_use]
    pub fn fits(&self, text: &[u8]) -> bool {
        self.compare(text, |a, b| a == b)
    }

    /// Whether it fits, whatever the case of its letters.
    #[must_use]
    pub fn fits_any_case(&self, text: &[u8]) -> bool {
        self.compare(text, <[u8]>::eq_ignore_ascii_case)
    }

    fn compare(&self, text: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> bool {
        let mut parts = self.0.as_bytes().split(|byte| *byte == b'*');
        let first = parts.next().unwrap_or_default();
        let Some((begin, mut rest)) = text.split_at_checked(first.len()) else { return false };
        if !same(begin, first) {
            return false;
        }
        let Some(mut last) = parts.next() else { return rest.is_empty() };
        for part in parts {
            // The first place where a part stands leaves most for those after it.
            let len = last.len();
            let Some(at) = (0..=rest.len().saturating_sub(len))
                .find(|at| rest.get(*at..at + len).is_some_and(|here| same(here, last)))
            else {
                return false;
            };
            rest = rest.get(at + len..).unwrap_or_default();
            last = part;
        }
        rest.len() >= last.len() && rest.get(rest.len() - last.len()..).is_some_and(|end| same(end, last))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;
    use proptest::prelude::*;

    #[test]
    fn a_star_is_anything() {
        for (pattern, fit, unfit) in [
            ("/a", &["/a"][..], &["/a/", "/A", "", "/ab"][..]),
            ("/a/*", &["/a/", "/a/b/c"], &["/a", "/b/a/"]),
            ("*.php", &["/x.php", ".php"], &["/x.php5"]),
            ("/a/*/b", &["/a/x/b", "/a//b", "/a/x/y/b"], &["/a/b"]),
            ("*", &["", "x"], &[]),
            ("a*b*c", &["abc", "a1b2c", "abbc"], &["ac", "abcd", "acb"]),
            ("**", &["", "x"], &[]),
        ] {
            fit.iter().for_each(|text| assert!(Pattern::new(pattern).fits(text.as_bytes()), "{pattern} {text}"));
            unfit.iter().for_each(|text| assert!(!Pattern::new(pattern).fits(text.as_bytes()), "{pattern} {text}"));
        }
        assert!(Pattern::new("*BadBot*").fits_any_case(b"a badbot/1"));
    }

    proptest! {
        #[test]
        fn agrees_with_trying_everything(pattern in "[ab*]{0,7}", text in "[ab]{0,8}") {
            fn fits(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern, text) {
                    ([], text) => text.is_empty(),
                    ([b'*', more @ ..], text) => (0..=text.len()).any(|at| fits(more, &text[at..])),
                    ([a, more @ ..], [b, rest @ ..]) => a == b && fits(more, rest),
                    _ => false,
                }
            }
            prop_assert_eq!(Pattern::new(&pattern).fits(text.as_bytes()), fits(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
