//! What a client holds of its upload: all that is to be known of it, sealed. The gateway keeps nothing, so a restart loses nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What is sealed.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Sealed<T> {
    /// The route.
    pub(crate) route: String,
    /// The host.
    pub(crate) host: String,
    /// When it ends, in seconds since the Unix epoch.
    pub(crate) until: u64,
    /// The file's name.
    pub(crate) name: String,
    /// The upload itself.
    pub(crate) upload: T,
}

/// Keeps these seals apart from whatever else the secret is for.
const PURPOSE: &[u8] = b"origin upload 1\0";

impl<T: DeserializeOwned + Serialize> Sealed<T> {
    /// As text.
    pub(crate) fn seal(&self, secret: &str) -> Option<String> {
        let said = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).ok()?);
        let mac = URL_SAFE_NO_PAD.encode(mac(secret, &said)?.finalize().into_bytes());
        Some(format!("{said}.{mac}"))
    }

    /// Reads what [`seal`](Self::seal) gave, as long as it holds. `secret` says the secret by what is claimed.
    pub(crate) fn open(text: &str, now: u64, secret: impl FnOnce(&T) -> Option<String>) -> Option<Self> {
        let (said, shown) = text.split_once('.')?;
        let sealed: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(said).ok()?).ok()?;
        let shown = URL_SAFE_NO_PAD.decode(shown).ok()?;
        mac(&secret(&sealed.upload)?, said)?.verify_slice(&shown).ok()?;
        (sealed.until > now).then_some(sealed)
    }
}

fn mac(secret: &str, said: &str) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    Some(mac.chain_update(PURPOSE).chain_update(said))
}

#[cfg(test)]
mod tests {
    use super::Sealed;

    #[test]
    fn holds_until_its_end_and_unchanged() {
        let secret = |_: &String| Some("0123456789abcdef".to_owned());
        let sealed = |upload: &str| Sealed {
            route: "works".to_owned(),
            host: "makenot.work".to_owned(),
            until: 100,
            name: "Fünf.wav".to_owned(),
            upload: upload.to_owned(),
        };
        let text = sealed("users/1/a").seal("0123456789abcdef").expect("sealed");
        let open = |text: &str, now| Sealed::<String>::open(text, now, secret).map(|sealed| sealed.upload);
        assert_eq!(open(&text, 99).as_deref(), Some("users/1/a"));
        assert_eq!(open(&text, 100), None);
        let other = sealed("users/2/a").seal("0123456789abcdef").expect("sealed");
        let ((said, _), (_, mac)) = (other.split_once('.').expect("two"), text.split_once('.').expect("two"));
        assert_eq!(open(&format!("{said}.{mac}"), 1), None, "another's seal");
        let foreign = sealed("users/1/a").seal("another secret!!").expect("sealed");
        for bad in ["", ".", &text[1..], &text[..text.len() - 1], &format!("{text}A"), &foreign] {
            assert_eq!(open(bad, 1), None, "{bad}");
        }
    }
}
