//! Static assets: how they are sent, the same by Cloudflare (through the `_headers` file that the build writes) and by the
//! gateway.

/// The path under which assets live.
pub const PREFIX: &str = "/static/";

/// Sent with every asset.
pub const SECURITY: &[(&str, &str)] =
    &[("x-content-type-options", "nosniff"), ("cross-origin-resource-policy", "same-origin")];

/// For names that carry their content's hash: the content never changes (RFC 8246).
pub const HASHED: &str = "public, max-age=31536000, immutable";

/// For all others: kept, but asked about each time.
pub const UNHASHED: &str = "public, max-age=0, must-revalidate";

/// `Cache-Control` for an asset's file name.
#[must_use]
pub fn cache_control(name: &str) -> &'static str {
    if is_hashed(name) { HASHED } else { UNHASHED }
}

/// Whether a file name carries its content's hash: a part between dots of at least eight lower-case hexadecimal digits,
/// as in `site.3f2a9c1b.css`. The last part is the file's type and does not count; digits alone may be a date and do not
/// count either.
#[must_use]
pub fn is_hashed(name: &str) -> bool {
    let mut parts = name.rsplit('/').next().unwrap_or(name).split('.').skip(1).peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_some()
            && part.len() >= 8
            && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            && part.bytes().any(|b| b.is_ascii_alphabetic())
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_hashed;

    #[test]
    fn hashed_names() {
        for name in ["site.3f2a9c1b.css", "/static/a/site.3f2a9c1b0011.min.js"] {
            assert!(is_hashed(name), "{name}");
        }
        for name in [
            "site.css",
            "3f2a9c1b.css",
            "site.3f2a9c1.css",
            "site.3f2a9c1B.css",
            "a.deadbeef",
            "a.deadbeef/b.css",
            "notes.20260101.css",
        ] {
            assert!(!is_hashed(name), "{name}");
        }
    }
}
