//! The primary cache key (RFC 9111 section 2): what a request must share with another to be answered from the same entries.

use core::fmt;

/// Host and path with query, after the one path rule. Only GET is stored, so the method is not part of it.
///
/// The separator is a space, which neither part can contain, so no two different pairs make one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrimaryKey(Box<str>);

impl PrimaryKey {
    /// `authority` is compared without regard to case; `target` is the normalised path and query.
    #[must_use]
    pub fn new(authority: &str, target: &str) -> Self {
        let mut key = String::with_capacity(authority.len() + 1 + target.len());
        key.extend(authority.chars().map(|c| c.to_ascii_lowercase()));
        key.push(' ');
        key.push_str(target);
        Self(key.into())
    }

    /// The key as one string: authority, a space, target.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The two parts it was made of.
    #[must_use]
    pub fn parts(&self) -> (&str, &str) {
        self.0.split_once(' ').unwrap_or((&self.0, ""))
    }
}

impl fmt::Display for PrimaryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::PrimaryKey;

    #[test]
    fn the_host_ends_where_it_ends() {
        assert_ne!(PrimaryKey::new("a.example", "/b"), PrimaryKey::new("a.example/b", "/"));
        assert_eq!(PrimaryKey::new("A.Example", "/B"), PrimaryKey::new("a.example", "/B"));
        assert_eq!(PrimaryKey::new("a", "/b?c").parts(), ("a", "/b?c"));
    }
}
