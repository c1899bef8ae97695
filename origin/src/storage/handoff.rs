//! The app's hand-off: a response field that names an object instead of carrying it, as nginx's X-Accel-Redirect does.
//!
//! ```text
//! Handoff: user-files;key="users/1/tide.wav";filename="Tide.wav";disposition=attachment
//! ```
//!
//! An Item of RFC 9651: the bucket's role as a token; `key` and `filename` as a String, or a Display String where they are
//! not ASCII; `disposition` as one of the tokens `inline` and `attachment`.

use std::fmt::Write as _;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sfv::{BareItem, Item, Parser};

/// What the app handed off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handoff {
    /// The bucket's role.
    pub role: String,
    /// The object's key, 1 to 1,024 bytes.
    pub key: String,
    /// The name to save it under.
    pub filename: Option<String>,
    /// Whether it is to be saved (`attachment`) or shown (`inline`); where the app says neither, a file name means saving.
    pub attachment: Option<bool>,
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
    /// The key can't be an object's.
    #[error("the hand-off's key {0}")]
    Key(&'static str),
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
        let mut handoff = Self { role: role.as_str().to_owned(), key: String::new(), filename: None, attachment: None };
        for (name, value) in item.params {
            let text = match &value {
                BareItem::String(text) => Some(text.as_str().to_owned()),
                BareItem::DisplayString(text) => Some(text.clone()),
                _ => None,
            };
            match (name.as_str(), text, value) {
                ("key", Some(text), _) => handoff.key = text,
                ("filename", Some(text), _) => handoff.filename = Some(text),
                ("disposition", None, BareItem::Token(word)) if word.as_str() == "inline" => {
                    handoff.attachment = Some(false);
                }
                ("disposition", None, BareItem::Token(word)) if word.as_str() == "attachment" => {
                    handoff.attachment = Some(true);
                }
                (other, ..) => return Err(malformed(&format!("parameter `{other}` is unknown or of the wrong type"))),
            }
        }
        check_key(&handoff.key)?;
        Ok(handoff)
    }

    /// `Content-Disposition` for it (RFC 6266), with the name in both forms where it is not plain ASCII.
    #[must_use]
    pub fn content_disposition(&self) -> Option<String> {
        let attachment = self.attachment.unwrap_or(self.filename.is_some());
        let mut value = String::from(if attachment { "attachment" } else { "inline" });
        match &self.filename {
            None if self.attachment.is_none() => return None,
            None => {}
            Some(name) => {
                let name: String = name.chars().filter(|c| !c.is_control() && !matches!(c, '/' | '\\')).collect();
                let plain: String =
                    name.chars().map(|c| if c.is_ascii() && c != '"' && c != '%' { c } else { '_' }).collect();
                let _ = write!(value, "; filename=\"{plain}\"");
                if plain != name {
                    let _ = write!(value, "; filename*=UTF-8''{}", utf8_percent_encode(&name, NON_ALPHANUMERIC));
                }
            }
        }
        Some(value)
    }
}

fn check_key(key: &str) -> Result<(), HandoffError> {
    let wrong = match key {
        "" => "is missing or empty",
        _ if key.len() > 1024 => "is longer than the 1,024 bytes that S3 allows",
        _ if key.starts_with('/') => "begins with a slash",
        _ if key.chars().any(char::is_control) => "holds a control character",
        _ if key.split('/').any(|segment| matches!(segment, "." | "..")) => "holds a dot segment",
        _ => return Ok(()),
    };
    Err(HandoffError::Key(wrong))
}

#[cfg(test)]
mod tests {
    use super::{Handoff, HandoffError};

    fn disposition(value: &str) -> Option<String> {
        Handoff::parse(value).expect("a good hand-off").content_disposition()
    }

    #[test]
    fn names_in_both_forms() {
        assert_eq!(disposition(r#"files;key="a""#), None);
        assert_eq!(disposition(r#"files;key="a";disposition=inline"#).as_deref(), Some("inline"));
        assert_eq!(
            disposition(r#"files;key="a";filename="T \"1\".wav""#).as_deref(),
            Some(r#"attachment; filename="T _1_.wav"; filename*=UTF-8''T%20%221%22%2Ewav"#)
        );
        assert_eq!(
            disposition(r#"files;key="a";filename=%"f%c3%bcnf.txt";disposition=attachment"#).as_deref(),
            Some("attachment; filename=\"f_nf.txt\"; filename*=UTF-8''f%C3%BCnf%2Etxt")
        );
    }

    #[test]
    fn refuses() {
        for bad in ["", "files", "\"files\";key=\"a\"", "files;key=a", "files;key=\"a\";public", "files;key=\"a\", b"] {
            assert!(Handoff::parse(bad).is_err(), "{bad}");
        }
        let long = format!("files;key=\"{}\"", "a".repeat(1025));
        for bad in [
            "files;key=\"\"",
            "files;key=\"/a\"",
            "files;key=\"a/../b\"",
            "files;key=\"a/.\"",
            "files;key=%\"a%00\"",
            &long,
        ] {
            assert!(matches!(Handoff::parse(bad), Err(HandoffError::Key(_))), "{bad}");
        }
    }
}
