//! Which answers are stored, and for how long (RFC 9111 sections 3 and 4.2).

use crate::control::Control;
use crate::{Fields, Meta, Timestamp};

/// Fields that belong to one exchange, or are computed anew for each answer, and are never stored (RFC 9111 section 3.1).
const NOT_STORED: &[&str] = &[
    "age",
    "cache-status",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The entry to store for an answer, or `None` where it may not be, or where this engine does not understand enough to.
///
/// `now` is when the answer's head arrived; `sequence` is the purge log's number when the request left.
pub fn storable(
    method: &str,
    status: u16,
    fields: &(impl Fields + ?Sized),
    now: Timestamp,
    sequence: u64,
) -> Option<Meta> {
    if method != "GET" || status != 200 {
        return None;
    }
    let control = Control::of(fields);
    if !control.public || control.private || control.no_store || control.no_cache {
        return None;
    }
    // Each of these changes whom the answer is for, or what it means, in a way not read here.
    if ["set-cookie", "vary", "content-range", "cdn-cache-control", "cloudflare-cdn-cache-control"]
        .iter()
        .any(|name| fields.has(name))
    {
        return None;
    }
    let age = initial_age(fields, now)?;
    let lifetime = control.shared_lifetime()?;
    if lifetime <= age {
        return None;
    }
    let named: Vec<String> = fields.members("connection").map(str::to_ascii_lowercase).collect();
    let kept = fields
        .iter()
        .filter(|(name, _)| !NOT_STORED.contains(name) && !named.iter().any(|n| n == name))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    Some(Meta::new(status, kept, now, age, lifetime, sequence))
}

/// The corrected initial age in seconds (RFC 9111 section 4.2.3), without the response delay, which the caller's `now`
/// leaves out. `None` where an Age field is there that can't be read: then nothing is known.
fn initial_age(fields: &(impl Fields + ?Sized), now: Timestamp) -> Option<u64> {
    let said = if fields.has("age") {
        let value = fields.single("age")?;
        if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        value.parse().unwrap_or(u64::from(u32::MAX))
    } else {
        0
    };
    let apparent = fields
        .single("date")
        .and_then(|d| httpdate::parse_http_date(d).ok())
        .and_then(|d| d.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |d| now.secs_since(Timestamp::from_secs(d.as_secs())));
    Some(said.max(apparent))
}

#[cfg(test)]
mod tests {
    use super::storable;
    use crate::{Fields, Timestamp};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn ttl(fields: &[(&str, &str)]) -> Option<u64> {
        storable("GET", 200, fields, NOW, 0).map(|m| m.ttl(NOW))
    }

    #[test]
    fn stores_what_says_public_and_how_long() {
        assert_eq!(ttl(&[("cache-control", "public, max-age=60")]), Some(60));
        assert_eq!(ttl(&[("cache-control", "public, max-age=60, s-maxage=5")]), Some(5));
        assert_eq!(ttl(&[("cache-control", "public, max-age=60"), ("age", "20")]), Some(40));
        assert_eq!(
            ttl(&[("cache-control", "public, max-age=60"), ("date", "Tue, 14 Nov 2023 22:13:10 GMT")]),
            Some(50)
        );
    }

    #[test]
    fn never_stores() {
        let no: &[&[(&str, &str)]] = &[
            &[],
            &[("cache-control", "max-age=60")],
            &[("cache-control", "public")],
            &[("cache-control", "public, max-age=0")],
            &[("cache-control", "public, max-age=60, private")],
            &[("cache-control", "public, max-age=60"), ("cache-control", "no-store")],
            &[("cache-control", "public, max-age=60, no-cache=\"x\"")],
            &[("cache-control", "public, max-age=60"), ("set-cookie", "a=b")],
            &[("cache-control", "public, max-age=60"), ("vary", "hx-request")],
            &[("cache-control", "public, max-age=60"), ("cdn-cache-control", "no-store")],
            &[("cache-control", "public, max-age=60"), ("age", "60")],
            &[("cache-control", "public, max-age=60"), ("age", "x")],
            &[("cache-control", "public, max-age=60"), ("age", "1"), ("age", "2")],
        ];
        for fields in no {
            assert_eq!(ttl(fields), None, "{fields:?}");
        }
        let fine = [("cache-control", "public, max-age=60")];
        for (method, status) in [("HEAD", 200), ("POST", 200), ("GET", 206), ("GET", 304), ("GET", 500)] {
            assert!(storable(method, status, &fine[..], NOW, 0).is_none(), "{method} {status}");
        }
    }

    #[test]
    fn keeps_the_fields_but_those_of_one_connection() {
        let fields = [
            ("cache-control", "public, max-age=60"),
            ("connection", "X-Hop"),
            ("x-hop", "1"),
            ("age", "3"),
            ("etag", "\"a\""),
        ];
        let meta = storable("GET", 200, &fields[..], NOW, 9).expect("storable");
        let names: Vec<&str> = meta.iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["cache-control", "etag"]);
        assert_eq!(meta.sequence(), 9);
    }
}
