//! What a value says once all that dresses it up is taken off: percent signs (twice and more), `+`, HTML entities, JavaScript's escapes,
//! overlong and full-width characters, case.
//!
//! The result is bounded, and a fixed point: decoding it again changes nothing, unless [`ROUNDS`] were not enough.

/// So often at most.
pub(super) const ROUNDS: usize = 5;

/// Bytes of a value that are looked at.
pub(super) const LONGEST: usize = 8 << 10;

/// Takes off what the transport put on: one layer of percent signs, and `+` for a space where `form` says so.
pub(super) fn transport(raw: &[u8], form: bool, out: &mut Vec<u8>) {
    out.clear();
    let mut rest = raw.get(..LONGEST).unwrap_or(raw);
    while let Some((first, tail)) = rest.split_first() {
        let (byte, left) = match first {
            b'%' => escape(tail).unwrap_or((b'%', tail)),
            b'+' if form => (b' ', tail),
            byte => (*byte, tail),
        };
        out.push(byte);
        rest = left;
    }
}

/// Takes off everything; `spare` is room to work in.
pub(super) fn all(text: &mut Vec<u8>, spare: &mut Vec<u8>) {
    text.truncate(LONGEST);
    if text.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b" -_./=:,".contains(byte)) {
        return;
    }
    for _ in 0..ROUNDS {
        let changed = round(text, spare);
        core::mem::swap(text, spare);
        if !changed {
            return;
        }
    }
}

/// One layer, and case; whether there was a layer.
fn round(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let (mut rest, mut changed) = (text, false);
    while let Some((first, tail)) = rest.split_first() {
        let taken = match first {
            b'a'..=b'z' | b'0'..=b'9' | b' ' => None,
            b'%' => percent(tail),
            b'&' => entity(tail),
            b'\\' => script(tail),
            0xc0 | 0xc1 | 0xe0 | 0xf0 => overlong(*first, tail),
            0xef => full_width(tail),
            // Put between the letters of a word, it is skipped by those who read the word.
            0 => {
                changed = true;
                rest = tail;
                continue;
            }
            _ => None,
        };
        match taken {
            Some((code, left)) => {
                changed = true;
                push(out, code);
                rest = left;
            }
            None => {
                out.push(first.to_ascii_lowercase());
                rest = tail;
            }
        }
    }
    changed
}

fn push(out: &mut Vec<u8>, code: u32) {
    match char::from_u32(code) {
        Some('\0') | None => {}
        // A byte that percent signs stood for; the next ones may belong to it.
        Some(c) if code < 0x100 => out.push(u8::try_from(u32::from(c)).unwrap_or(b'?').to_ascii_lowercase()),
        Some(c) => {
            let mut bytes = [0; 4];
            out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes());
        }
    }
}

/// Two hexadecimal digits.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (code, rest) = hex(text, 2, 2)?;
    Some((u8::try_from(code).ok()?, rest))
}

/// `%3c`, `%u003c`.
fn percent(text: &[u8]) -> Option<(u32, &[u8])> {
    match text.strip_prefix(b"u").or_else(|| text.strip_prefix(b"U")) {
        Some(rest) => hex(rest, 4, 4),
        None => hex(text, 2, 2),
    }
}

/// `\u003c`, `\u{3c}`, `\x3c`.
fn script(text: &[u8]) -> Option<(u32, &[u8])> {
    let (kind, rest) = text.split_first()?;
    match kind {
        b'u' | b'U' => match rest.strip_prefix(b"{") {
            Some(rest) => hex(rest, 1, 6).and_then(|(code, rest)| Some((code, rest.strip_prefix(b"}")?))),
            None => hex(rest, 4, 4),
        },
        b'x' | b'X' => hex(rest, 2, 2),
        _ => None,
    }
}

/// `&lt;`, `&#60;`, `&#x3c`.
fn entity(text: &[u8]) -> Option<(u32, &[u8])> {
    if let Some(number) = text.strip_prefix(b"#") {
        let (code, rest) = match number.strip_prefix(b"x").or_else(|| number.strip_prefix(b"X")) {
            Some(digits) => hex(digits, 1, 8)?,
            None => digits(number, 10, 1, 8)?,
        };
        return Some((code, rest.strip_prefix(b";").unwrap_or(rest)));
    }
    const NAMED: [(&str, char); 24] = [
        ("lt;", '<'),
        ("gt;", '>'),
        ("quot;", '"'),
        ("apos;", '\''),
        ("amp;", '&'),
        ("nbsp;", ' '),
        ("tab;", '\t'),
        ("newline;", '\n'),
        ("colon;", ':'),
        ("semi;", ';'),
        ("lpar;", '('),
        ("rpar;", ')'),
        ("sol;", '/'),
        ("bsol;", '\\'),
        ("equals;", '='),
        ("excl;", '!'),
        ("num;", '#'),
        ("period;", '.'),
        ("comma;", ','),
        ("grave;", '`'),
        ("lcub;", '{'),
        ("rcub;", '}'),
        ("lsqb;", '['),
        ("rsqb;", ']'),
    ];
    NAMED.iter().find_map(|(name, c)| {
        let begin = text.get(..name.len())?;
        begin.eq_ignore_ascii_case(name.as_bytes()).then(|| (u32::from(*c), text.get(name.len()..).unwrap_or_default()))
    })
}

/// ASCII in more bytes than it needs.
fn overlong(first: u8, text: &[u8]) -> Option<(u32, &[u8])> {
    let continued = |byte: &u8| (*byte & 0xc0 == 0x80).then_some(u32::from(*byte & 0x3f));
    match (first, text) {
        (0xc0 | 0xc1, [a, rest @ ..]) => Some((u32::from(first & 1) << 6 | continued(a)?, rest)),
        (0xe0, [a @ (0x80 | 0x81), b, rest @ ..]) => Some((continued(a)? << 6 | continued(b)?, rest)),
        (0xf0, [0x80, a @ (0x80 | 0x81), b, rest @ ..]) => Some((continued(a)? << 6 | continued(b)?, rest)),
        _ => None,
    }
}

/// U+FF01 to U+FF5E, the wide forms of ASCII.
fn full_width(text: &[u8]) -> Option<(u32, &[u8])> {
    match text {
        [0xbc, byte @ 0x81..=0xbf, rest @ ..] => Some((u32::from(byte - 0x60), rest)),
        [0xbd, byte @ 0x80..=0x9e, rest @ ..] => Some((u32::from(byte - 0x20), rest)),
        _ => None,
    }
}

fn hex(text: &[u8], least: usize, most: usize) -> Option<(u32, &[u8])> {
    digits(text, 16, least, most)
}

fn digits(text: &[u8], radix: u32, least: usize, most: usize) -> Option<(u32, &[u8])> {
    let (mut value, mut count, mut rest) = (0_u32, 0, text);
    while count < most
        && let Some((first, tail)) = rest.split_first()
        && let Some(digit) = char::from(*first).to_digit(radix)
    {
        value = value.wrapping_mul(radix).wrapping_add(digit);
        (count, rest) = (count + 1, tail);
    }
    (count >= least).then_some((value, rest))
}

/// What base64 (either alphabet) hides, where it is text.
pub(super) fn base64(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let text = text.trim_ascii();
    let digits = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    if digits.len() < 12 || digits.len() % 4 == 1 || (digits.len() < text.len() && !text.len().is_multiple_of(4)) {
        return false;
    }
    let (mut held, mut bits) = (0_u32, 0);
    for byte in digits {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' | b' ' => 62,
            b'/' | b'_' => 63,
            _ => return false,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let decoded = u8::try_from(held >> bits & 0xff).unwrap_or_default();
            if !matches!(decoded, b'\t' | b'\n' | b'\r' | 0x20..=0x7e) {
                return false;
            }
            out.push(decoded);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, all, base64, round, transport};
    use proptest::prelude::*;

    fn decoded(raw: &str) -> String {
        let (mut text, mut spare) = (Vec::new(), Vec::new());
        transport(raw.as_bytes(), true, &mut text);
        all(&mut text, &mut spare);
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn takes_off_what_dresses_it_up() {
        for (raw, plain) in [
            ("%3Cscript%3E", "<script>"),
            ("%253Cscript%253E", "<script>"),
            ("%25253C", "<"),
            ("%u003cSVG", "<svg"),
            ("&lt;img+src&equals;x&gt;", "<img src=x>"),
            ("&#60;a&#x3e;&#x3c b", "<a>< b"),
            ("%26lt%3b", "<"),
            (r"\u003cb\x3e\u{27}", "<b>'"),
            ("%C0%AF%c0%ae", "/."),
            ("%e0%80%af", "/"),
            ("%EF%BC%87%EF%BC%9C%EF%BD%81", "'<a"),
            ("sel%00ect", "select"),
            ("100% sure %zz &c &lt", "100% sure %zz &c &lt"),
            ("%E2%82%AC Ä", "€ Ä"),
        ] {
            assert_eq!(decoded(raw), plain, "{raw}");
        }
    }

    #[test]
    fn base64_that_is_text() {
        let mut out = Vec::new();
        assert!(base64(b"PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==", &mut out));
        assert_eq!(out, b"<script>alert(1)</script>");
        for other in ["short", "abcdefghijklm", "eyJhbGciOi.JIUzI1NiJ9", "aGVsbG8gd29ybGQ=x", "////////////////"] {
            assert!(!base64(other.as_bytes(), &mut out), "{other}");
        }
    }

    proptest! {
        #[test]
        fn again_changes_nothing(raw in r"(%|25|3c|u003c|&|#|x3c|lt;|amp;|\\|[a-zA-Z0-9;+ ]|\PC){0,40}") {
            let (mut text, mut spare) = (Vec::new(), Vec::new());
            transport(raw.as_bytes(), true, &mut text);
            all(&mut text, &mut spare);
            let once = text.clone();
            all(&mut text, &mut spare);
            // Where it was dressed more often than is undone, the next time undoes more.
            if !round(&once, &mut spare) {
                prop_assert_eq!(&once, &text);
            }
        }

        #[test]
        fn is_bounded(raw in prop::collection::vec(any::<u8>(), 0..20_000)) {
            let (mut text, mut spare) = (Vec::new(), Vec::new());
            transport(&raw, false, &mut text);
            all(&mut text, &mut spare);
            prop_assert!(text.len() <= LONGEST + 4);
            base64(&raw, &mut spare);
        }
    }
}
