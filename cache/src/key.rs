//! The cache key (RFC 9111 section 2): what a request must share with another to be answered from the same entries.

use core::fmt;

use crate::{Fields, vary};

/// What an entry is stored under: scheme, host, path and query, after the host's one rule for paths. Only GET is stored, so the
/// method is not part of it. Entries that vary, and those whose query counts only in part, have a key of their own below it.
///
/// No two different things make one key: a scheme ends at the first `:`, an authority holds no `/`, and what comes below follows
/// a line feed, which neither URLs nor field values hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Box<str>);

impl Key {
    /// The key of a URL. `authority` is compared without regard to case; `target` is the normalised path and query.
    #[must_use]
    pub fn new(secure: bool, authority: &str, target: &str) -> Self {
        let scheme = if secure { "https://" } else { "http://" };
        let mut key = String::with_capacity(scheme.len() + authority.len() + target.len());
        key.push_str(scheme);
        key.extend(authority.chars().map(|c| c.to_ascii_lowercase()));
        key.push_str(target);
        Self(key.into())
    }

    /// The key as one string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL it is of, without what comes below it.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.split('\n').next().unwrap_or_default()
    }

    /// Scheme and authority of the URL: its origin (RFC 9110 section 4.3.1).
    #[must_use]
    pub fn origin(&self) -> &str {
        let url = self.url();
        let from = url.find("://").map_or(0, |at| at + 3);
        let end = url.get(from..).and_then(|rest| rest.find(['/', '?'])).map_or(url.len(), |at| from + at);
        url.get(..end).unwrap_or(url)
    }

    /// Path and query of the URL.
    #[must_use]
    pub fn target(&self) -> &str {
        self.url().get(self.origin().len()..).unwrap_or_default()
    }

    /// Where it stands what of the queries of this path counts.
    #[must_use]
    pub fn search_rule(&self) -> Self {
        Self(format!("{}\n?", self.path()).into())
    }

    /// The key below the path for a query of which only a part counts.
    #[must_use]
    pub fn with_search(&self, canonical: &str) -> Self {
        Self(format!("{}\n?{canonical}\n", self.path()).into())
    }

    /// The key of a request's variant: `names` are those of its Vary, and the values are the request's.
    #[must_use]
    pub fn variant(&self, generation: u64, names: &str, request: &(impl Fields + ?Sized)) -> Self {
        let mut key = format!("{}\n{generation:x} {names}", self.0);
        for name in names.split(',') {
            key.push('\n');
            vary::push_value(&mut key, name, request);
        }
        Self(key.into())
    }

    /// The query, without its `?`; `None` where there is none.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    fn path(&self) -> &str {
        self.url().split('?').next().unwrap_or_default()
    }

    /// Another key of the same origin for a URI reference, as Location and Content-Location hold them; `None` where it is of another
    /// origin or can't be read (RFC 9111 section 4.4). Dot segments are left as they are: they match nothing that is stored.
    #[must_use]
    pub fn sibling(&self, reference: &str) -> Option<Self> {
        let reference = reference.trim_matches([' ', '\t']).split('#').next().unwrap_or_default();
        let scheme = self.0.split(':').next().unwrap_or_default();
        let absolute = match reference {
            "" => return None,
            r if r.starts_with("//") => format!("{scheme}:{r}"),
            r if r.starts_with('/') => return Some(Self(format!("{}{r}", self.origin()).into())),
            r if r.starts_with('?') => return Some(Self(format!("{}{r}", self.path()).into())),
            r if r.split('/').next().is_some_and(|first| first.contains(':')) => r.to_owned(),
            r => {
                let folder = self.path().rsplit_once('/').map_or(self.path(), |(folder, _)| folder);
                return Some(Self(format!("{folder}/{r}").into()));
            }
        };
        let (named, rest) = absolute.split_once("://")?;
        let (authority, target) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
        let named = named.to_ascii_lowercase();
        let default = if named == "https" { ":443" } else { ":80" };
        let authority = authority.to_ascii_lowercase();
        let authority = authority.strip_suffix(default).unwrap_or(&authority);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        (format!("{named}://{authority}") == self.origin()).then(|| Self(format!("{}{target}", self.origin()).into()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn the_host_ends_where_it_ends() {
        assert_ne!(Key::new(true, "a.example", "/b/"), Key::new(true, "a.example.b", "/"));
        assert_eq!(Key::new(true, "A.Example", "/B"), Key::new(true, "a.example", "/B"));
        assert_ne!(Key::new(true, "a", "/"), Key::new(false, "a", "/"));
        let key = Key::new(true, "a:8443", "/b?c");
        assert_eq!((key.origin(), key.target(), key.query()), ("https://a:8443", "/b?c", Some("c")));
    }

    #[test]
    fn what_is_below_a_key_is_no_key_of_a_url() {
        let key = Key::new(true, "a", "/b?c");
        let fields = [("x", "1")];
        for below in [key.search_rule(), key.with_search("c"), key.variant(1, "x", &fields[..])] {
            assert!(below.as_str().contains('\n') && below.url().starts_with("https://a/b"), "{below:?}");
        }
    }

    #[test]
    fn siblings_are_of_the_same_origin() {
        let key = Key::new(true, "a.example", "/x/y?z");
        for (reference, target) in [
            ("/b", Some("/b")),
            ("https://A.example/b", Some("/b")),
            ("https://a.example:443/b#f", Some("/b")),
            ("https://a.example?q", Some("/?q")),
            ("//a.example/b", Some("/b")),
            ("b?c", Some("/x/b?c")),
            ("?q", Some("/x/y?q")),
            ("http://a.example/b", None),
            ("https://b.example/b", None),
            ("//b.example/b", None),
            ("mailto:a", None),
            ("", None),
        ] {
            assert_eq!(key.sibling(reference).as_ref().map(Key::target), target, "{reference}");
        }
    }
}
