//! How an app and its upstreams are, for whoever looks from outside.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::app::{App, Queue};

/// How an app is.
#[derive(Debug)]
pub(crate) struct AppState {
    /// Requests that are with it until the heads of their answers, and how many may be.
    pub(crate) in_flight: u32,
    pub(crate) limit: u32,
    /// Whether its requests time out one after the other, so that few may be with it.
    pub(crate) stalled: bool,
    pub(crate) upstreams: Vec<UpstreamState>,
}

/// How an upstream is.
#[derive(Debug)]
pub(crate) struct UpstreamState {
    /// Its number among the upstreams of all apps.
    pub(crate) series: usize,
    pub(crate) address: String,
    /// What the choice among several knows of it; `None` where there is no choice.
    pub(crate) member: Option<MemberState>,
    pub(crate) last_error: Option<LastError>,
}

/// What the choice among several upstreams knows of one.
#[derive(Debug)]
pub(crate) struct MemberState {
    pub(crate) weight: u32,
    pub(crate) in_flight: u32,
    pub(crate) failures_in_a_row: u32,
    /// For how long it gets no requests yet.
    pub(crate) ejected_for: Option<Duration>,
    /// Whether its checks fail.
    pub(crate) ill: bool,
}

/// What went wrong with an upstream the last time.
#[derive(Clone, Debug)]
pub(crate) struct LastError {
    pub(crate) at: Instant,
    pub(crate) what: String,
}

impl App {
    /// Its number among all apps.
    pub(crate) const fn number(&self) -> usize {
        self.number
    }

    /// The numbers of its upstreams among those of all apps.
    pub(crate) fn series(&self) -> Range<usize> {
        let first = self.upstreams.first().map_or(0, |upstream| upstream.series);
        first..first + self.upstreams.len()
    }

    /// How it is at `now`.
    pub(crate) fn state(&self, now: Instant) -> AppState {
        let (in_flight, limit, stalled) = self.concurrency.state();
        let mut members = self.members(now).into_iter();
        let upstreams = self.upstreams.iter().map(|upstream| UpstreamState {
            series: upstream.series,
            address: upstream.address.to_string(),
            member: members.next(),
            last_error: upstream.last_error(),
        });
        AppState { in_flight, limit, stalled, upstreams: upstreams.collect() }
    }

    /// Requests that are held, of all apps.
    pub(crate) fn held(&self) -> u32 {
        self.queue.held()
    }
}

impl MemberState {
    /// Whether it gets requests.
    pub(crate) const fn available(&self) -> bool {
        self.ejected_for.is_none() && !self.ill
    }
}

impl Queue {
    fn held(&self) -> u32 {
        self.held.load(Ordering::Relaxed)
    }
}
