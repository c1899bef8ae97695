//! The token of the private listener.

use std::fmt;
use std::path::Path;

use http::HeaderValue;

use subtle::ConstantTimeEq as _;

/// The least bytes of a token.
const LEAST: usize = 32;

/// A token. It never shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<[u8]>);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Takes at least 32 visible ASCII characters, around which there may be white space.
    ///
    /// # Errors
    /// Says what is wrong with the text, without it.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.len() < LEAST {
            return Err("is too short: a token has at least 32 characters (openssl rand -base64 32)");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("is not one token: write one line without spaces (openssl rand -base64 32)");
        }
        Ok(Self(text.as_bytes().into()))
    }

    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| format!("`{shown}` cannot be read: {e}"))?;
        Self::new(&text).map_err(|what| format!("`{shown}` {what}"))
    }

    /// As a client shows it (RFC 6750 section 2.1); it is marked as not to be shown to anyone else.
    pub(crate) fn bearer(&self) -> HeaderValue {
        let mut value = HeaderValue::try_from([b"Bearer ", &*self.0].concat()).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }

    /// As it is sent to whoever gave it to us.
    pub(crate) fn text(&self) -> &str {
        // Checked when it was read.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Whether `offered` is it. How long that takes says nothing but whether the lengths are the same.
    #[must_use]
    pub fn is(&self, offered: &[u8]) -> bool {
        self.0.ct_eq(offered).into()
    }
}
