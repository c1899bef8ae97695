//! A path's segments: the URL Standard's dot segments, and what hides them from it.

use super::TargetError;

/// Whether [`resolve`] would change nothing: there is a path, and no backslash and no dot segment in it.
pub(super) fn are_resolved(path: &str) -> bool {
    !path.is_empty() && !path.contains('\\') && !path.split('/').any(|segment| matches!(dots(segment), Some(1 | 2)))
}

/// Turns backslashes into slashes and resolves dot segments, as the URL Standard's path state does for a special scheme. Two
/// slashes stay two, and `..` takes back an empty segment like any other.
pub(super) fn resolve(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    // What is before the first slash is empty, and each path begins with one.
    let mut segments = path.split(['/', '\\']).skip(1).peekable();
    while let Some(segment) = segments.next() {
        let dots = dots(segment);
        if dots == Some(2) {
            kept.pop();
        }
        match dots {
            // As the last segment they leave a slash at the end.
            Some(1 | 2) if segments.peek().is_none() => kept.push(""),
            Some(1 | 2) => {}
            _ => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len() + 1);
    out.push('/');
    for (place, segment) in kept.into_iter().enumerate() {
        if place > 0 {
            out.push('/');
        }
        out.push_str(segment);
    }
    out
}

/// Refuses a resolved path that begins with `//`, and segments that are dots or nothing to who drops `;` parameters.
pub(super) fn check(path: &str) -> Result<(), TargetError> {
    if path.starts_with("//") {
        return Err(TargetError::DoubleSlash);
    }
    let hidden = |segment| before_parameters(segment).is_some_and(|name| matches!(dots(name), Some(0..=2)));
    if path.split('/').any(hidden) {
        return Err(TargetError::HiddenDots);
    }
    Ok(())
}

/// What a server that knows path parameters takes for the segment's name, where it has any. An encoded `;` counts, since
/// some decode first.
fn before_parameters(segment: &str) -> Option<&str> {
    let end = [";", "%3b", "%3B"].into_iter().filter_map(|mark| segment.find(mark)).min()?;
    segment.get(..end)
}

/// How many dots the segment is, if it is dots only. `%2e` is a dot.
fn dots(segment: &str) -> Option<usize> {
    let (mut rest, mut count) = (segment, 0);
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').or_else(|| rest.strip_prefix("%2e")).or_else(|| rest.strip_prefix("%2E"))?;
        count += 1;
    }
    Some(count)
}
