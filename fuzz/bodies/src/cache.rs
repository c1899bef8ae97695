//! The engine.

use cache::fields::leaves_a_quote_open;
use cache::partial::{self, Part};
use cache::range::{Asked, asked};
use cache::response::storable;
use cache::search::Rule;
use cache::{
    Ask, Control, Fields, Key, Mark, Meta, Plan, Settings, Signpost, Terms, Times, Timestamp, Vary, request, targeted,
    validation, vary as wish,
};

use crate::{borrowed, section};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Cache-Control and the targeted field: whatever else stands there, what forbids is not overlooked.
pub(crate) fn control(bytes: &[u8]) {
    let mut lines: Vec<(&str, &[u8])> = vec![("cache-control", bytes)];
    let alone = Control::of(&lines[..]);
    let _ = targeted::control(&[("cdn-cache-control", bytes)][..]);
    for word in ["no-store", "private", "no-cache", "must-revalidate"] {
        lines.push(("cache-control", word.as_bytes()));
    }
    let both = Control::of(&lines[..]);
    assert!(both.no_store && both.private && both.no_cache && both.must_revalidate, "a line after it is read");
    assert_eq!((both.max_age, both.s_maxage), (alone.max_age, alone.s_maxage), "and changes no lifetime");
    lines.rotate_left(1);
    assert_eq!(Control::of(&lines[..]).no_store, both.no_store, "in any order");
}

/// Dates: what was read comes back when it is written.
pub(crate) fn date(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(read) = cache::date::parse(text) {
        let written = cache::date::format(read);
        assert_eq!(cache::date::parse(&written).map(Timestamp::as_secs), Some(read.as_secs()), "{text:?}, {written}");
    }
}

/// Range and Content-Range: a part lies within the whole.
pub(crate) fn range(bytes: &[u8]) {
    let (head, value) = bytes.split_at(bytes.len().min(2));
    let length = u64::from(head.iter().fold(0, |length, byte| length << 8 | u16::from(*byte)));
    if let Asked::Part(part) = asked(&[("range", value)][..], length) {
        assert!(part.start < part.end && part.end <= length, "{part:?} of {length}");
        let said = partial::content_range(part, length);
        assert_eq!(Part::of(&[("content-range", said.as_bytes())][..]), Some(Part { range: part, length }));
    }
    if let Some(part) = Part::of(&[("content-range", value)][..]) {
        assert!(part.range.start < part.range.end && part.range.end <= part.length, "{part:?}");
    }
}

/// Vary and the fields that it names: one spelling, and a variant's key that no other thing can have.
pub(crate) fn vary(bytes: &[u8]) {
    let section = section(bytes);
    let fields = borrowed(&section);
    for name in ["accept", "accept-encoding", "accept-language"] {
        let is_sound = |line: &[u8]| std::str::from_utf8(line).is_ok_and(|line| !leaves_a_quote_open(line));
        if !fields[..].values(name).all(is_sound) {
            continue;
        }
        let said = wish::wishes(name, &fields[..]);
        let again = wish::wishes(name, &[(name, said.as_bytes())][..]);
        assert_eq!(said, again, "one spelling");
    }
    let Vary::On(names) = Vary::of(&fields[..]) else { return };
    let url = Key::new(true, "a.example", "/b?c");
    let variant = url.variant(7, &names, &fields[..]);
    assert_eq!(variant.url(), url.url());
    assert_eq!(
        variant.as_str().matches('\n').count(),
        1 + names.split(',').count(),
        "a line for each field: {variant}"
    );
    let post = Signpost::with(None, &names, 7).expect("the first");
    assert_eq!(Signpost::with(Some(&post), &names, 8), None);
}

/// No-Vary-Search: what counts of a query is its own canonical form.
pub(crate) fn no_vary_search(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (rule, query) = text.split_once('\n').unwrap_or((text, "b=2&a=1&a=%41+"));
    if let Some(rule) = Rule::parse(rule) {
        let said = rule.canonical(Some(query));
        assert_eq!(rule.canonical(Some(&said)), said);
        assert!(!said.contains('\n') || query.contains('\n'));
    }
}

/// An entry's metadata, as a store gives it back: what is read comes back when it is written, and can be judged.
pub(crate) fn meta(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(read) = Meta::decode(text) else { return };
    if let Some(written) = read.encode() {
        assert_eq!(Meta::decode(&written).as_ref(), Some(&read));
    }
    judge(&read);
}

/// What leads to other entries, likewise.
pub(crate) fn mark(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(read) = Mark::decode(text) {
        let written = read.encode();
        assert_eq!(Mark::decode(&written).map(|mark| mark.encode()), Some(written));
    }
}

/// An answer's head, as an app sends it: what is stored may be, comes back from a store, and can be judged.
pub(crate) fn storing(bytes: &[u8]) {
    let (head, rest) = bytes.split_at(bytes.len().min(2));
    let bits = head.first().copied().unwrap_or_default();
    let ask = Ask {
        range: bits & 1 != 0,
        cookie: bits & 2 != 0,
        authorized: bits & 4 != 0,
        head: bits & 8 != 0,
        ..Ask::default()
    };
    let statuses = [200, 203, 204, 206, 301, 304, 404, 500];
    let status = statuses[usize::from(head.get(1).copied().unwrap_or_default()) % statuses.len()];
    let section = section(rest);
    let fields = borrowed(&section);
    let _ = request::plan("GET", &fields[..]);
    let times = Times { requested: NOW, received: NOW };
    let stored = match status {
        206 => partial::storable(&ask, &fields[..], times, 3, &Settings::default()),
        status => storable(&ask, status, &fields[..], times, 3, &Settings::default()),
    };
    let Ok(stored) = stored else { return };
    assert!(!ask.head && stored.status() != 304, "there is nothing to store");
    let (control, _) = targeted::control(&fields[..]);
    assert!(!control.private && (!control.no_store || control.must_understand), "{control:?}");
    assert!(stored.is_for(&ask), "who asked may have it");
    assert!(!stored.has("set-cookie"), "it is nobody else's");
    assert!(stored.part().is_none() || status == 206, "a part comes from a part");
    if let Some(written) = stored.encode() {
        assert_eq!(Meta::decode(&written).as_ref(), Some(&stored));
    }
    judge(&stored);
}

/// All that is asked of an entry.
fn judge(stored: &Meta) {
    let later = Timestamp::from_secs(NOW.as_secs() + 10);
    assert!(stored.ttl(later) <= stored.ttl(NOW), "freshness only falls");
    let _ = (stored.tags().count(), stored.keep(NOW, &Settings::default()), stored.weight());
    for name in validation::conditions(stored).map(|(name, _)| name) {
        assert!(matches!(name, "if-none-match" | "if-modified-since"));
    }
    let Plan::Look(ask) = request::plan("GET", &[("range", &b"bytes=0-"[..])][..]) else { unreachable!("a plain GET") };
    if !stored.terms().has(Terms::SHARED) {
        assert!(!stored.is_for(&Ask { cookie: true, ..ask }));
    }
}
