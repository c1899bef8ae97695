use std::fmt::Write as _;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use sha2::Sha256;

use super::{Clock, Flaw, plain, stripe};
use crate::config::Secrets;

const NOW: u64 = 1_800_000_000;
const CLOCK: Clock = Clock { now: NOW, tolerance: Duration::from_secs(300) };
const PLATFORM: &str = "whsec_platform_0123456789";
const CONNECT: &str = "whsec_connect_0123456789";
const BODY: &[u8] = b"{ \"id\": \"evt_1\",\r\n \"amount\":1e2 }\n";

fn secrets() -> Secrets {
    Secrets::of(&[PLATFORM, CONNECT])
}

/// As a sender computes it.
fn sign(secret: &str, signed: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(signed);
    mac.finalize().into_bytes().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn v1(secret: &str, time: u64, body: &[u8]) -> String {
    sign(secret, &[format!("{time}.").as_bytes(), body].concat())
}

fn check(field: &str) -> Result<(), Flaw> {
    stripe(&secrets(), CLOCK, Some(field.as_bytes()), BODY)
}

/// Computed by openssl:
/// `printf '1800000000.hello' | openssl dgst -sha256 -hmac whsec_platform_0123456789`.
#[test]
fn it_is_what_others_compute() {
    let hex = "4a8123939215ddf2da2f3e267ec691a00cbda4826745988161bf7b8c5deb126e";
    assert_eq!(v1(PLATFORM, NOW, b"hello"), hex);
    assert_eq!(stripe(&secrets(), CLOCK, Some(format!("t={NOW},v1={hex}").as_bytes()), b"hello"), Ok(()));
}

#[test]
fn stripes_cases() {
    let good = v1(PLATFORM, NOW, BODY);
    let wrong = v1("whsec_somebody_elses_key", NOW, BODY);
    let at = |time: u64| format!("t={time},v1={}", v1(PLATFORM, time, BODY));
    for (what, field, expected) in [
        ("good", format!("t={NOW},v1={good}"), Ok(())),
        ("of the other endpoint", format!("t={NOW},v1={}", v1(CONNECT, NOW, BODY)), Ok(())),
        ("bad", format!("t={NOW},v1={wrong}"), Err(Flaw::Mismatch)),
        ("299 s old", at(NOW - 299), Ok(())),
        ("300 s old", at(NOW - 300), Ok(())),
        ("301 s old", at(NOW - 301), Err(Flaw::Stale)),
        ("299 s ahead", at(NOW + 299), Ok(())),
        ("301 s ahead", at(NOW + 301), Err(Flaw::Stale)),
        ("two, the first good", format!("t={NOW},v1={good},v1={wrong}"), Ok(())),
        ("two, the second good", format!("t={NOW},v1={wrong},v1={good}"), Ok(())),
        ("two, none good", format!("t={NOW},v1={wrong},v1={wrong}"), Err(Flaw::Mismatch)),
        ("with unknown schemes", format!("v9=abc, t={NOW}, v0={wrong}, v1={good}, x="), Ok(())),
        ("only an unknown scheme", format!("t={NOW},v0={good}"), Err(Flaw::Mismatch)),
        ("a time that was not signed", format!("t={},v1={good}", NOW - 1), Err(Flaw::Mismatch)),
        ("two times", format!("t={NOW},t={NOW},v1={good}"), Err(Flaw::Malformed)),
        ("no time", format!("v1={good}"), Err(Flaw::Malformed)),
        ("a signed time", format!("t=+{NOW},v1={good}"), Err(Flaw::Malformed)),
        ("a time beyond all", format!("t=99999999999999999999999,v1={good}"), Err(Flaw::Malformed)),
        ("half a signature", format!("t={NOW},v1={}", &good[..32]), Err(Flaw::Mismatch)),
        ("no pair", format!("t={NOW},{good}"), Err(Flaw::Malformed)),
        ("nothing", String::new(), Err(Flaw::Malformed)),
    ] {
        assert_eq!(check(&field), expected, "{what}: {field}");
    }
    assert_eq!(stripe(&secrets(), CLOCK, None, BODY), Err(Flaw::Missing));
}

#[test]
fn a_body_that_was_written_anew_is_another() {
    let field = format!("t={NOW},v1={}", v1(PLATFORM, NOW, BODY));
    let value: serde_json::Value = serde_json::from_slice(BODY).expect("JSON");
    let again = serde_json::to_vec(&value).expect("JSON");
    assert_eq!(stripe(&secrets(), CLOCK, Some(field.as_bytes()), &again), Err(Flaw::Mismatch));
    assert_eq!(check(&field), Ok(()));
}

#[test]
fn in_a_field_of_its_own() {
    let secrets = secrets();
    let alone = sign(CONNECT, BODY);
    let with_time = v1(CONNECT, NOW, BODY);
    let check = |field: &str, time| plain(&secrets, CLOCK, Some(field.as_bytes()), time, BODY);
    assert_eq!(check(&alone, None), Ok(()));
    assert_eq!(check(&format!("sha256={alone}"), None), Ok(()));
    assert_eq!(check(&alone.to_uppercase(), None), Ok(()));
    assert_eq!(check(&with_time, None), Err(Flaw::Mismatch));
    assert_eq!(check("sha256=", None), Err(Flaw::Malformed));
    assert_eq!(plain(&secrets, CLOCK, None, None, BODY), Err(Flaw::Missing));
    let now = NOW.to_string();
    assert_eq!(check(&with_time, Some(Ok(now.as_bytes()))), Ok(()));
    assert_eq!(check(&alone, Some(Ok(now.as_bytes()))), Err(Flaw::Mismatch), "a time that was not signed");
    assert_eq!(check(&with_time, Some(Err(Flaw::Missing))), Err(Flaw::Missing));
    let old = (NOW - 301).to_string();
    assert_eq!(check(&v1(CONNECT, NOW - 301, BODY), Some(Ok(old.as_bytes()))), Err(Flaw::Stale));
}

proptest! {
    /// Whatever a sender writes, there is an answer, and without a secret it is no.
    #[test]
    fn nothing_passes_by_chance(
        field in proptest::collection::vec(any::<u8>(), 0..200),
        shaped in "(t=[0-9]{0,12},?|v1=[0-9a-fG%]{0,70},?|v0=x,?|[ -~]{0,9}){0,6}",
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        for field in [&field[..], shaped.as_bytes()] {
            prop_assert!(stripe(&secrets(), CLOCK, Some(field), &body).is_err());
            prop_assert!(plain(&secrets(), CLOCK, Some(field), None, &body).is_err());
            prop_assert!(plain(&secrets(), CLOCK, Some(field), Some(Ok(field)), &body).is_err());
        }
    }

    /// One that is signed passes, and with one byte changed it does not.
    #[test]
    fn every_byte_counts(body in proptest::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let field = format!("t={NOW},v1={}", v1(CONNECT, NOW, &body));
        prop_assert_eq!(stripe(&secrets(), CLOCK, Some(field.as_bytes()), &body), Ok(()));
        let mut other = body;
        let at = at.index(other.len());
        other[at] ^= 1_u8 << bit;
        prop_assert_eq!(stripe(&secrets(), CLOCK, Some(field.as_bytes()), &other), Err(Flaw::Mismatch));
    }
}
