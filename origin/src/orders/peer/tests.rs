use super::{POLL, Peer, SILENT, Turn};
use crate::orders::{held_back, journal::Known};
use cache::purge::{Log, Scope, Verdict};
use cache::response::{Times, storable};
use cache::{Ask, Key, Meta, Settings, Timestamp};
use contract::news::News;
use edge::Standing;
use edge::following::{BOUND, Following, Hearing, SLACK};
use proptest::prelude::*;
use std::time::Duration;

/// One step of the simulation, in ms.
const STEP: u64 = 50;
/// After a purge, how long until it has to hold at an edge: its own bound, a word there and one back between the gateways, and
/// their silence where one has just gone.
const HOLDS: u64 = BOUND + SLACK + 1_000 + 3 * 200 + 3 * STEP;

fn stored(sequence: u64) -> Meta {
    let at = Timestamp::from_secs(1000);
    let times = Times { requested: at, received: at };
    let fields = [("cache-control", "max-age=60"), ("cache-tag", "t")];
    storable(&Ask::default(), 200, &fields[..], times, sequence, &Settings::default()).expect("storable")
}

/// A gateway: its clock, its log, what it knows of the other, and what its own cache holds of the one page: as of which number, and of
/// which purge the content is.
struct Gateway {
    clock: u64,
    known: Known,
    peer: Peer,
    cursor: u64,
    cached: Option<(u64, usize)>,
}

impl Gateway {
    fn new(clock: u64) -> Self {
        let known = Known::starting_at(clock);
        Self { clock, peer: Peer::new(known.log.newest(), Duration::ZERO), known, cursor: 0, cached: None }
    }

    fn purge(&mut self, scope: &Scope, now: u64) {
        let floor = self.peer.floor(now + self.clock);
        self.known.log.learn(&[], floor);
        self.known.log.add(scope, false);
    }

    fn settle(&mut self, now: u64) {
        if let Turn::Back(since) = self.peer.settle(self.known.log.newest(), Duration::from_millis(now)) {
            for purge in self.known.log.since(since, usize::MAX) {
                self.purge(&purge.scope, now);
            }
            self.peer.settle(self.known.log.newest(), Duration::from_millis(now));
        }
    }

    fn asks(&mut self, other: &mut Self, now: u64) {
        let at = Duration::from_millis(now);
        let promised = other.peer.asked(self.cursor, other.known.log.newest(), now + other.clock, at);
        let said = other.known.log.since(self.cursor, usize::MAX);
        self.known.log.learn(&said, other.known.log.newest());
        self.peer.heard(promised, at);
        self.cursor = promised;
        self.settle(now);
        other.settle(now);
    }

    fn news(&self, after: u64) -> News {
        held_back(&self.known, after, self.peer.told())
    }

    /// The page, as of how many purges, for a request that comes now.
    fn page(&mut self, purges: usize) -> usize {
        if let Some((sequence, of)) = self.cached
            && self.known.log.verdict(&Key::new(true, "a", "/b"), &stored(sequence)) == Verdict::Valid
        {
            return of;
        }
        self.cached = Some((self.peer.told(), purges));
        purges
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Two gateways whose clocks differ by whatever, each with a cache of its own and a link between them that breaks and heals, and an
    /// edge that reaches now one and now the other. Purges are ordered at either. While both are linked, the edge serves nothing from before
    /// a purge that is older than the bound, wherever it had it from.
    #[test]
    fn a_purge_at_either_holds_everywhere(
        skew in 0u64..100_000,
        steps in prop::collection::vec((0u8..12, 0usize..2), 1..900),
    ) {
        let scopes = [Scope::Tag("t".into()), Scope::Prefix("https://a/".into())];
        let key = Key::new(true, "a", "/b");
        let mut gateways = [Gateway::new(1_000_000), Gateway::new(1_000_000 + skew)];
        let mut edge = Following::default();
        let mut held: Option<(Meta, usize)> = None;
        let (mut purges, mut linked, mut healed) = (vec![0], true, 0);
        for (n, (step, which)) in steps.into_iter().enumerate() {
            let now = n as u64 * STEP;
            // The edge's own clock is another one, too.
            let here = now + 77_000_000;
            match step {
                0 if purges.len() < 30 => {
                    gateways[which].purge(&scopes[n % 2], now);
                    gateways[which].settle(now);
                    purges.push(now);
                }
                1 if n.is_multiple_of(7) => {
                    linked = !linked;
                    healed = now;
                }
                // A request of the edge's, answered and stored at once.
                2..=5 => {
                    let sequence = edge.sequence();
                    let of = gateways[which].page(purges.len() - 1);
                    edge.told(gateways[which].peer.told(), here);
                    held = Some((stored(sequence), of));
                }
                // One that another request overtakes: it is answered before the purges that come now.
                6 => {
                    let (sequence, of) = (edge.sequence(), gateways[which].page(purges.len() - 1));
                    gateways[1 - which].purge(&scopes[0], now);
                    gateways[1 - which].settle(now);
                    purges.push(now);
                    held = Some((stored(sequence), of));
                }
                7..=9 if edge.hearing(here) == Hearing::Ask => {
                    let said = gateways[which].news(edge.sequence()).to_string();
                    edge.learn(&News::parse(&said).expect("whole"), here);
                }
                _ => {}
            }
            if linked && now.is_multiple_of(u64::try_from(POLL.as_millis()).expect("short")) {
                let [a, b] = &mut gateways;
                a.asks(b, now);
                b.asks(a, now);
            }
            gateways.iter_mut().for_each(|gateway| gateway.settle(now));
            let whole = linked && now - healed > HOLDS;
            if let Some((meta, of)) = &held
                && whole
                && edge.hearing(here) == Hearing::Known
                && edge.verdict(&key, meta) == Verdict::Valid
            {
                let next = purges.get(of + 1);
                prop_assert!(next.is_none_or(|at| now - at <= HOLDS), "{next:?} at {now}");
            }
            // Nor does a gateway.
            for gateway in &mut gateways {
                let of = gateway.page(purges.len() - 1);
                let next = purges.get(of + 1);
                prop_assert!(!whole || next.is_none_or(|at| now - at <= 300), "{next:?} at {now}");
            }
        }
    }
}

#[test]
fn told_when_both_know_it_and_alone_after_a_silence() {
    let at = Duration::from_millis;
    let mut peer = Peer::new(100, at(0));
    assert_eq!((peer.settle(100, at(0)), peer.told()), (Turn::Same, 0), "nothing before the first word");
    assert_eq!(peer.asked(0, 100, 150, at(10)), 149);
    assert_eq!((peer.floor(90), peer.floor(200)), (149, 199), "a clock that goes back breaks no promise");
    peer.heard(140, at(10));
    assert_eq!((peer.settle(100, at(10)), peer.told()), (Turn::Same, 0), "it has not said yet that it knows any");
    peer.asked(100, 100, 151, at(20));
    peer.settle(100, at(20));
    assert_eq!(peer.told(), 100);
    // An order of ours.
    peer.settle(160, at(30));
    assert_eq!(peer.told(), 100, "no further than both know");
    peer.asked(160, 160, 170, at(40));
    peer.heard(165, at(40));
    peer.settle(160, at(40));
    assert_eq!(peer.told(), 160);
    // It leaves, and we order on.
    let late = at(40) + SILENT;
    assert_eq!((peer.settle(170, late), peer.told(), peer.is_silent()), (Turn::Left, 170, true));
    assert_eq!(peer.settle(180, late + POLL), Turn::Same);
    peer.asked(0, 180, 190, late + POLL);
    assert_eq!(peer.settle(180, late + POLL), Turn::Same, "it asks, and answers nothing");
    peer.heard(185, late + POLL);
    assert_eq!((peer.settle(180, late + POLL), peer.is_silent()), (Turn::Back(160), false));
    assert_eq!(peer.told(), 180, "edges never hear of a lower one");
}

#[test]
fn edges_are_not_told_what_one_of_them_may_not_know() {
    let mut known = Known { log: Log::starting_at(100), standing: Standing::default() };
    for n in 0..5 {
        known.log.add(&Scope::Tag(format!("{n}").into()), n == 3);
    }
    known.stand(|standing| *standing = Standing::new(0, ["maintenance retry=60"]));
    let said_of = |known: &Known, told| held_back(known, 101, told).to_string();
    let said = |told| said_of(&known, told);
    assert_eq!(said(103), "edge-exchange 1 103 2\nhard 103 tag 2\nhard 102 tag 1\n");
    assert_eq!(said(99), "edge-exchange 1 99 0\n");
    assert!(said(106).ends_with("standing 106\tmaintenance retry=60\n"), "{}", said(106));
    assert_eq!(said(106), said(u64::MAX), "no further than there is any");
    // One of everything stands for what is older, which may have to be told.
    known.log.add(&Scope::All, false);
    assert_eq!(said_of(&known, 103), "edge-exchange 1 103 3\nhard 103 all\nhard 103 tag 2\nhard 102 tag 1\n");
}
