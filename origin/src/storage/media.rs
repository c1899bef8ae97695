//! Content types and dispositions (RFC 6266, RFC 8187): what of a bucket a browser may show, and under which name it saves the rest.
//!
//! A bucket's host is an origin of its own, but one that all files share: what a browser would run there could read its neighbours.

use std::fmt::Write as _;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// What a bucket takes and gives where its section does not say.
pub const DEFAULT_TYPES: [&str; 16] = [
    "audio/*",
    "video/*",
    "image/*",
    "font/*",
    "text/plain",
    "text/csv",
    "text/markdown",
    "text/vtt",
    "application/epub+zip",
    "application/gzip",
    "application/json",
    "application/octet-stream",
    "application/pdf",
    "application/x-tar",
    "application/x-xz",
    "application/zip",
];

/// Types that browsers show as documents which may hold scripts, or run, besides all that are XML.
const ACTIVE: [&str; 14] = [
    "text/html",
    "text/xml",
    "text/xsl",
    "text/javascript",
    "text/ecmascript",
    "text/css",
    "application/xml",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/x-shockwave-flash",
    "application/x-httpd-php",
    "message/rfc822",
    "multipart/related",
];

/// The ends of names from which servers and browsers guess them.
const ACTIVE_NAMES: [&str; 18] = [
    "html", "htm", "shtml", "xhtml", "xht", "svg", "svgz", "xml", "xsl", "xslt", "rdf", "atom", "rss", "js", "mjs",
    "swf", "mht", "mhtml",
];

/// A content type without its parameters, in lower case.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether it is `type/subtype`, perhaps with `;name=value` (RFC 9110 section 8.3.1), written so that every server signs the same bytes.
#[must_use]
pub fn is_content_type(text: &str) -> bool {
    let token = |text: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        !text.is_empty() && text.bytes().all(plain)
    };
    let mut parts = text.split(';');
    let typed = parts.next().and_then(|kind| kind.split_once('/')).is_some_and(|(a, b)| token(a) && token(b));
    let named =
        |part: &str| part.strip_prefix(' ').unwrap_or(part).split_once('=').is_some_and(|(a, b)| token(a) && token(b));
    typed && text.len() <= 127 && parts.all(named)
}

/// Whether a browser would run it, or what is in it.
#[must_use]
pub fn is_active(content_type: &str) -> bool {
    let kind = essence(content_type);
    // One part of it is shown after the other, whatever each is.
    kind.ends_with("+xml") || kind.starts_with("multipart/x-mixed") || ACTIVE.contains(&kind.as_str())
}

/// Whether a name promises something that a browser would run.
#[must_use]
pub fn is_active_name(name: &str) -> bool {
    let end = name.rsplit(['/', '.']).next().unwrap_or_default();
    name.contains('.') && ACTIVE_NAMES.iter().any(|active| active.eq_ignore_ascii_case(end))
}

/// Whether one of these, `type/subtype` or `type/*`, is that of a content. What a browser would run is meant only by its own name.
#[must_use]
pub fn is_among(types: &[String], content_type: &str) -> bool {
    let kind = essence(content_type);
    types.iter().any(|allowed| match allowed.strip_suffix('*') {
        Some(family) => kind.starts_with(&family.to_ascii_lowercase()) && !is_active(&kind),
        None => allowed.eq_ignore_ascii_case(&kind),
    })
}

/// A `Content-Disposition`, with the name in both forms where it is not plain ASCII.
#[must_use]
pub fn disposition(attachment: bool, filename: Option<&str>) -> String {
    let mut value = String::from(if attachment { "attachment" } else { "inline" });
    let Some(name) = filename else { return value };
    let name: String = name.chars().filter(|c| !is_treacherous(*c)).collect();
    let plain: String = name.chars().map(|c| if c.is_ascii() && c != '"' && c != '%' { c } else { '_' }).collect();
    // Writing to a String does not fail.
    let _ = write!(value, "; filename=\"{plain}\"");
    if plain != name {
        let _ = write!(value, "; filename*=UTF-8''{}", utf8_percent_encode(&name, NON_ALPHANUMERIC));
    }
    value
}

/// What has no place in a file's name: controls, separators of paths, and marks that turn the direction of writing, by which `exe.gpj` reads as
/// `jpg.exe`.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_TYPES, disposition, is_active, is_active_name, is_among, is_content_type};

    #[test]
    fn names_in_both_forms() {
        for (name, expected) in [
            ("T \"1\".wav", r#"attachment; filename="T _1_.wav"; filename*=UTF-8''T%20%221%22%2Ewav"#),
            ("fünf.txt", "attachment; filename=\"f_nf.txt\"; filename*=UTF-8''f%C3%BCnf%2Etxt"),
            ("../../a\r\nSet-Cookie: b", "attachment; filename=\"....aSet-Cookie: b\""),
            ("photo\u{202e}gpj.exe", "attachment; filename=\"photogpj.exe\""),
            ("100%.txt", "attachment; filename=\"100_.txt\"; filename*=UTF-8''100%25%2Etxt"),
        ] {
            assert_eq!(disposition(true, Some(name)), expected);
        }
        assert_eq!(disposition(false, None), "inline");
    }

    #[test]
    fn what_a_browser_would_run() {
        for active in [
            "text/html",
            "Text/HTML; charset=utf-8",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "application/atom+xml",
        ] {
            assert!(is_active(active) && is_content_type(active), "{active}");
        }
        for idle in ["audio/wav", "image/png", "text/plain; charset=utf-8", "application/pdf", "application/epub+zip"] {
            assert!(!is_active(idle) && is_content_type(idle), "{idle}");
        }
        for (name, active) in [
            ("a.html", true),
            ("users/1/A.SVG", true),
            ("a.svg.gz", false),
            ("svg", false),
            ("a.b/svg", true),
            ("tide.wav", false),
        ] {
            assert_eq!(is_active_name(name), active, "{name}");
        }
    }

    #[test]
    fn a_family_does_not_mean_what_runs() {
        let types = DEFAULT_TYPES.map(String::from);
        for good in ["audio/wav", "image/png", "IMAGE/PNG", "text/plain;charset=utf-8"] {
            assert!(is_among(&types, good), "{good}");
        }
        for bad in ["image/svg+xml", "text/html", "imagex/png", "application/x-msdownload", "text/plainer"] {
            assert!(!is_among(&types, bad), "{bad}");
        }
        assert!(is_among(&["image/svg+xml".into()], "image/svg+xml"));
    }

    #[test]
    fn not_a_content_type() {
        for bad in [
            "",
            "audio",
            "audio/",
            "/wav",
            "a/b\r\nc: d",
            "a/b; c",
            "a/b;  c=d",
            "a/b ;c=d",
            "a/b, c/d",
            "a/b;c=\"d\"",
            "a/é",
        ] {
            assert!(!is_content_type(bad), "{bad}");
        }
    }
}
