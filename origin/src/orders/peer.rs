//! What two gateways behind one balancer know of each other's orders. Pure: who calls says what time it is.
//!
//! Edges reach now one gateway, now the other, and may not have to tell them apart: what either tells them has to be the beginning of one
//! and the same sequence. So an order is told to edges when both gateways know all up to its number. Each asks the other what it does not know
//! yet ([`POLL`]) and says by that what it knows; and whoever answers promises to give no number any more up to the one that it names.
//!
//! While the other says nothing, orders are told without it. What was ordered in that time is ordered once more when it is there again: it
//! may have served what it did not know to be purged.

use std::time::Duration;

/// How often the other is asked.
pub(super) const POLL: Duration = Duration::from_millis(200);
/// After so long without a word of the other orders are told without it.
pub(super) const SILENT: Duration = Duration::from_secs(1);

/// What is known of the other gateway. Times are since any one moment.
#[derive(Debug)]
pub(super) struct Peer {
    /// Our newest order when we began.
    begun: u64,
    /// All its orders up to this number are known here, and it gives none below any more.
    heard: u64,
    heard_at: Duration,
    /// It knows all our orders up to this number.
    acknowledged: u64,
    asked_at: Duration,
    /// We have promised to give no number up to this one any more.
    promised: u64,
    /// Up to this number edges are told.
    told: u64,
    /// While it says nothing: up to this number both knew all.
    alone: Option<u64>,
}

/// What has changed between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Same,
    /// It has been silent for too long.
    Left,
    /// It is there again: what has a number above this one is to be ordered once more.
    Back(u64),
}

impl Peer {
    /// Begins at a moment, with what we know from before.
    pub(super) fn new(newest: u64, at: Duration) -> Self {
        Self {
            begun: newest,
            heard: 0,
            heard_at: at,
            acknowledged: 0,
            asked_at: at,
            promised: newest,
            told: 0,
            alone: None,
        }
    }

    /// What a new order's number has to be above, at a time in milliseconds.
    pub(super) fn floor(&self, now: u64) -> u64 {
        self.promised.max(now.saturating_sub(1))
    }

    /// The other asks for what is above `after`: all up to there it knows. Gives what is promised to it.
    pub(super) fn asked(&mut self, after: u64, newest: u64, now: u64, at: Duration) -> u64 {
        (self.acknowledged, self.asked_at) = (after, at);
        self.promised = self.floor(now).max(newest);
        self.promised
    }

    /// The other has told all that it knows, and has promised.
    pub(super) fn heard(&mut self, promised: u64, at: Duration) {
        (self.heard, self.heard_at) = (promised, at);
    }

    /// Decides anew up to which number edges are told.
    pub(super) fn settle(&mut self, newest: u64, at: Duration) -> Turn {
        let lately = |then: Duration| at.saturating_sub(then) < SILENT;
        if lately(self.heard_at) && lately(self.asked_at) {
            self.told = self.told.max(newest.min(self.heard).min(self.acknowledged));
            return self.alone.take().map_or(Turn::Same, Turn::Back);
        }
        let turn = if self.alone.is_none() { Turn::Left } else { Turn::Same };
        self.alone.get_or_insert(self.told.max(self.begun));
        self.told = self.told.max(newest);
        turn
    }

    /// Up to which number edges are told.
    pub(super) fn told(&self) -> u64 {
        self.told
    }

    /// Whether it says nothing.
    pub(super) fn is_silent(&self) -> bool {
        self.alone.is_some()
    }
}

#[cfg(test)]
mod tests;
