//! What a client asks of an upload route: which step, and in which words.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

/// A step of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Whether it may begin, and where to.
    Begin,
    /// URLs of parts.
    Parts,
    /// Which parts are there.
    List,
    /// It is whole.
    Complete,
    /// It is given up.
    Abort,
    /// What is only between us and the app, or nothing at all.
    None,
}

impl Step {
    /// As a word, for metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begun",
            Self::Parts => "signed",
            Self::List => "listed",
            Self::Complete => "completed",
            Self::Abort => "aborted",
            Self::None => "nothing",
        }
    }
}

/// Which step of a route a path is; `None` where it is not the route's. What an app could take for a path below the route's is the route's, however
/// it is written, and where it is not written as it should be it is nothing.
pub(crate) fn step(path: &str, own: &str) -> Option<Step> {
    if !is_within(path, own) {
        return None;
    }
    Some(match path.strip_prefix(own) {
        Some("") => Step::Begin,
        Some("/parts") => Step::Parts,
        Some("/list") => Step::List,
        Some("/complete") => Step::Complete,
        Some("/abort") => Step::Abort,
        _ => Step::None,
    })
}

/// Whether the segments of one path are the first of the other's, however they are escaped, and whatever their case and parameters.
fn is_within(path: &str, own: &str) -> bool {
    fn segments(path: &str) -> impl Iterator<Item = &str> {
        path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).filter(|s| !s.is_empty())
    }
    let bytes = |segment| percent_decode_str(segment).map(|byte| byte.to_ascii_lowercase());
    let mut first = segments(path);
    segments(own).all(|own| first.next().is_some_and(|segment| bytes(segment).eq(bytes(own))))
}

/// What a client wants to upload.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// The file's name: it is told to the app, and becomes part of no key.
    pub(crate) name: String,
    /// Its content type.
    #[serde(rename = "type")]
    pub(crate) content_type: String,
    /// Its length in bytes.
    pub(crate) size: u64,
}

/// Characters of a file's name.
const LONGEST_NAME: usize = 255;

impl Wish {
    /// What of it can't be.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.name.is_empty() || self.name.chars().count() > LONGEST_NAME || self.name.chars().any(char::is_control) {
            return Some(format!("name: 1 to {LONGEST_NAME} characters, no control characters"));
        }
        if !crate::storage::media::is_content_type(&self.content_type) {
            return Some("type: a content type, as in audio/wav".to_owned());
        }
        (self.size == 0).then(|| "size: the file's length in bytes, 1 or more".to_owned())
    }
}

/// A later step of an upload: which one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// What the first step gave.
    pub(crate) upload: String,
    /// The parts to sign URLs for, where that is the step.
    #[serde(default)]
    pub(crate) parts: Vec<u16>,
}

/// What the app is told of an upload that is whole.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Done<'a> {
    /// The bucket's role.
    pub(crate) bucket: &'a str,
    /// The object's key, as the app had allowed it.
    pub(crate) key: &'a str,
    /// Whether it lies under the bucket's pending prefix until it is released.
    pub(crate) pending: bool,
    /// Its version, where the bucket keeps them.
    pub(crate) version: Option<&'a str>,
    /// Its `ETag`, as the storage says it.
    pub(crate) etag: &'a str,
    /// Its length in bytes.
    pub(crate) size: u64,
    /// Its content type.
    #[serde(rename = "type")]
    pub(crate) content_type: &'a str,
    /// The file's name, as the client said it.
    pub(crate) name: &'a str,
}

#[cfg(test)]
mod tests {
    use super::{Step, Wish, step};

    #[test]
    fn steps_are_found_and_nothing_below_reaches_the_app() {
        let of = |path| step(path, "/api/uploads");
        assert_eq!(of("/api/uploads"), Some(Step::Begin));
        assert_eq!(of("/api/uploads/parts"), Some(Step::Parts));
        assert_eq!(of("/api/uploads/complete"), Some(Step::Complete));
        for path in [
            "/api/uploads/authorize",
            "/api/uploads/done",
            "/api/uploads/",
            "/api//uploads/done",
            "/api/uploads/%64one",
            "/API/Uploads/done",
            "/api/uploads;a=1/done",
            "/api/up%6Coads/done",
            "/api/uploads/done/x",
        ] {
            assert_eq!(of(path), Some(Step::None), "{path}");
        }
        for path in ["/", "/api", "/api/uploads2", "/x/api/uploads", "/api/uploads%2Fdone"] {
            assert_eq!(of(path), None, "{path}");
        }
    }

    #[test]
    fn wishes_that_cannot_be() {
        let wish = |name: &str, kind: &str, size| Wish { name: name.into(), content_type: kind.into(), size }.fault();
        assert_eq!(wish("Fünf.wav", "audio/wav", 1), None);
        for (name, kind, size, what) in [
            ("", "audio/wav", 1, "name"),
            ("a\n", "audio/wav", 1, "name"),
            ("a", "audio", 1, "type"),
            ("a", "audio/wav", 0, "size"),
        ] {
            assert!(wish(name, kind, size).is_some_and(|said| said.starts_with(what)), "{what}");
        }
        assert!(wish(&"ü".repeat(256), "audio/wav", 1).is_some() && wish(&"ü".repeat(255), "audio/wav", 1).is_none());
    }
}
