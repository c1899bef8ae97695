//! Conditional requests (RFC 9110 section 13): the clients', answered from what is stored, and our own, to validate it.

use crate::{Fields, Meta, Timestamp, date};

/// Whether two entity tags name the same content, near enough (weak comparison, RFC 9110 section 8.8.3.2).
#[must_use]
pub fn weakly_same(a: &str, b: &str) -> bool {
    let opaque = |tag| str::strip_prefix(tag, "W/").unwrap_or(tag);
    is_tag(opaque(a)) && opaque(a) == opaque(b)
}

/// Whether two entity tags name the same bytes (strong comparison).
#[must_use]
pub fn strongly_same(a: &str, b: &str) -> bool {
    is_tag(a) && a == b
}

fn is_tag(tag: &str) -> bool {
    tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"')
}

/// Whether the client holds what the answer with these `fields` says, so that 304 answers it (RFC 9110 section 13.2.2: If-None-Match
/// decides where there is one). `received` stands for a Last-Modified and a Date that are missing (RFC 9111 section 4.3.2).
pub fn not_modified(request: &(impl Fields + ?Sized), fields: &(impl Fields + ?Sized), received: Timestamp) -> bool {
    if request.has("if-none-match") {
        let held = fields.single("etag");
        return request
            .members("if-none-match")
            .any(|asked| asked == "*" || held.is_some_and(|held| weakly_same(asked, held)));
    }
    let Some(since) = request.single("if-modified-since").and_then(date::parse) else { return false };
    let modified = fields.single("last-modified").or_else(|| fields.single("date"));
    modified.map_or(Some(received), date::parse).is_some_and(|modified| modified.as_secs() <= since.as_secs())
}

/// The fields that ask the origin whether what is stored still holds (RFC 9111 section 4.3.1).
pub fn conditions(stored: &Meta) -> impl Iterator<Item = (&'static str, &str)> {
    let tag = stored.single("etag").map(|tag| ("if-none-match", tag));
    // A Last-Modified after the answer's own Date (RFC 9110 section 8.8.2.1) would be "not modified since" for good.
    let made = stored.single("date").and_then(date::parse).unwrap_or(stored.received);
    let sound = |modified: &&str| date::parse(modified).is_none_or(|modified| modified <= made);
    let date = stored.single("last-modified").filter(sound).map(|date| ("if-modified-since", date));
    tag.into_iter().chain(date)
}

/// Whether a 304 speaks of what is stored (RFC 9111 section 4.3.4): its validators, where it has any, are the stored ones.
pub fn is_about(stored: &Meta, not_modified: &(impl Fields + ?Sized)) -> bool {
    match (not_modified.single("etag"), stored.single("etag")) {
        (Some(said), Some(held)) if said.starts_with("W/") => weakly_same(said, held),
        (Some(said), Some(held)) => strongly_same(said, held) || weakly_same(said, held) && held.starts_with("W/"),
        (Some(_), None) => false,
        (None, _) => match (not_modified.single("last-modified"), stored.single("last-modified")) {
            (Some(said), Some(held)) => said == held,
            _ => true,
        },
    }
}

/// Whether the answer to a HEAD is that of what is stored (RFC 9111 section 4.3.5), so that it may freshen it.
pub fn same_head(stored: &Meta, head: &(impl Fields + ?Sized)) -> bool {
    let same = |name: &str| match (head.single(name), stored.single(name)) {
        (Some(said), Some(held)) => said == held,
        _ => true,
    };
    let length =
        head.single("content-length").is_none_or(|said| stored.length().is_none_or(|held| said == held.to_string()));
    length && same("etag") && same("last-modified")
}

/// Whether If-Range, where there is one, lets a range be answered from the stored answer (RFC 9110 section 13.1.5): by strong comparison
/// of a tag, or the very date.
pub fn range_holds(request: &(impl Fields + ?Sized), stored: &(impl Fields + ?Sized)) -> bool {
    if !request.has("if-range") {
        return true;
    }
    let Some(asked) = request.single("if-range").map(str::trim) else { return false };
    if asked.starts_with('"') || asked.starts_with("W/") {
        return stored.single("etag").is_some_and(|held| strongly_same(asked, held));
    }
    let (Some(asked), Some(held)) = (date::parse(asked), stored.single("last-modified").and_then(date::parse)) else {
        return false;
    };
    // A date is strong where it was a minute old when the answer was made (RFC 9110 section 8.8.2.2).
    let made = stored.single("date").and_then(date::parse);
    asked == held && made.is_none_or(|made| made.secs_since(held) >= 1)
}

#[cfg(test)]
mod tests {
    use super::{conditions, not_modified, range_holds};
    use crate::response::{Times, storable};
    use crate::{Ask, Settings, Timestamp};

    const DAY: &str = "Tue, 14 Nov 2023 00:00:00 GMT";
    const LATER: &str = "Tue, 14 Nov 2023 22:13:10 GMT";

    #[test]
    fn if_none_match_before_dates() {
        let stored = [("etag", "\"a\""), ("last-modified", DAY)];
        let held = |request: &[(&str, &str)]| not_modified(request, &stored[..], Timestamp::from_secs(0));
        for tags in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*", "\"b,c\" , \"a\""] {
            assert!(held(&[("if-none-match", tags)]), "{tags}");
        }
        for tags in ["\"b\"", "a", "", "\"a"] {
            assert!(!held(&[("if-none-match", tags), ("if-modified-since", LATER)]), "{tags}");
        }
        assert!(held(&[("if-modified-since", DAY)]) && held(&[("if-modified-since", LATER)]));
        assert!(!held(&[("if-modified-since", "Mon, 13 Nov 2023 23:59:59 GMT")]));
        assert!(!held(&[("if-modified-since", "yesterday")]) && !held(&[]));
    }

    #[test]
    fn a_date_in_the_future_asks_nothing() {
        let at = Timestamp::from_secs(1_700_000_000);
        let asked = |modified: &str| {
            let fields = [("cache-control", "max-age=60"), ("date", LATER), ("last-modified", modified)];
            let times = Times { requested: at, received: at };
            let stored = storable(&Ask::default(), 200, &fields[..], times, 0, &Settings::default()).expect("storable");
            conditions(&stored).count()
        };
        assert_eq!((asked(DAY), asked(LATER)), (1, 1));
        assert_eq!(asked("Tue, 14 Nov 2023 22:13:11 GMT"), 0);
    }

    #[test]
    fn if_range_is_strong() {
        let stored = [("etag", "\"a\""), ("last-modified", DAY), ("date", LATER)];
        let holds = |value: &str| range_holds(&[("if-range", value)][..], &stored[..]);
        assert!(holds("\"a\"") && holds(DAY));
        assert!(!holds("W/\"a\"") && !holds("\"b\"") && !holds(LATER) && !holds("x"));
        assert!(range_holds(&[("x", "y")][..], &stored[..]));
    }
}
