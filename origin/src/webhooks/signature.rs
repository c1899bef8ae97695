//! Signatures over a delivery's exact bytes: HMAC-SHA256 (RFC 2104), as Stripe writes it, and in a field of its own.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::config::Secrets;

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// There is none, or more than one field of it.
    Missing,
    /// It can't be read.
    Malformed,
    /// It is of another time.
    Stale,
    /// It is not over these bytes, or by none of our secrets.
    Mismatch,
}

impl Flaw {
    /// The word for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Mismatch => "mismatch",
        }
    }
}

/// A time that was signed, within `tolerance` of `now`, in seconds since the epoch.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    pub(super) now: u64,
    pub(super) tolerance: Duration,
}

/// Stripe's: `t=1492774577,v1=5257a8…,v1=…,v0=…`, over time, dot and body. One `v1` that holds is enough; other schemes are passed
/// over.
pub(super) fn stripe(secrets: &Secrets, clock: Clock, field: Option<&[u8]>, body: &[u8]) -> Result<(), Flaw> {
    let field = str::from_utf8(field.ok_or(Flaw::Missing)?).map_err(|_| Flaw::Malformed)?;
    let (mut time, mut offered) = (None, Vec::new());
    for part in field.split(',') {
        match part.trim().split_once('=').ok_or(Flaw::Malformed)? {
            ("t", _) if time.is_some() => return Err(Flaw::Malformed),
            ("t", text) => time = Some(text),
            // One that is no SHA-256 holds over nothing.
            ("v1", hex) => offered.extend(digest(hex)),
            _ => {}
        }
    }
    let time = time.ok_or(Flaw::Malformed)?;
    timely(clock, time)?;
    holds(secrets, &[time.as_bytes(), b".", body], &offered)
}

/// In a field of its own: hexadecimal digits, before which `sha256=` may stand. Where there is a field for the time, it is over time,
/// dot and body, else over the body alone.
pub(super) fn plain(
    secrets: &Secrets,
    clock: Clock,
    field: Option<&[u8]>,
    time: Option<Result<&[u8], Flaw>>,
    body: &[u8],
) -> Result<(), Flaw> {
    let text = |field| str::from_utf8(field).map(str::trim).map_err(|_| Flaw::Malformed);
    let field = text(field.ok_or(Flaw::Missing)?)?;
    let offered = digest(field.strip_prefix("sha256=").unwrap_or(field)).ok_or(Flaw::Malformed)?;
    match time {
        None => holds(secrets, &[body], &[offered]),
        Some(time) => {
            let time = text(time?)?;
            timely(clock, time)?;
            holds(secrets, &[time.as_bytes(), b".", body], &[offered])
        }
    }
}

fn timely(Clock { now, tolerance }: Clock, time: &str) -> Result<(), Flaw> {
    let digits = !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    let time: u64 = time.parse().ok().filter(|_| digits).ok_or(Flaw::Malformed)?;
    if now.abs_diff(time) <= tolerance.as_secs() { Ok(()) } else { Err(Flaw::Stale) }
}

/// Whether one of the `offered` is by one of the secrets. How long that takes does not depend on how much of it is right.
fn holds(secrets: &Secrets, signed: &[&[u8]], offered: &[[u8; 32]]) -> Result<(), Flaw> {
    let mut found = subtle::Choice::from(0);
    for secret in secrets.iter() {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { continue };
        signed.iter().for_each(|part| mac.update(part));
        let expected: [u8; 32] = mac.finalize().into_bytes().into();
        for offered in offered {
            found |= offered.ct_eq(&expected);
        }
    }
    if found.into() { Ok(()) } else { Err(Flaw::Mismatch) }
}

/// The 32 bytes that 64 hexadecimal digits stand for.
fn digest(hex: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = hex.as_bytes().chunks_exact(2);
    if hex.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let &[high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
