//! The secrets that edge and gateway share, and the file they are kept in.
//!
//! ```text
//! # id:secret, the secret as base64 of at least 32 random bytes (openssl rand -base64 32)
//! 2026-08:……
//! 2026-07:……
//! ```
//!
//! The first key signs; all verify. So a key is changed without a gap: put the new one last, everywhere; then first,
//! everywhere; then take the old one out.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;

/// The most keys that a file may have.
pub const MAX_KEYS: usize = 4;

/// The secret that documentation shows. It is refused, lest anyone serve with it.
pub const EXAMPLE_SECRET: &str = "dGhpcy1pcy1hbi1leGFtcGxlLW1ha2UteW91ci1vd24=";

/// The secret of RFC 9421's own examples (B.1.5), which is no more of a secret.
const RFC_SECRET: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";

const MIN_SECRET: usize = 32;

/// A secret with its name. What is kept is HMAC's state after the secret, which saves two hash blocks a signature.
#[derive(Clone)]
pub struct Key {
    id: String,
    state: Hmac<Sha256>,
}

impl Key {
    /// Takes an id of 1 to 64 characters of `A-Z a-z 0-9 . _ -`, and a secret of at least 32 bytes.
    ///
    /// # Errors
    /// When the id or the secret is not so, or the secret is one that anyone could guess.
    pub fn new(id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        if !is_id(id) {
            return Err(KeyError::Id);
        }
        if secret.len() < MIN_SECRET {
            return Err(KeyError::ShortSecret { bytes: secret.len() });
        }
        let known = |text: &str| STANDARD.decode(text).is_ok_and(|known| known == secret);
        let same = secret.iter().all(|byte| Some(byte) == secret.first());
        if same || known(EXAMPLE_SECRET) || known(RFC_SECRET) {
            return Err(KeyError::KnownSecret);
        }
        // HMAC takes a secret of any length, so that this never fails is the library's promise.
        let state = Hmac::new_from_slice(secret).map_err(|_| KeyError::ShortSecret { bytes: secret.len() })?;
        Ok(Self { id: id.to_owned(), state })
    }

    /// The key's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn state(&self) -> Hmac<Sha256> {
        self.state.clone()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

pub(super) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// One key that signs, and those that are accepted beside it.
#[derive(Clone, Debug)]
pub struct Keys {
    signing: Key,
    accepted: Vec<Key>,
}

impl Keys {
    /// Reads the text of a keys file: one `id:secret` a line, the first of which signs; blank lines and lines that begin with
    /// `#` do not count.
    ///
    /// # Errors
    /// The first line that is wrong, by number and never by content; or that there is no key.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut keys: Vec<Key> = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            if keys.len() == MAX_KEYS {
                return Err(KeysError::TooMany { line });
            }
            let (id, secret) = content.split_once(':').ok_or(KeysError::Form { line })?;
            let secret = STANDARD.decode(secret.trim()).map_err(|_| KeysError::Base64 { line })?;
            let key = Key::new(id.trim(), &secret).map_err(|error| KeysError::Key { line, error })?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(KeysError::Duplicate { line });
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let signing = keys.next().ok_or(KeysError::Empty)?;
        Ok(Self { signing, accepted: keys.collect() })
    }

    /// The key that signs.
    pub const fn signing(&self) -> &Key {
        &self.signing
    }

    /// All keys, the one that signs first; [`Verified::key`](super::Verified::key) counts in this order.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signing).chain(&self.accepted)
    }

    pub(super) fn find(&self, id: &str) -> Option<(usize, &Key)> {
        self.iter().enumerate().find(|(_, key)| key.id == id)
    }
}

/// Why a key was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The id is empty, over 64 characters, or has others than `A-Z a-z 0-9 . _ -`.
    Id,
    /// The secret is under 32 bytes.
    ShortSecret {
        /// How many it has.
        bytes: usize,
    },
    /// The secret is one byte over and over, or an example from documentation.
    KnownSecret,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("the key's id must be 1 to 64 characters of A-Z a-z 0-9 . _ -"),
            Self::ShortSecret { bytes } => {
                write!(f, "the secret has {bytes} bytes and must have at least {MIN_SECRET}")
            }
            Self::KnownSecret => f.write_str("the secret is an example; make one with: openssl rand -base64 32"),
        }
    }
}

impl std::error::Error for KeyError {}

/// Why a keys file was not read. Lines count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysError {
    /// There is no key.
    Empty,
    /// There are more than [`MAX_KEYS`].
    TooMany {
        /// The first that is too many.
        line: usize,
    },
    /// The line has no colon.
    Form {
        /// Which.
        line: usize,
    },
    /// What stands after the colon is not base64.
    Base64 {
        /// Which.
        line: usize,
    },
    /// An earlier line has the same id.
    Duplicate {
        /// The later of the two.
        line: usize,
    },
    /// The key itself was not taken.
    Key {
        /// Which.
        line: usize,
        /// Why.
        error: KeyError,
    },
}

impl fmt::Display for KeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no key; each line is id:secret, the secret in base64"),
            Self::TooMany { line } => write!(f, "line {line}: there may be at most {MAX_KEYS} keys"),
            Self::Form { line } => write!(f, "line {line}: must be id:secret, the secret in base64"),
            Self::Base64 { line } => write!(f, "line {line}: the secret must be base64 with its padding"),
            Self::Duplicate { line } => write!(f, "line {line}: an earlier line has the same id"),
            Self::Key { line, error } => write!(f, "line {line}: {error}"),
        }
    }
}

impl std::error::Error for KeysError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, first: u8) -> String {
        let secret: Vec<u8> = (first..first + 32).collect();
        format!("{id}:{}", STANDARD.encode(secret))
    }

    #[test]
    fn the_first_line_signs() {
        let text = format!("# keys\n\n{}\r\n  {} \n", line("new", 1), line("old", 2));
        let keys = Keys::parse(&text).unwrap();
        assert_eq!(keys.signing().id(), "new");
        assert_eq!(keys.iter().map(Key::id).collect::<Vec<_>>(), ["new", "old"]);
        assert_eq!(keys.find("old").map(|(place, _)| place), Some(1));
        assert!(keys.find("ol").is_none());
    }

    #[test]
    fn says_which_line_is_wrong_and_not_what_it_holds() {
        let good = line("a", 1);
        let short = format!("b:{}", STANDARD.encode(b"hushhushhushhushhushhushhushhus"));
        let same = format!("b:{}", STANDARD.encode([7; 32]));
        let five = (0..5).map(|n| line(&n.to_string(), n)).collect::<Vec<_>>().join("\n");
        let key = |line, error| KeysError::Key { line, error };
        for (text, error) in [
            (String::new(), KeysError::Empty),
            ("# nothing\n\n".to_owned(), KeysError::Empty),
            (format!("{good}\nhush"), KeysError::Form { line: 2 }),
            (format!("\n\n{good}\nb:hush!"), KeysError::Base64 { line: 4 }),
            (format!("{good}\n{}", line("b", 2).trim_end_matches('=')), KeysError::Base64 { line: 2 }),
            (format!("{good}\n{short}"), key(2, KeyError::ShortSecret { bytes: 31 })),
            (format!("{good}\nb:"), key(2, KeyError::ShortSecret { bytes: 0 })),
            (same, key(1, KeyError::KnownSecret)),
            (format!("a:{EXAMPLE_SECRET}"), key(1, KeyError::KnownSecret)),
            (format!("a:{RFC_SECRET}"), key(1, KeyError::KnownSecret)),
            (line("", 1), key(1, KeyError::Id)),
            (line("a b", 1), key(1, KeyError::Id)),
            (format!("{good}\n{}", line("a", 2)), KeysError::Duplicate { line: 2 }),
            (five, KeysError::TooMany { line: 5 }),
        ] {
            let found = Keys::parse(&text).unwrap_err();
            assert_eq!(found, error);
            assert!(!found.to_string().contains("hush"), "{found}");
        }
    }

    #[test]
    fn ids() {
        let secret: Vec<u8> = (0..32).collect();
        let longest = "x".repeat(64);
        for id in ["a", "2026-07", "A.b_c-9", &longest] {
            assert!(Key::new(id, &secret).is_ok(), "{id}");
        }
        for id in ["", "a\"", "a;b", "ä", "a b", "a:b", &format!("{longest}x")] {
            assert_eq!(Key::new(id, &secret).unwrap_err(), KeyError::Id, "{id}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = Keys::parse(&line("a", 1)).unwrap();
        assert_eq!(format!("{keys:?}"), r#"Keys { signing: Key { id: "a", .. }, accepted: [] }"#);
    }
}
