//! AWS Signature Version 4 as query parameters: what S3 servers call a presigned URL.
//!
//! Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", whose example is a test here. URLs are, byte for
//! byte, those of AWS's own SDK without its `x-id` (`tests/presign.rs`).
//!
//! A URL costs one SHA-256, one HMAC and one allocation: the day's signing key and all that is the same all day are kept.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::config::Credentials;

/// What SigV4 leaves as it is: unreserved characters (RFC 3986 section 2.3).
pub(super) const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// In a path the slash as well.
pub(super) const PATH: &AsciiSet = &QUERY.remove(b'/');

const DAY: u64 = 86_400;

/// Where a bucket's objects are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and port.
    pub host: String,
    /// What stands before an object's key: empty, or `/bucket` in path style.
    pub prefix: String,
    /// The region in the signature's scope.
    pub region: String,
}

impl Place {
    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        let first = self.host.split('.').next().unwrap_or_default();
        self.prefix.strip_prefix('/').unwrap_or(first)
    }
}

/// One key that signs for one bucket.
pub struct Signer {
    place: Place,
    credentials: Credentials,
    /// The newest day used, and the one before: a stable URL may have begun before midnight.
    days: ArcSwap<[Option<Arc<Day>>; 2]>,
}

/// What is the same for all that is signed with one day's date.
pub(super) struct Day {
    /// Days since the Unix epoch.
    number: u64,
    /// The beginning of the signature's parameters, up to the time of day.
    parameters: String,
    /// `ID/20130524/us-east-1/s3/aws4_request`
    pub(super) credential: String,
    /// `20130524`
    pub(super) date: String,
    /// From the date's line to the hash in the string to sign.
    scope: String,
    key: Hmac<Sha256>,
}

/// A request that a URL allows.
#[derive(Clone, Copy, Debug)]
pub struct Permit<'a> {
    /// The method.
    pub method: &'static str,
    /// The object's key.
    pub key: &'a str,
    /// Further parameters, in the order of their names, which need no encoding.
    pub query: &'a [(&'static str, &'a str)],
    /// The header fields that must come with it besides `Host`, in the order of their lower-case names. `x-amz-content-sha256` binds the body.
    pub headers: &'a [(&'static str, &'a str)],
    /// When it begins, in seconds since the Unix epoch.
    pub begins: u64,
    /// How long it lasts, in seconds.
    pub lasts: u64,
}

impl Signer {
    /// A key for a bucket.
    #[must_use]
    pub fn new(place: Place, credentials: Credentials) -> Self {
        Self { place, credentials, days: ArcSwap::default() }
    }

    /// Where the bucket is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The key that it signs with.
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A URL by which anyone may do what is permitted.
    #[must_use]
    pub fn presign(&self, permit: &Permit<'_>) -> String {
        let Permit { method, key, query, headers, begins, lasts } = *permit;
        debug_assert!(query.is_sorted_by(|a, b| a.0 < b.0) && headers.is_sorted_by(|a, b| a.0 < b.0));
        let day = self.day(begins / DAY);
        let Place { scheme, host, prefix, .. } = &self.place;
        let time = time_of_day(begins);
        let mut lasts_digits = itoa::Buffer::new();
        let lasts = lasts_digits.format(lasts);

        let mut url = String::with_capacity(self.room(&day, permit));
        for part in [scheme, "://", host] {
            url.push_str(part);
        }
        let path = url.len();
        url.push_str(prefix);
        url.push('/');
        url.extend(utf8_percent_encode(key, PATH));
        let question = url.len();
        url.push('?');
        for (name, value) in query {
            url.push_str(name);
            url.push('=');
            url.extend(utf8_percent_encode(value, QUERY));
            url.push('&');
        }
        let parameters = url.len();
        for part in [&day.parameters, ascii(&time), "&X-Amz-Expires=", lasts, "&X-Amz-SignedHeaders="] {
            url.push_str(part);
        }
        for (n, (name, _)) in with_host(headers).enumerate() {
            url.push_str(if n == 0 { "" } else { "%3B" });
            url.push_str(name);
        }

        // The canonical request, whose pieces stand in the URL already. `X-Amz-…` comes before every other parameter.
        let mut canonical = Sha256::new();
        for piece in [method, "\n", &url[path..question], "\n", &url[parameters..]] {
            canonical.update(piece);
        }
        if !query.is_empty() {
            canonical.update("&");
            canonical.update(&url[question + 1..parameters - 1]);
        }
        canonical.update("\n");
        for (name, value) in with_host(headers) {
            for piece in [name, ":", value.unwrap_or(host), "\n"] {
                canonical.update(piece);
            }
        }
        for (n, (name, _)) in with_host(headers).enumerate() {
            canonical.update(if n == 0 { "\n" } else { ";" });
            canonical.update(name);
        }
        let body = headers.iter().find(|(name, _)| *name == "x-amz-content-sha256");
        canonical.update("\n");
        canonical.update(body.map_or("UNSIGNED-PAYLOAD", |(_, hash)| hash));

        let mut mac = day.key.clone();
        for piece in ["AWS4-HMAC-SHA256\n", &day.date, "T", ascii(&time), &day.scope] {
            mac.update(piece.as_bytes());
        }
        mac.update(&hex(&canonical.finalize().into()));
        url.push_str("&X-Amz-Signature=");
        url.push_str(ascii(&hex(&mac.finalize().into_bytes().into())));
        url
    }

    /// More bytes than a URL can have, so that it is allocated once.
    fn room(&self, day: &Day, permit: &Permit<'_>) -> usize {
        let Place { scheme, host, prefix, .. } = &self.place;
        let query: usize = permit.query.iter().map(|(name, value)| name.len() + 3 * value.len() + 2).sum();
        let headers: usize = permit.headers.iter().map(|(name, _)| name.len() + 3).sum();
        let fixed =
            "://".len() + "/?".len() + "000000Z&X-Amz-Expires=&X-Amz-SignedHeaders=host&X-Amz-Signature=".len() + 84;
        scheme.len() + host.len() + prefix.len() + 3 * permit.key.len() + query + day.parameters.len() + headers + fixed
    }

    /// The signature of a text that is signed as it is.
    pub(super) fn sign(day: &Day, text: &str) -> String {
        let mut mac = day.key.clone();
        mac.update(text.as_bytes());
        ascii(&hex(&mac.finalize().into_bytes().into())).to_owned()
    }

    /// The day of a moment.
    pub(super) fn day_of(&self, moment: u64) -> Arc<Day> {
        self.day(moment / DAY)
    }

    fn day(&self, number: u64) -> Arc<Day> {
        let kept = self.days.load();
        if let Some(day) = kept.iter().flatten().find(|day| day.number == number) {
            return Arc::clone(day);
        }
        let day = Arc::new(self.begin(number));
        // Who loses a race derives the same key once more.
        let newest = kept.iter().flatten().max_by_key(|day| day.number).cloned();
        self.days.store(Arc::new([Some(Arc::clone(&day)), newest]));
        day
    }

    fn begin(&self, number: u64) -> Day {
        let moment = i64::try_from(number * DAY).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
        let date = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH).date();
        let date = format!("{:04}{:02}{:02}", date.year(), u8::from(date.month()), date.day());
        let Credentials { id, secret } = &self.credentials;
        let region = &self.place.region;
        let scope = format!("{date}/{region}/s3/aws4_request");
        let credential = format!("{id}/{scope}");
        let mut key = Hmac::new_from_slice(format!("AWS4{secret}").as_bytes()).expect("HMAC takes keys of any length");
        for part in [&date, region, "s3", "aws4_request"] {
            key.update(part.as_bytes());
            key = Hmac::new_from_slice(&key.finalize().into_bytes()).expect("HMAC takes keys of any length");
        }
        Day {
            number,
            parameters: format!(
                "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={date}T",
                utf8_percent_encode(&credential, QUERY)
            ),
            credential,
            scope: format!("\n{scope}\n"),
            date,
            key,
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("place", &self.place).field("credentials", &self.credentials).finish()
    }
}

/// The fields with `Host` where it belongs.
fn with_host<'a>(headers: &'a [(&'static str, &'a str)]) -> impl Iterator<Item = (&'static str, Option<&'a str>)> {
    let (before, after) = headers.split_at(headers.partition_point(|(name, _)| *name < "host"));
    let own = |(name, value): &(&'static str, &'a str)| (*name, Some(*value));
    before.iter().map(own).chain([("host", None)]).chain(after.iter().map(own))
}

/// `093005Z`
pub(super) fn time_of_day(moment: u64) -> [u8; 7] {
    let second = moment % DAY;
    let mut text = *b"000000Z";
    for (place, number) in [second / 3600, second / 60 % 60, second % 60].into_iter().enumerate() {
        // Two digits each.
        text[2 * place] += (number / 10) as u8;
        text[2 * place + 1] += (number % 10) as u8;
    }
    text
}

fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// Bytes that are ASCII by how they were made.
pub(super) fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Permit, Place, Signer};
    use crate::config::Credentials;

    /// That of AWS's examples.
    fn signer() -> Signer {
        let place = Place {
            scheme: "https",
            host: "examplebucket.s3.amazonaws.com".into(),
            prefix: String::new(),
            region: "us-east-1".into(),
        };
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into();
        Signer::new(place, Credentials { id: "AKIAIOSFODNN7EXAMPLE".into(), secret })
    }

    fn permit(begins: u64) -> Permit<'static> {
        Permit { method: "GET", key: "test.txt", query: &[], headers: &[], begins, lasts: 86_400 }
    }

    const EXAMPLE: &str = "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
         &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

    /// AWS's own example: test.txt, 2013-05-24, a day long.
    #[test]
    fn the_example_of_the_documentation() {
        assert_eq!(signer().presign(&permit(1_369_353_600)), EXAMPLE);
    }

    #[test]
    fn days_in_any_order_are_signed_alike() {
        let (signer, noon) = (signer(), 1_369_353_600);
        let fresh = |at| super::tests::signer().presign(&permit(at));
        for days in [0, 1, 0, 1, 5, 0, 5, 1, 30, 0] {
            for at in [noon + days * 86_400, noon + days * 86_400 - 1] {
                assert_eq!(signer.presign(&permit(at)), fresh(at));
            }
        }
        assert_eq!(signer.presign(&permit(noon)), EXAMPLE);
    }

    #[test]
    fn the_secret_does_not_show() {
        assert!(!format!("{:?}", signer()).contains("wJalr"));
    }

    #[test]
    fn a_url_is_allocated_once() {
        let signer = signer();
        let key = "ü".repeat(512);
        let query = [("partNumber", "10000"), ("uploadId", key.as_str())];
        let headers = [("content-length", "5"), ("content-type", "a/b"), ("x-amz-content-sha256", "0")];
        let permit = Permit { key: &key, query: &query, headers: &headers, lasts: 604_800, ..permit(0) };
        let url = signer.presign(&permit);
        assert_eq!(url.capacity(), signer.room(&signer.day(0), &permit));
    }
}
