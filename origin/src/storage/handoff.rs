//! The app's hand-off: a response field that names an object instead of carrying it, as nginx's X-Accel-Redirect does.
//!
//! ```text
//! Handoff: user-files;key="users/1/tide.wav";filename="Tide.wav";disposition=attachment
//! ```
//!
//! An Item of RFC 9651: the bucket's role as a token, and parameters.

use sfv::{BareItem, Item, Parser};

use super::{Download, Refused, Signed, instant};
use crate::config::Bucket;

/// What the app handed off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handoff {
    /// The bucket's role.
    pub role: String,
    /// The object's key.
    pub key: String,
    /// The name to save it under.
    pub filename: Option<String>,
    /// Whether it is to be saved (`attachment`) or shown (`inline`); where the app says neither, a file name means saving.
    pub attachment: Option<bool>,
    /// The content type to send it with.
    pub content_type: Option<String>,
    /// One version of it.
    pub version: Option<String>,
    /// How many seconds the URL lasts.
    pub lasts: Option<u64>,
    /// The same URL for a while.
    pub stable: bool,
    /// With `stable`: it is for everyone, so that shared caches may keep the redirect.
    pub public: bool,
}

/// Why a hand-off is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoffError {
    /// Not an Item of RFC 9651, or not of this form.
    #[error("the hand-off is not of the form ROLE;key=\"KEY\": {0}")]
    Malformed(String),
    /// No such bucket is configured.
    #[error("the hand-off names bucket `{0}`, for which there is no [bucket.{0}] section")]
    UnknownBucket(String),
    /// The bucket does not give that.
    #[error("the hand-off is refused: {0}")]
    Refused(#[from] Refused),
}

/// Where a hand-off sends its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The URL.
    pub url: String,
    /// `Cache-Control` of the answer that names it.
    pub cache_control: String,
    /// When the URL stops working, as RFC 3339 writes it.
    pub expires_at: String,
}

impl Handoff {
    /// Reads the field's value.
    ///
    /// # Errors
    /// Anything but the documented form, unknown parameters too: an option that is not understood is not left out silently.
    pub fn parse(value: &str) -> Result<Self, HandoffError> {
        let malformed = |what: &str| HandoffError::Malformed(what.to_owned());
        let item = Parser::new(value).parse::<Item>().map_err(|e| malformed(&e.to_string()))?;
        let BareItem::Token(role) = item.bare_item else { return Err(malformed("the role is not a token")) };
        let mut handoff = Self { role: role.as_str().to_owned(), ..Self::default() };
        for (name, value) in item.params {
            let text = match &value {
                BareItem::String(text) => Some(text.as_str().to_owned()),
                BareItem::DisplayString(text) => Some(text.clone()),
                _ => None,
            };
            match (name.as_str(), text, value) {
                ("key", Some(text), _) => handoff.key = text,
                ("filename", text @ Some(_), _) => handoff.filename = text,
                ("type", text @ Some(_), _) => handoff.content_type = text,
                ("version", text @ Some(_), _) => handoff.version = text,
                ("expires", None, BareItem::Integer(seconds)) if i64::from(seconds) > 0 => {
                    handoff.lasts = Some(i64::from(seconds).unsigned_abs());
                }
                ("stable", None, BareItem::Boolean(stable)) => handoff.stable = stable,
                ("public", None, BareItem::Boolean(public)) => handoff.public = public,
                ("disposition", None, BareItem::Token(word)) if word.as_str() == "inline" => {
                    handoff.attachment = Some(false);
                }
                ("disposition", None, BareItem::Token(word)) if word.as_str() == "attachment" => {
                    handoff.attachment = Some(true);
                }
                (other, ..) => return Err(malformed(&format!("parameter `{other}` is unknown or of the wrong type"))),
            }
        }
        if handoff.public && !handoff.stable {
            return Err(malformed(
                "`public` without `stable`: a URL that is another each time is of no use to a cache",
            ));
        }
        Ok(handoff)
    }

    /// Carries it out. `head` where the client asks with HEAD.
    ///
    /// # Errors
    /// An unknown bucket, or what the bucket does not give.
    pub fn resolve(&self, buckets: &[Bucket], head: bool, now: u64) -> Result<Redirect, HandoffError> {
        let bucket = buckets.iter().find(|b| b.role == self.role);
        let bucket = bucket.ok_or_else(|| HandoffError::UnknownBucket(self.role.clone()))?;
        let download = Download {
            key: &self.key,
            head,
            version: self.version.as_deref(),
            content_type: self.content_type.as_deref(),
            filename: self.filename.as_deref(),
            attachment: self.attachment,
            lasts: self.lasts,
            stable: self.stable,
        };
        let Signed { url, expires, changes } = download.sign(bucket, now)?;
        // Caches let go of it when it changes: then half of the signature's time is left. Where they can't ask, they go on for half of that.
        let cache_control = match changes.saturating_sub(now) {
            left @ 1.. if self.public && changes < expires => {
                format!("public, max-age={left}, stale-if-error={}", (expires - changes) / 2)
            }
            _ => "private, no-store".to_owned(),
        };
        Ok(Redirect { url, cache_control, expires_at: instant(expires) })
    }
}

#[cfg(test)]
mod tests {
    use super::{Handoff, HandoffError};
    use crate::config::tests::bucket;

    #[test]
    fn every_option() {
        let value = r#"user-files;key=%"f%c3%bcnf";filename="a";disposition=inline;type="audio/wav";version="v1";expires=60;stable;public"#;
        let handoff = Handoff::parse(value).expect("a good hand-off");
        assert_eq!((handoff.role.as_str(), handoff.key.as_str()), ("user-files", "fünf"));
        assert_eq!((handoff.filename.as_deref(), handoff.attachment), (Some("a"), Some(false)));
        assert_eq!((handoff.content_type.as_deref(), handoff.version.as_deref()), (Some("audio/wav"), Some("v1")));
        assert_eq!((handoff.lasts, handoff.stable, handoff.public), (Some(60), true, true));
    }

    #[test]
    fn refuses() {
        for bad in [
            "",
            "files",
            "\"files\";key=\"a\"",
            "files;key=a",
            "files;key=\"a\";public",
            "files;key=\"a\", b",
            "files;key=\"a\";expires=0",
            "files;key=\"a\";expires=1.5",
            "files;key=\"a\";stable=1",
            "files;key=\"a\";type=audio",
            "files;key=\"a\";delete",
            "files;key=\"a\";disposition=save",
        ] {
            let resolved = Handoff::parse(bad).and_then(|handoff| handoff.resolve(&[bucket("")], false, 0));
            assert!(resolved.is_err(), "{bad}");
        }
        for bad in [
            "files;key=\"\"",
            "files;key=\"/a\"",
            "files;key=\"a/../b\"",
            "files;key=%\"a%00\"",
            "files;key=\"a\";type=\"x/y\"",
        ] {
            let resolved = Handoff::parse(bad).and_then(|handoff| handoff.resolve(&[bucket("")], false, 0));
            assert!(matches!(resolved, Err(HandoffError::Refused(_))), "{bad}");
        }
    }

    #[test]
    fn what_caches_may_keep() {
        let control = |options: &str, now| {
            let handoff = Handoff::parse(&format!("files;key=\"a\"{options}")).expect("a good hand-off");
            handoff.resolve(&[bucket("")], false, now).expect("a URL").cache_control
        };
        for now in [0, 1, 449, 450, 899] {
            assert_eq!(control("", now), "private, no-store");
            assert_eq!(control(";stable", now), "private, no-store");
        }
        // 15 minutes: a new URL every 450 s.
        assert_eq!(control(";stable;public", 450), "public, max-age=450, stale-if-error=225");
        assert_eq!(control(";stable;public", 899), "public, max-age=1, stale-if-error=225");
        assert_eq!(control(";stable;public;expires=1", 5), "private, no-store");
    }
}
