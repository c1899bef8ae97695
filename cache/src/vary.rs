//! Variance (RFC 9111 section 4.1): which stored answer a request selects.
//!
//! An answer with `Vary` is stored below its URL's key, under the request's values of the fields that it names. What stands at the key
//! itself then is a [`Signpost`]: which fields count. Values are normalised as far as their own grammar allows, so that equal wishes
//! share a variant.

use core::fmt::Write as _;

use crate::Fields;
use crate::fields::{leaves_a_quote_open, list_members};

/// How many sets of fields a URL's answers may vary by at a time.
const SPECS: usize = 4;

/// What stands at the key of a URL whose answers vary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signpost {
    /// Part of the variants' keys: without the signpost nothing leads to them, so that removing it removes them all.
    pub generation: u64,
    /// The sets of fields, newest first, each lower-case, sorted, joined by commas.
    pub specs: Vec<Box<str>>,
}

impl Signpost {
    /// The signpost with `spec` in it; `None` where it is there already and nothing needs to be written.
    #[must_use]
    pub fn with(before: Option<&Self>, spec: &str, generation: u64) -> Option<Self> {
        match before {
            Some(post) if post.specs.first().is_some_and(|first| **first == *spec) => None,
            Some(post) => {
                let others = post.specs.iter().filter(|other| ***other != *spec).take(SPECS - 1).cloned();
                let specs = core::iter::once(spec.into()).chain(others).collect();
                Some(Self { generation: post.generation, specs })
            }
            None => Some(Self { generation, specs: vec![spec.into()] }),
        }
    }
}

/// What an answer's Vary says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// Nothing: the answer is for everyone.
    Nothing,
    /// `*`, or a line that can't be read: it is for nobody else.
    Everything,
    /// Fields: lower-case, sorted, joined by commas.
    On(Box<str>),
}

impl Vary {
    /// Reads every `Vary` line.
    pub fn of(fields: &(impl Fields + ?Sized)) -> Self {
        let mut names = Vec::new();
        for line in fields.values("vary") {
            let Ok(line) = core::str::from_utf8(line) else { return Self::Everything };
            for name in line.split(',').map(|name| name.trim_matches([' ', '\t'])).filter(|name| !name.is_empty()) {
                if name == "*" || !name.bytes().all(token) {
                    return Self::Everything;
                }
                names.push(name.to_ascii_lowercase());
            }
        }
        names.sort_unstable();
        names.dedup();
        if names.is_empty() { Self::Nothing } else { Self::On(names.join(",").into()) }
    }
}

/// A byte of a token (RFC 9110 section 5.6.2).
fn token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// Whether a field's members may be put in the order of their weights.
fn is_negotiated(name: &str) -> bool {
    matches!(name, "accept" | "accept-encoding" | "accept-language")
}

/// Appends the request's value of a field, normalised. A field that is not there differs from one that is empty.
pub(crate) fn push_value(key: &mut String, name: &str, request: &(impl Fields + ?Sized)) {
    if !request.has(name) {
        return;
    }
    key.push('=');
    // What its own grammar does not allow is compared as it is.
    let is_sound = |line: &[u8]| core::str::from_utf8(line).is_ok_and(|line| !leaves_a_quote_open(line));
    if is_negotiated(name) && request.values(name).all(is_sound) {
        key.push_str(&wishes(name, request));
        return;
    }
    for (nth, line) in request.values(name).enumerate() {
        if nth > 0 {
            key.push(',');
        }
        match core::str::from_utf8(line) {
            // White space around the commas of a list says nothing (RFC 9111 section 4.1).
            Ok(text) if !text.contains('"') => {
                for (nth, member) in text.split(',').enumerate() {
                    if nth > 0 {
                        key.push(',');
                    }
                    key.push_str(member.trim_matches([' ', '\t']));
                }
            }
            Ok(text) => key.push_str(text.trim_matches([' ', '\t'])),
            Err(_) => {
                key.push('\r');
                for byte in line {
                    // Writing to a String does not fail.
                    let _ = write!(key, "{byte:02x}");
                }
            }
        }
    }
}

/// A field of content negotiation (RFC 9110 section 12.5) in one spelling: the best first, equals in the order of the alphabet where
/// their order says nothing, weights in their shortest form, what is ruled out by `q=0` last.
#[must_use]
pub fn wishes(name: &str, request: &(impl Fields + ?Sized)) -> String {
    let mut all: Vec<(u16, String)> = request
        .members(name)
        .map(|member| {
            let mut parts = split_parameters(member);
            let mut wish: String = parts.next().unwrap_or_default().chars().map(|c| c.to_ascii_lowercase()).collect();
            let mut weight = 1000;
            for part in parts {
                let (key, value) = part.split_once('=').map_or((part, ""), |(k, v)| (k.trim(), v.trim()));
                if key.eq_ignore_ascii_case("q") {
                    weight = quality(value);
                } else {
                    let _ = write!(wish, ";{}={value}", key.to_ascii_lowercase());
                }
            }
            (weight, wish)
        })
        .collect();
    if name == "accept-encoding" {
        for (_, coding) in &mut all {
            match coding.as_str() {
                "x-gzip" => *coding = "gzip".to_owned(),
                "x-compress" => *coding = "compress".to_owned(),
                _ => {}
            }
        }
    }
    all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    all.dedup();
    let mut said = String::new();
    for (weight, wish) in all {
        if !said.is_empty() {
            said.push(',');
        }
        said.push_str(&wish);
        if weight < 1000 {
            let digits = format!("{weight:03}");
            let _ = match digits.trim_end_matches('0') {
                "" => write!(said, ";q=0"),
                digits => write!(said, ";q=0.{digits}"),
            };
        }
    }
    said
}

fn split_parameters(member: &str) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    member
        .split(move |c: char| {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ => {}
            }
            c == ';' && !quoted
        })
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// A weight (RFC 9110 section 12.4.2) in thousandths; what is none counts as 1.
fn quality(value: &str) -> u16 {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) || whole != "0" {
        return 1000;
    }
    format!("{fraction:0<3}").parse().unwrap_or(1000)
}

/// Whether a list field of the request, by [`wishes`], takes the member at all.
#[must_use]
pub fn takes(wishes: &str, member: &str) -> bool {
    list_members(wishes).any(|wish| wish == member || wish.strip_prefix(member).is_some_and(|q| q.starts_with(";q=0.")))
}

#[cfg(test)]
mod tests {
    use super::{Signpost, Vary, push_value, takes, wishes};
    use proptest::prelude::*;

    fn value(name: &str, lines: &[&str]) -> String {
        let fields: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
        let mut key = String::new();
        push_value(&mut key, name, &fields[..]);
        key
    }

    #[test]
    fn vary_in_every_form() {
        let of = |lines: &[&str]| Vary::of(&lines.iter().map(|line| ("vary", *line)).collect::<Vec<_>>()[..]);
        assert_eq!(of(&[]), Vary::Nothing);
        assert_eq!(of(&["", " , "]), Vary::Nothing);
        assert_eq!(of(&["B, a", "A"]), Vary::On("a,b".into()));
        for everything in [&["*"][..], &["a, *"], &["*, a"], &["a", "*"], &["a b"]] {
            assert_eq!(of(everything), Vary::Everything, "{everything:?}");
        }
        assert_eq!(Vary::of(&[("vary", &b"\xff"[..])][..]), Vary::Everything);
    }

    #[test]
    fn equal_wishes_share_a_variant() {
        assert_eq!(value("accept-encoding", &["gzip, br"]), value("accept-encoding", &["br", "GZIP;q=1.0"]));
        assert_eq!(value("accept-language", &["en;q=0.50, DE"]), "=de,en;q=0.5");
        assert_eq!(value("accept", &["b;x=\"\\\";\";q=0.5, a"]), "=a,b;x=\"\\\";\";q=0.5");
        assert_eq!(value("accept", &["b, \"a"]), "=b, \"a", "no list");
        assert_eq!(value("accept", &["text/html ; Level=1 ; q=0.0"]), "=text/html;level=1;q=0");
        assert_eq!(value("x", &["a ,b"]), value("x", &["a", "b"]));
        assert_ne!(value("x", &["a"]), value("x", &["A"]));
        assert_ne!(value("x", &[""]), value("x", &[]));
        assert_ne!(value("accept-language", &["en, de;q=0.5"]), value("accept-language", &["de, en;q=0.5"]));
    }

    #[test]
    fn a_coding_is_taken_or_not() {
        let of = |text: &str| wishes("accept-encoding", &[("accept-encoding", text)][..]);
        assert!(takes(&of("br, gzip"), "gzip") && takes(&of("gzip;q=0.1"), "gzip"));
        assert!(!takes(&of("gzip;q=0, br"), "gzip") && !takes(&of("xgzip"), "gzip"));
    }

    #[test]
    fn a_signpost_remembers_a_few() {
        let first = Signpost::with(None, "a", 7).expect("new");
        assert_eq!(Signpost::with(Some(&first), "a", 8), None);
        let second = Signpost::with(Some(&first), "b", 8).expect("changed");
        assert_eq!((second.generation, second.specs.len()), (7, 2));
        assert_eq!(*second.specs[0], *"b");
    }

    proptest! {
        #[test]
        fn values_hold_no_line_feed_and_never_fail(lines in prop::collection::vec("[^\n]{0,30}", 0..4), name in "accept(-language)?|x") {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            prop_assert!(!value(&name, &lines).contains('\n'));
        }
    }
}
