//! Injection of header lines: a line break in a value, and what looks like a header after it.

use super::Managed;
use super::scan::{after, before, has, is_early, is_word, strip_any, take, trim};

/// The score from which on a value counts as an attack.
pub(super) const THRESHOLD: u8 = 5;

/// What header a value would add.
pub(super) fn judge(text: &[u8]) -> Option<(Managed, u8)> {
    let breaks = text.iter().enumerate().filter(|(_, byte)| matches!(byte, b'\r' | b'\n')).map(|(at, _)| at);
    for at in breaks.take(16) {
        if !is_early(text, at) || before(text, at).trim_ascii_end().contains(&b'\n') {
            break;
        }
        let rest = trim(after(text, at));
        if let Some(version) = strip_any(rest, &[b"http/1.", b"http/2", b"http/0."])
            && version.first().is_none_or(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace())
        {
            return Some((Managed::CrlfHeader, 6));
        }
        let (name, tail) = take(rest, |byte| is_word(byte) || byte == b'-');
        let (value, _) = take(tail, |byte| byte != b'\n');
        // People write to each other, too.
        let mail = !matches!(name, b"cc" | b"bcc" | b"reply-to") || value.contains(&b'@');
        if is_header(name) && trim(tail).first() == Some(&b':') && mail {
            return Some((Managed::CrlfHeader, 6));
        }
        // What ends the header section begins a page.
        let blank =
            after(text, at).iter().take_while(|byte| byte.is_ascii_whitespace()).filter(|byte| **byte == b'\n').count()
                > 1;
        if blank && strip_any(rest, &[b"<html", b"<script", b"<svg", b"<img", b"get /", b"post /"]).is_some() {
            return Some((Managed::CrlfHeader, 5));
        }
    }
    // U+560A and U+560D lose their upper byte in some servers, and are line breaks then.
    let folded = has(text, "嘊嘍".as_bytes()) || has(text, "嘍嘊".as_bytes());
    folded.then_some((Managed::CrlfHeader, 6))
}

/// Names that change what an answer, or a mail, is.
fn is_header(name: &[u8]) -> bool {
    matches!(
        name,
        b"set-cookie"
            | b"location"
            | b"content-length"
            | b"content-type"
            | b"content-disposition"
            | b"content-security-policy"
            | b"transfer-encoding"
            | b"refresh"
            | b"host"
            | b"connection"
            | b"cookie"
            | b"cache-control"
            | b"last-modified"
            | b"access-control-allow-origin"
            | b"access-control-allow-credentials"
            | b"header"
            | b"header-test"
            | b"bcc"
            | b"cc"
            | b"reply-to"
            | b"mime-version"
            | b"status"
            | b"authorization"
            | b"referer"
            | b"user-agent"
    ) || name.starts_with(b"x-")
}

#[cfg(test)]
mod tests {
    use super::{THRESHOLD, judge};

    fn hit(text: &str) -> bool {
        judge(text.to_ascii_lowercase().as_bytes()).is_some_and(|(_, score)| score >= THRESHOLD)
    }

    #[test]
    fn adds_a_header() {
        for text in [
            "x\r\nSet-Cookie: a=b",
            "\nLocation: https://evil.example",
            "x\r\n\r\n<script>",
            "a\r\n HTTP/1.1 200 OK",
            "me@a\nBcc:you@b",
        ] {
            assert!(hit(text), "{text:?}");
        }
    }

    #[test]
    fn is_a_text_of_lines() {
        for text in [
            "Dear you,\r\n\r\nthank you for the order.\r\nTo: all",
            "# Heading\n\n- a: 1\n- b: 2",
            "How HTTP works\n\nA server answers with lines such as these:\nContent-Type: text/html",
            "title\nnote: this",
            "one line: no break",
        ] {
            assert!(!hit(text), "{text:?}");
        }
    }
}
