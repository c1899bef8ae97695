//! How often one client may do something: the generic cell rate algorithm (ITU-T I.371), by governor. Exact in this gateway, whoever brings
//! the request; a flood of new addresses costs a bounded memory.
//!
//! What is left is said in `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers), and in the app's own
//! `X-RateLimit-Limit` and `X-RateLimit-Remaining` where it has not said so itself.

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use contract::client::household;
use edge::Exchange;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::config::{Rate, RateKey};
use crate::sites::is_below;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const APPS_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const APPS_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");

/// All limits.
#[derive(Debug)]
pub(crate) struct Rates<C: Clock = DefaultClock> {
    all: Vec<Limit<C>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Limit<C: Clock> {
    rate: Rate,
    limiter: RateLimiter<u64, Recent, C, StateInformationMiddleware>,
    refused: AtomicU64,
}

/// The keys that were used last. One that has been forgotten begins anew.
#[derive(Debug)]
struct Recent(Cache<u64, Arc<InMemoryState>>);

impl StateStore for Recent {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.get_with(*key, Arc::default).measure_and_replace(&NotKeyed::NonKey, f)
    }
}

/// What the limits say of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// After how long it may be tried again, where it may not go on.
    pub(crate) wait: Option<Duration>,
    left: Vec<Left>,
}

/// What is left of one limit.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    name: String,
    burst: u32,
    remaining: u32,
    every: Duration,
}

/// Who asks for what.
pub(crate) struct Asked<'a> {
    pub(crate) exchange: &'a Exchange,
    pub(crate) method: &'a Method,
    pub(crate) headers: &'a HeaderMap,
    /// Whether many clients share the address that is known.
    pub(crate) shared: bool,
}

impl Rates {
    pub(crate) fn new(rates: &[Rate]) -> Self {
        Self::with_clock(rates, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(rates: &[Rate], clock: &C) -> Self {
        let limit = |rate: &Rate| {
            let quota = Quota::with_period(rate.every)?.allow_burst(rate.burst);
            // Not by frequency: then a new client would not be remembered at all while many are.
            let recent = Cache::builder().max_capacity(u64::from(rate.keep)).eviction_policy(EvictionPolicy::lru());
            let limiter = RateLimiter::new(quota, Recent(recent.build()), clock.clone());
            Some(Limit { rate: rate.clone(), limiter, refused: AtomicU64::new(0) })
        };
        Self { all: rates.iter().filter_map(limit).collect(), hasher: RandomState::new() }
    }

    /// Counts a request by every limit that it falls under; `None` where it falls under none.
    pub(crate) fn check(&self, asked: &Asked<'_>) -> Option<Verdict> {
        let mut verdict = Verdict::default();
        for limit in &self.all {
            let Some(key) = limit.rate.key(asked, &self.hasher) else { continue };
            let rate = &limit.rate;
            let (remaining, wait) = match limit.limiter.check_key(&key) {
                Ok(state) => (state.remaining_burst_capacity(), None),
                Err(not_until) => {
                    limit.refused.fetch_add(1, Ordering::Relaxed);
                    (0, Some(not_until.wait_time_from(limit.limiter.clock().now())))
                }
            };
            verdict.wait = verdict.wait.max(wait);
            verdict.left.push(Left { name: rate.name.clone(), burst: rate.burst.get(), remaining, every: rate.every });
        }
        (!verdict.left.is_empty()).then_some(verdict)
    }

    /// The names of those that would count a request, which is not counted.
    pub(crate) fn that_count(&self, exchange: &Exchange, method: &Method, headers: &HeaderMap) -> Vec<&str> {
        let asked = Asked { exchange, method, headers, shared: false };
        let counts = |limit: &&Limit<C>| limit.rate.key(&asked, &self.hasher).is_some();
        self.all.iter().filter(counts).map(|limit| limit.rate.name.as_str()).collect()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many requests each has refused.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (&str, u64)> {
        self.all.iter().map(|limit| (limit.rate.name.as_str(), limit.refused.load(Ordering::Relaxed)))
    }
}

impl Rate {
    /// Under which key the request counts, if it does.
    fn key(&self, asked: &Asked<'_>, hasher: &RandomState) -> Option<u64> {
        let Asked { exchange, method, headers, shared } = asked;
        let host = || exchange.authority.rsplit_once(':').map_or(&*exchange.authority, |(host, _)| host);
        let about = (self.methods.is_empty() || self.methods.contains(method))
            && match &self.paths[..] {
                // Monitors ask often, and are never to be told that it is too often, but by a limit of their own.
                [] => exchange.target.path() != contract::HEALTH,
                paths => paths.iter().any(|path| is_below(exchange.target.path(), path)),
            }
            && (self.hosts.is_empty() || self.hosts.iter().any(|known| known == host()));
        let named = !self.by_rule || exchange.limit.as_deref() == Some(&*self.name);
        if !about || !named {
            return None;
        }
        match &self.key {
            RateKey::Client if *shared => None,
            RateKey::Client => Some(hasher.hash_one(household(exchange.visitor.client))),
            // Hashed with a key of this process: what it was is not kept.
            RateKey::Field(name) => headers.get(name).map(|value| hasher.hash_one(value.as_bytes())),
        }
    }
}

impl Verdict {
    /// Says it in an answer.
    pub(crate) fn say(&self, headers: &mut HeaderMap) {
        let (mut limit, mut policy) = (String::new(), String::new());
        for left in &self.left {
            let separator = if limit.is_empty() { "" } else { ", " };
            let missing = left.burst.saturating_sub(left.remaining);
            let whole = |times: u32| left.every.saturating_mul(times).as_millis().div_ceil(1_000);
            // Writing to a String does not fail.
            let _ = write!(limit, "{separator}\"{}\";r={};t={}", left.name, left.remaining, whole(missing));
            let _ = write!(policy, "{separator}\"{}\";q={};w={}", left.name, left.burst, whole(left.burst));
        }
        for (name, value) in [(LIMIT, limit), (POLICY, policy)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        if let Some(least) = self.left.iter().min_by_key(|left| left.remaining) {
            headers.entry(APPS_LIMIT).or_insert_with(|| least.burst.into());
            headers.entry(APPS_REMAINING).or_insert_with(|| least.remaining.into());
        }
        if let Some(wait) = self.wait {
            let seconds = u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, seconds.max(1).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Asked, Rates, Recent};
    use crate::config::{Rate, RateKey};
    use cache::Plan;
    use contract::{Hop, RequestId, Target, Trace};
    use edge::{Exchange, Spent, Visitor};
    use governor::clock::FakeRelativeClock;
    use http::{HeaderMap, HeaderName, HeaderValue, Method};
    use std::time::Duration;

    fn sign_in() -> Rate {
        Rate {
            name: "sign-in".to_owned(),
            hosts: vec!["a.test".to_owned()],
            paths: vec!["/login".to_owned()],
            methods: vec![Method::POST],
            key: RateKey::Client,
            burst: 5.try_into().expect("not zero"),
            every: Duration::from_millis(500),
            keep: 1_000,
            by_rule: false,
        }
    }

    fn exchange(host: &str, path: &str, client: &str) -> Exchange {
        let id = RequestId::from_random([1; 16]);
        Exchange {
            id,
            trace: Trace::at(Hop::First, None, id),
            tracestate: None,
            visitor: Visitor { client: client.parse().expect("an address"), country: None, asn: None },
            secure: true,
            authority: host.into(),
            target: Target::parse(path, 100).expect("a path").into_owned(),
            plan: Plan::Pass(cache::Bypass::Method),
            json: false,
            ruleset: None,
            limit: None,
            cleared: false,
            spent: Spent::default(),
        }
    }

    fn ask(rates: &Rates<FakeRelativeClock>, exchange: &Exchange, shared: bool) -> Option<super::Verdict> {
        rates.check(&Asked { exchange, method: &Method::POST, headers: &HeaderMap::new(), shared })
    }

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let clock = FakeRelativeClock::default();
        let rates = Rates::with_clock(&[sign_in()], &clock);
        let login = exchange("a.test:8443", "/login", "203.0.113.7");
        for remaining in (0..5).rev() {
            let verdict = ask(&rates, &login, false).expect("counted");
            assert_eq!((verdict.wait, verdict.left[0].remaining), (None, remaining));
        }
        let refused = ask(&rates, &login, false).expect("counted");
        assert_eq!(refused.wait, Some(Duration::from_millis(500)));
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-limit", HeaderValue::from_static("7"));
        refused.say(&mut headers);
        let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(said("ratelimit"), "\"sign-in\";r=0;t=3");
        assert_eq!(said("ratelimit-policy"), "\"sign-in\";q=5;w=3");
        assert_eq!((said("retry-after"), said("x-ratelimit-remaining")), ("1", "0"));
        assert_eq!(said("x-ratelimit-limit"), "7", "what the app has said stays");
        // Two a second from now on.
        for _ in 0..4 {
            clock.advance(Duration::from_millis(500));
            assert_eq!(ask(&rates, &login, false).expect("counted").wait, None);
            assert!(ask(&rates, &login, false).expect("counted").wait.is_some());
        }
        assert_eq!(rates.refused().collect::<Vec<_>>(), [("sign-in", 5)]);
        // Another client, and another of the same /64.
        for (client, counted) in
            [("203.0.113.8", 4), ("2001:db8::1", 4), ("2001:db8::ffff:1", 3), ("2001:db8:0:1::1", 4)]
        {
            let verdict = ask(&rates, &exchange("a.test", "/login", client), false).expect("counted");
            assert_eq!(verdict.left[0].remaining, counted, "{client}");
        }
    }

    #[test]
    fn what_it_is_not_about_is_not_counted() {
        let rates = Rates::with_clock(&[sign_in()], &FakeRelativeClock::default());
        for (host, path) in [("b.test", "/login"), ("a.test", "/log"), ("a.test", "/logins")] {
            assert_eq!(ask(&rates, &exchange(host, path, "::1"), false), None, "{host}{path}");
        }
        let login = exchange("a.test", "/login/again", "::1");
        let get = Asked { exchange: &login, method: &Method::GET, headers: &HeaderMap::new(), shared: false };
        assert_eq!(rates.check(&get), None);
        // An address that many share locks nobody out.
        assert_eq!(ask(&rates, &login, true), None);
        assert!(ask(&rates, &login, false).is_some());
    }

    #[test]
    fn health_is_counted_by_limits_that_name_it_only() {
        let named = |paths: &[&str]| {
            let paths = paths.iter().map(|path| (*path).to_owned()).collect();
            let rates = Rates::with_clock(&[Rate { paths, ..sign_in() }], &FakeRelativeClock::default());
            ask(&rates, &exchange("a.test", "/api/health", "::1"), false).is_some()
        };
        assert_eq!((named(&[]), named(&["/login"]), named(&["/api"])), (false, false, true));
        let rates = Rates::with_clock(&[Rate { paths: Vec::new(), ..sign_in() }], &FakeRelativeClock::default());
        assert!(ask(&rates, &exchange("a.test", "/api/healthy", "::1"), false).is_some());
    }

    #[test]
    fn a_limit_that_a_rule_names_counts_what_the_rule_sends() {
        let rates = Rates::with_clock(&[Rate { by_rule: true, ..sign_in() }], &FakeRelativeClock::default());
        let sent =
            |limit: Option<&str>| Exchange { limit: limit.map(Into::into), ..exchange("a.test", "/login", "::1") };
        assert_eq!(ask(&rates, &sent(None), false), None);
        assert_eq!(ask(&rates, &sent(Some("other")), false), None);
        assert!(ask(&rates, &sent(Some("sign-in")), false).is_some());
    }

    #[test]
    fn by_a_field_and_two_at_once() {
        let token = Rate {
            key: RateKey::Field(HeaderName::from_static("authorization")),
            burst: 1.try_into().expect("one"),
            name: "api".to_owned(),
            ..sign_in()
        };
        let rates = Rates::with_clock(&[token, sign_in()], &FakeRelativeClock::default());
        let login = exchange("a.test", "/login", "::1");
        let ask = |token: &'static str| {
            let headers =
                HeaderMap::from_iter([(HeaderName::from_static("authorization"), HeaderValue::from_static(token))]);
            rates
                .check(&Asked { exchange: &login, method: &Method::POST, headers: &headers, shared: false })
                .expect("counted")
        };
        assert_eq!((ask("a").wait, ask("b").wait), (None, None));
        let third = ask("a");
        assert_eq!(third.wait, Some(Duration::from_millis(500)));
        assert_eq!(third.left.iter().map(|left| left.remaining).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn a_flood_of_addresses_costs_bounded_memory() {
        let rates = Rates::with_clock(&[sign_in()], &FakeRelativeClock::default());
        for n in 0..20_000_u32 {
            let client = std::net::Ipv4Addr::from(n).to_string();
            assert_eq!(ask(&rates, &exchange("a.test", "/login", &client), false).expect("counted").wait, None);
        }
        let Recent(kept) = rates.all.into_iter().next().expect("one").limiter.into_state_store();
        kept.run_pending_tasks();
        assert_eq!(kept.entry_count(), 1_000);
    }
}
