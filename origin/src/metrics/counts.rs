//! What each core counts for itself. What a count belongs to (a site, an upstream) is a number that was given out when the
//! configuration was read, so that counting is an addition at a known place.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;

use super::conventions::{ByMethod, Durations, Known, Labels};
use super::tally::{Tally, Times};
use crate::trust::Trusted;

/// The counts of one core.
#[derive(Debug)]
pub(crate) struct Counts {
    /// By the site's number; the last is for requests that belong to none.
    pub(super) sites: Box<[SiteCounts]>,
    /// By the app's number.
    pub(crate) apps: Box<[AppCounts]>,
    /// By the upstream's number among those of all apps.
    pub(crate) upstreams: Box<[UpstreamCounts]>,
    /// The series of requests by site, which all cores have together.
    known: Arc<[Known]>,
    /// Requests whose head has been read.
    pub(super) begun: ByMethod,
    /// Requests whose answer has ended, in whatever way.
    pub(super) ended: ByMethod,
    /// Bytes of requests' bodies.
    pub(crate) uploaded: Tally,
    /// Connections from clients.
    pub(crate) connections: Tally,
    /// TLS handshakes that succeeded.
    pub(crate) handshakes: Tally,
    /// What is rare, by kind and reason. Reasons are words of ours, so there are few.
    events: Mutex<Vec<(Event, &'static str, u64)>>,
    /// What the filter's rules did, by rule and action. Rules have names in the configuration, so there are few; those that hold for a
    /// while come and go.
    filtered: Mutex<Vec<(Box<str>, &'static str, u64)>>,
}

/// Rules that are counted by name, at most.
const MOST_RULES: usize = 1_000;

/// Something rare that has reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// We answered in place of the app.
    Problem,
    /// Work was refused because there was too much of it.
    Shed,
    /// A connection was closed before it could say anything.
    ConnectionRefused,
    /// A TLS handshake failed.
    Handshake,
    /// A request was not well framed.
    Offence,
    /// A request's handling panicked.
    Panic,
}

/// A site's counts, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct SiteCounts {
    /// By trust (the last is for what was refused) and by the status's first digit, less one.
    pub(super) requests: [[Tally; 5]; TRUST.len()],
    /// By what the cache did.
    pub(super) cache: [Tally; CACHE.len()],
    pub(super) head: Times,
    pub(super) durations: Durations,
    pub(super) bytes: Tally,
    pub(super) cut: Tally,
}

/// How a request came, as a label. What was refused is not known to have come in any of the other ways.
pub(super) const TRUST: [&str; 4] = ["edge-signed", "cloudflare", "direct", "refused"];
/// What the cache did, as a label: `cache::Phase`'s words. `none`, last, is for what it was not asked for.
pub(super) const CACHE: [&str; 10] =
    ["hit", "stale", "validated", "collapsed", "partial", "miss", "expired", "reload", "bypass", "none"];

/// An app's counts.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct AppCounts {
    /// From sending a request to the head of its answer.
    pub(crate) answers: Times,
    /// Requests that were held.
    pub(crate) held: Tally,
}

/// An upstream's counts.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct UpstreamCounts {
    /// Connections that were opened, and of these, how many have ended.
    pub(crate) opened: Tally,
    pub(crate) closed: Tally,
    failures: [Tally; Failure::ALL.len()],
    pub(crate) ejections: Tally,
    /// Requests that went out once more after this upstream broke off, and those for which the budget had nothing left.
    pub(crate) retries: Tally,
    pub(crate) retries_refused: Tally,
}

/// How an upstream failed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It refuses connections.
    Refused,
    /// It does not accept a connection in time.
    ConnectTimeout,
    /// It can't be connected to for another reason.
    Connect,
    /// It does not answer in time.
    Timeout,
    /// The connection ended before the answer.
    BrokeOff,
    /// What it answered is not HTTP.
    Invalid,
}

impl Failure {
    /// All of them.
    pub(super) const ALL: [Self; 6] =
        [Self::Refused, Self::ConnectTimeout, Self::Connect, Self::Timeout, Self::BrokeOff, Self::Invalid];

    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::BrokeOff => "broke-off",
            Self::Invalid => "invalid",
        }
    }
}

/// What is counted of a request when its answer has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    /// The number of its site; `None` where it belongs to none.
    pub(crate) site: Option<usize>,
    pub(crate) method: &'a Method,
    /// Whether the client speaks TLS.
    pub(crate) secure: bool,
    /// How it came; `None` where it was refused.
    pub(crate) trust: Option<Trusted>,
    pub(crate) status: u16,
    /// Why we answered in place of the app; empty where we did not.
    pub(crate) reason: &'static str,
    pub(crate) cache: &'static str,
    /// Until the head of the answer was there, and until its end.
    pub(crate) head: Duration,
    pub(crate) total: Duration,
    /// Bytes of the answer's body.
    pub(crate) bytes: u64,
    /// Whether it broke off.
    pub(crate) cut: bool,
}

impl Counts {
    /// With the series of each site, and of requests that belong to none.
    pub(super) fn new(known: Arc<[Known]>, apps: usize, upstreams: usize) -> Self {
        fn none<T: Default>(n: usize) -> Box<[T]> {
            std::iter::repeat_with(T::default).take(n).collect()
        }
        Self {
            sites: none(known.len()),
            known,
            apps: none(apps),
            upstreams: none(upstreams),
            begun: ByMethod::default(),
            ended: ByMethod::default(),
            uploaded: Tally::default(),
            connections: Tally::default(),
            handshakes: Tally::default(),
            events: Mutex::default(),
            filtered: Mutex::default(),
        }
    }

    /// Counts a request whose head has been read.
    pub(crate) fn begun(&self, method: &Method, secure: bool) {
        self.begun.count(method, secure);
    }

    /// Counts a request whose answer has ended.
    pub(crate) fn request(&self, ended: &Ended<'_>) {
        self.ended.count(ended.method, ended.secure);
        let last = self.sites.len() - 1;
        let number = ended.site.unwrap_or(last).min(last);
        let site = &self.sites[number];
        let trust = match ended.trust {
            Some(Trusted::EdgeSigned) => 0,
            Some(Trusted::Cloudflare) => 1,
            Some(Trusted::Direct) => 2,
            None => 3,
        };
        let class = usize::from(ended.status / 100).clamp(1, 5) - 1;
        site.requests[trust][class].add(1);
        let cache = CACHE.iter().position(|word| *word == ended.cache).unwrap_or(CACHE.len() - 1);
        site.cache[cache].add(1);
        site.head.took(ended.head);
        let key = Labels::key(ended.method, ended.secure, ended.status, ended.reason, ended.cut);
        site.durations.of(&self.known[number], key).took(ended.total);
        site.bytes.add(ended.bytes);
        site.cut.add(u64::from(ended.cut));
    }

    /// Counts something rare.
    pub(crate) fn event(&self, event: Event, reason: &'static str) {
        // Only a scrape ever takes the lock from another thread.
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        match events.iter_mut().find(|(kind, word, _)| *kind == event && *word == reason) {
            Some((.., count)) => *count += 1,
            None => events.push((event, reason, 1)),
        }
    }

    /// Counts what a rule of the filter did.
    pub(crate) fn filtered(&self, rule: &str, action: &'static str) {
        let mut filtered = self.filtered.lock().unwrap_or_else(PoisonError::into_inner);
        let room = filtered.len() < MOST_RULES;
        match filtered.iter_mut().find(|(name, word, _)| **name == *rule && *word == action) {
            Some((.., count)) => *count += 1,
            None if room => filtered.push((rule.into(), action, 1)),
            None => {}
        }
    }

    pub(super) fn all_filtered(&self) -> Vec<(Box<str>, &'static str, u64)> {
        self.filtered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn events(&self) -> Vec<(Event, &'static str, u64)> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl UpstreamCounts {
    pub(super) const fn failures(&self, failure: Failure) -> &Tally {
        &self.failures[failure as usize]
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, failure: Failure) {
        self.failures(failure).add(1);
    }
}

thread_local! {
    static HERE: OnceCell<Arc<Counts>> = const { OnceCell::new() };
}

/// From now on this thread counts in `counts`, which no other thread may.
pub(super) fn count_in(counts: Arc<Counts>) {
    HERE.with(|here| drop(here.set(counts)));
}

/// Counts for this core. On a thread that is none, as the control plane's, nothing is counted.
pub(crate) fn count(of: impl FnOnce(&Counts)) {
    // At a thread's very end there is nothing to count in any more.
    let _ = HERE.try_with(|here| here.get().map(|counts| of(counts)));
}

/// Counts something rare for this core.
pub(crate) fn event(event: Event, reason: &'static str) {
    count(|counts| counts.event(event, reason));
}

#[cfg(test)]
mod tests {
    use super::{CACHE, Counts, Ended, Event, Failure, Known, Method, TRUST};
    use crate::trust::Trusted;
    use std::sync::Arc;
    use std::time::Duration;

    const ENDED: Ended<'static> = Ended {
        site: Some(0),
        method: &Method::GET,
        secure: true,
        trust: Some(Trusted::Direct),
        status: 200,
        reason: "",
        cache: "hit",
        head: Duration::from_millis(3),
        total: Duration::from_millis(4),
        bytes: 7,
        cut: false,
    };

    #[test]
    fn a_request_is_counted_where_it_belongs() {
        let counts = Counts::new(Arc::new([Known::default(), Known::default(), Known::default()]), 1, 1);
        counts.request(&ENDED);
        counts.request(&Ended { site: None, trust: None, status: 421, cache: "none", ..ENDED });
        counts.request(&Ended { site: Some(99), status: 999, cut: true, ..ENDED });
        assert_eq!(counts.sites[0].requests[2][1].get(), 1);
        assert_eq!(counts.sites[0].cache[0].get(), 1);
        assert_eq!(counts.sites[2].requests[3][3].get(), 1, "no site, refused, 4xx");
        assert_eq!(counts.sites[2].requests[2][4].get(), 1, "a site that is none");
        assert_eq!((counts.sites[2].cut.get(), counts.sites[2].bytes.get()), (1, 14));
        assert_eq!(counts.ended.at(3, 1).get(), 3);
    }

    #[test]
    fn the_labels_are_the_words_of_what_they_stand_for() {
        for (n, trusted) in [Trusted::EdgeSigned, Trusted::Cloudflare, Trusted::Direct].iter().enumerate() {
            assert_eq!(TRUST[n], trusted.as_str());
        }
        for (n, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, n, "{}", failure.as_str());
        }
        for word in cache::Phase::WORDS {
            assert!(CACHE.contains(&word), "{word}");
        }
    }

    #[test]
    fn events_are_counted_by_kind_and_reason() {
        let counts = Counts::new(Arc::new([Known::default()]), 0, 0);
        for (event, reason) in [(Event::Shed, "a"), (Event::Shed, "b"), (Event::Problem, "a"), (Event::Shed, "a")] {
            counts.event(event, reason);
        }
        assert_eq!(counts.events(), [(Event::Shed, "a", 2), (Event::Shed, "b", 1), (Event::Problem, "a", 1)]);
    }
}
