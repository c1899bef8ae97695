//! What answers get for a browser's sake where the app has not said it, and what of them names programs and is taken off.

use core::fmt::{self, Write as _};

use crate::FieldsMut;

/// The fields that are added, each where the answer has none of its name.
pub const ADDED: [&str; 5] =
    ["strict-transport-security", "x-content-type-options", "x-frame-options", "referrer-policy", "permissions-policy"];

/// What is added to answers and removed from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// Of [`ADDED`], with their values.
    pub add: Vec<(&'static str, Box<str>)>,
    /// Names, in lower case.
    pub remove: Vec<Box<str>>,
}

impl Headers {
    /// Changes the fields of an answer; `secure` is whether the client speaks TLS.
    pub fn apply(&self, secure: bool, fields: &mut impl FieldsMut) {
        for name in &self.remove {
            fields.remove(name);
        }
        let framed = says_who_frames(fields);
        for (name, value) in &self.add {
            let says = fields.has(name)
                || (*name == "strict-transport-security" && !secure)
                || (*name == "x-frame-options" && framed);
            if !says {
                fields.append(name, value.as_bytes());
            }
        }
    }

    /// Reads the line that [`Display`](fmt::Display) writes; `None` where it is not one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut headers = Self::default();
        let mut parts = line.split('\t');
        if parts.next() != Some("headers") {
            return None;
        }
        for part in parts {
            match part.split_once(": ") {
                Some((name, value)) => {
                    headers.add.push((ADDED.into_iter().find(|known| *known == name)?, value.into()))
                }
                None => headers.remove.push(part.strip_prefix('-')?.into()),
            }
        }
        Some(headers)
    }
}

/// A policy of the app's own says it, and browsers heed the older field less.
fn says_who_frames(fields: &impl cache::Fields) -> bool {
    let policy = |value: &[u8]| {
        core::str::from_utf8(value).is_ok_and(|value| value.to_ascii_lowercase().contains("frame-ancestors"))
    };
    fields.values("content-security-policy").any(policy)
}

/// One line: no value holds a tab.
impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("headers")?;
        self.add.iter().try_for_each(|(name, value)| write!(f, "\t{name}: {value}"))?;
        self.remove.iter().try_for_each(|name| write!(f, "\t-{name}"))?;
        f.write_char('\n')
    }
}

#[cfg(test)]
mod tests {
    use super::Headers;
    use crate::FieldsMut;
    use cache::{Fields, Meta};

    #[derive(Default)]
    struct Lines(Vec<(String, String)>);

    impl Fields for Lines {
        fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
            self.0.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
        }
    }

    impl FieldsMut for Lines {
        fn empty() -> Self {
            Self::default()
        }
        fn of_meta(_: &Meta) -> Self {
            Self::default()
        }
        fn append(&mut self, name: &'static str, value: &[u8]) {
            self.0.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
        }
        fn remove(&mut self, name: &str) {
            self.0.retain(|(is, _)| is != name);
        }
    }

    const LINE: &str = "headers\tstrict-transport-security: max-age=60\tx-content-type-options: nosniff\tx-frame-options: SAMEORIGIN\t-server\t-x-powered-by\n";

    fn answer(secure: bool, fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut lines = Lines(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        Headers::parse(LINE.trim_end()).unwrap().apply(secure, &mut lines);
        lines.0
    }

    #[test]
    fn is_read_as_it_is_written() {
        assert_eq!(Headers::parse(LINE.trim_end()).unwrap().to_string(), LINE);
        for line in ["", "header", "headers\tx: y", "headers\tserver"] {
            assert_eq!(Headers::parse(line), None, "{line}");
        }
    }

    #[test]
    fn the_apps_word_stays() {
        let names = |fields: Vec<(String, String)>| {
            fields.into_iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        let all = answer(true, &[("server", "x/1"), ("x-frame-options", "DENY"), ("vary", "a")]);
        assert_eq!(
            names(all),
            [
                "x-frame-options: DENY",
                "vary: a",
                "strict-transport-security: max-age=60",
                "x-content-type-options: nosniff"
            ]
        );
        let csp = answer(false, &[("content-security-policy", "default-src 'self'; Frame-Ancestors 'none'")]);
        assert_eq!(csp.len(), 2, "{csp:?}");
    }
}
