//! Credentials that a sender shows in `Authorization`: Basic (RFC 7617) and Bearer (RFC 6750).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq as _;

use crate::config::Secrets;

/// Whether a user and password are among ours.
pub(super) fn basic(secrets: &Secrets, field: Option<&[u8]>) -> bool {
    let shown = field.and_then(|field| after("basic", field));
    shown.and_then(|shown| BASE64_STANDARD.decode(shown).ok()).is_some_and(|shown| is_one_of(secrets, &shown))
}

/// Whether a token is one of ours.
pub(super) fn bearer(secrets: &Secrets, field: Option<&[u8]>) -> bool {
    field.and_then(|field| after("bearer", field)).is_some_and(|shown| is_one_of(secrets, shown))
}

/// What stands after the scheme's name, which has no case (RFC 9110 section 11.1).
fn after<'a>(scheme: &str, field: &'a [u8]) -> Option<&'a [u8]> {
    let (name, rest) = field.split_at_checked(scheme.len())?;
    let rest = rest.trim_ascii();
    (name.eq_ignore_ascii_case(scheme.as_bytes()) && field.get(scheme.len()) == Some(&b' ')).then_some(rest)
}

fn is_one_of(secrets: &Secrets, shown: &[u8]) -> bool {
    secrets.iter().fold(subtle::Choice::from(0), |found, secret| found | secret.ct_eq(shown)).into()
}
