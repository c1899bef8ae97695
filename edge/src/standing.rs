//! Standing orders: what the operator has ordered that holds until it is ordered otherwise. The gateway keeps them, edges follow them
//! ([`crate::following`]). Each is one line of text without a tab, as it goes over the wire and into the gateway's file:
//!
//! ```text
//! maintenance retry=600 allow=203.0.113.0/24,2001:db8::/64 host=makenot.work
//! until 1796000000 rule flood block:403 address=203.0.113.0/24
//! ```
//!
//! A rule is one of the filter's ([`crate::filter`]), with the time in seconds at which it ends, where it does. The gateway withdraws it then.
//!
//! Lines that are not understood are for a newer version, and are kept as they are.

use std::fmt;
use std::net::IpAddr;

use crate::filter::Rule;
use crate::filter::ranges::Ranges;

/// Seconds after which a visitor may try again, where the order says nothing.
pub const RETRY: u32 = 300;

/// What holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its number, among those of purges.
    pub at: u64,
    /// Which sites are being worked on.
    pub maintenance: Vec<Maintenance>,
    /// Rules that are asked before all others.
    pub rules: Vec<Rule>,
    /// When they end, for each.
    until: Vec<Option<u64>>,
    /// Lines that were not understood.
    others: Vec<Box<str>>,
}

/// A site, or all, is being worked on: visitors are told so, before the cache and before the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// Seconds after which a visitor may try again.
    pub retry: u32,
    /// Who is let in all the same.
    pub allow: Ranges,
    /// The hosts it is about; none for all.
    pub hosts: Vec<Box<str>>,
}

impl Standing {
    /// From its number and its lines.
    #[must_use]
    pub fn new<'a>(at: u64, lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut own = Self { at, ..Self::default() };
        for line in lines {
            if let Some(maintenance) = line.strip_prefix("maintenance").and_then(Maintenance::parse) {
                own.maintenance.push(maintenance);
            } else if let Some((until, rule)) = read_rule(line) {
                own.add(rule, until);
            } else {
                own.others.push(line.into());
            }
        }
        own
    }

    /// The lines.
    #[must_use]
    pub fn lines(&self) -> Vec<Box<str>> {
        let maintenance = self.maintenance.iter().map(|order| order.to_string().into());
        let rules = self.rules.iter().zip(&self.until).map(|(rule, until)| match until {
            Some(until) => format!("until {until} {rule}").into(),
            None => rule.to_string().into(),
        });
        maintenance.chain(rules).chain(self.others.iter().cloned()).collect()
    }

    /// Adds a rule, in place of one of the same name; until when, in seconds since 1970.
    pub fn add(&mut self, rule: Rule, until: Option<u64>) {
        self.withdraw(&rule.name);
        self.rules.push(rule);
        self.until.push(until);
    }

    /// Takes a rule out; whether it was there.
    pub fn withdraw(&mut self, name: &str) -> bool {
        let before = self.rules.len();
        self.keep(|rule, _| &*rule.name != name);
        self.rules.len() < before
    }

    /// Whether a rule has ended by now.
    #[must_use]
    pub fn has_ended(&self, now: u64) -> bool {
        self.until.iter().any(|until| until.is_some_and(|until| until <= now))
    }

    /// Takes those out that have ended by now.
    pub fn expire(&mut self, now: u64) {
        self.keep(|_, until| until.is_none_or(|until| until > now));
    }

    fn keep(&mut self, fits: impl Fn(&Rule, Option<u64>) -> bool) {
        let all = std::mem::take(&mut self.rules).into_iter().zip(std::mem::take(&mut self.until));
        (self.rules, self.until) = all.filter(|(rule, until)| fits(rule, *until)).unzip();
    }

    /// The rules, and until when each holds.
    pub fn rules_until(&self) -> impl Iterator<Item = (&Rule, Option<u64>)> {
        self.rules.iter().zip(self.until.iter().copied())
    }

    /// Whether a visitor of a host is to come back later: after how many seconds.
    #[must_use]
    pub fn closed(&self, authority: &str, client: IpAddr) -> Option<u32> {
        let host = authority.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let host = host.map_or(authority, |(host, _)| host);
        let about = |order: &&Maintenance| order.hosts.is_empty() || order.hosts.iter().any(|one| &**one == host);
        let closed = |order: &&Maintenance| !order.allow.has(client);
        self.maintenance.iter().filter(about).find(closed).map(|order| order.retry)
    }
}

fn read_rule(line: &str) -> Option<(Option<u64>, Rule)> {
    let (until, line) = match line.strip_prefix("until ") {
        Some(rest) => {
            let (until, line) = rest.split_once(' ')?;
            (Some(until.parse().ok()?), line)
        }
        None => (None, line),
    };
    Some((until, Rule::parse(line).ok()?))
}

impl Maintenance {
    fn parse(rest: &str) -> Option<Self> {
        let mut own = Self { retry: RETRY, allow: Ranges::default(), hosts: Vec::new() };
        for word in rest.split_ascii_whitespace() {
            match word.split_once('=')? {
                ("retry", seconds) => own.retry = seconds.parse().ok()?,
                ("allow", nets) => own.allow = Ranges::parse(nets.split(',')).ok()?,
                ("host", hosts) => own.hosts = hosts.split(',').map(Into::into).collect(),
                // From a newer version; it narrows what is closed, or not: closed is what was meant.
                _ => {}
            }
        }
        Some(own)
    }
}

/// Its line.
impl fmt::Display for Maintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "maintenance retry={}", self.retry)?;
        let mut list = |name, values: Vec<String>| {
            if values.is_empty() { Ok(()) } else { write!(f, " {name}={}", values.join(",")) }
        };
        list("allow", self.allow.texts().collect())?;
        list("host", self.hosts.iter().map(ToString::to_string).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Maintenance, RETRY, Ranges, Standing};
    use proptest::prelude::*;

    #[test]
    fn closed_but_to_those_who_are_let_in() {
        let line = "maintenance retry=60 allow=203.0.113.0/24,2001:db8::/64 host=a,b";
        let standing = Standing::new(7, [line]);
        let closed = |host: &str, client: &str| standing.closed(host, client.parse().expect("an address"));
        assert_eq!(closed("a", "192.0.2.1"), Some(60));
        assert_eq!(closed("b:8443", "2001:db9::1"), Some(60));
        assert_eq!((closed("a", "203.0.113.9"), closed("b", "2001:db8::9")), (None, None));
        assert_eq!((closed("c", "192.0.2.1"), closed("a.b", "192.0.2.1")), (None, None));
        assert_eq!(standing.lines(), [line.into()]);
        let all = Standing::new(8, ["maintenance"]);
        assert_eq!(all.closed("[::1]:80", "::1".parse().expect("an address")), Some(RETRY));
    }

    #[test]
    fn rules_that_end_and_rules_that_are_withdrawn() {
        let lines =
            ["until 100 rule a block:403 address=203.0.113.0/24", "rule b log path=/b%20c", "until x rule c log"];
        let mut standing = Standing::new(1, lines);
        assert_eq!(standing.lines(), lines.map(Into::into), "as they were");
        assert_eq!(standing.rules.iter().map(|rule| &*rule.name).collect::<Vec<_>>(), ["a", "b"]);
        assert!(!standing.has_ended(99) && standing.has_ended(100));
        let again = standing.rules[0].clone();
        standing.add(again, Some(200));
        assert_eq!(standing.rules_until().map(|(_, until)| until).collect::<Vec<_>>(), [None, Some(200)]);
        standing.expire(200);
        assert!(standing.withdraw("b") && !standing.withdraw("b") && standing.rules.is_empty());
    }

    #[test]
    fn what_is_not_understood_is_kept_and_means_nothing() {
        let lines = ["maintenance retry=x", "maintenance allow=a", "sing loudly", ""];
        let standing = Standing::new(1, lines);
        assert!(standing.maintenance.is_empty());
        assert_eq!(standing.lines(), lines.map(Into::into));
    }

    proptest! {
        #[test]
        fn there_and_back(retry: u32, allow in prop::collection::vec((any::<u32>(), 0u8..=32), 0..4), hosts in prop::collection::vec("[a-z.]{1,9}", 0..3)) {
            let net = |(address, bits): (u32, u8)| format!("{}/{bits}", std::net::Ipv4Addr::from(u32::try_from(u64::from(address) >> (32 - bits) << (32 - bits)).expect("32 bits")));
            let nets: Vec<String> = allow.into_iter().map(net).collect();
            let allow = Ranges::parse(nets.iter().map(String::as_str)).expect("nets");
            let order = Maintenance { retry, allow, hosts: hosts.into_iter().map(Into::into).collect() };
            prop_assert_eq!(Standing::new(1, [order.to_string().as_str()]).maintenance, [order]);
        }

        #[test]
        fn reads_anything(line in "(maintenance)?[ -~]{0,40}") {
            let _ = Standing::new(1, [line.as_str()]).closed("a", "::1".parse().expect("an address"));
        }
    }
}
