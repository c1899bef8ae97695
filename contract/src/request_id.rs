//! The request's id: 128 random bits, made once where the request enters, the same in every log line, answer and error page.
//!
//! It has the size of a W3C trace id, so that a request without a trace of its own gets its id as one ([`crate::trace`]).

use std::fmt;

use crate::hex;

/// An id of 16 bytes, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Takes 16 bytes from a source of randomness that the host brings.
    pub const fn from_random(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads exactly 32 lower-case hexadecimal digits; anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        hex::decode(text).map(Self)
    }

    /// The bytes.
    pub const fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Whether it is of a share of all ids, from 0 to 1. What is of a smaller share is of each larger one, too.
    pub fn is_of(self, share: f64) -> bool {
        let [.., a, b, c, d] = self.0;
        f64::from(u32::from_be_bytes([a, b, c, d])) < share * 2f64.powi(32)
    }

    /// The text, on the stack: for header values without an allocation.
    pub fn text(self) -> RequestIdText {
        let mut text = [b'0'; 32];
        hex::encode(&self.0, &mut text);
        RequestIdText(text)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestId({self})")
    }
}

/// A [`RequestId`] as text on the stack.
#[derive(Clone, Copy)]
pub struct RequestIdText([u8; 32]);

impl RequestIdText {
    /// The 32 digits.
    pub fn as_str(&self) -> &str {
        // Always digits; the empty string stands for a case that cannot be.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl AsRef<[u8]> for RequestIdText {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for RequestIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = RequestId::from_random(*b"\x00\x01\xfe\xffabcdefghijkl");
        assert_eq!(id.to_string(), "0001feff6162636465666768696a6b6c");
        assert_eq!(id.text().as_str(), id.to_string());
        assert_eq!(RequestId::parse(&id.to_string()), Some(id));
        assert_eq!(format!("{id:?}"), "RequestId(0001feff6162636465666768696a6b6c)");
    }

    #[test]
    fn refuses_the_neighbours() {
        let good = "0001feff6162636465666768696a6b6c";
        assert!(RequestId::parse(good).is_some());
        for bad in [&good[1..], &format!("{good}0"), &good.to_uppercase(), &good.replace("00", "0x"), ""] {
            assert_eq!(RequestId::parse(bad), None, "{bad}");
        }
    }
}
