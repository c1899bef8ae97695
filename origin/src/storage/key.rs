//! Object keys: what may be one, and which of them a prefix covers.

/// What of a key is wrong, as the end of a sentence that begins with it.
///
/// # Errors
/// A key that S3 servers do not take, or that programs between them and the client read differently.
pub fn check(key: &str) -> Result<(), &'static str> {
    match key {
        "" => Err("is missing or empty"),
        _ if key.len() > 1024 => Err("is longer than the 1,024 bytes that S3 allows"),
        _ if key.starts_with('/') => Err("begins with a slash"),
        _ if key.chars().any(char::is_control) => Err("holds a control character"),
        _ if key.split('/').any(|segment| matches!(segment, "." | "..")) => Err("holds a dot segment"),
        _ => Ok(()),
    }
}

/// Whether a key lies under a prefix, which ends where a segment does: `users/1` does not cover `users/10`.
#[must_use]
pub fn covers(prefix: &str, key: &str) -> bool {
    key.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::{check, covers};

    #[test]
    fn keys() {
        let longest = "é".repeat(512);
        for good in ["a", "users/1/Fünf Fenster.txt", "a//b", "a/...", ".well-known", "a\\..\\b", "%2e%2e/a", &longest]
        {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let long = format!("{longest}a");
        for bad in ["", "/a", "..", "../a", "a/../b", "a/.", "./a", "a/..", "a\0b", "a\nb", "a\u{7f}", "a\u{85}", &long]
        {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn prefixes_end_where_a_segment_does() {
        for (prefix, key) in
            [("users/1", "users/1/a"), ("users/1/", "users/1/a"), ("users/1", "users/1"), ("a", "a/b/c")]
        {
            assert!(covers(prefix, key), "{prefix} {key}");
        }
        for (prefix, key) in [
            ("users/1", "users/10"),
            ("users/1", "users/10/a"),
            ("users/1/", "users/1"),
            ("users/1", "users"),
            ("users/1", "Users/1/a"),
            ("users/1", "x/users/1/a"),
        ] {
            assert!(!covers(prefix, key), "{prefix} {key}");
        }
    }
}
