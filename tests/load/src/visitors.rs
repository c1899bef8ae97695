//! Who sends the request that is due: visitors who have finished thinking, else one who just came. The rate is the scenario's, so that a
//! server that answers late changes nothing of it; how many visitors there are follows from the rate and how long they think.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;

use crate::scenario::{Scenario, Step, Visitor};
use crate::way::{Line, Way};

/// One visitor.
pub(crate) struct Guest {
    kind: usize,
    /// How many of its requests have left.
    done: usize,
    line: Line,
    /// Which session it has, where it is signed in.
    session: u64,
}

/// What to send.
pub(crate) struct Turn {
    pub(crate) kind: usize,
    pub(crate) step: usize,
    pub(crate) line: Line,
    pub(crate) session: u64,
}

/// A kind, ready to be drawn from.
struct Kind {
    /// Its steps, each as often as it is to be done.
    steps: Vec<usize>,
    think: (Duration, Duration),
    /// Sum of the shares up to this one.
    up_to: f64,
    /// By when they have finished thinking.
    thinking: BinaryHeap<Reverse<(Instant, u64)>>,
    guests: BTreeMap<u64, Guest>,
}

/// All of them.
pub(crate) struct Visitors {
    kinds: Vec<Kind>,
    way: Arc<Way>,
    most: usize,
    came: u64,
    /// Requests that were sent by who should still have thought, because nobody more may come.
    pub(crate) hurried: u64,
}

impl Visitors {
    pub(crate) fn new(scenario: &Scenario, way: Arc<Way>) -> Self {
        let mut sum = 0.0;
        let kind = |visitor: &Visitor| {
            sum += visitor.share;
            Kind {
                steps: flattened(&visitor.step),
                think: (visitor.think[0].0, visitor.think[1].0),
                up_to: sum,
                thinking: BinaryHeap::new(),
                guests: BTreeMap::new(),
            }
        };
        let kinds = scenario.visitor.iter().map(kind).collect();
        Self { kinds, way, most: scenario.bounds.visitors, came: 0, hurried: 0 }
    }

    /// How many are here.
    pub(crate) fn here(&self) -> usize {
        self.kinds.iter().map(|kind| kind.guests.len()).sum()
    }

    /// Whose turn it is for a request that is due now.
    pub(crate) fn next(&mut self, due: Instant, rng: &mut impl Rng) -> Option<Turn> {
        let full = self.here() >= self.most;
        let all = self.kinds.last()?.up_to;
        let at = rng.random_range(0.0..all);
        let place = self.kinds.partition_point(|kind| kind.up_to <= at);
        let kind = self.kinds.get_mut(place)?;
        let ready = kind.thinking.peek().is_some_and(|Reverse((when, _))| *when <= due);
        // Where nobody more may come, and nobody of this kind is here, one comes all the same: there are as many kinds too many at most.
        let waits = ready || (full && !kind.thinking.is_empty());
        let number = if waits {
            self.hurried += u64::from(!ready);
            let Reverse((_, number)) = kind.thinking.pop()?;
            number
        } else {
            self.came += 1;
            let guest = Guest { kind: place, done: 0, line: self.way.visitor(self.came), session: self.came };
            kind.guests.insert(self.came, guest);
            self.came
        };
        let guest = kind.guests.get_mut(&number)?;
        let step = *kind.steps.get(guest.done)?;
        guest.done += 1;
        let turn = Turn { kind: guest.kind, step, line: guest.line.clone(), session: guest.session };
        if guest.done == kind.steps.len() {
            kind.guests.remove(&number);
        } else {
            let (least, most) = kind.think;
            let thinks = if most.is_zero() { most } else { rng.random_range(least..=most) };
            kind.thinking.push(Reverse((due + thinks, number)));
        }
        Some(turn)
    }
}

fn flattened(steps: &[Step]) -> Vec<usize> {
    let times = |(place, step): (usize, &Step)| vec![place; step.times as usize];
    steps.iter().enumerate().flat_map(times).collect()
}
