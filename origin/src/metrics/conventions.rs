//! Requests as OpenTelemetry's semantic conventions for HTTP have them: by method, scheme, status and error. What a client chooses is no label: methods
//! are those that the conventions know, and a site has so many series and no more ([`SERIES`]).

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use contract::Problem;
use http::Method;

use super::tally::{Tally, Times};

/// Series of a site, at most: what is beyond them is counted in one more, `otel_metric_overflow`. An ordinary site has ten.
pub(super) const SERIES: usize = 64;
/// Those of them that are kept for failures: clients choose methods, and what they choose is not to hide that the app is down.
const FAILURES: usize = 16;

/// The methods, as labels; `_OTHER` for all that are not known.
pub(super) const METHODS: [&str; 10] =
    ["_OTHER", "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
/// The schemes.
pub(super) const SCHEMES: [&str; 2] = ["http", "https"];

/// The answer's body broke off: an error without a status that says so.
pub(super) const BROKE_OFF: &str = "broke-off";

/// What a request is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) method: &'static str,
    pub(super) scheme: &'static str,
    pub(super) status: u16,
    /// A problem's code, or that its body broke off. The status, where that alone says it.
    pub(super) error: Option<&'static str>,
}

impl Labels {
    /// Of a request whose answer has ended: `reason` is a problem's code, or empty.
    pub(super) fn key(method: &Method, secure: bool, status: u16, reason: &str, cut: bool) -> Key {
        let problem = || Problem::ALL.iter().position(|problem| problem.as_str() == reason).map(|n| n + 2);
        let error = match status {
            _ if cut => 1,
            500.. if !reason.is_empty() => problem().unwrap_or(0),
            _ => 0,
        };
        let status = u32::from(status.min(1023));
        let error = u32::try_from(error).unwrap_or(0);
        Key(KNOWN | error << 16 | status << 6 | (of_method(method) as u32) << 1 | u32::from(secure))
    }
}

/// The same in one number, which is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u32);

const KNOWN: u32 = 1 << 31;

impl Key {
    fn labels(self) -> Labels {
        let Self(key) = self;
        let status = (key >> 6 & 1023) as u16;
        let error = match (key >> 16 & 0x7fff) as usize {
            0 => None,
            1 => Some(BROKE_OFF),
            n => Problem::ALL.get(n - 2).map(|problem| problem.as_str()),
        };
        let method = METHODS.get((key >> 1 & 31) as usize).copied().unwrap_or(METHODS[0]);
        Labels { method, scheme: SCHEMES[(key & 1) as usize], status, error }
    }
}

/// A method's place in [`METHODS`].
pub(super) fn of_method(method: &Method) -> usize {
    match *method {
        Method::GET => 3,
        Method::POST => 7,
        Method::HEAD => 4,
        _ => METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(0),
    }
}

/// Which series a site has, for all cores.
#[derive(Debug)]
pub(super) struct Known([AtomicU32; SERIES]);

impl Default for Known {
    fn default() -> Self {
        Self([const { AtomicU32::new(0) }; SERIES])
    }
}

impl Known {
    /// The place of a series; [`SERIES`] where there is no more room for it.
    fn place(&self, key: Key) -> usize {
        let Key(key) = key;
        let from = (key ^ key >> 7 ^ key >> 14) as usize;
        let failed = (key >> 6) & 1023 >= 500 || (key >> 16) & 0x7fff != 0;
        let (first, room) = if failed { (SERIES - FAILURES, FAILURES) } else { (0, SERIES - FAILURES) };
        let places = (0..room).map(|n| first + (from + n) % room);
        let is_its = |place: &usize| {
            let known = &self.0[*place];
            match known.load(Ordering::Relaxed) {
                0 => match known.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => true,
                    Err(other) => other == key,
                },
                other => other == key,
            }
        };
        places.into_iter().find(is_its).unwrap_or(SERIES)
    }

    /// Each series' labels with its place; `None` for what is beyond them.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, Option<Labels>)> {
        let known = self.0.iter().map(|key| Key(key.load(Ordering::Relaxed))).enumerate();
        let known = known.filter(|(_, key)| *key != Key(0)).map(|(place, key)| (place, Some(key.labels())));
        known.chain([(SERIES, None)])
    }
}

/// How long a site's requests took on one core, by series.
#[derive(Debug)]
pub(super) struct Durations([OnceLock<Box<Times>>; SERIES + 1]);

impl Default for Durations {
    fn default() -> Self {
        Self([const { OnceLock::new() }; SERIES + 1])
    }
}

impl Durations {
    /// Those of a request.
    pub(super) fn of(&self, known: &Known, key: Key) -> &Times {
        self.0[known.place(key)].get_or_init(Box::default)
    }

    /// Those at a place, if any are there.
    pub(super) fn at(&self, place: usize) -> Option<&Times> {
        self.0[place].get().map(|times| &**times)
    }
}

/// Requests, by what is known of one when it comes.
#[derive(Debug, Default)]
pub(super) struct ByMethod([[Tally; METHODS.len()]; SCHEMES.len()]);

impl ByMethod {
    pub(super) fn count(&self, method: &Method, secure: bool) {
        self.at(of_method(method), usize::from(secure)).add(1);
    }

    pub(super) const fn at(&self, method: usize, scheme: usize) -> &Tally {
        &self.0[scheme][method]
    }
}

#[cfg(test)]
mod tests {
    use super::{BROKE_OFF, Durations, Known, Labels, METHODS, SERIES, of_method};
    use contract::Problem;
    use http::Method;
    use std::time::Duration;

    #[test]
    fn a_key_has_the_labels_that_it_was_made_of() {
        for (n, method) in METHODS.iter().enumerate() {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            assert_eq!(of_method(&method), n);
        }
        assert_eq!(of_method(&Method::from_bytes(b"BREW").expect("a method")), 0);
        let labels = |method: &Method, secure, status, reason, cut| {
            let Labels { method, scheme, status, error } = Labels::key(method, secure, status, reason, cut).labels();
            (method, scheme, status, error)
        };
        assert_eq!(labels(&Method::GET, true, 200, "", false), ("GET", "https", 200, None));
        assert_eq!(labels(&Method::PUT, false, 200, "", true), ("PUT", "http", 200, Some(BROKE_OFF)));
        assert_eq!(labels(&Method::GET, false, 404, "not-found", false), ("GET", "http", 404, None));
        assert_eq!(labels(&Method::GET, false, 999, "nothing of ours", false), ("GET", "http", 999, None));
        for problem in Problem::ALL.into_iter().filter(|problem| problem.status() >= 500) {
            let said = labels(&Method::GET, false, problem.status(), problem.as_str(), false);
            assert_eq!(said, ("GET", "http", problem.status(), Some(problem.as_str())));
        }
    }

    #[test]
    fn a_site_has_so_many_series_and_no_more() {
        let (known, durations) = (Known::default(), Durations::default());
        let count = |method: &str, status: u16| {
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            durations.of(&known, Labels::key(&method, true, status, "", false)).took(Duration::ZERO);
        };
        for _ in 0..2 {
            for method in METHODS {
                for status in 100..600 {
                    count(method, status);
                }
            }
        }
        let all: Vec<_> = known.all().filter(|(place, _)| durations.at(*place).is_some()).collect();
        assert_eq!((all.len(), all[SERIES]), (SERIES + 1, (SERIES, None)));
        let sum = |place: usize| {
            let mut sum = crate::metrics::tally::Sum::default();
            durations.at(place).into_iter().for_each(|times| sum.add(times));
            sum.count()
        };
        assert!((0..SERIES).all(|place| sum(place) == 2));
        assert_eq!(sum(SERIES), 2 * (10 * 500 - SERIES as u64));
    }
}
