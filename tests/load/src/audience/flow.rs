//! A time at all edges: each asks at random for what its visitors ask for, and what it does not have the gateway is asked for.
//!
//! A request that an edge answers with what is fresh changes nothing, so those are not asked one by one: arrivals have no memory, and the next one
//! that matters comes as long after the end of freshness as any comes after another.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::mix::Mix;
use super::place::Place;
use super::wire::Request;
use crate::outcome::count;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Data centres; each has an equal share of the visitors, which is what asks the gateway most.
    pub edges: usize,
    /// Requests a second, of all kinds.
    pub rate: f64,
    /// Seconds before it counts, in which caches fill.
    pub warm: f64,
    /// Seconds that count.
    pub lasts: f64,
    /// Seconds from an edge to the gateway and back: who asks for the same meanwhile asks, too.
    pub flight: f64,
    /// What chance begins with.
    pub seed: u64,
}

/// How many requests there were, in the time that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// At Cloudflare, files included.
    pub all: f64,
    /// Of them, what starts the Worker.
    pub worker: f64,
    /// At the gateway.
    pub gateway: f64,
    /// Of them, an edge's questions for orders.
    pub news: f64,
    /// At the app.
    pub app: f64,
    /// Bytes of bodies that the gateway sends: of what may be stored, and of what is for one client.
    pub gateway_bytes: [f64; 2],
    /// Bytes of bodies that visitors get: of these two, of static files, and from buckets.
    pub visitor_bytes: [f64; 4],
    /// Event streams and WebSockets that were opened.
    pub held: f64,
    /// The seconds that all of these stayed.
    pub held_seconds: f64,
}

impl Counted {
    /// So many times as much.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            all: self.all * factor,
            worker: self.worker * factor,
            gateway: self.gateway * factor,
            news: self.news * factor,
            app: self.app * factor,
            gateway_bytes: self.gateway_bytes.map(|bytes| bytes * factor),
            visitor_bytes: self.visitor_bytes.map(|bytes| bytes * factor),
            held: self.held * factor,
            held_seconds: self.held_seconds * factor,
        }
    }
}

/// Sorted by time; whole microseconds, as floats have no order.
type Event = Reverse<(u64, usize, usize)>;

impl Flow {
    /// Runs it: the same seed, the same figures.
    #[must_use]
    pub fn run(&self, mix: &Mix) -> Counted {
        let clock = Rc::new(Cell::new(0));
        let answers: HashMap<String, _> =
            mix.items.iter().map(|item| (item.target.clone(), item.said.clone())).collect();
        let fallback = mix.items.first().map(|item| item.said.clone());
        let gateway = Place::gateway(&clock, move |target| {
            answers.get(target).or(fallback.as_ref()).cloned().unwrap_or_else(|| unreachable!("nothing is asked for"))
        });
        let edges: Vec<Place> = (0..self.edges).map(|_| Place::edge(&gateway)).collect();
        let requests: Vec<_> = mix.items.iter().map(|item| Request::get(&item.target, item.htmx)).collect();
        let mut random = StdRng::seed_from_u64(self.seed);
        let each = self.rate / count(self.edges as u64);
        let (passing, hits) =
            (each * (mix.passed + mix.refused), each * mix.items.iter().map(|item| item.share).sum::<f64>());
        let chosen: Vec<f64> = mix
            .items
            .iter()
            .scan(0.0, |sum, item| {
                Some({
                    *sum += item.share;
                    *sum
                })
            })
            .collect();
        let of_all = chosen.last().copied().unwrap_or_default();
        // After those for items, one for the hits of each edge that have it ask for orders.
        let orders = mix.items.len();
        let mut events: BinaryHeap<Event> = BinaryHeap::new();
        for edge in 0..self.edges {
            for (n, item) in mix.items.iter().enumerate() {
                events.push(Reverse((micros(wait(&mut random, each * item.share)), edge, n)));
            }
            events.push(Reverse((micros(wait(&mut random, hits)), edge, orders)));
        }
        let end = micros(self.warm + self.lasts);
        let (mut extra, mut before) = (0.0, None);
        while let Some(Reverse((at, number, what))) = events.pop().filter(|Reverse((at, ..))| *at < end) {
            if at >= micros(self.warm) && before.is_none() {
                before = Some((totals(&edges, &gateway), extra));
            }
            // From 1970 on: nothing was heard at 0.
            clock.set(START + at / 1000);
            let Some(edge) = edges.get(number) else { continue };
            // What passes through tells it how new its orders are: for the last time so long ago.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "less than a day")]
            let passed = (wait(&mut random, passing) * 1000.0).min(count(at / 1000)) as u64;
            if passed < at / 1000 {
                edge.told(clock.get() - passed);
            }
            let next = if let (Some(request), Some(item)) = (requests.get(what), mix.items.get(what)) {
                let sent = edge.sent_on();
                edge.ask(request);
                let rate = each * item.share;
                if edge.sent_on() > sent {
                    extra += poisson(&mut random, rate * self.flight);
                }
                count(edge.fresh_for(request)) / 1000.0 + wait(&mut random, rate)
            } else {
                let point = random.random::<f64>() * of_all;
                let hit = requests.get(chosen.partition_point(|sum| *sum < point));
                if hit.is_some_and(|request| edge.fresh_for(request) > 0) {
                    edge.hear_now();
                }
                count(edge.knows_for()) / 1000.0 + wait(&mut random, hits)
            };
            events.push(Reverse((at + micros(next).max(1), number, what)));
        }
        let (first, first_extra) = before.unwrap_or_default();
        let last = totals(&edges, &gateway);
        let [asked, news, app, bytes] = std::array::from_fn(|n| last[n] - first[n]);
        let all = self.rate * self.lasts;
        let (passed, refused) = (all * mix.passed, all * mix.refused);
        let for_one = passed.mul_add(mix.passed_bytes, all * mix.refused_bytes);
        Counted {
            all,
            worker: all * (1.0 - mix.files),
            gateway: asked + (extra - first_extra) + news + passed + refused,
            news,
            app: app + passed,
            gateway_bytes: [bytes, for_one],
            visitor_bytes: [
                all * mix.stored_bytes(),
                for_one,
                all * mix.files * mix.file_bytes,
                all * mix.bucket_bytes,
            ],
            held: all * mix.held,
            held_seconds: all * mix.held_seconds,
        }
    }
}

/// Milliseconds since 1970 at which it begins.
const START: u64 = 1_800_000_000_000;

fn totals(edges: &[Place], gateway: &Place) -> [f64; 4] {
    let sum = |figure: fn(&Place) -> u64| edges.iter().map(|edge| count(figure(edge))).sum::<f64>();
    [sum(Place::sent_on), sum(Place::news), count(gateway.sent_on()), sum(Place::bytes)]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a few days, or never")]
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6).min(1e15) as u64
}

/// Seconds until the next of so many a second.
fn wait(random: &mut StdRng, rate: f64) -> f64 {
    if rate <= 0.0 { 1e9 } else { -(1.0 - random.random::<f64>()).ln() / rate }
}

/// How many come where so many are expected.
fn poisson(random: &mut StdRng, expected: f64) -> f64 {
    let (mut many, mut time) = (0.0, wait(random, 1.0));
    while time < expected {
        many += 1.0;
        time += wait(random, 1.0);
    }
    many
}
