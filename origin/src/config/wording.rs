//! serde's and toml's messages in the words of an operator. A value of the wrong type is not repeated: whoever put a secret in
//! the wrong place should not find it in a log too.

/// Rewrites one message; one that is our own, or is not known here, stays as it is.
pub(super) fn plain(message: &str) -> String {
    if let Some((field, known)) = between(message, "unknown field `", "`, expected ") {
        return format!("there is no key `{field}` here: {}", choice(known));
    }
    if let Some((word, known)) = between(message, "unknown variant `", "`, expected ") {
        return format!("`{word}` means nothing here: {}", choice(known));
    }
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return format!("the key `{field}` is missing");
    }
    if message == "invalid socket address syntax" {
        return "is not an address: write an IP address and a port, as in \"127.0.0.1:8080\" or \"[::]:443\""
            .to_owned();
    }
    if let Some((_, expected)) = between(message, "invalid value: ", ", expected ") {
        return format!("must be {}, and is out of range", wanted(expected));
    }
    match between(message, "invalid type: ", ", expected ") {
        Some(("map", "a sequence")) => "is one section and may be many: write its name in double brackets".to_owned(),
        Some((found, expected)) => format!("must be {}, and is {}", wanted(expected), kind(found)),
        None => message.to_owned(),
    }
}

fn between<'a>(message: &'a str, prefix: &str, middle: &str) -> Option<(&'a str, &'a str)> {
    message.strip_prefix(prefix)?.rsplit_once(middle)
}

/// serde writes `a`, `a` or `b`, or one of `a`, `b`, `c`.
fn choice(known: &str) -> String {
    format!("write {}", if known.starts_with("one of ") { known.to_owned() } else { format!("one of {known}") })
}

/// What was found, by its kind alone.
fn kind(found: &str) -> &'static str {
    match found.split([' ', '`']).next().unwrap_or_default() {
        "string" => "text",
        "integer" => "a whole number",
        "floating" => "a fraction",
        "boolean" => "true or false",
        "map" => "a section",
        "sequence" => "a list",
        _ => "something else",
    }
}

/// What belongs there.
fn wanted(expected: &str) -> &str {
    match expected {
        "a string" | "path string" => "text in quotes",
        "usize" | "u32" => "a whole number, as in 4",
        "a sequence" => "a list in brackets, as in [\"…\"]",
        "a map" => "a section",
        "socket address" => "an address and port in quotes, as in \"127.0.0.1:8080\"",
        other if other.starts_with("struct ") => "a section with keys of its own",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn says_it_in_plain_words() {
        for (message, said) in [
            ("unknown field `a`, expected `b`", "there is no key `a` here: write one of `b`"),
            ("unknown field `a`, expected one of `b`, `c`", "there is no key `a` here: write one of `b`, `c`"),
            ("unknown field `a`, expected `b` or `c`", "there is no key `a` here: write one of `b` or `c`"),
            ("missing field `app`", "the key `app` is missing"),
            ("invalid type: string \"x, expected y\", expected usize", "must be a whole number, as in 4, and is text"),
            ("invalid type: map, expected a string", "must be text in quotes, and is a section"),
            ("invalid value: integer `-1`, expected usize", "must be a whole number, as in 4, and is out of range"),
            ("`x` is not a size", "`x` is not a size"),
        ] {
            assert_eq!(plain(message), said);
        }
    }
}
