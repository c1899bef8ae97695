//! How an edge that shares nothing with the gateway follows its purges ([`contract::news`]).
//!
//! What is known holds until something newer is. A hit that comes when nothing has been heard for [`BOUND`] asks, and waits a little.

use cache::purge::{Log, Purge, Scope, Verdict};
use cache::{Key, Meta};
use contract::news::{self, News, What};

use crate::Standing;

/// For so long what has been heard is taken for all there is, in ms: a purge holds within 5 s, and asking takes a while.
pub const BOUND: u64 = 4_000;
/// For so much longer it is, while another request asks: not all that come meanwhile need to. In ms.
pub const SLACK: u64 = 500;
/// For so long it is not asked again after nobody has answered, in ms.
pub const PAUSE: u64 = 1_000;

/// What an instance of the edge knows.
#[derive(Debug, Default)]
pub struct Following {
    log: Log,
    standing: Standing,
    /// When what it knows was all there is, in ms since 1970; 0 for never.
    heard: u64,
    /// When it was last asked, and when nobody answered in time.
    asked: u64,
    failed: u64,
}

/// How well it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// Well enough.
    Known,
    /// It should ask.
    Ask,
    /// Not well, and it has asked in vain just now.
    Unknown,
}

impl Following {
    /// The number of the newest purge that is known; 0 before anything is.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.log.newest()
    }

    /// The standing orders, as far as they are known.
    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What is known of an entry.
    #[must_use]
    pub fn verdict(&self, key: &Key, stored: &Meta) -> Verdict {
        self.log.verdict(key, stored)
    }

    /// How well it knows, at a time.
    #[must_use]
    pub fn hearing(&self, now: u64) -> Hearing {
        let since = now.saturating_sub(self.heard);
        let others_ask = now.saturating_sub(self.asked) < SLACK;
        if since < BOUND || (since < BOUND + SLACK && others_ask) {
            Hearing::Known
        } else if now.saturating_sub(self.failed) < PAUSE {
            Hearing::Unknown
        } else {
            Hearing::Ask
        }
    }

    /// An answer of the gateway's bore this number; its request left at `left`. Whether there is something to ask for.
    pub fn told(&mut self, sequence: u64, left: u64) -> bool {
        if sequence == self.log.newest() {
            self.heard = self.heard.max(left);
        }
        sequence > self.log.newest()
    }

    /// Takes over what the gateway has said; the request left at `left`.
    pub fn learn(&mut self, news: &News, left: u64) {
        let purges: Vec<Purge> = news.purges.iter().map(purge).collect();
        if let Some(said) = news.standing.as_ref().filter(|said| said.at > self.standing.at) {
            self.standing = Standing::new(said.at, said.orders.iter().map(|order| &**order));
        }
        // One that knows less has been overtaken, or is on its way out.
        if news.sequence >= self.log.newest() {
            self.heard = self.heard.max(left);
        }
        self.log.learn(&purges, news.sequence);
    }

    /// It is being asked.
    pub fn asking(&mut self, now: u64) {
        self.asked = now;
    }

    /// Nobody has answered, or not in time.
    pub fn failed(&mut self, now: u64) {
        self.failed = now;
    }
}

/// How much one answer may say. Of what is more, the oldest is told as one purge of everything.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Purges.
    pub most: usize,
    /// Bytes of their names, near enough.
    pub longest: usize,
}

/// For an edge, which has little time.
pub const OF_AN_EDGE: Bounds = Bounds { most: news::MOST, longest: 256 << 10 };

/// What the gateway says to one that knows what was ordered up to `after`.
#[must_use]
pub fn news(log: &Log, standing: &Standing, after: u64, bounds: Bounds) -> News {
    let mut purges = log.since(after, bounds.most);
    let mut most = purges.len();
    while most > 1 && purges.iter().map(|purge| length(&purge.scope)).sum::<usize>() > bounds.longest {
        most /= 2;
        purges = log.since(after, most);
    }
    let standing = (standing.at > after).then(|| news::Standing { at: standing.at, orders: standing.lines() });
    News { sequence: log.newest(), purges: purges.into_iter().map(said).collect(), standing }
}

fn length(scope: &Scope) -> usize {
    match scope {
        Scope::Url(name) | Scope::Prefix(name) | Scope::Tag(name) => name.len(),
        Scope::Group { origin, name } => origin.len() + name.len(),
        Scope::All => 0,
    }
}

/// A purge in the words of the exchange.
#[must_use]
pub fn said(purge: Purge) -> news::Purge {
    let what = match purge.scope {
        Scope::Url(url) => What::Url(url),
        Scope::Prefix(prefix) => What::Prefix(prefix),
        Scope::Tag(tag) => What::Tag(tag),
        Scope::Group { origin, name } => What::Group { origin, name },
        Scope::All => What::All,
    };
    news::Purge { at: purge.at, soft: purge.soft, what }
}

/// A purge that was said in the words of the exchange.
#[must_use]
pub fn purge(said: &news::Purge) -> Purge {
    let scope = match &said.what {
        What::Url(url) => Scope::Url(url.clone()),
        What::Prefix(prefix) => Scope::Prefix(prefix.clone()),
        What::Tag(tag) => Scope::Tag(tag.clone()),
        What::Group { origin, name } => Scope::Group { origin: origin.clone(), name: name.clone() },
        What::All => Scope::All,
    };
    Purge { at: said.at, scope, soft: said.soft }
}

#[cfg(test)]
mod tests {
    use super::{BOUND, Following, Hearing, OF_AN_EDGE, PAUSE, SLACK, Standing, news};
    use cache::purge::{Log, Scope, Verdict};
    use cache::response::{Times, storable};
    use cache::{Ask, Key, Meta, Settings, Timestamp};
    use contract::news::News;
    use proptest::prelude::*;

    fn stored(sequence: u64) -> Meta {
        let at = Timestamp::from_secs(1000);
        let times = Times { requested: at, received: at };
        let fields = [("cache-control", "max-age=60"), ("cache-tag", "t")];
        storable(&Ask::default(), 200, &fields[..], times, sequence, &Settings::default()).expect("storable")
    }

    #[test]
    fn asks_when_it_has_not_heard_for_long_and_not_at_once_again() {
        let (log, mut edge) = (Log::starting_at(7), Following::default());
        let t = 1_000_000;
        assert_eq!(edge.hearing(t), Hearing::Ask);
        edge.failed(t);
        assert_eq!((edge.hearing(t + PAUSE - 1), edge.hearing(t + PAUSE)), (Hearing::Unknown, Hearing::Ask));
        assert!(edge.told(7, t));
        assert_eq!(edge.hearing(t + PAUSE), Hearing::Ask);
        edge.learn(&news(&log, &Standing::default(), edge.sequence(), OF_AN_EDGE), t + 10);
        assert_eq!((edge.sequence(), edge.hearing(t + 10 + BOUND - 1)), (7, Hearing::Known));
        assert_eq!(edge.hearing(t + 10 + BOUND), Hearing::Ask);
        edge.asking(t + 10 + BOUND);
        let later = [1, SLACK - 1, SLACK].map(|time| edge.hearing(t + 10 + BOUND + time));
        assert_eq!(later, [Hearing::Known, Hearing::Known, Hearing::Ask]);
        assert!(!edge.told(7, t + 5_000) && !edge.told(6, t + 60_000));
        assert_eq!((edge.hearing(t + 8_999), edge.hearing(t + 9_000)), (Hearing::Known, Hearing::Ask));
    }

    #[test]
    fn standing_orders_are_told_once_and_the_newest_hold() {
        let (mut log, mut edge) = (Log::starting_at(7), Following::default());
        log.learn(&[], 8);
        let first = Standing::new(8, ["maintenance host=a"]);
        let said = news(&log, &first, edge.sequence(), OF_AN_EDGE);
        let said = News::parse(&said.to_string()).expect("whole");
        edge.learn(&said, 1);
        assert_eq!((edge.standing(), edge.sequence()), (&first, 8));
        assert_eq!(news(&log, &first, edge.sequence(), OF_AN_EDGE).standing, None);
        log.learn(&[], 9);
        let none = Standing::new(9, []);
        edge.learn(&news(&log, &none, edge.sequence(), OF_AN_EDGE), 2);
        // What has been overtaken changes nothing.
        edge.learn(&said, 3);
        assert_eq!(edge.standing(), &none);
    }

    #[test]
    fn what_is_said_is_bounded() {
        let mut log = Log::starting_at(0);
        for n in 0..2_000 {
            log.add(&Scope::Url(format!("https://a/{n}").into()), false);
        }
        assert_eq!(news(&log, &Standing::default(), 0, OF_AN_EDGE).purges.len(), 1_000);
        assert_eq!(news(&log, &Standing::default(), 1_990, OF_AN_EDGE).purges.len(), 10);
        for n in 0..1_000 {
            log.add(&Scope::Url(format!("https://a/{n}{}", "x".repeat(8_000)).into()), false);
        }
        let said = news(&log, &Standing::default(), 0, OF_AN_EDGE);
        assert!(
            said.purges.len() > 10 && said.to_string().len() < OF_AN_EDGE.longest + 10_000,
            "{}",
            said.purges.len()
        );
        assert_eq!((said.sequence, &said.purges.last().expect("some").what), (3_000, &contract::news::What::All));
    }

    proptest! {
        /// A gateway and two edges before one store. Requests leave, answers are stored, purges and exchanges come between and overtake one
        /// another; whoever takes itself for well informed at the bound serves nothing from before a purge that is older than that.
        #[test]
        fn in_force_within_the_bound(steps in prop::collection::vec((0usize..7, 0usize..9, 0u64..3_000), 1..80)) {
            let (key, start) = (Key::new(true, "a", "/b"), 1_000_000);
            let scopes = [Scope::Url("https://a/b".into()), Scope::Prefix("https://a/".into()), Scope::Tag("t".into()), Scope::All];
            let (mut now, mut log) = (start, Log::starting_at(start));
            let mut edges = [Following::default(), Following::default()];
            // Requests under way: the sequence they bear, and what the content is of.
            let mut fetches: Vec<(u64, u64)> = Vec::new();
            let mut asked: Vec<(usize, u64, u64, Option<News>)> = Vec::new();
            let mut held: Option<(Meta, u64)> = None;
            // When the purges came; what an app answers is as of the newest.
            let mut purged = vec![0];
            for (step, which, time) in steps {
                let edge = which % 2;
                match step {
                    0 => fetches.push((edges[edge].sequence(), purged.len() as u64 - 1)),
                    1 if !fetches.is_empty() => {
                        let (sequence, of) = fetches.remove(which % fetches.len());
                        held = Some((stored(sequence), of));
                    }
                    2 => {
                        log.add(&scopes[which % 4], false);
                        purged.push(now);
                    }
                    3 => {
                        edges[edge].asking(now);
                        asked.push((edge, edges[edge].sequence(), now, None));
                    }
                    4 if !asked.is_empty() => {
                        let n = which % asked.len();
                        asked[n].3 = Some(News::parse(&news(&log, &Standing::default(), asked[n].1, OF_AN_EDGE).to_string()).expect("whole"));
                    }
                    5 => {
                        if let Some(n) = asked.iter().position(|(.., said)| said.is_some()) {
                            let (edge, _, left, said) = asked.remove(n);
                            edges[edge].learn(&said.expect("is some"), left);
                        }
                    }
                    6 => drop(edges[edge].told(log.newest(), now)),
                    _ => {}
                }
                now += time;
                for edge in &edges {
                    if let Some((meta, of)) = &held
                        && edge.hearing(now) == Hearing::Known
                        && edge.verdict(&key, meta) == Verdict::Valid
                    {
                        let next = purged.get(usize::try_from(*of).expect("few") + 1);
                        prop_assert!(next.is_none_or(|at| now - at <= BOUND + SLACK), "{next:?} at {now}");
                    }
                }
            }
        }
    }
}
