//! What edge and gateway read of each other and of clients.

use contract::counts::Batch;
use contract::news::News;
use contract::signature::{Keys, Message, Window, speaks_for_the_edge};
use contract::{EdgeFacts, Target, Traceparent};

const KEYS: &str = "fuzz-1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NOW: u64 = 1_800_000_000;

/// `Signature-Input` and `Signature`, a line each, and then what they are about: nothing verifies but what our key has signed.
pub(crate) fn signature(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let keys = Keys::parse(KEYS).expect("a key");
    let mut lines = text.splitn(6, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (input, signature, method, authority, path, facts) = (line(), line(), line(), line(), line(), line());
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let message = Message { method, authority, path, query, facts };
    let signed = keys.signing().sign(&message, NOW);
    let is_ours = signature == signed.signature && input == signed.input;
    let window = Window { max_age: 0, skew: 0 };
    assert!(is_ours || keys.verify(&message, input, signature, NOW, &window).is_err(), "nobody has signed it");
    assert!(speaks_for_the_edge(signed.input.as_bytes()));
    let verified = keys.verify(&message, &signed.input, &signed.signature, NOW, &window).is_ok();
    let printable = [method, authority, path, query.unwrap_or_default(), facts]
        .iter()
        .all(|value| value.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    assert_eq!(verified, printable, "what it signs holds");
}

/// A request's path and query: what is served is in its final spelling.
pub(crate) fn target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(target) = Target::parse(text, 8192) else { return };
    let (said, path) = (target.as_str(), target.path());
    assert_eq!(Target::parse(said, 8192).as_ref().map(Target::as_str), Ok(said), "{text:?}");
    assert!(path.starts_with('/') && !path.starts_with("//"), "{path}");
    assert!(said.bytes().all(|byte| (0x21..0x7f).contains(&byte)) && !said.contains('#'), "{said}");
    let lower = path.to_ascii_lowercase().replace("%2e", ".");
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    assert!(!path.contains('\\') && !lower.split('/').any(is_dots), "{path}");
    assert!(!["%2f", "%5c", "%00"].iter().any(|escape| lower.contains(escape)), "{path}");
    assert_eq!(decoded(path.as_bytes()).as_deref().map(escapes), Some(0), "encoded twice: {path}");
}

/// Two digits' byte.
fn hex(digits: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(text, 16).ok()
}

/// How many escapes there are of what would lead elsewhere: a dot, a slash, a control byte, or another escape.
fn escapes(text: &str) -> usize {
    let code = |at: usize| hex(text.as_bytes().get(at + 1..at + 3)?);
    let leads_elsewhere = |code| matches!(code, 0..=0x1f | 0x7f | b'.' | b'/' | b'\\' | b'%');
    text.match_indices('%').filter(|(at, _)| code(*at).is_some_and(leads_elsewhere)).count()
}

/// The path as an app decodes it; `None` where that is no UTF-8.
fn decoded(mut path: &[u8]) -> Option<String> {
    let mut plain = Vec::new();
    while let Some((first, rest)) = path.split_first() {
        let escape = rest.get(..2).and_then(hex);
        match escape.filter(|_| *first == b'%') {
            Some(byte) => {
                plain.push(byte);
                path = &rest[2..];
            }
            None => {
                plain.push(*first);
                path = rest;
            }
        }
    }
    String::from_utf8(plain).ok()
}

/// `Edge-Facts`: what was read comes back when it is written.
pub(crate) fn facts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(read) = EdgeFacts::parse(text) {
        assert_eq!(EdgeFacts::parse(&read.to_string()), Ok(read));
    }
}

/// The answer about purges, likewise.
pub(crate) fn news(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(read) = News::parse(text) {
        assert_eq!(News::parse(&read.to_string()), Some(read));
    }
}

/// What an edge has counted, likewise.
pub(crate) fn counts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(read) = Batch::parse(text) {
        assert_eq!(Batch::parse(&read.to_string()), Some(read));
    }
}

/// `traceparent`, likewise; version 00 is what we write.
pub(crate) fn traceparent(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(read) = Traceparent::parse(text) {
        let written = read.to_string();
        assert!(written.starts_with("00-") && written.len() == 55, "{written}");
        assert_eq!(Traceparent::parse(&written), Some(read));
    }
}
