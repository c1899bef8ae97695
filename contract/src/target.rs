//! The one path rule: which targets are served, and how they are spelled.
//!
//! A Worker's runtime hands over a URL that it has already normalised; a native host sees what the client sent. So both hosts
//! apply the same two steps, and filter, cache key, signature and forwarded request use the one string that comes out:
//!
//! 1. What the URL Standard (WHATWG) does to the path and query of an `https:` URL: `\` is `/` in the path, dot segments
//!    (`%2e` counts as a dot) are resolved, characters of the path and special-query percent-encode sets are encoded, a
//!    fragment is cut off.
//! 2. What two programs could still read differently is refused ([`TargetError`]): encoded slashes, backslashes and
//!    control characters, what is encoded twice or decodes to no UTF-8, dots that hide behind a `;` parameter, a path
//!    that begins with `//`.
//!
//! Raw bytes that no request line may hold (RFC 9112 3.2) are refused as well, rather than encoded. A query keeps odd
//! percent signs, which people write. Only origin form is read (RFC 9112 3.2.1): absolute form, `CONNECT`'s authority and the
//! `*` of `OPTIONS` are the caller's to take apart or answer.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

mod error;
mod escapes;
mod segments;

pub use error::TargetError;

/// The longest target that is served where the site does not say otherwise, in bytes.
pub const DEFAULT_MAX_LEN: usize = 8192;

/// The URL Standard's special-query percent-encode set, without what cannot be here.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\'');
/// Its path percent-encode set, without what cannot be here.
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'^').add(b'`').add(b'{').add(b'}');

/// A path and query in the one spelling that is served. Borrowed from the request when it was spelled so already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    text: Cow<'a, str>,
    path_len: usize,
}

impl<'a> Target<'a> {
    /// Applies the rule to what a request line has in origin form. An absent path is `/`.
    ///
    /// # Errors
    /// When the target is over `max_len` bytes, before or after, or is refused.
    pub fn parse(path_and_query: &'a str, max_len: usize) -> Result<Self, TargetError> {
        if path_and_query.len() > max_len {
            return Err(TargetError::TooLong);
        }
        if is_plain(path_and_query) {
            let path_len = path_and_query.find('?').unwrap_or(path_and_query.len());
            return Ok(Self { text: Cow::Borrowed(path_and_query), path_len });
        }
        Self::apply(path_and_query, max_len)
    }

    /// The rule itself, for a target that is not over the limit.
    fn apply(path_and_query: &'a str, max_len: usize) -> Result<Self, TargetError> {
        if !path_and_query.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return Err(TargetError::RawByte);
        }
        let target = path_and_query.split_once('#').map_or(path_and_query, |(target, _)| target);
        let (raw_path, raw_query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        if !raw_path.is_empty() && !raw_path.starts_with('/') {
            return Err(TargetError::NotOriginForm);
        }
        let encoded: Cow<'_, str> = utf8_percent_encode(raw_path, PATH).into();
        let path = if segments::are_resolved(&encoded) { encoded } else { segments::resolve(&encoded).into() };
        let query: Option<Cow<'_, str>> = raw_query.map(|query| utf8_percent_encode(query, QUERY).into());
        segments::check(&path)?;
        escapes::check(&path)?;

        let path_len = path.len();
        // Compared, since a borrowed result may also be one constant escape.
        let text = if path == raw_path && query.as_deref() == raw_query {
            Cow::Borrowed(target)
        } else if let Some(query) = query {
            Cow::Owned([&path, "?", &query].concat())
        } else {
            Cow::Owned(path.into_owned())
        };
        if text.len() > max_len {
            return Err(TargetError::TooLong);
        }
        Ok(Self { text, path_len })
    }

    /// Path, and `?` with the query where there is one: what is forwarded and cached under.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path; it begins with one `/`.
    pub fn path(&self) -> &str {
        self.text.get(..self.path_len).unwrap_or(&self.text)
    }

    /// The query without its `?`; empty for a target that ends in `?`.
    pub fn query(&self) -> Option<&str> {
        self.text.get(self.path_len..)?.strip_prefix('?')
    }

    /// The same, free of the request that it was borrowed from.
    pub fn into_owned(self) -> Target<'static> {
        Target { text: Cow::Owned(self.text.into_owned()), path_len: self.path_len }
    }
}

/// Whether one look at each byte shows that the rule changes and refuses nothing, as for most targets.
fn is_plain(target: &str) -> bool {
    let mut before = b' ';
    target.starts_with('/')
        && target.bytes().all(|byte| {
            let plain = match byte {
                b'/' | b'.' => before != b'/',
                b'a'..=b'z'
                | b'A'..=b'Z'
                | b'0'..=b'9'
                | b'-'
                | b'_'
                | b'~'
                | b'?'
                | b'='
                | b'&'
                | b'+'
                | b','
                | b':' => true,
                _ => false,
            };
            before = byte;
            plain
        })
}

#[cfg(test)]
mod tests;
