//! What must not be written down.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A URL by which whoever has it may read or write. `Debug` shows where it leads, and not the signature.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Presigned(String);

impl Presigned {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl From<String> for Presigned {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Debug for Presigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bare, signed) = self.0.split_once('?').map_or((&*self.0, ""), |(bare, _)| (bare, "?…"));
        write!(f, "{bare}{signed}")
    }
}

#[cfg(test)]
mod tests {
    use super::Presigned;

    #[test]
    fn the_signature_does_not_show() {
        let url = Presigned::from("https://s3.example/a?X-Amz-Signature=feed".to_owned());
        assert_eq!(format!("{url:?}"), "https://s3.example/a?…");
    }
}
