//! What an app allows: one field of its answer, an Item of RFC 9651 like a hand-off.
//!
//! ```text
//! Upload-Grant: user-files;prefix="users/1/";type="audio/*";size=1073741824
//! ```

use std::fmt::Write as _;

use http::HeaderValue;
use sfv::{BareItem, DictSerializer, Item, Parser, RefBareItem, StringRef, key_ref};

use super::asked::Wish;
use crate::storage::media;

/// Where an upload goes, and what it may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The bucket's role.
    pub(crate) role: String,
    /// The object's key, or what it begins with.
    place: Place,
    /// A content type, or all of a kind (`audio/*`); else what the bucket takes.
    content_type: Option<String>,
    /// Bytes at most; else what the route takes.
    size: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Missing,
    Key(String),
    Prefix(String),
}

/// What a client may not upload here, though others might.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Beyond {
    /// It is longer than so many bytes.
    Size(u64),
    /// It is not of this type.
    Type(String),
}

impl Grant {
    /// Reads the field's value. An error is for the log.
    pub(crate) fn parse(value: &HeaderValue) -> Result<Self, String> {
        let value = value.to_str().map_err(|_| "it is not ASCII".to_owned())?;
        let item = Parser::new(value).parse::<Item>().map_err(|e| e.to_string())?;
        let BareItem::Token(role) = item.bare_item else { return Err("the role is not a token".to_owned()) };
        let mut grant = Self { role: role.as_str().to_owned(), ..Self::default() };
        for (name, value) in item.params {
            let text = match &value {
                BareItem::String(text) => Some(text.as_str().to_owned()),
                BareItem::DisplayString(text) => Some(text.clone()),
                _ => None,
            };
            match (name.as_str(), text, value) {
                ("key", Some(text), _) if grant.place == Place::Missing => grant.place = Place::Key(text),
                ("prefix", Some(text), _) if grant.place == Place::Missing && text.ends_with('/') => {
                    grant.place = Place::Prefix(text);
                }
                ("type", text @ Some(_), _) => grant.content_type = text,
                ("size", None, BareItem::Integer(bytes)) if i64::from(bytes) > 0 => {
                    grant.size = Some(i64::from(bytes).unsigned_abs());
                }
                (other, ..) => {
                    return Err(format!("parameter `{other}` is unknown, of the wrong type, or one too many"));
                }
            }
        }
        if grant.place == Place::Missing {
            return Err("it names neither `key` nor `prefix`".to_owned());
        }
        Ok(grant)
    }

    /// Whether a client's wish is within it; `most` is what the route takes.
    pub(crate) fn covers(&self, wish: &Wish, most: u64) -> Result<(), Beyond> {
        let most = self.size.unwrap_or(most).min(most);
        if wish.size > most {
            return Err(Beyond::Size(most));
        }
        match &self.content_type {
            Some(kind) if !media::is_among(std::slice::from_ref(kind), &wish.content_type) => {
                Err(Beyond::Type(kind.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Whether the key is made up for each upload.
    pub(crate) fn makes_up(&self) -> bool {
        matches!(self.place, Place::Prefix(_))
    }

    /// The key of this upload. Under a prefix it is a random one, so that nothing is overwritten and no name of a client's is in it.
    pub(crate) fn key(&self, random: [u8; 16]) -> String {
        match &self.place {
            Place::Key(key) => key.clone(),
            Place::Prefix(prefix) => prefix.clone() + &hexadecimal(random),
            Place::Missing => String::new(),
        }
    }
}

/// Sixteen bytes in 32 digits.
pub(crate) fn hexadecimal(bytes: [u8; 16]) -> String {
    bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The client's wish, as the app is told of it: a Dictionary of RFC 9651.
pub(crate) fn wish_field(wish: &Wish) -> Option<HeaderValue> {
    let text = |text| StringRef::from_str(text).map_or(RefBareItem::DisplayString(text), RefBareItem::String);
    let mut dictionary = DictSerializer::new();
    dictionary.bare_item(key_ref("size"), sfv::Integer::try_from(wish.size).ok()?);
    dictionary.bare_item(key_ref("type"), text(&wish.content_type));
    dictionary.bare_item(key_ref("name"), text(&wish.name));
    HeaderValue::try_from(dictionary.finish()?).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::{Beyond, Grant, wish_field};
    use crate::uploads::asked::Wish;

    fn parse(value: &'static str) -> Result<Grant, String> {
        Grant::parse(&HeaderValue::from_static(value))
    }

    fn wish(content_type: &str, size: u64) -> Wish {
        Wish { name: "Fünf.wav".to_owned(), content_type: content_type.to_owned(), size }
    }

    #[test]
    fn what_is_granted() {
        let grant = parse(r#"user-files;prefix="users/1/";type="audio/*";size=100"#).expect("a good one");
        assert_eq!(grant.role, "user-files");
        assert_eq!(grant.key([0xab; 16]), format!("users/1/{}", "ab".repeat(16)));
        assert_eq!(grant.covers(&wish("audio/wav", 100), 1_000), Ok(()));
        assert_eq!(grant.covers(&wish("audio/wav", 101), 1_000), Err(Beyond::Size(100)));
        assert_eq!(grant.covers(&wish("audio/wav", 60), 50), Err(Beyond::Size(50)));
        assert_eq!(grant.covers(&wish("text/plain", 1), 50), Err(Beyond::Type("audio/*".to_owned())));
        let exact = parse(r#"ota;key=%"%c3%bc""#).expect("a good one");
        assert_eq!((exact.key([0; 16]).as_str(), exact.covers(&wish("text/plain", 50), 50)), ("ü", Ok(())));
    }

    #[test]
    fn what_is_no_grant() {
        for bad in [
            "",
            "user-files",
            "\"user-files\";key=\"a\"",
            "user-files;key=a",
            "user-files;prefix=\"a\"",
            "user-files;key=\"a\";prefix=\"b/\"",
            "user-files;key=\"a\";size=0",
            "user-files;key=\"a\";size=\"1\"",
            "user-files;key=\"a\";expires=5",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_app_is_told_what_is_wanted() {
        let said = wish_field(&wish("audio/wav", 7));
        assert_eq!(said, Some(HeaderValue::from_static(r#"size=7, type="audio/wav", name=%"F%c3%bcnf.wav""#)));
    }
}
