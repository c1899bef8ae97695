//! Which site a host belongs to: exact name, then the longest wildcard, then `*`.

use std::collections::HashMap;

use crate::config::{HostPattern, Site};

/// The sites by host.
#[derive(Debug)]
pub struct Sites {
    sites: Vec<Site>,
    exact: HashMap<String, usize>,
    suffixes: Vec<(String, usize)>,
    any: Option<usize>,
}

impl Sites {
    /// Indexes the sites of a configuration.
    #[must_use]
    pub fn new(sites: Vec<Site>) -> Self {
        let mut exact = HashMap::new();
        let mut suffixes = Vec::new();
        let mut any = None;
        for (n, site) in sites.iter().enumerate() {
            for host in &site.hosts {
                match host {
                    HostPattern::Exact(name) => drop(exact.insert(name.clone(), n)),
                    HostPattern::Suffix(name) => suffixes.push((name.clone(), n)),
                    HostPattern::Any => any = Some(n),
                }
            }
        }
        suffixes.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { sites, exact, suffixes, any }
    }

    /// The number of the site of a host, which may carry a port and be in any case.
    #[must_use]
    pub fn find(&self, authority: &str) -> Option<usize> {
        let host = without_port(authority);
        let lower;
        let host = if host.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            &lower
        } else {
            host
        };
        if let Some(n) = self.exact.get(host) {
            return Some(*n);
        }
        let suffix = self.suffixes.iter().find(|(name, _)| host.len() > name.len() && host.ends_with(name.as_str()));
        suffix.map(|(_, n)| *n).or(self.any)
    }

    /// All sites, in the order of the configuration.
    #[must_use]
    pub fn all(&self) -> &[Site] {
        &self.sites
    }
}

/// A host without its port; an IPv6 address keeps its brackets.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::Sites;
    use crate::config::parse;

    #[test]
    fn exact_then_wildcard_then_any() {
        let config = parse(
            r#"
            listen.http = ["127.0.0.1:0"]
            [[site]]
            hosts = ["*"]
            app = "127.0.0.1:1"
            [[site]]
            hosts = ["*.makenot.work", "[::1]"]
            app = "127.0.0.1:2"
            [[site]]
            hosts = ["makenot.work", "*.forums.makenot.work", "forums.makenot.work"]
            app = "127.0.0.1:3"
            "#,
        )
        .expect("a good configuration");
        let sites = Sites::new(config.sites);
        for (host, site) in [
            ("makenot.work", 2),
            ("MakeNot.Work:8443", 2),
            ("forums.makenot.work", 2),
            ("a.forums.makenot.work", 2),
            ("a.makenot.work:1", 1),
            ("[::1]:80", 1),
            ("evilmakenot.work", 0),
            (".makenot.work", 0),
            ("127.0.0.1", 0),
        ] {
            assert_eq!(sites.find(host), Some(site), "{host}");
        }
    }
}
