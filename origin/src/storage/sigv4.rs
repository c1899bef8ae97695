//! AWS Signature Version 4 as query parameters, for reading: what S3 servers call a presigned URL.
//!
//! Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)", whose example is a test here.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::config::Bucket;

/// What SigV4 leaves as it is: unreserved characters (RFC 3986 section 2.3).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// In a path the slash as well.
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// How an object is read. A URL signed for one is refused for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
}

/// A URL by which anyone may read `key` until the bucket's expiry has passed since `now` (seconds since the Unix epoch).
///
/// `disposition` becomes the answer's `Content-Disposition`, under the signature.
#[must_use]
pub fn presign(bucket: &Bucket, read: Read, key: &str, disposition: Option<&str>, now: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(now.cast_signed()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let day = format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day());
    let moment = format!("{day}T{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second());
    let scope = format!("{day}/{}/s3/aws4_request", bucket.region);
    let path = format!("{}/{}", bucket.prefix, utf8_percent_encode(key, PATH));

    let mut query = String::with_capacity(512);
    // Parameters stand in the order of their names, as the canonical request wants them.
    let _ = write!(
        query,
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={}&X-Amz-Date={moment}&X-Amz-Expires={}&X-Amz-SignedHeaders=host",
        utf8_percent_encode(&format!("{}/{scope}", bucket.credentials.id), QUERY),
        bucket.expiry,
    );
    if let Some(disposition) = disposition {
        let _ = write!(query, "&response-content-disposition={}", utf8_percent_encode(disposition, QUERY));
    }

    let method = match read {
        Read::Get => "GET",
        Read::Head => "HEAD",
    };
    let canonical = format!("{method}\n{path}\n{query}\nhost:{}\n\nhost\nUNSIGNED-PAYLOAD", bucket.host);
    let to_sign = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let mut signing = mac(format!("AWS4{}", bucket.credentials.secret).as_bytes(), day.as_bytes());
    for part in [bucket.region.as_str(), "s3", "aws4_request"] {
        signing = mac(&signing, part.as_bytes());
    }
    let signature = hex(&mac(&signing, to_sign.as_bytes()));
    format!("{}://{}{path}?{query}&X-Amz-Signature={signature}", bucket.scheme, bucket.host)
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::{Read, presign};
    use crate::config::{Bucket, Credentials};

    fn bucket() -> Bucket {
        Bucket {
            role: "files".into(),
            scheme: "https",
            host: "examplebucket.s3.amazonaws.com".into(),
            prefix: String::new(),
            region: "us-east-1".into(),
            expiry: 86_400,
            credentials: Credentials {
                id: "AKIAIOSFODNN7EXAMPLE".into(),
                secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            },
        }
    }

    /// AWS's own example: test.txt, 2013-05-24, a day long.
    #[test]
    fn the_example_of_the_documentation() {
        assert_eq!(
            presign(&bucket(), Read::Get, "test.txt", None, 1_369_353_600),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn head_is_signed_by_itself() {
        let signed = |read| presign(&bucket(), read, "test.txt", None, 1_369_353_600);
        assert_ne!(signed(Read::Get), signed(Read::Head));
    }

    #[test]
    fn path_style_and_unicode() {
        let bucket = Bucket { prefix: "/files".into(), ..bucket() };
        let url = presign(&bucket, Read::Get, "users/1/Fünf & é.txt", Some("attachment"), 0);
        assert!(
            url.starts_with("https://examplebucket.s3.amazonaws.com/files/users/1/F%C3%BCnf%20%26%20%C3%A9.txt?"),
            "{url}"
        );
        assert!(url.contains("&response-content-disposition=attachment&X-Amz-Signature="), "{url}");
    }
}
