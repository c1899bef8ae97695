//! A list of which the first that fits counts, and what of it can fit at all: however many there are, a request looks only at those.

use std::borrow::Cow;
use std::ops::Deref;

use cache::Prefixes;

/// What can be told of a thing before it is looked at.
pub trait Begins {
    /// A text that fits it begins with one of these; with none, none does.
    fn beginnings(&self) -> Vec<Cow<'_, str>>;
}

/// Up to so many are looked at one by one: finding out which would take as long.
const FEW: usize = 8;

/// The list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indexed<T> {
    all: Vec<T>,
    /// The numbers of those that may fit what begins so.
    by_beginning: Prefixes<Vec<usize>>,
}

impl<T> Default for Indexed<T> {
    fn default() -> Self {
        Self { all: Vec::new(), by_beginning: Prefixes::default() }
    }
}

impl<T: Begins> Indexed<T> {
    /// Adds one to the end.
    pub fn push(&mut self, one: T) {
        for beginning in one.beginnings() {
            self.by_beginning.entry(&beginning).push(self.all.len());
        }
        self.all.push(one);
    }

    /// Those that may fit a text, in their order.
    pub fn of<'a, 't>(&'a self, text: impl FnOnce() -> Cow<'t, str>) -> impl Iterator<Item = &'a T> {
        let (few, some) = if self.all.len() <= FEW {
            (self.all.as_slice(), Vec::new())
        } else {
            let mut some: Vec<usize> =
                self.by_beginning.of(&text()).flat_map(|(_, numbers)| numbers.iter().copied()).collect();
            some.sort_unstable();
            some.dedup();
            (&[][..], some)
        };
        few.iter().chain(some.into_iter().filter_map(|number| self.all.get(number)))
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
