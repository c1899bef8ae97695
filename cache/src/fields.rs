//! Header fields as the engine reads them: borrowed, and not through one HTTP library's map.
//!
//! The gateway hands in a `HeaderMap`, the Worker a list it got from JavaScript in one call; the engine sees neither.

/// Read access to the fields of a message's header section.
pub trait Fields {
    /// Every field line as (lower-case name, value), in the order received.
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])>;

    /// The values of the lines named `name` (lower-case), in the order received.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Whether a line of that name is present.
    fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// The value of the only line of that name; `None` where there is none or more than one, or where it is not UTF-8.
    fn single<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let mut values = self.values(name);
        let first = values.next()?;
        match values.next() {
            None => core::str::from_utf8(first).ok(),
            Some(_) => None,
        }
    }

    /// The members of a comma-separated list field (RFC 9110 section 5.6.1), over all its lines: trimmed, empty ones left
    /// out. Commas inside quoted strings do not split. A line that is not UTF-8 counts as one empty member and is left out.
    fn members<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values(name).filter_map(|v| core::str::from_utf8(v).ok()).flat_map(list_members)
    }
}

/// Splits one field value at the commas outside quoted strings (RFC 9110 section 5.6.4), trimming, without the empty members.
pub fn list_members(value: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    value
        .split(move |c: char| {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                ',' if !quoted => return true,
                _ => {}
            }
            false
        })
        .map(|m| m.trim_matches([' ', '\t']))
        .filter(|m| !m.is_empty())
}

/// Whether a quoted string (RFC 9110 section 5.6.4) does not end in the line that it begins in.
#[must_use]
pub fn leaves_a_quote_open(line: &str) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for b in line.bytes() {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
    }
    quoted
}

impl<V: AsRef<[u8]>> Fields for [(&str, V)] {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        <[_]>::iter(self).map(|(n, v)| (*n, v.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, list_members};

    #[test]
    fn commas_inside_quotes_do_not_split() {
        let members: Vec<_> = list_members(r#"a="x, \" y", ,b ,, c"#).collect();
        assert_eq!(members, [r#"a="x, \" y""#, "b", "c"]);
    }

    #[test]
    fn single_refuses_repeated_lines() {
        let fields = [("etag", "a"), ("etag", "b"), ("date", "x")];
        assert_eq!(fields[..].single("etag"), None);
        assert_eq!(fields[..].single("date"), Some("x"));
        assert_eq!(fields[..].members("etag").collect::<Vec<_>>(), ["a", "b"]);
    }
}
