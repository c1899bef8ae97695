//! Which answers are stored, on what terms, and what a validation changes (RFC 9111 sections 3, 4.2 and 4.3).

use crate::control::{Control, delta_seconds};
use crate::meta::{Meta, Terms};
use crate::vary::Vary;
use crate::{Ask, Fields, Settings, Timestamp, date, targeted};

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

/// What a 304 or an answer to HEAD must not change (RFC 9111 section 3.2): how the stored body is framed and coded.
const NOT_UPDATED: &[&str] = &["content-encoding", "content-length", "content-range", "etag"];

/// Status codes that may be guessed to be fresh (RFC 9110 section 15.1).
const HEURISTIC: &[u16] = &[200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501];

/// Status codes that are never stored, with whatever lifetime: they answer fields of one request that are in no key (304, 412, 416, 417,
/// 425; section 5.2 of RFC 8470 for the last), or RFC 6585 forbids it (428, 429, 431, 511).
const ONE_REQUESTS: &[u16] = &[304, 412, 416, 417, 425, 428, 429, 431, 511];

/// Status codes whose meaning for a cache is known, for `must-understand` (RFC 9111 section 5.2.2.3).
const UNDERSTOOD: &[u16] = &[
    200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408,
    409, 410, 411, 413, 414, 415, 421, 422, 426, 500, 501, 502, 503, 504, 505,
];

/// When a request left and the head of its answer arrived.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When the request left.
    pub requested: Timestamp,
    /// When the answer's head arrived.
    pub received: Timestamp,
}

/// Why an answer is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The method or the status code has no place in the cache.
    Kind,
    /// `no-store`, or `must-understand` with a status that is not.
    NoStore,
    /// `private`.
    Private,
    /// `Vary: *`.
    Vary,
    /// Set-Cookie, which a shared cache would hand to others.
    SetCookie,
    /// The request carried `Authorization`, and the answer does not say that it is for others.
    Authorization,
    /// The request carried cookies, and the answer does not say that it is for everyone.
    Cookie,
    /// It would never be reused.
    NeverFresh,
    /// Its body is over the host's limit for an object.
    TooLarge,
}

impl Refusal {
    /// The word for it, as `detail` of Cache-Status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Vary => "vary",
            Self::SetCookie => "set-cookie",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::NeverFresh => "never-fresh",
            Self::TooLarge => "too-large",
        }
    }
}

/// The entry to store for the answer to a GET, or why there is none. What a 206 carries is [`partial::storable`](crate::partial::storable)'s.
///
/// `sequence` is the purge log's number when the request left.
///
/// # Errors
/// Why it may not be stored, or need not.
pub fn storable(
    ask: &Ask,
    status: u16,
    fields: &(impl Fields + ?Sized),
    times: Times,
    sequence: u64,
    settings: &Settings,
) -> Result<Meta, Refusal> {
    let refuses_a_range = ask.range && status >= 400;
    if ask.head || !(200..=999).contains(&status) || status == 206 || ONE_REQUESTS.contains(&status) || refuses_a_range
    {
        return Err(Refusal::Kind);
    }
    judge(ask, status, fields, times, sequence, settings)
}

/// Judges what headers say, for any status that has a place in the cache.
pub(crate) fn judge(
    ask: &Ask,
    status: u16,
    fields: &(impl Fields + ?Sized),
    times: Times,
    sequence: u64,
    settings: &Settings,
) -> Result<Meta, Refusal> {
    let (control, is_targeted) = targeted::control(fields);
    let understood = UNDERSTOOD.contains(&status);
    if control.must_understand && !understood || control.no_store && !control.must_understand {
        return Err(Refusal::NoStore);
    }
    if control.private {
        return Err(Refusal::Private);
    }
    if Vary::of(fields) == Vary::Everything {
        return Err(Refusal::Vary);
    }
    let withheld = |name: &str| control.withheld.iter().any(|withheld| **withheld == *name);
    if fields.has("set-cookie") && !withheld("set-cookie") {
        return Err(Refusal::SetCookie);
    }
    let shared = control.public || control.s_maxage.is_some() || is_targeted;
    let authorized = control.public || control.s_maxage.is_some() || control.must_revalidate;
    if ask.authorized && !authorized {
        return Err(Refusal::Authorization);
    }
    if ask.cookie && !shared {
        return Err(Refusal::Cookie);
    }
    let heuristic = HEURISTIC.contains(&status) || control.public;
    let (lifetime, guessed) = match explicit_lifetime(&control, is_targeted, fields, times) {
        Some(lifetime) => (lifetime, false),
        None if heuristic => (heuristic_lifetime(fields, times, settings), true),
        None => return Err(Refusal::NeverFresh),
    };
    let initial_age = initial_age(fields, times);
    let validator = fields.has("etag") || fields.has("last-modified");
    let stale = if control.must_revalidate || control.proxy_revalidate {
        0
    } else {
        control.stale_while_revalidate.unwrap_or(0).max(control.stale_if_error.unwrap_or(0))
    };
    let fresh = if control.no_cache { 0 } else { lifetime.saturating_add(stale) };
    if !validator && fresh <= initial_age {
        return Err(Refusal::NeverFresh);
    }
    let named: Vec<String> = fields.members("connection").map(str::to_ascii_lowercase).collect();
    let mut kept: Vec<(Box<str>, Box<[u8]>)> = fields
        .iter()
        .filter(|(name, _)| !NOT_STORED.contains(name) && !withheld(name) && !named.iter().any(|n| n == name))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    if !fields.has("date") {
        // RFC 9110 section 6.6.1: who has a clock says when it was.
        kept.push(("date".into(), date::format(times.received).into_bytes().into()));
    }
    let terms = Terms::default()
        .with(Terms::NO_CACHE, control.no_cache)
        .with(Terms::REVALIDATE, control.must_revalidate || control.proxy_revalidate)
        .with(Terms::S_MAXAGE, control.s_maxage.is_some())
        .with(Terms::SHARED, shared)
        .with(Terms::AUTHORIZED, authorized)
        .with(Terms::HEURISTIC, guessed);
    Ok(Meta {
        status,
        fields: kept,
        received: times.received,
        initial_age,
        lifetime,
        sequence,
        terms,
        stale_while_revalidate: control.stale_while_revalidate.unwrap_or(0),
        stale_if_error: control.stale_if_error,
        length: if status == 204 {
            Some(0)
        } else {
            fields.single("content-length").and_then(|length| length.parse().ok())
        },
    })
}

/// What is stored after a 304 or the answer to a HEAD has confirmed it: the new fields in place of the old (RFC 9111 sections 3.2 and
/// 4.3.4), and everything that follows from them.
///
/// # Errors
/// Why it may not be stored any more.
pub fn freshen(
    ask: &Ask,
    stored: &Meta,
    fields: &(impl Fields + ?Sized),
    times: Times,
    sequence: u64,
    settings: &Settings,
) -> Result<Meta, Refusal> {
    // A Date that is missing is the time of its arrival, and not the stored answer's.
    let replaced = |name: &str| (fields.has(name) || name == "date") && !NOT_UPDATED.contains(&name);
    let mut merged: Vec<(&str, &[u8])> = stored.iter().filter(|(name, _)| !replaced(name)).collect();
    // The framing of a message without a body says nothing of the stored one's.
    merged.extend(fields.iter().filter(|(name, _)| {
        !NOT_UPDATED.contains(name) && *name != "content-length" || !stored.has(name) && *name == "etag"
    }));
    let as_get = Ask { head: false, ..*ask };
    let mut meta = judge(&as_get, stored.status, &merged[..], times, sequence, settings)?;
    meta.length = stored.length;
    Ok(meta)
}

/// The lifetime that the origin gave (RFC 9111 section 4.2.1).
fn explicit_lifetime(
    control: &Control,
    is_targeted: bool,
    fields: &(impl Fields + ?Sized),
    times: Times,
) -> Option<u64> {
    if let Some(lifetime) = control.shared_lifetime() {
        return Some(lifetime);
    }
    if is_targeted || !fields.has("expires") {
        return None;
    }
    // What can't be read, `0` foremost, means the past (section 5.3); so do two different ones.
    let mut lines = fields.values("expires");
    let first = lines.next();
    if lines.any(|line| Some(line) != first) {
        return Some(0);
    }
    let Some(expires) = first.and_then(|line| core::str::from_utf8(line).ok()).and_then(date::parse) else {
        return Some(0);
    };
    let date = fields.single("date").and_then(date::parse).unwrap_or(times.received);
    Some(expires.as_secs().saturating_sub(date.as_secs()))
}

/// A guess from Last-Modified (RFC 9111 section 4.2.2): a part of the time since then.
fn heuristic_lifetime(fields: &(impl Fields + ?Sized), times: Times, settings: &Settings) -> u64 {
    let Some(modified) = fields.single("last-modified").and_then(date::parse) else { return 0 };
    let date = fields.single("date").and_then(date::parse).unwrap_or(times.received);
    (date.secs_since(modified) / 10).min(settings.heuristic_cap)
}

/// The corrected initial age in seconds (RFC 9111 section 4.2.3). Of a list in Age the first member counts, and what is no number is
/// none (section 5.1).
fn initial_age(fields: &(impl Fields + ?Sized), times: Times) -> u64 {
    let said = fields.values("age").next().and_then(|line| core::str::from_utf8(line).ok());
    let first = said.and_then(|line| line.split(',').next()).map(|member| member.trim_matches([' ', '\t']));
    let age = first.filter(|text| !text.starts_with('"')).and_then(delta_seconds).unwrap_or(0);
    let corrected = age.saturating_add(times.received.secs_since(times.requested));
    let date = fields.single("date").and_then(date::parse);
    let apparent = date.map_or(0, |date| times.received.secs_since(date));
    corrected.max(apparent)
}

#[cfg(test)]
mod tests {
    use super::{Refusal, Times, freshen, storable};
    use crate::{Ask, Fields, Meta, Settings, Timestamp};
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const TIMES: Times = Times { requested: NOW, received: NOW };

    fn ask(ask: &Ask, status: u16, fields: &[(&str, &str)]) -> Result<Meta, Refusal> {
        storable(ask, status, fields, TIMES, 0, &Settings::default())
    }

    fn of(fields: &[(&str, &str)]) -> Result<Meta, Refusal> {
        ask(&Ask::default(), 200, fields)
    }

    fn ttl(fields: &[(&str, &str)]) -> Option<i64> {
        of(fields).ok().map(|m| m.ttl(NOW))
    }

    #[test]
    fn lifetimes() {
        assert_eq!(ttl(&[("cache-control", "max-age=60")]), Some(60));
        assert_eq!(ttl(&[("cache-control", "max-age=60, s-maxage=5")]), Some(5));
        assert_eq!(ttl(&[("cache-control", "max-age=60"), ("age", "20")]), Some(40));
        assert_eq!(ttl(&[("cache-control", "max-age=60"), ("date", "Tue, 14 Nov 2023 22:13:10 GMT")]), Some(50));
        assert_eq!(ttl(&[("cache-control", "max-age=1"), ("cdn-cache-control", "max-age=9")]), Some(9));
        assert_eq!(ttl(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=9")]), Some(9));
        let expires = ("expires", "Tue, 14 Nov 2023 22:14:20 GMT");
        assert_eq!(ttl(&[expires]), Some(60));
        assert_eq!(ttl(&[expires, ("date", "Tue, 14 Nov 2023 22:13:10 GMT")]), Some(60));
        assert_eq!(ttl(&[expires, ("cache-control", "max-age=0")]), None);
        assert_eq!(ttl(&[("expires", "0"), ("etag", "\"a\"")]), Some(0));
        assert_eq!(ttl(&[("last-modified", "Tue, 14 Nov 2023 22:03:20 GMT")]), Some(60));
        assert_eq!(ttl(&[("last-modified", "Wed, 14 Nov 2012 22:03:20 GMT")]), Some(86_400));
        assert_eq!(ttl(&[("etag", "\"a\"")]), Some(0));
    }

    #[test]
    fn ages() {
        for (age, ttl_then) in
            [("5", 55), ("5, 9", 55), ("-5", 60), ("5.5", 60), ("a", 60), ("\"5\"", 60), ("", 60), ("050", 10)]
        {
            assert_eq!(ttl(&[("cache-control", "max-age=60"), ("age", age)]), Some(ttl_then), "{age}");
        }
        assert_eq!(ttl(&[("cache-control", "max-age=60"), ("age", "99999999999999999999")]), None);
        let late = Times { requested: Timestamp::from_secs(NOW.as_secs() - 7), received: NOW };
        let meta =
            storable(&Ask::default(), 200, &[("cache-control", "max-age=60")][..], late, 0, &Settings::default());
        assert_eq!(meta.expect("storable").age(NOW), 7);
    }

    #[test]
    fn refusals() {
        let fine = ("cache-control", "max-age=60");
        for (fields, why) in [
            (&[][..], Refusal::NeverFresh),
            (&[("cache-control", "public")], Refusal::NeverFresh),
            (&[("cache-control", "max-age=60, private")], Refusal::Private),
            (&[fine, ("cache-control", "no-store")], Refusal::NoStore),
            (&[("cache-control", "max-age=60, no-cache")], Refusal::NeverFresh),
            (&[fine, ("set-cookie", "a=b")], Refusal::SetCookie),
            (&[fine, ("vary", "a, *")], Refusal::Vary),
            (&[fine, ("cdn-cache-control", "no-store")], Refusal::NoStore),
            (&[fine, ("age", "60")], Refusal::NeverFresh),
        ] {
            assert_eq!(of(fields), Err(why), "{fields:?}");
        }
        for status in [206, 304, 412, 416, 417, 425, 428, 429, 431, 511] {
            assert_eq!(ask(&Ask::default(), status, &[fine]), Err(Refusal::Kind));
        }
        assert_eq!(ask(&Ask { range: true, ..Ask::default() }, 400, &[fine]), Err(Refusal::Kind));
        assert_eq!(ask(&Ask { head: true, ..Ask::default() }, 200, &[fine]), Err(Refusal::Kind));
        assert_eq!(ask(&Ask { authorized: true, ..Ask::default() }, 200, &[fine]), Err(Refusal::Authorization));
        assert_eq!(ask(&Ask { cookie: true, ..Ask::default() }, 200, &[fine]), Err(Refusal::Cookie));
        for status in [204, 299, 303, 400, 404, 410, 499, 500, 504, 599] {
            assert!(ask(&Ask::default(), status, &[fine]).is_ok(), "{status}");
        }
        assert_eq!(ask(&Ask::default(), 201, &[("etag", "\"a\"")]), Err(Refusal::NeverFresh));
    }

    #[test]
    fn must_understand_lifts_no_store_of_what_is_understood() {
        let fields = [("cache-control", "must-understand, no-store, max-age=60")];
        assert!(ask(&Ask::default(), 200, &fields).is_ok());
        assert_eq!(ask(&Ask::default(), 299, &fields), Err(Refusal::NoStore));
        assert_eq!(
            ask(&Ask::default(), 299, &[("cache-control", "must-understand, max-age=60")]),
            Err(Refusal::NoStore)
        );
    }

    #[test]
    fn keeps_the_fields_but_those_of_one_connection_or_one_client() {
        let fields = [
            ("cache-control", "max-age=60, private=\"x-mine, set-cookie\""),
            ("connection", "X-Hop"),
            ("x-hop", "1"),
            ("x-mine", "1"),
            ("set-cookie", "a=b"),
            ("age", "3"),
            ("etag", "\"a\""),
        ];
        let meta = of(&fields).expect("storable");
        let names: Vec<&str> = meta.iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["cache-control", "etag", "date"]);
        assert_eq!(meta.single("date"), Some("Tue, 14 Nov 2023 22:13:20 GMT"));
    }

    #[test]
    fn a_304_changes_what_it_may() {
        let old = [
            ("cache-control", "max-age=60"),
            ("etag", "\"a\""),
            ("x", "1"),
            ("content-length", "5"),
            ("content-type", "a/b"),
        ];
        let stored = of(&old).expect("storable");
        let new = [
            ("cache-control", "max-age=90"),
            ("x", "2"),
            ("y", "3"),
            ("content-length", "0"),
            ("content-encoding", "br"),
        ];
        let meta = freshen(&Ask::default(), &stored, &new[..], TIMES, 4, &Settings::default()).expect("storable");
        assert_eq!((meta.ttl(NOW), meta.single("x"), meta.single("y")), (90, Some("2"), Some("3")));
        assert_eq!(
            (meta.single("content-length"), meta.length(), meta.has("content-encoding")),
            (Some("5"), Some(5), false)
        );
        assert_eq!(
            (meta.single("etag"), meta.single("content-type"), meta.sequence()),
            (Some("\"a\""), Some("a/b"), 4)
        );
        let no = freshen(&Ask::default(), &stored, &[("cache-control", "private")][..], TIMES, 4, &Settings::default());
        assert_eq!(no, Err(Refusal::Private));
    }

    proptest! {
        #[test]
        fn what_is_private_is_never_stored(
            before in "[ -~]{0,20}", directive in "private|no-store|PRIVATE|No-Store", after in "[ -~]{0,20}", status in 200u16..600,
        ) {
            let line = format!("{before}, {directive}, {after}");
            let quotes = before.matches('"').count();
            prop_assume!(quotes % 2 == 0 || !after.contains('"'));
            let fields = [("cache-control", line.as_str()), ("etag", "\"a\"")];
            let fine = ask(&Ask::default(), status, &fields);
            prop_assert!(fine.is_err() || line.to_ascii_lowercase().contains("must-understand"), "{}", line);
        }

        #[test]
        fn never_fails(status: u16, fields in prop::collection::vec((
            "cache-control|cdn-cache-control|age|date|expires|vary|etag|last-modified|set-cookie|connection", "[ -~]{0,40}"), 0..6)) {
            let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let _ = ask(&Ask::default(), status, &fields);
        }
    }
}
