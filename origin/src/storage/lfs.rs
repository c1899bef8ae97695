//! Blobs that are called by their content's SHA-256, as Git LFS calls them.

use super::{Refused, Upload};

/// Whether it is a SHA-256 in lower-case hexadecimal.
#[must_use]
pub fn is_oid(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Where a blob lies below a prefix: `PREFIX/ab/cd/abcd…`, so that no folder grows without bounds.
///
/// # Errors
/// What is no hash.
pub fn lfs_key(prefix: &str, oid: &str) -> Result<String, Refused> {
    if !is_oid(oid) {
        return Err(Refused::Hash);
    }
    let (first, second) = (oid.get(..2).unwrap_or_default(), oid.get(2..4).unwrap_or_default());
    let prefix = prefix.trim_end_matches('/');
    let slash = if prefix.is_empty() { "" } else { "/" };
    Ok(format!("{prefix}{slash}{first}/{second}/{oid}"))
}

/// The upload of a blob: nothing but that content can be put there.
#[must_use]
pub fn lfs_upload<'a>(key: &'a str, oid: &'a str, length: u64) -> Upload<'a> {
    // What Git LFS sends where nothing else is said.
    Upload { key, content_type: "application/octet-stream", length, sha256: Some(oid), lasts: None }
}

#[cfg(test)]
mod tests {
    use super::lfs_key;

    #[test]
    fn keys() {
        let oid = "ab".repeat(32);
        assert_eq!(lfs_key("users/1/", &oid), Ok(format!("users/1/ab/ab/{oid}")));
        assert_eq!(lfs_key("", &oid), Ok(format!("ab/ab/{oid}")));
        for bad in [&oid.to_uppercase(), &oid[1..], "", "../../../../etc/passwd", &format!("{oid}0")] {
            assert!(lfs_key("users/1", bad).is_err(), "{bad}");
        }
    }
}
