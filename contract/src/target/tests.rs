//! A table for each step, then what must hold for any target.

use std::borrow::Cow;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::Problem;

fn parse(target: &str) -> Result<String, TargetError> {
    Target::parse(target, DEFAULT_MAX_LEN).map(|target| target.as_str().to_owned())
}

#[test]
fn spells_as_the_url_standard_does() {
    for (sent, served) in [
        ("", "/"),
        ("/", "/"),
        ("?", "/?"),
        ("?a", "/?a"),
        ("/a/../b", "/b"),
        ("/a/%2e%2e/b", "/b"),
        ("/a/.%2E/b", "/b"),
        ("/a/%2E./b", "/b"),
        ("/a\\b", "/a/b"),
        ("/a\\..\\b", "/b"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/a/.", "/a/"),
        ("/a/%2e", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a//../b", "/a/b"),
        ("/a//b", "/a//b"),
        ("/a/", "/a/"),
        ("/a//", "/a//"),
        ("/...", "/..."),
        ("/a/.../b", "/a/.../b"),
        ("/..a/a../.a", "/..a/a../.a"),
        ("/a b\"<>`{}^", "/a%20b%22%3C%3E%60%7B%7D%5E"),
        ("/a|b[c]!$&'()*+,=:@~_-", "/a|b[c]!$&'()*+,=:@~_-"),
        ("/%7Euser/%c3%A4", "/%7Euser/%c3%A4"),
        ("/a#b", "/a"),
        ("/a#/../b?c", "/a"),
        ("/a?b#c?d", "/a?b"),
        ("/a?", "/a?"),
        ("/a/../b?c=/../d\\e", "/b?c=/../d\\e"),
        ("/a?b c\"<>'`{}^|", "/a?b%20c%22%3C%3E%27`{}^|"),
        ("/a?100%&%zz&%00&%2f&%252e", "/a?100%&%zz&%00&%2f&%252e"),
        ("/a?b?c", "/a?b?c"),
        ("/a?'", "/a?%27"),
    ] {
        assert_eq!(parse(sent).as_deref(), Ok(served), "{sent}");
    }
}

#[test]
fn serves_what_only_looks_odd() {
    for target in [
        "/git/raw/main/.gitignore",
        "/.well-known/acme-challenge/x",
        "/a;v=1/b",
        "/a%3bv=1/b",
        "/a..;/b",
        "/...;/b",
        "/100%25",
        "/100%25ab",
        "/%25zz",
        "/%25",
        "/a%20b",
        "/%F0%9F%A6%80",
        "/%E2%82%AC%C3%A4a",
        "/a//b",
    ] {
        assert_eq!(parse(target).as_deref(), Ok(target));
    }
}

#[test]
fn refuses_what_two_programs_could_read_differently() {
    for (error, targets) in [
        (TargetError::NotOriginForm, &["*", "a", "https://evil/", "evil:443", "\\evil", " /a"][..]),
        (TargetError::RawByte, &["/a\0", "/a\tb", "/a\r\nb", "/\u{7f}", "/ä", "/a?ä", "/a?\n", "/a#\n"]),
        (TargetError::DoubleSlash, &["//", "//evil", "/\\evil", "/.//evil", "/a/..//evil", "/%2e//evil"]),
        (
            TargetError::HiddenDots,
            &["/..;/a", "/.;/a", "/;/a", "/a/..;x=1", "/a/;v=1/b", "/%2e%2e;/a", "/.%2E%3B/a", "/a/..%3bx"],
        ),
        (TargetError::BadEscape, &["/%", "/%a", "/%zz", "/a%/b", "/%2", "/%+1", "/%u002e"]),
        (TargetError::EncodedControl, &["/%00", "/a%0d%0ab", "/%1F", "/%7f"]),
        (TargetError::EncodedSlash, &["/a%2fb", "/a%2Fb", "/a%5cb", "/a%5Cb", "/..%2fa"]),
        (
            TargetError::EncodedTwice,
            &[
                "/%252e",
                "/%252E",
                "/%252fa",
                "/%255c",
                "/%2525",
                "/%2500",
                "/%257f",
                "/%25%32%65",
                "/%252%65",
                "/%25%325",
            ],
        ),
        (
            TargetError::NotUtf8,
            &["/%ff", "/%c0%ae", "/%80", "/%c3", "/%c3a", "/%c3/%a4", "/%ed%a0%80", "/%f4%90%80%80", "/%e2%82"],
        ),
    ] {
        for target in targets {
            assert_eq!(parse(target), Err(error), "{target:?}");
        }
    }
}

#[test]
fn the_limit_holds_before_and_after() {
    assert!(Target::parse("/aaa?bbb", 8).is_ok());
    assert_eq!(Target::parse("/aaa?bbbb", 8), Err(TargetError::TooLong));
    assert!(Target::parse("/a<", 5).is_ok());
    assert_eq!(Target::parse("/a<", 4), Err(TargetError::TooLong));
    assert_eq!(Target::parse("/aaaaaaaa/..", 11), Err(TargetError::TooLong));
    assert_eq!(TargetError::TooLong.problem(), Problem::UriTooLong);
    assert_eq!(TargetError::NotUtf8.problem(), Problem::PathRefused);
    assert_eq!(TargetError::RawByte.problem(), Problem::BadRequest);
}

#[test]
fn borrows_what_needs_no_change() {
    for target in ["/", "/a/b?c=d", "/a%20b;v=1?x=%", "/a#b", "/.gitignore?"] {
        assert!(matches!(Target::parse(target, 100).unwrap().text, Cow::Borrowed(_)), "{target}");
    }
    for target in ["", "/a/..", "/a<", "/a?'"] {
        assert!(matches!(Target::parse(target, 100).unwrap().text, Cow::Owned(_)), "{target}");
    }
}

#[test]
fn comes_apart() {
    let parts = |target: &'static str| {
        let target = Target::parse(target, 100).unwrap().into_owned();
        (target.path().to_owned(), target.query().map(str::to_owned))
    };
    assert_eq!(parts("/a/../b?c?d"), ("/b".to_owned(), Some("c?d".to_owned())));
    assert_eq!(parts("/a?"), ("/a".to_owned(), Some(String::new())));
    assert_eq!(parts("/a"), ("/a".to_owned(), None));
}

#[test]
fn reasons_are_unique() {
    let reasons: BTreeSet<_> = TargetError::ALL.iter().map(|error| error.as_str()).collect();
    assert_eq!(reasons.len(), TargetError::ALL.len());
}

/// Of pieces that meet each rule often.
const TARGETS: &str = r"/?(/|/|\\|\.|\.\.|%2e|%2E|;|%3b|%2f|%25|%5c|%00|%c3%a4|%|\?|#|'|[a-z0-9]| |<|\^){0,24}";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_served_stays_as_it_is(target in TARGETS) {
        if let Ok(served) = Target::parse(&target, DEFAULT_MAX_LEN) {
            let again = Target::parse(served.as_str(), DEFAULT_MAX_LEN).unwrap();
            prop_assert!(matches!(again.text, Cow::Borrowed(_)));
            prop_assert_eq!(&again, &served);
        }
    }

    #[test]
    fn what_is_served_has_nothing_to_resolve(target in TARGETS) {
        if let Ok(served) = Target::parse(&target, DEFAULT_MAX_LEN) {
            let path = served.path();
            prop_assert!(path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '?', '#']));
            let decoded = percent_encoding::percent_decode_str(path).decode_utf8().unwrap();
            prop_assert!(!decoded.split('/').any(|segment| matches!(segment, "." | "..")));
            prop_assert_eq!(decoded.matches('/').count(), path.matches('/').count());
            prop_assert!(!decoded.contains(|c: char| c.is_ascii_control()));
            prop_assert!(served.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            let whole = served.query().map_or(path.to_owned(), |query| format!("{path}?{query}"));
            prop_assert_eq!(whole, served.as_str());
        }
    }

    #[test]
    fn the_short_way_leads_to_the_same(target in r"/?([/?.=a-z]|\.\.|/\.|/){0,12}") {
        prop_assert_eq!(Target::parse(&target, DEFAULT_MAX_LEN), Target::apply(&target, DEFAULT_MAX_LEN));
    }

    #[test]
    fn never_panics(target in any::<String>(), max_len in 0_usize..64) {
        let _ = Target::parse(&target, max_len);
    }
}
