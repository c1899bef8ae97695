//! Which site a request belongs to: exact host, then the longest wildcard, then `*`; of the sites of one of these, the one with
//! the longest path.

use std::collections::HashMap;

use cache::Prefixes;

use crate::config::{HostPattern, Site};

/// The sites by host and path.
#[derive(Debug)]
pub struct Sites {
    sites: Vec<Site>,
    exact: HashMap<String, Paths>,
    /// By what their hosts end with, read from the end.
    suffixes: Prefixes<Paths>,
    any: Paths,
    paths: bool,
}

/// The sites of one host pattern.
#[derive(Debug, Default)]
struct Paths {
    /// By the beginning of their paths.
    by_path: Prefixes<Option<usize>>,
    /// The one with the shortest of all, and how long that is: the one for all other paths, where there is such.
    shortest: Option<(usize, usize)>,
}

impl Paths {
    fn add(&mut self, path: &str, site: usize) {
        self.by_path.entry(path).get_or_insert(site);
        if self.shortest.is_none_or(|(length, _)| path.len() <= length) {
            self.shortest = Some((path.len(), site));
        }
    }
}

impl Sites {
    /// Indexes the sites of a configuration.
    #[must_use]
    pub fn new(sites: Vec<Site>) -> Self {
        let mut exact: HashMap<String, Paths> = HashMap::new();
        let mut suffixes: Prefixes<Paths> = Prefixes::default();
        let mut any = Paths::default();
        for (n, site) in sites.iter().enumerate() {
            for host in &site.hosts {
                let paths = match host {
                    HostPattern::Exact(name) => exact.entry(name.clone()).or_default(),
                    HostPattern::Suffix(name) => suffixes.entry(&backwards(name)),
                    HostPattern::Any => &mut any,
                };
                match site.paths[..] {
                    [] => paths.add("", n),
                    _ => site.paths.iter().for_each(|path| paths.add(path, n)),
                }
            }
        }
        let paths = sites.iter().any(|site| !site.paths.is_empty());
        Self { sites, exact, suffixes, any, paths }
    }

    /// The number of the site of a host, which may carry a port and be in any case; where it has several, that for all
    /// other paths. What holds of a connection is this one's to say.
    #[must_use]
    pub fn find(&self, authority: &str) -> Option<usize> {
        self.first(authority, |paths| paths.shortest.map(|(_, site)| site))
    }

    /// The number of the site of a host and path, which the path rule has spelled: of the sites of an exact host, else of a
    /// wildcard, else of `*`, the one with the longest of `paths` that `path` is or lies below.
    #[must_use]
    pub fn route(&self, authority: &str, path: &str) -> Option<usize> {
        self.first(authority, |paths| {
            paths.by_path.of(path).find(|(prefix, _)| is_below(path, prefix)).and_then(|(_, site)| *site)
        })
    }

    /// Whether the path matters.
    #[must_use]
    pub const fn have_paths(&self) -> bool {
        self.paths
    }

    fn first(&self, authority: &str, choose: impl Fn(&Paths) -> Option<usize>) -> Option<usize> {
        let host = without_port(authority);
        let lower;
        let host = if host.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = host.to_ascii_lowercase();
            &lower
        } else {
            host
        };
        let exact = self.exact.get(host).and_then(&choose);
        let suffix = || {
            if self.suffixes.is_empty() {
                return None;
            }
            let host = backwards(host);
            // A host that is nothing but a suffix is none of its hosts.
            self.suffixes.of(&host).filter(|(name, _)| host.len() > name.len()).find_map(|(_, paths)| choose(paths))
        };
        exact.or_else(suffix).or_else(|| choose(&self.any))
    }

    /// All sites, in the order of the configuration.
    #[must_use]
    pub fn all(&self) -> &[Site] {
        &self.sites
    }
}

fn backwards(host: &str) -> String {
    host.chars().rev().collect()
}

/// Whether a path is `prefix` or lies below it.
pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.is_empty() || prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
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
    use std::cmp::Reverse;

    use proptest::prelude::*;

    use super::{Sites, is_below};
    use crate::config::{HostPattern, parse};

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

    #[test]
    fn then_the_longest_path() {
        let config = parse(
            r#"
            listen.http = ["127.0.0.1:0"]
            [[site]]
            hosts = ["a.test", "*.a.test"]
            app = "127.0.0.1:1"
            [[site]]
            hosts = ["a.test"]
            paths = ["/git/", "/api"]
            app = "127.0.0.1:2"
            [[site]]
            hosts = ["a.test"]
            paths = ["/git/big/"]
            app = "127.0.0.1:3"
            [[site]]
            hosts = ["b.a.test"]
            paths = ["/b/"]
            app = "127.0.0.1:4"
            "#,
        )
        .expect("a good configuration");
        let sites = Sites::new(config.sites);
        for (host, path, site) in [
            ("a.test", "/", Some(0)),
            ("a.test", "/git", Some(0)),
            ("a.test", "/git/", Some(1)),
            ("a.test", "/git/big/x", Some(2)),
            ("a.test", "/api", Some(1)),
            ("a.test", "/api/x", Some(1)),
            ("a.test", "/apix", Some(0)),
            ("b.a.test", "/b/x", Some(3)),
            ("b.a.test", "/", Some(0)),
            ("c.a.test", "/b/", Some(0)),
            ("c.test", "/", None),
        ] {
            assert_eq!(sites.route(host, path), site, "{host}{path}");
        }
        assert_eq!(sites.find("a.test"), Some(0), "of a connection, the site without paths decides");
        assert!(sites.have_paths());
    }

    /// How well a site's host fits, one by one: exact, then the longest wildcard, then `*`.
    fn fits(pattern: &HostPattern, host: &str) -> Option<(u8, usize)> {
        match pattern {
            HostPattern::Exact(name) => (name == host).then_some((2, 0)),
            HostPattern::Suffix(name) => {
                (host.len() > name.len() && host.ends_with(name.as_str())).then_some((1, name.len()))
            }
            HostPattern::Any => Some((0, 0)),
        }
    }

    proptest! {
        /// The index says what looking at every site says.
        #[test]
        fn the_index_chooses_as_looking_at_all_does(
            chosen in proptest::collection::btree_set(
                ("(\\*|a\\.t|\\*\\.t|\\*\\.a\\.t|b\\.a\\.t|\\*\\.b\\.a\\.t)", "(|/a|/a/|/a/b|/a/b/|/ab)"), 1..12,
            ).prop_map(|set| set.into_iter().collect::<Vec<_>>()).prop_shuffle(),
            host in "(a\\.t|t|b\\.a\\.t|c\\.a\\.t|c\\.b\\.a\\.t|xa\\.t|u)",
            path in "/(|a|a/|ab|a/b|a/b/c|a/bc|ac)",
        ) {
            let mut text = "listen.http = [\"127.0.0.1:0\"]\n".to_owned();
            for (host, path) in &chosen {
                let paths = if path.is_empty() { String::new() } else { format!("paths = [{path:?}]\n") };
                text += &format!("[[site]]\nhosts = [{host:?}]\n{paths}app = \"127.0.0.1:1\"\n");
            }
            let config = parse(&text).map_err(|e| TestCaseError::reject(format!("{e:?}")))?;
            let sites = Sites::new(config.sites);
            let mut all = Vec::new();
            for (n, site) in sites.all().iter().enumerate() {
                let own = site.paths.first().map_or("", |path| path);
                all.extend(site.hosts.iter().filter_map(|it| fits(it, &host)).map(|fit| (fit, own, n)));
            }
            let below = all.iter().filter(|(_, own, _)| is_below(&path, own));
            let routed = below.max_by_key(|(fit, own, n)| (*fit, own.len(), Reverse(*n)));
            prop_assert_eq!(sites.route(&host, &path), routed.map(|(_, _, n)| *n));
            let found = all.iter().max_by_key(|(fit, own, n)| (*fit, Reverse(own.len()), *n));
            prop_assert_eq!(sites.find(&host), found.map(|(_, _, n)| *n));
        }
    }
}
