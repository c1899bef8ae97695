//! Looking through bytes that are lower-case already.

/// Where `needle` first stands.
pub(super) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = after(text, from).iter().position(|byte| byte == first) {
        let at = from + at;
        if after(text, at + 1).starts_with(rest) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// Whether it stands anywhere.
pub(super) fn has(text: &[u8], needle: &[u8]) -> bool {
    find(text, needle).is_some()
}

/// Whether one of them stands anywhere.
pub(super) fn has_any(text: &[u8], needles: &[&[u8]]) -> bool {
    needles.iter().any(|needle| has(text, needle))
}

/// What one of them leaves of the text that begins with it.
pub(super) fn strip_any<'a>(text: &'a [u8], prefixes: &[&[u8]]) -> Option<&'a [u8]> {
    prefixes.iter().find_map(|prefix| text.strip_prefix(*prefix))
}

/// From a place on; nothing where there is none.
pub(super) fn after(text: &[u8], at: usize) -> &[u8] {
    text.get(at..).unwrap_or_default()
}

/// Up to a place.
pub(super) fn before(text: &[u8], at: usize) -> &[u8] {
    text.get(..at).unwrap_or(text)
}

/// Without white space at its beginning.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii_start()
}

/// The beginning that `keep` says, and the rest.
pub(super) fn take(text: &[u8], keep: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let at = text.iter().position(|byte| !keep(*byte)).unwrap_or(text.len());
    (before(text, at), after(text, at))
}

/// Whether a byte is of a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

/// Whether so little stands before a place that what is there is an attempt: a text that only mentions such things says more.
pub(super) fn is_early(text: &[u8], at: usize) -> bool {
    words(before(text, at), 4) < 4
}

/// How many words there are; no more than `most` are counted.
pub(super) fn words(text: &[u8], most: usize) -> usize {
    let spaced = text.split(u8::is_ascii_whitespace);
    spaced.filter(|word| word.iter().any(|byte| is_word(*byte))).take(most).count()
}

/// Whether it is prose: mostly words of a language, and several of them. Whoever writes about an attack writes so.
pub(super) fn is_prose(text: &[u8]) -> bool {
    let (mut plain, mut other) = (0_usize, 0_usize);
    for word in text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).take(64) {
        let core = word.trim_ascii().strip_suffix(b",").or_else(|| word.strip_suffix(b".")).unwrap_or(word);
        let core = core
            .strip_suffix(b":")
            .or_else(|| core.strip_suffix(b"?"))
            .or_else(|| core.strip_suffix(b"!"))
            .unwrap_or(core);
        let letters =
            core.iter().all(|byte| byte.is_ascii_lowercase() || !byte.is_ascii() || matches!(byte, b'-' | b'\''));
        let begins = core.first().is_some_and(|byte| byte.is_ascii_lowercase() || !byte.is_ascii());
        if letters && begins && !is_keyword(core) { plain += 1 } else { other += 1 }
    }
    plain >= 6 && plain >= other
}

/// Words that attacks are made of; no prose by themselves.
fn is_keyword(word: &[u8]) -> bool {
    matches!(
        word,
        b"select"
            | b"from"
            | b"where"
            | b"union"
            | b"all"
            | b"or"
            | b"and"
            | b"not"
            | b"null"
            | b"order"
            | b"by"
            | b"group"
            | b"having"
            | b"limit"
            | b"insert"
            | b"into"
            | b"values"
            | b"update"
            | b"set"
            | b"delete"
            | b"drop"
            | b"table"
            | b"like"
            | b"in"
            | b"is"
            | b"case"
            | b"when"
            | b"then"
            | b"else"
            | b"end"
            | b"exists"
            | b"exec"
            | b"declare"
            | b"echo"
            | b"cat"
            | b"dual"
            | b"as"
    )
}
