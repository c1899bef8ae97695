//! A clearance: the proof, in a cookie, that a visitor has passed a challenge.
//!
//! ```text
//! Cookie: __Host-clearance=1.1800000000.<43 characters>
//! ```
//!
//! The version, the second since 1970 up to which it holds, and HMAC-SHA256 over both, the visitor's household
//! ([`client::household`]) and the host, in base64 for URLs. The key is derived from the edge's, so that neither can be used in the other's
//! place. All keys verify: while the edge's key is changed, no visitor is asked again.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::client;
use crate::signature::{Key, Keys};

/// The cookie's name. Browsers take it only for this very host, over TLS.
pub const COOKIE: &str = "__Host-clearance";
/// Seconds that a clearance holds at most: a day.
pub const LONGEST: u64 = 86_400;

const VERSION: &str = "1";
/// What the key is derived for.
const PURPOSE: &[u8] = b"makenotwork clearance 1";

impl Keys {
    /// Clears a visitor of a host, in lower case and without its port, until a time in seconds since 1970: the cookie's value.
    #[must_use]
    pub fn clear(&self, client: IpAddr, host: &str, until: u64) -> String {
        let mac = mac(self.signing(), client, host, until).unwrap_or_default();
        format!("{VERSION}.{until}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// Whether a clearance is this visitor's, for this host, and holds at `now`, in seconds since 1970.
    #[must_use]
    pub fn is_clear(&self, clearance: &str, client: IpAddr, host: &str, now: u64) -> bool {
        let Some((until, sent)) = parse(clearance) else { return false };
        (now < until && until <= now.saturating_add(LONGEST))
            && self.iter().any(|key| mac(key, client, host, until).is_some_and(|made| made.ct_eq(&sent).into()))
    }
}

fn mac(key: &Key, client: IpAddr, host: &str, until: u64) -> Option<[u8; 32]> {
    let mut state = key.state();
    state.update(PURPOSE);
    // HMAC takes a secret of any length.
    let mut state = Hmac::<Sha256>::new_from_slice(&state.finalize().into_bytes()).ok()?;
    // Neither a number nor an address holds a line feed, and the host stands last.
    state.update(format!("{until}\n{}\n{host}", client::household(client)).as_bytes());
    Some(state.finalize().into_bytes().into())
}

fn parse(clearance: &str) -> Option<(u64, [u8; 32])> {
    let (until, mac) = clearance.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')?;
    let digits = (1..=15).contains(&until.len()) && until.bytes().all(|digit| digit.is_ascii_digit());
    let until = if digits { until.parse().ok()? } else { return None };
    let mut bytes = [0; 33];
    let len = URL_SAFE_NO_PAD.decode_slice(mac, &mut bytes).ok()?;
    if len == 32 { Some((until, bytes.first_chunk().copied()?)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, parse};
    use crate::signature::Keys;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    const NOW: u64 = 1_800_000_000;

    fn keys(first: &[u8]) -> Keys {
        let line = |first: &u8| format!("k{first}:{}\n", STANDARD.encode((*first..*first + 32).collect::<Vec<u8>>()));
        Keys::parse(&first.iter().map(line).collect::<String>()).unwrap()
    }

    fn is_clear(keys: &Keys, clearance: &str, client: &str, host: &str, now: u64) -> bool {
        keys.is_clear(clearance, client.parse().unwrap(), host, now)
    }

    #[test]
    fn holds_for_this_household_this_host_and_this_long() {
        let old = keys(&[1]);
        let clearance = old.clear("2001:db8:0:1::7".parse().unwrap(), "makenot.work", NOW + 60);
        let holds = |client: &str, host: &str, now| is_clear(&old, &clearance, client, host, now);
        assert!(
            holds("2001:db8:0:1::7", "makenot.work", NOW) && holds("2001:db8:0:1:ffff::", "makenot.work", NOW + 59)
        );
        assert!(!holds("2001:db8:0:2::7", "makenot.work", NOW) && !holds("203.0.113.7", "makenot.work", NOW));
        assert!(!holds("2001:db8:0:1::7", "forums.makenot.work", NOW));
        assert!(!holds("2001:db8:0:1::7", "makenot.work", NOW + 60), "it has ended");
        assert!(!holds("2001:db8:0:1::7", "makenot.work", NOW + 60 - LONGEST - 1), "none is so long");
        // While keys are changed, whichever stands first.
        for both in [[1, 2], [2, 1]] {
            assert!(is_clear(&keys(&both), &clearance, "2001:db8:0:1::7", "makenot.work", NOW));
        }
        assert!(!is_clear(&keys(&[2]), &clearance, "2001:db8:0:1::7", "makenot.work", NOW));
    }

    #[test]
    fn whatever_is_changed_in_it_it_is_none() {
        let keys = keys(&[1]);
        let clearance = keys.clear([203, 0, 113, 7].into(), "a", NOW + 60);
        for n in 0..clearance.len() {
            let mut bytes = clearance.clone().into_bytes();
            bytes[n] = if bytes[n] == b'2' { b'3' } else { b'2' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(!is_clear(&keys, &changed, "203.0.113.7", "a", NOW), "{changed}");
        }
        for other in ["", "1", "1.", "1.1800000060.", &clearance[..clearance.len() - 1], &format!("{clearance}A")] {
            assert!(!is_clear(&keys, other, "203.0.113.7", "a", NOW), "{other}");
        }
    }

    proptest! {
        #[test]
        fn reads_anything(text in "1?\\.?[0-9]{0,17}\\.?[A-Za-z0-9_-]{0,44}", other in "\\PC*") {
            let _ = (parse(&text), parse(&other));
        }
    }
}
