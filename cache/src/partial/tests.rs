use proptest::prelude::*;

use super::{Fit, Part, combined, conditions, content_range, fit, storable};
use crate::range::{self, Asked, ByteRange};
use crate::response::{Refusal, Times};
use crate::{Ask, Fields, Meta, Settings, Timestamp};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const TIMES: Times = Times { requested: NOW, received: NOW };
const RANGED: Ask = Ask {
    range: true,
    head: false,
    authorized: false,
    cookie: false,
    no_cache: false,
    only_if_cached: false,
    max_age: None,
    min_fresh: None,
    max_stale: None,
    stale_if_error: None,
};

fn range(start: u64, end: u64) -> ByteRange {
    ByteRange { start, end }
}

/// The fields of a 206 that brings these bytes of `length`.
fn fields(bytes: ByteRange, length: u64) -> Vec<(&'static str, String)> {
    vec![
        ("cache-control", "max-age=60".to_owned()),
        ("etag", "\"a\"".to_owned()),
        ("content-range", content_range(bytes, length)),
        ("content-length", bytes.len().to_string()),
    ]
}

fn stored(bytes: ByteRange, length: u64) -> Meta {
    storable(&RANGED, &fields(bytes, length)[..], TIMES, 0, &Settings::default()).expect("storable")
}

fn with(change: (&'static str, &str)) -> Vec<(&'static str, String)> {
    let mut fields = fields(range(4, 7), 10);
    fields.retain(|(name, _)| *name != change.0);
    fields.push((change.0, change.1.to_owned()));
    fields
}

fn without(name: &str) -> Vec<(&'static str, String)> {
    fields(range(4, 7), 10).into_iter().filter(|(n, _)| *n != name).collect()
}

#[test]
fn content_ranges() {
    let of = |value: &str| Part::of(&[("content-range", value)][..]);
    assert_eq!(of("bytes 0-3/10"), Some(Part { range: range(0, 4), length: 10 }));
    assert_eq!(of("Bytes  9-9/10"), Some(Part { range: range(9, 10), length: 10 }));
    for none in [
        "",
        "bytes",
        "bytes 0-3",
        "bytes 0-3/*",
        "bytes */10",
        "bytes 0-10/10",
        "bytes 4-3/10",
        "bytes +1-3/10",
        "lines 0-3/10",
        "bytes 0-18446744073709551615/18446744073709551615",
        "bytes 0-3/99999999999999999999",
    ] {
        assert_eq!(of(none), None, "{none}");
    }
    assert_eq!(Part::of(&[("content-range", "bytes 0-3/10"), ("content-range", "bytes 0-3/10")][..]), None);
}

#[test]
fn what_is_stored_of_a_206() {
    let of = |ask: &Ask, fields: &[(&str, String)]| storable(ask, fields, TIMES, 0, &Settings::default());
    let meta = of(&RANGED, &without("content-length")).expect("storable");
    assert_eq!((meta.length(), meta.part()), (Some(3), Some(Part { range: range(4, 7), length: 10 })));
    for refused in [
        without("etag"),
        without("content-range"),
        with(("etag", "W/\"a\"")),
        with(("etag", "a")),
        with(("content-length", "4")),
        with(("content-type", "Multipart/ByteRanges; boundary=x")),
    ] {
        assert_eq!(of(&RANGED, &refused), Err(Refusal::Kind), "{refused:?}");
    }
    for (field, why) in [
        (("set-cookie", "a=b"), Refusal::SetCookie),
        (("vary", "*"), Refusal::Vary),
        (("cache-control", "private"), Refusal::Private),
        (("cache-control", "no-store"), Refusal::NoStore),
    ] {
        assert_eq!(of(&RANGED, &with(field)), Err(why), "{field:?}");
    }
    let whole = of(&RANGED, &fields(range(0, 10), 10)).expect("storable");
    assert_eq!((whole.status(), whole.length(), whole.single("content-range")), (200, Some(10), None));
    let fields = fields(range(4, 7), 10);
    assert_eq!(of(&Ask::default(), &fields), Err(Refusal::Kind), "nobody asked for a part");
    assert_eq!(of(&Ask { head: true, ..RANGED }, &fields), Err(Refusal::Kind));
    assert_eq!(of(&Ask { cookie: true, ..RANGED }, &fields), Err(Refusal::Cookie));
    assert_eq!(of(&Ask { authorized: true, ..RANGED }, &fields), Err(Refusal::Authorization));
}

#[test]
fn how_a_part_fits() {
    let of = |ask: &Ask, request: &[(&str, &str)]| {
        let stored = stored(range(4, 7), 10);
        fit(ask, request, &stored, stored.part().expect("a part"), 100)
    };
    let ranged = |value| of(&RANGED, &[("range", value)]);
    let missing = |start, end| Fit::Missing(range(start, end));
    for (value, expected) in [
        ("bytes=4-6", Fit::Enough),
        ("bytes=5-5", Fit::Enough),
        ("bytes=10-", Fit::Enough),
        ("bytes=-0", Fit::Enough),
        ("bytes=5-", missing(7, 10)),
        ("bytes=7-8", missing(7, 9)),
        ("bytes=-6", missing(7, 10)),
        ("bytes=2-5", missing(2, 4)),
        ("bytes=0-3", missing(0, 4)),
        ("bytes=0-2", Fit::Nothing),
        ("bytes=8-", Fit::Nothing),
        ("bytes=0-", Fit::Nothing),
        ("bytes=4-4,6-6", Fit::Nothing),
        ("lines=1-2", Fit::Nothing),
    ] {
        assert_eq!(ranged(value), expected, "{value}");
    }
    assert_eq!(of(&Ask::default(), &[]), Fit::Nothing, "its beginning is not there");
    assert_eq!(of(&Ask { head: true, ..RANGED }, &[("range", "bytes=4-6")]), Fit::Nothing);
    assert_eq!(of(&RANGED, &[("range", "bytes=4-6"), ("if-range", "\"a\"")]), Fit::Enough);
    assert_eq!(of(&RANGED, &[("range", "bytes=4-6"), ("if-range", "\"b\"")]), Fit::Nothing);
    let start = stored(range(0, 4), 10);
    let whole = |most| fit(&Ask::default(), &[("x", "y")][..], &start, start.part().expect("a part"), most);
    assert_eq!((whole(10), whole(9)), (missing(4, 10), Fit::Nothing));
}

#[test]
fn what_is_combined() {
    let of = |new: &[(&str, String)]| {
        combined(&RANGED, &stored(range(0, 4), 10), range(4, 7), new, TIMES, 7, &Settings::default())
    };
    let (meta, is_before) = of(&with(("x-new", "1"))).expect("it belongs together");
    assert_eq!((meta.status(), meta.length(), meta.sequence(), is_before), (206, Some(7), 7, false));
    assert_eq!((meta.single("content-range"), meta.single("x-new")), (Some("bytes 0-6/10"), Some("1")));
    assert_eq!(meta.values("etag").count(), 1);
    for other in [
        with(("etag", "\"b\"")),
        with(("etag", "W/\"a\"")),
        without("etag"),
        without("content-range"),
        with(("content-range", "bytes 4-6/11")),
        with(("content-range", "bytes 4-6/*")),
        with(("content-range", "bytes 5-7/10")),
        with(("content-length", "2")),
        with(("content-encoding", "gzip")),
        with(("content-type", "multipart/byteranges; boundary=x")),
    ] {
        assert_eq!(of(&other), Err(Refusal::Kind), "{other:?}");
    }
    assert_eq!(of(&with(("set-cookie", "a=b"))), Err(Refusal::SetCookie));
    assert_eq!(of(&with(("cache-control", "private"))), Err(Refusal::Private));
}

#[test]
fn the_rest_makes_it_a_whole() {
    let rest = fields(range(4, 10), 10);
    let (meta, _) =
        combined(&Ask::default(), &stored(range(0, 4), 10), range(4, 10), &rest[..], TIMES, 0, &Settings::default())
            .expect("it belongs together");
    assert_eq!((meta.status(), meta.part(), meta.length()), (200, None, Some(10)));
    assert_eq!((meta.single("content-range"), meta.single("content-length")), (None, Some("10")));
}

/// An origin with one body, and a cache of one place before it.
struct Played {
    body: Vec<u8>,
    kept: Option<(Meta, Vec<u8>)>,
    most: u64,
}

impl Played {
    fn slice(&self, part: ByteRange) -> Vec<u8> {
        self.body[usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap()].to_vec()
    }

    /// What a request for some bytes, or for all, is answered with. `None`: there are none such.
    fn get(&mut self, request: Option<&str>) -> Option<Vec<u8>> {
        let length = self.body.len() as u64;
        let (ask, lines) = match request {
            Some(value) => (RANGED, vec![("range", value)]),
            None => (Ask::default(), vec![]),
        };
        let settings = Settings::default();
        let wanted = range::asked(&lines[..], length);
        if let Some((meta, held)) = &self.kept
            && let Some(part) = meta.part()
            && let Fit::Missing(missing) = fit(&ask, &lines[..], meta, part, self.most)
        {
            let asked = conditions(meta, missing);
            let asked: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (*name, &**value)).collect();
            assert_eq!(range::asked(&asked[..], length), Asked::Part(missing), "it asks for what is missing");
            let new = self.slice(missing);
            let (meta, is_before) =
                combined(&ask, meta, missing, &fields(missing, length)[..], TIMES, 0, &settings).expect("one body");
            let both = if is_before { [new, held.clone()].concat() } else { [held.clone(), new].concat() };
            assert_eq!((meta.length(), both.len() as u64 <= self.most), (Some(both.len() as u64), true));
            self.kept = Some((meta, both));
            let (meta, _) = self.kept.as_ref()?;
            let enough = meta.part().is_none_or(|part| fit(&ask, &lines[..], meta, part, self.most) == Fit::Enough);
            assert!(enough, "with what was missing it does");
        }
        let (meta, held) = match &self.kept {
            Some((meta, held))
                if meta.part().is_none_or(|part| fit(&ask, &lines[..], meta, part, self.most) == Fit::Enough) =>
            {
                (meta, held)
            }
            _ => {
                if let Asked::Part(part) = wanted {
                    let answer = self.slice(part);
                    if part.len() <= self.most {
                        self.kept = Some((stored(part, length), answer.clone()));
                    }
                    return Some(answer);
                }
                return (wanted == Asked::Whole).then(|| self.body.clone());
            }
        };
        let from = meta.part().map_or(0, |part| part.range.start);
        let at = |byte: u64| usize::try_from(byte - from).unwrap();
        match wanted {
            Asked::Part(part) => Some(held[at(part.start)..at(part.end)].to_vec()),
            Asked::Whole => Some(held.clone()),
            Asked::Unsatisfiable => None,
        }
    }
}

proptest! {
    #[test]
    fn every_answer_is_what_the_origin_would_have_sent(
        body in prop::collection::vec(any::<u8>(), 1..40), most in 0u64..60,
        requests in prop::collection::vec(prop::option::of("bytes=([0-9]|[1-3][0-9])-([0-9]|[1-4][0-9])?|bytes=-[0-9]"), 1..12),
    ) {
        let mut played = Played { body: body.clone(), kept: None, most };
        for request in &requests {
            let lines: Vec<_> = request.iter().map(|value| ("range", value.as_str())).collect();
            let expected = match range::asked(&lines[..], body.len() as u64) {
                Asked::Whole => Some(body.clone()),
                Asked::Part(part) => Some(played.slice(part)),
                Asked::Unsatisfiable => None,
            };
            prop_assert_eq!(played.get(request.as_deref()), expected, "{:?}", request);
        }
    }

    #[test]
    fn nothing_but_the_next_bytes_of_the_same_is_combined(
        held in (0u64..20, 1u64..10), new in (0u64..30, 1u64..10), missing in (0u64..30, 1u64..10), length in 1u64..40,
        same in any::<bool>(),
    ) {
        let of = |(start, len): (u64, u64)| range(start, start + len);
        let (held, new, missing) = (of(held), of(new), of(missing));
        prop_assume!(held.end <= length);
        let mut fields = fields(new, length);
        if !same {
            fields[1].1 = "\"b\"".to_owned();
        }
        let combined = combined(&RANGED, &stored(held, length), missing, &fields[..], TIMES, 0, &Settings::default());
        let touches = new.end == held.start || new.start == held.end;
        let expected = same && new == missing && new.end <= length && touches && held.len() < length;
        prop_assert_eq!(combined.is_ok(), expected);
        if let Ok((meta, is_before)) = combined {
            prop_assert_eq!(meta.length(), Some(held.len() + new.len()));
            prop_assert_eq!(is_before, new.end == held.start);
            prop_assert_eq!(meta.part().is_none(), held.len() + new.len() == length);
        }
    }

    #[test]
    fn content_ranges_come_back(start in 0u64..1000, len in 1u64..1000, more in 0u64..1000) {
        let (bytes, length) = (range(start, start + len), start + len + more);
        let said = content_range(bytes, length);
        prop_assert_eq!(Part::of(&[("content-range", said)][..]), Some(Part { range: bytes, length }));
    }

    #[test]
    fn what_cannot_be_read_is_no_part(text in "bytes [0-9*]{0,3}[-/ ]{0,2}[0-9*]{0,20}/[0-9*]{0,20}|[ -~]{0,30}") {
        if let Some(part) = Part::of(&[("content-range", text)][..]) {
            prop_assert!(part.range.start < part.range.end && part.range.end <= part.length);
        }
    }
}
