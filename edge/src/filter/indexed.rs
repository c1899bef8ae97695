//! A list of which the first that fits counts, and what of it can fit at all: however many there are, a request looks only at those.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Deref;

use cache::Prefixes;

/// What of a request things are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Text {
    /// Its path.
    Path,
    /// Its path from the end.
    PathBackwards,
    /// Its host from the end, in lower case.
    HostBackwards,
}

impl Text {
    /// It, of a request to this host and path.
    #[must_use]
    pub fn of<'a>(self, host: &str, path: &'a str) -> Cow<'a, str> {
        match self {
            Self::Path => path.into(),
            Self::PathBackwards => backwards(path).into(),
            Self::HostBackwards => host_backwards(host).into(),
        }
    }
}

/// A text from its end.
pub(super) fn backwards(text: &str) -> String {
    text.chars().rev().collect()
}

/// A host from its end, in lower case.
pub(super) fn host_backwards(host: &str) -> String {
    host.chars().rev().map(|c| c.to_ascii_lowercase()).collect()
}

/// A way to find a thing: of a request that it fits, one of these texts begins so.
pub type Way = Vec<(Text, String)>;

/// What can be told of a thing before it is looked at.
pub trait Begins {
    /// The ways to find it, of which one is enough. What begins with nothing at all is looked at for every request; with no way, or an empty one,
    /// it fits none.
    fn ways(&self) -> Vec<Way>;
}

/// Up to so many are looked at one by one: finding out which would take as long.
const FEW: usize = 8;

/// The list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed<T> {
    all: Vec<T>,
    /// The numbers of those that may fit what begins so.
    by: BTreeMap<Text, Prefixes<Vec<usize>>>,
}

impl<T> Default for Indexed<T> {
    fn default() -> Self {
        Self { all: Vec::new(), by: BTreeMap::new() }
    }
}

impl<T> Indexed<T> {
    /// How many others are found where this way leads; what leads nowhere in particular is the last resort.
    fn crowd(&self, way: &Way) -> usize {
        let one = |(text, beginning): &(Text, String)| match self.by.get(text) {
            _ if beginning.is_empty() => usize::MAX,
            by => by.and_then(|by| by.get(beginning)).map_or(0, Vec::len),
        };
        way.iter().map(one).max().unwrap_or_default()
    }

    /// How many of them one request may have to be held against because they are found in the same place.
    #[must_use]
    pub fn together(&self) -> usize {
        self.by.values().flat_map(Prefixes::iter).map(|(_, numbers)| numbers.len()).max().unwrap_or_default()
    }

    /// Those that may fit a request, in their order; `text` is asked for what is needed of it.
    pub fn of<'a, 't>(&'a self, text: impl Fn(Text) -> Cow<'t, str>) -> impl Iterator<Item = &'a T> {
        let are_few = self.all.len() <= FEW;
        let (few, mut some) = (if are_few { self.all.as_slice() } else { &[] }, Vec::new());
        if !are_few {
            for (kind, by) in &self.by {
                some.extend(by.of(&text(*kind)).flat_map(|(_, numbers)| numbers.iter().copied()));
            }
            some.sort_unstable();
            some.dedup();
        }
        few.iter().chain(some.into_iter().filter_map(|number| self.all.get(number)))
    }
}

impl<T: Begins> Indexed<T> {
    /// Adds one to the end. Of the ways to find it that counts where the fewest others are.
    pub fn push(&mut self, one: T) {
        let way = one.ways().into_iter().min_by_key(|way| self.crowd(way)).unwrap_or_default();
        for (text, beginning) in way {
            self.by.entry(text).or_default().entry(&beginning).push(self.all.len());
        }
        self.all.push(one);
    }
}

impl<T> Deref for Indexed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.all
    }
}

impl<T: Begins> Extend<T> for Indexed<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, more: I) {
        more.into_iter().for_each(|one| self.push(one));
    }
}

impl<T: Begins> FromIterator<T> for Indexed<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut own = Self::default();
        own.extend(all);
        own
    }
}

#[cfg(test)]
mod tests {
    use super::Text;
    use crate::filter::Ruleset;

    const MANY: usize = 2_000;

    fn rules(one: impl Fn(usize) -> String) -> Ruleset {
        let lines: String = (0..MANY).map(|n| format!("rule r{n} block:403 {}\n", one(n))).collect();
        Ruleset::parse(&lines).unwrap()
    }

    #[test]
    fn however_many_there_are_few_are_looked_at() {
        let kinds: [fn(usize) -> String; 7] = [
            |n| format!("path=/never/{n}/*"),
            |n| format!("path=*/{n}.php"),
            |n| format!("path=/api/*/{n}"),
            |n| format!("host=n{n}.example"),
            |n| format!("host=*.N{n}.example"),
            |n| format!("path=/api/* host=n{n}.example"),
            |n| format!("path=*api*,/x/{n} host=n{n}.example"),
        ];
        for kind in kinds {
            let all = rules(kind).rules;
            assert!(all.together() <= 2, "{}: {}", kind(0), all.together());
            for (host, path) in [("n7.example", "/api/x/7"), ("a.n9.example", "/never/9/9.php"), ("x", "/")] {
                let looked = all.of(|text| text.of(host, path)).count();
                assert!(looked <= 4, "{}: {looked} at {host}{path}", kind(0));
            }
        }
        // What is told by neither is looked at for every request.
        let kinds: [fn(usize) -> String; 2] =
            [|n| format!("address=10.0.{}.{}", n / 256, n % 256), |n| format!("agent=x{n} path=* host=*")];
        for kind in kinds {
            let all = rules(kind).rules;
            assert_eq!((all.together(), all.of(|_| "/".into()).count()), (MANY, MANY), "{}", kind(0));
        }
    }

    #[test]
    fn texts_are_read_from_their_ends() {
        let of = |text: Text| text.of("Makenot.WORK", "/a/ä").into_owned();
        assert_eq!([Text::Path, Text::PathBackwards, Text::HostBackwards].map(of), ["/a/ä", "ä/a/", "krow.tonekam"]);
    }
}
