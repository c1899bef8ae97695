//! Purges: what has been declared invalid, and since when.
//!
//! A purge does not look for entries. It gets a number, and an entry knows the number that the log had when its request left: any purge
//! above it that matches applies. So an answer that was fetched before a purge and stored after it does not survive, and hosts that
//! share nothing but the log agree.

use std::collections::HashMap;

use sfv::{BareItem, List, ListEntry, Parser};

use crate::{Fields, Key, Meta};

/// What a purge is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One URL, scheme and host included, with all its variants.
    Url(Box<str>),
    /// Every URL that begins so.
    Prefix(Box<str>),
    /// Every answer with this tag (`Cache-Tag`, `Surrogate-Key`).
    Tag(Box<str>),
    /// Every answer of an origin in this group (RFC 9875).
    Group {
        /// Scheme and authority.
        origin: Box<str>,
        /// The group's name.
        name: Box<str>,
    },
    /// Everything.
    All,
}

/// What the log says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing.
    Valid,
    /// It was purged softly: as if it had gone stale.
    Doubtful,
    /// It was purged.
    Gone,
}

/// The numbers of the last purges of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    hard: u64,
    soft: u64,
}

impl Mark {
    fn set(&mut self, sequence: u64, soft: bool) {
        *(if soft { &mut self.soft } else { &mut self.hard }) = sequence;
    }

    fn verdict(self, since: u64) -> Verdict {
        if self.hard > since {
            Verdict::Gone
        } else if self.soft > since {
            Verdict::Doubtful
        } else {
            Verdict::Valid
        }
    }
}

/// The purges that are remembered.
#[derive(Clone, Debug, Default)]
pub struct Log {
    newest: u64,
    urls: HashMap<Box<str>, Mark>,
    tags: HashMap<Box<str>, Mark>,
    groups: HashMap<Box<str>, Mark>,
    prefixes: Vec<(Box<str>, Mark)>,
    all: Mark,
}

impl Log {
    /// How many scopes are remembered one by one; beyond, everything that is older counts as purged, which is always safe.
    pub const MOST: usize = 10_000;

    /// The number of the newest purge; 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Adds a purge; gives its number.
    pub fn add(&mut self, scope: &Scope, soft: bool) -> u64 {
        if self.urls.len() + self.tags.len() + self.groups.len() + self.prefixes.len() >= Self::MOST {
            let newest = self.newest;
            *self = Self { newest, ..Self::default() };
            self.all.hard = newest;
        }
        self.newest = self.newest.saturating_add(1);
        let mark = match scope {
            Scope::Url(url) => self.urls.entry(url.clone()).or_default(),
            Scope::Tag(tag) => self.tags.entry(tag.clone()).or_default(),
            Scope::Group { origin, name } => self.groups.entry(group_key(origin, name)).or_default(),
            Scope::All => &mut self.all,
            Scope::Prefix(prefix) => {
                if !self.prefixes.iter().any(|(known, _)| known == prefix) {
                    self.prefixes.push((prefix.clone(), Mark::default()));
                }
                match self.prefixes.iter_mut().find(|(known, _)| known == prefix) {
                    Some((_, mark)) => mark,
                    None => &mut self.all,
                }
            }
        };
        mark.set(self.newest, soft);
        self.newest
    }

    /// What it says of an entry that a request for `key` has selected.
    #[must_use]
    pub fn verdict(&self, key: &Key, stored: &Meta) -> Verdict {
        let since = stored.sequence();
        if since >= self.newest {
            return Verdict::Valid;
        }
        let url = key.url();
        let of = |mark: Option<&Mark>| mark.map_or(Verdict::Valid, |mark| mark.verdict(since));
        let mut verdict = self.all.verdict(since).max(of(self.urls.get(url)));
        for (prefix, mark) in &self.prefixes {
            if url.starts_with(&**prefix) {
                verdict = verdict.max(mark.verdict(since));
            }
        }
        if !self.tags.is_empty() {
            verdict = stored.tags().map(|tag| of(self.tags.get(tag))).fold(verdict, Verdict::max);
        }
        if !self.groups.is_empty() {
            let named = groups(stored, "cache-groups");
            verdict = named
                .iter()
                .map(|name| of(self.groups.get(&group_key(key.origin(), name))))
                .fold(verdict, Verdict::max);
        }
        verdict
    }
}

fn group_key(origin: &str, name: &str) -> Box<str> {
    format!("{origin} {name}").into()
}

/// The names in a `Cache-Groups` or `Cache-Group-Invalidation` field (RFC 9875): a list of strings, else nothing.
pub fn groups(fields: &(impl Fields + ?Sized), field: &str) -> Vec<String> {
    let mut whole = Vec::new();
    for line in fields.values(field) {
        if !whole.is_empty() {
            whole.extend_from_slice(b", ");
        }
        whole.extend_from_slice(line);
    }
    let Ok(list) = Parser::new(&whole).parse::<List>() else { return Vec::new() };
    list.iter()
        .filter_map(|entry| match entry {
            ListEntry::Item(item) => match &item.bare_item {
                BareItem::String(name) => Some(name.as_str().to_owned()),
                _ => None,
            },
            ListEntry::InnerList(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Log, Scope, Verdict, groups};
    use crate::response::{Times, storable};
    use crate::{Ask, Key, Meta, Settings, Timestamp};
    use proptest::prelude::*;

    fn stored(sequence: u64) -> Meta {
        let at = Timestamp::from_secs(1000);
        let fields = [("cache-control", "max-age=60"), ("cache-tag", "t, u"), ("cache-groups", "\"g\", x, \"h\"")];
        let times = Times { requested: at, received: at };
        storable(&Ask::default(), 200, &fields[..], times, sequence, &Settings::default()).expect("storable")
    }

    fn scopes() -> [Scope; 5] {
        let origin = "https://a".into();
        [
            Scope::Url("https://a/b?c".into()),
            Scope::Prefix("https://a/b".into()),
            Scope::Tag("u".into()),
            Scope::Group { origin, name: "h".into() },
            Scope::All,
        ]
    }

    #[test]
    fn what_each_scope_reaches() {
        let key = Key::new(true, "a", "/b?c");
        for scope in scopes() {
            let mut log = Log::default();
            assert_eq!(log.verdict(&key, &stored(0)), Verdict::Valid);
            assert_eq!(log.add(&scope, true), 1);
            assert_eq!(log.verdict(&key, &stored(0)), Verdict::Doubtful, "{scope:?}");
            assert_eq!(log.add(&scope, false), 2);
            assert_eq!(log.verdict(&key, &stored(1)), Verdict::Gone, "{scope:?}");
            assert_eq!(log.verdict(&key, &stored(2)), Verdict::Valid);
            if scope != Scope::All {
                let mut other = stored(0);
                other.fields.retain(|(name, _)| &**name == "cache-control");
                assert_eq!(log.verdict(&Key::new(true, "b", "/b?c"), &other), Verdict::Valid, "{scope:?}");
            }
        }
    }

    #[test]
    fn what_is_forgotten_counts_as_purged() {
        let mut log = Log::default();
        for n in 0..=Log::MOST {
            log.add(&Scope::Url(format!("https://a/{n}").into()), false);
        }
        assert_eq!(log.verdict(&Key::new(true, "b", "/"), &stored(3)), Verdict::Gone);
        assert_eq!(log.verdict(&Key::new(true, "b", "/"), &stored(log.newest() - 1)), Verdict::Valid);
    }

    #[test]
    fn groups_are_strings() {
        assert_eq!(groups(&[("g", "\"a\""), ("g", "b, \"c\";d")][..], "g"), ["a", "c"]);
        assert!(groups(&[("g", "\"a\", &")][..], "g").is_empty());
    }

    proptest! {
        /// Fetches leave and are stored, purges come between: what is served was asked for after every purge that matches it.
        #[test]
        fn nothing_from_before_a_purge_is_served(steps in prop::collection::vec((0usize..3, 0usize..5), 1..40)) {
            let key = Key::new(true, "a", "/b?c");
            let (mut log, mut purges) = (Log::default(), 0u64);
            let mut flying: Vec<(u64, u64)> = Vec::new();
            let mut held: Option<(Meta, u64)> = None;
            for (step, which) in steps {
                match step {
                    0 => flying.push((log.newest(), purges)),
                    1 => {
                        if let Some((sequence, then)) = (!flying.is_empty()).then(|| flying.remove(which % flying.len())) {
                            held = Some((stored(sequence), then));
                        }
                    }
                    _ => {
                        log.add(&scopes()[which], false);
                        purges += 1;
                    }
                }
                if let Some((meta, then)) = &held && log.verdict(&key, meta) == Verdict::Valid {
                    prop_assert_eq!(*then, purges);
                }
            }
        }
    }
}
