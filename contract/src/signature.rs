//! The edge's signature on a request: HTTP Message Signatures (RFC 9421) with `hmac-sha256` (3.3.3), in one fixed form.
//!
//! ```text
//! Signature-Input: edge=("@method" "@authority" "@path" "@query" "edge-facts");created=1800000000;keyid="2026-07";alg="hmac-sha256";tag="makenotwork-edge"
//! Signature: edge=:<base64 of 32 bytes>:
//! ```
//!
//! It proves that one of our edges saw this very target and wrote these very facts about it, lately. The body and all other
//! fields rest on TLS, and a replay within the [`Window`] is accepted.
//!
//! One form means one way to be right: a `Signature-Input` that is not byte for byte what [`Key::sign`] writes, `created` and
//! `keyid` apart, is malformed. So there are no optional components, no second labels and no duplicate members to reason about.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;
use subtle::ConstantTimeEq as _;

mod base;
mod keys;

pub use keys::{EXAMPLE_SECRET, Key, KeyError, Keys, KeysError, MAX_KEYS};

/// The signature's label, with what follows it in each of the two dictionaries.
const LABEL: &str = "edge=";
/// The covered components, as the signature's parameters name them; in the order of [`Message::components`].
const COVERED: &str = r#"("@method" "@authority" "@path" "@query" "edge-facts")"#;
/// What follows the key's id.
const END: &str = r#"";alg="hmac-sha256";tag="makenotwork-edge""#;

/// The `tag` by which our edge's signatures are told from a client's own, which are for the app (RFC 9421 section 2.3).
const TAG: &[u8] = b"makenotwork-edge";

/// Whether a `Signature-Input` speaks for our edge: then it must be good. Any bytes that hold our tag do.
#[must_use]
pub fn speaks_for_the_edge(signature_input: &[u8]) -> bool {
    signature_input.windows(TAG.len()).any(|part| part == TAG)
}

/// What is signed of a request. Both sides fill it from the request as it goes over the wire between them.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The method, in its own case.
    pub method: &'a str,
    /// `Host` or `:authority`. It is signed in lower case; a port stays as it is, since the scheme that would make it the
    /// default one is not known here.
    pub authority: &'a str,
    /// The path as in [`Target::path`](crate::Target::path); an empty one is signed as `/`.
    pub path: &'a str,
    /// The query without its `?`. An absent query is signed as an empty one (RFC 9421 2.2.7).
    pub query: Option<&'a str>,
    /// The value of the one `Edge-Facts` line. Who reads it from a request refuses one with several.
    pub facts: &'a str,
}

/// The values of the two fields that carry a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFields {
    /// The value of `Signature-Input`.
    pub input: String,
    /// The value of `Signature`.
    pub signature: String,
}

/// How far from now a signature may have been made, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The greatest age.
    pub max_age: u64,
    /// How far the edge's clock may run ahead.
    pub skew: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { max_age: 30, skew: 5 }
    }
}

/// A signature that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// Which key made it: its place in [`Keys`], 0 being the one that signs.
    pub key: usize,
}

impl Key {
    /// Signs the message as of `created`, in seconds since 1970 and at most 15 digits (RFC 9651 3.3.1).
    pub fn sign(&self, message: &Message<'_>, created: u64) -> SignatureFields {
        let id = self.id();
        let input = format!(r#"{LABEL}{COVERED};created={created};keyid="{id}{END}"#);
        let mac = self.mac(message, input.strip_prefix(LABEL).unwrap_or_default());
        let mut signature = format!("{LABEL}:");
        STANDARD.encode_string(mac, &mut signature);
        signature.push(':');
        SignatureFields { input, signature }
    }

    fn mac(&self, message: &Message<'_>, params: &str) -> [u8; 32] {
        let mut mac = self.state();
        let authority = message.lower_case_authority();
        base::write(message.components(&authority), params, |part| mac.update(part.as_bytes()));
        mac.finalize().into_bytes().into()
    }
}

impl Keys {
    /// Checks the values of the two fields against the message, as of `now` in seconds since 1970. An absent field is passed
    /// as an empty string. Allocates nothing unless the authority has capitals.
    ///
    /// # Errors
    /// The first reason that applies, in the order of [`SignatureError`].
    pub fn verify(
        &self,
        message: &Message<'_>,
        signature_input: &str,
        signature: &str,
        now: u64,
        window: &Window,
    ) -> Result<Verified, SignatureError> {
        if signature_input.is_empty() || signature.is_empty() {
            return Err(SignatureError::Missing);
        }
        let input = Input::parse(signature_input).ok_or(SignatureError::Malformed)?;
        let sent = parse_signature(signature).ok_or(SignatureError::Malformed)?;
        if !message.is_one_line_each() {
            return Err(SignatureError::Malformed);
        }
        let (place, key) = self.find(input.key_id).ok_or(SignatureError::UnknownKey)?;
        if input.created < now.saturating_sub(window.max_age) {
            return Err(SignatureError::Expired);
        }
        if input.created > now.saturating_add(window.skew) {
            return Err(SignatureError::NotYetValid);
        }
        let made = key.mac(message, input.params);
        if !bool::from(made.ct_eq(&sent)) {
            return Err(SignatureError::Mismatch);
        }
        Ok(Verified { created: input.created, key: place })
    }
}

/// A `Signature-Input` of our one form.
struct Input<'a> {
    created: u64,
    key_id: &'a str,
    /// What stands after the label: the value of `@signature-params`.
    params: &'a str,
}

impl<'a> Input<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let params = value.strip_prefix(LABEL)?;
        let rest = params.strip_prefix(COVERED)?.strip_prefix(";created=")?;
        let (created, rest) = rest.split_once(r#";keyid=""#)?;
        let key_id = rest.strip_suffix(END)?;
        let digits = (1..=15).contains(&created.len()) && created.bytes().all(|digit| digit.is_ascii_digit());
        let canonical = digits && (created == "0" || !created.starts_with('0'));
        let created = canonical.then_some(created)?.parse().ok()?;
        keys::is_id(key_id).then_some(Self { created, key_id, params })
    }
}

/// 32 bytes in canonical base64; the engine refuses missing padding and stray bits.
fn parse_signature(value: &str) -> Option<[u8; 32]> {
    let text = value.strip_prefix(LABEL)?.strip_prefix(':')?.strip_suffix(':')?;
    // One byte more, since the engine wants room for whole groups of three.
    let mut bytes = [0; 33];
    let len = STANDARD.decode_slice(text, &mut bytes).ok()?;
    if len == 32 { bytes.first_chunk().copied() } else { None }
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// One of the two fields is absent.
    Missing,
    /// A field is not of our one form, or the message has what no request line or field holds.
    Malformed,
    /// No key has this id.
    UnknownKey,
    /// Made too long ago.
    Expired,
    /// Made in the future.
    NotYetValid,
    /// Made with another secret or for another message.
    Mismatch,
}

impl SignatureError {
    /// A stable word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "signature-missing",
            Self::Malformed => "signature-malformed",
            Self::UnknownKey => "signature-unknown-key",
            Self::Expired => "signature-expired",
            Self::NotYetValid => "signature-not-yet-valid",
            Self::Mismatch => "signature-mismatch",
        }
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request has no edge signature: signature-input and signature must both be there",
            Self::Malformed => "signature-input or signature is not in the form that the edge writes",
            Self::UnknownKey => "the signature's key is not in the keys file; edge and gateway must share it",
            Self::Expired => "the signature is too old; check the clocks of edge and gateway",
            Self::NotYetValid => "the signature is from the future; check the gateway's clock",
            Self::Mismatch => "the signature does not match; the secret differs, or the request was changed on its way",
        })
    }
}

impl std::error::Error for SignatureError {}

#[cfg(test)]
mod tests;
