//! What an edge asks of the gateway for itself: the purges that it does not know.
//!
//! `GET /.edge/exchange?after=SEQUENCE`, signed like any request of the edge's, carries what the edge has counted ([`crate::counts`]) and has this
//! answer, in lines that end with a line feed:
//!
//! ```text
//! edge-exchange 1 1795000000125 3
//! hard 1795000000125 tag creator-7
//! soft 1795000000124 url https://makenot.work/c/mira
//! standing 1795000000123<TAB>maintenance retry=600
//! ```
//!
//! First the format, its version, the number of the newest purge, and how many follow. Then these: whether it is a hard or a soft one, its
//! number, its kind, and of what; then the standing orders, each after a tab, where they are newer than `after`. A group (RFC 9875) has its origin, a space and its name, which may have spaces of its own. All above `after`
//! are told, or so many, newest first, that the last one stands for all before it: then it is one of everything. Whoever learns a purge again
//! knows no more than before, so answers may overlap and overtake one another.
//!
//! A format of lines, not JSON: the Worker need not carry a JSON parser for it.

use core::fmt;

/// Where the edge asks. No app is ever asked for anything below [`RESERVED`], and no client is answered there, but where it
/// brings what came of a challenge.
pub const PATH: &str = "/.edge/exchange";
/// What the addresses begin with that are between edge and gateway.
pub const RESERVED: &str = "/.edge/";
/// Purges in one answer.
pub const MOST: usize = 1_000;

const FORMAT: &str = "edge-exchange 1";

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The number of the newest purge.
    pub sequence: u64,
    /// Those that the edge did not know.
    pub purges: Vec<Purge>,
    /// The standing orders, where the edge did not know them.
    pub standing: Option<Standing>,
}

/// The standing orders, all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The number under which they were ordered.
    pub at: u64,
    /// A line each, without line feeds and tabs.
    pub orders: Vec<Box<str>>,
}

/// A purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Its number.
    pub at: u64,
    /// Whether what it matches may still be sent while a fresh answer is fetched.
    pub soft: bool,
    /// What it is about.
    pub what: What,
}

/// What a purge is about. Names hold no line feed, and an origin no space.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what it is called")]
pub enum What {
    Url(Box<str>),
    Prefix(Box<str>),
    Tag(Box<str>),
    Group { origin: Box<str>, name: Box<str> },
    All,
}

/// The query for what is above `after`.
#[must_use]
pub fn query(after: u64) -> String {
    format!("after={after}")
}

/// What a query asks for; without sense, everything.
#[must_use]
pub fn after(query: Option<&str>) -> u64 {
    query.and_then(|query| query.strip_prefix("after=")?.parse().ok()).unwrap_or(0)
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORMAT} {} {}", self.sequence, self.purges.len() + usize::from(self.standing.is_some()))?;
        self.purges.iter().try_for_each(|purge| writeln!(f, "{purge}"))?;
        self.standing.iter().try_for_each(|standing| writeln!(f, "{standing}"))
    }
}

/// Their line.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "standing {}", self.at)?;
        self.orders.iter().try_for_each(|order| write!(f, "\t{order}"))
    }
}

impl Standing {
    /// Reads their line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut parts = line.strip_prefix("standing ")?.split('\t');
        let at = parts.next()?.parse().ok()?;
        Some(Self { at, orders: parts.map(Into::into).collect() })
    }
}

/// Its line.
impl fmt::Display for Purge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", if self.soft { "soft" } else { "hard" }, self.at)?;
        match &self.what {
            What::Url(url) => write!(f, "url {url}"),
            What::Prefix(prefix) => write!(f, "prefix {prefix}"),
            What::Tag(tag) => write!(f, "tag {tag}"),
            What::Group { origin, name } => write!(f, "group {origin} {name}"),
            What::All => f.write_str("all"),
        }
    }
}

impl News {
    /// Reads it; `None` where it is not whole, or of another version.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (sequence, count) = lines.next()?.strip_prefix(FORMAT)?.strip_prefix(' ')?.split_once(' ')?;
        let (mut purges, mut standing, mut others) = (Vec::new(), None, 0);
        for line in lines {
            match line.split_once(' ').map(|(kind, _)| kind) {
                Some("hard" | "soft") => purges.push(Purge::parse(line)?),
                Some("standing") => standing = Some(Standing::parse(line)?),
                // From a newer version.
                _ => others += 1,
            }
        }
        let all = purges.len() + usize::from(standing.is_some()) + others;
        (count.parse() == Ok(all)).then_some(Self { sequence: sequence.parse().ok()?, purges, standing })
    }
}

impl Purge {
    /// Reads its line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (kind, rest) = line.split_once(' ')?;
        let soft = match kind {
            "hard" => false,
            "soft" => true,
            _ => return None,
        };
        let (at, what) = rest.split_once(' ')?;
        let what = match what.split_once(' ') {
            Some(("url", url)) => What::Url(url.into()),
            Some(("prefix", prefix)) => What::Prefix(prefix.into()),
            Some(("tag", tag)) => What::Tag(tag.into()),
            Some(("group", group)) => {
                let (origin, name) = group.split_once(' ')?;
                What::Group { origin: origin.into(), name: name.into() }
            }
            None if what == "all" => What::All,
            _ => return None,
        };
        Some(Self { at: at.parse().ok()?, soft, what })
    }
}

#[cfg(test)]
mod tests {
    use super::{News, Purge, Standing, What, after, query};
    use proptest::prelude::*;

    fn what() -> impl Strategy<Value = What> {
        let name = || "[!-~]{1,20}".prop_map(Box::<str>::from);
        prop_oneof![
            name().prop_map(What::Url),
            name().prop_map(What::Prefix),
            name().prop_map(What::Tag),
            (name(), "[ -~]{0,20}").prop_map(|(origin, name)| What::Group { origin, name: name.into() }),
            Just(What::All),
        ]
    }

    proptest! {
        #[test]
        fn there_and_back(
            sequence: u64,
            purges in prop::collection::vec((any::<u64>(), any::<bool>(), what()), 0..9),
            standing in prop::option::of((any::<u64>(), prop::collection::vec("[ -~]{0,20}", 0..4))),
        ) {
            let purges = purges.into_iter().map(|(at, soft, what)| Purge { at, soft, what }).collect();
            let standing = standing.map(|(at, orders)| Standing { at, orders: orders.into_iter().map(Into::into).collect() });
            let news = News { sequence, purges, standing };
            let text = news.to_string();
            prop_assert_eq!(News::parse(&text), Some(news));
            // What is cut off anywhere is not taken for the whole.
            for end in 0..text.len() {
                prop_assert_eq!(News::parse(&text[..end]), None);
            }
        }

        #[test]
        fn reads_anything(text in "(edge-exchange 1 [0-9]{0,3} [0-9]?\n)?[a-z0-9 \n]{0,40}", query in "\\PC*") {
            let _ = (News::parse(&text), after(Some(&query)));
        }
    }

    #[test]
    fn the_query() {
        assert_eq!(query(7), "after=7");
        for (text, number) in [(Some("after=7"), 7), (Some("after=-1"), 0), (Some("x"), 0), (None, 0)] {
            assert_eq!(after(text), number, "{text:?}");
        }
    }
}
