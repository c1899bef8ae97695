//! Purges: what has been declared invalid, and since when.
//!
//! A purge does not look for entries. It gets a number, and an entry knows the number that the log had when its request left: any purge
//! above it that matches applies. So an answer that was fetched before a purge and stored after it does not survive, and hosts that
//! share nothing but the log agree.

use std::collections::HashMap;

use sfv::{BareItem, List, ListEntry, Parser};

use crate::{Fields, Key, Meta, Prefixes};

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
        let mark = if soft { &mut self.soft } else { &mut self.hard };
        *mark = sequence.max(*mark);
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

/// A purge as one log tells another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Its number.
    pub at: u64,
    /// What it is about.
    pub scope: Scope,
    /// Whether what it matches may still be sent while a fresh answer is fetched.
    pub soft: bool,
}

/// The purges that are remembered. Of each scope only the newest counts, so logs that learn the same purges, in whatever order and
/// however often, say the same.
#[derive(Clone, Debug, Default)]
pub struct Log {
    newest: u64,
    urls: HashMap<Box<str>, Mark>,
    tags: HashMap<Box<str>, Mark>,
    groups: HashMap<Box<str>, Mark>,
    prefixes: Prefixes<Mark>,
    all: Mark,
}

impl Log {
    /// How many scopes are remembered one by one; beyond, everything that is older counts as purged, which is always safe.
    pub const MOST: usize = 10_000;

    /// A log that counts on from `sequence`. Numbers must never go back for those who follow a log, so that one which is not kept
    /// anywhere begins with the time. What was before it does not know, so all that is older counts as purged.
    #[must_use]
    pub fn starting_at(sequence: u64) -> Self {
        Self { newest: sequence, all: Mark { hard: sequence, soft: 0 }, ..Self::default() }
    }

    /// The number of the newest purge; 0 before the first.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Adds a purge; gives its number.
    pub fn add(&mut self, scope: &Scope, soft: bool) -> u64 {
        let at = self.newest.saturating_add(1);
        self.mark(at, scope, soft);
        self.newest = at;
        at
    }

    /// Takes over what another log has said [since](Self::since) the newest that is known here; `newest` is the other's.
    pub fn learn(&mut self, purges: &[Purge], newest: u64) {
        for purge in purges {
            self.mark(purge.at, &purge.scope, purge.soft);
        }
        self.newest = newest.max(self.newest);
    }

    /// Whether a purge says nothing more: one of its scope is known that is as new.
    #[must_use]
    pub fn knows(&self, purge: &Purge) -> bool {
        let mark = match &purge.scope {
            Scope::Url(url) => self.urls.get(url),
            Scope::Tag(tag) => self.tags.get(tag),
            Scope::Group { origin, name } => self.groups.get(&group_key(origin, name)),
            Scope::All => Some(&self.all),
            Scope::Prefix(prefix) => self.prefixes.get(prefix),
        };
        mark.is_some_and(|mark| mark.hard.max(if purge.soft { mark.soft } else { 0 }) >= purge.at)
    }

    /// The purges above `after`, newest first, at most `most`. Where there are more, the oldest are told as one of everything.
    #[must_use]
    pub fn since(&self, after: u64, most: usize) -> Vec<Purge> {
        let named = |map: &HashMap<Box<str>, Mark>, scope: fn(&str) -> Scope| {
            let newer = map.iter().filter(|(_, mark)| mark.hard.max(mark.soft) > after);
            newer.map(|(name, mark)| (scope(name), *mark)).collect::<Vec<_>>()
        };
        let mut marks = named(&self.urls, |url| Scope::Url(url.into()));
        marks.extend(named(&self.tags, |tag| Scope::Tag(tag.into())));
        marks.extend(named(&self.groups, |key| {
            let (origin, name) = key.split_once(' ').unwrap_or_default();
            Scope::Group { origin: origin.into(), name: name.into() }
        }));
        let newer = self.prefixes.iter().filter(|(_, mark)| mark.hard.max(mark.soft) > after);
        marks.extend(newer.map(|(prefix, mark)| (Scope::Prefix(prefix.into()), *mark)));
        marks.push((Scope::All, self.all));
        let mut purges: Vec<Purge> = marks
            .into_iter()
            .flat_map(|(scope, mark)| {
                // A soft one that is older than a hard one says nothing more.
                let soft = if mark.soft > mark.hard { mark.soft } else { 0 };
                [Purge { at: mark.hard, scope: scope.clone(), soft: false }, Purge { at: soft, scope, soft: true }]
            })
            .filter(|purge| purge.at > after)
            .collect();
        purges.sort_unstable_by_key(|purge| std::cmp::Reverse(purge.at));
        if let Some(at) = purges.get(most.saturating_sub(1)).filter(|_| purges.len() > most).map(|purge| purge.at) {
            purges.truncate(most.saturating_sub(1));
            purges.push(Purge { at, scope: Scope::All, soft: false });
        }
        purges
    }

    fn mark(&mut self, at: u64, scope: &Scope, soft: bool) {
        if self.urls.len() + self.tags.len() + self.groups.len() + self.prefixes.len() >= Self::MOST {
            let newest = self.newest;
            *self = Self { newest, ..Self::default() };
            self.all.hard = newest;
        }
        let mark = match scope {
            Scope::Url(url) => self.urls.entry(url.clone()).or_default(),
            Scope::Tag(tag) => self.tags.entry(tag.clone()).or_default(),
            Scope::Group { origin, name } => self.groups.entry(group_key(origin, name)).or_default(),
            Scope::All => &mut self.all,
            Scope::Prefix(prefix) => self.prefixes.entry(prefix),
        };
        mark.set(at, soft);
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
        verdict = self.prefixes.of(url).map(|(_, mark)| mark.verdict(since)).fold(verdict, Verdict::max);
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
    use super::{Log, Purge, Scope, Verdict, groups};
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
    fn a_log_that_begins_late_takes_all_that_is_older_for_purged() {
        let key = Key::new(true, "a", "/b?c");
        let mut log = Log::starting_at(100);
        assert_eq!((log.verdict(&key, &stored(99)), log.verdict(&key, &stored(100))), (Verdict::Gone, Verdict::Valid));
        assert_eq!(log.add(&Scope::Tag("t".into()), true), 101);
        assert_eq!(
            (log.verdict(&key, &stored(0)), log.verdict(&key, &stored(100))),
            (Verdict::Gone, Verdict::Doubtful)
        );
        let tag = Purge { at: 101, scope: Scope::Tag("t".into()), soft: true };
        assert_eq!(log.since(100, 9), std::slice::from_ref(&tag));
        let all = |at| Purge { at, scope: Scope::All, soft: false };
        assert_eq!(log.since(0, 9), [tag, all(100)]);
        assert_eq!(log.since(0, 1), [all(101)]);
        assert!(log.since(101, 9).is_empty());
    }

    #[test]
    fn groups_are_strings() {
        assert_eq!(groups(&[("g", "\"a\""), ("g", "b, \"c\";d")][..], "g"), ["a", "c"]);
        assert!(groups(&[("g", "\"a\", &")][..], "g").is_empty());
    }

    proptest! {
        /// A log that follows another, now and then, in parts and more than once, says what that one says as soon as it has caught up; and
        /// what it is told in few words is never less.
        #[test]
        fn a_follower_says_the_same(
            steps in prop::collection::vec((0usize..8, any::<bool>()), 1..60),
            most in 1usize..80,
            since in 90u64..170,
        ) {
            let key = Key::new(true, "a", "/b?c");
            let (mut log, mut exact, mut brief) = (Log::starting_at(100), Log::default(), Log::default());
            for (step, soft) in steps {
                if let Some(scope) = scopes().get(step) {
                    log.add(scope, soft);
                } else {
                    let again = exact.newest().saturating_sub(if soft { 3 } else { 0 });
                    exact.learn(&log.since(again, usize::MAX), log.newest());
                    brief.learn(&log.since(brief.newest(), most), log.newest());
                }
            }
            exact.learn(&log.since(exact.newest(), usize::MAX), log.newest());
            brief.learn(&log.since(brief.newest(), most), log.newest());
            let stored = stored(since);
            prop_assert_eq!(exact.newest(), log.newest());
            prop_assert_eq!(exact.verdict(&key, &stored), log.verdict(&key, &stored));
            prop_assert!(brief.verdict(&key, &stored) >= log.verdict(&key, &stored));
        }

        /// Prefixes are found as if all were tried.
        #[test]
        fn prefixes_reach_what_begins_so(
            purges in prop::collection::vec(("https://[ab](/[ab]{0,2}){0,3}", any::<bool>()), 0..60),
            target in "(/[ab]{0,2}){1,4}",
            since in 0u64..60,
        ) {
            let (key, mut log) = (Key::new(true, "a", &target), Log::default());
            let mut right = Verdict::Valid;
            for (prefix, soft) in purges {
                let at = log.add(&Scope::Prefix(prefix.as_str().into()), soft);
                if at > since && key.url().starts_with(&prefix) {
                    right = right.max(if soft { Verdict::Doubtful } else { Verdict::Gone });
                }
            }
            prop_assert_eq!(log.verdict(&key, &stored(since)), right);
        }

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
