//! Which names a certificate can be had for, decided before anybody is asked.

/// The name in lower case, where it is a host name of two or more labels (RFC 5890 section 2.3.1) that a public CA could know:
/// no address, no wildcard, no name of one label. What passes is safe as the name of a folder.
pub(crate) fn issuable(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    // 253 octets is the longest name in DNS's text form.
    let labels = name.len() <= 253 && name.contains('.') && name.split('.').all(label);
    // An IPv4 address, or one that went wrong: no top-level domain begins with a digit.
    let top = name.rsplit('.').next().is_some_and(|top| top.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()));
    (labels && top).then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::issuable;

    #[test]
    fn what_a_ca_could_know() {
        for (name, wanted) in [
            ("creator.example", Some("creator.example")),
            ("Shop.Creator.Example.", Some("shop.creator.example")),
            ("xn--bcher-kva.example", Some("xn--bcher-kva.example")),
            ("1.a.example", Some("1.a.example")),
        ] {
            assert_eq!(issuable(name).as_deref(), wanted, "{name}");
        }
        let long = format!("{}.example", ["a"; 124].join("."));
        let longest_label = format!("{}.example", "a".repeat(64));
        for name in [
            "",
            ".",
            "localhost",
            "*.creator.example",
            "127.0.0.1",
            "1.2.3.4.5",
            "::1",
            "[::1]",
            "a..example",
            ".example",
            "-a.example",
            "a-.example",
            "a_b.example",
            "../../etc.passwd",
            "a/b.example",
            "a.example:443",
            "a.éxample",
            "a b.example",
            "creator.example..",
            &long,
            &longest_label,
        ] {
            assert_eq!(issuable(name), None, "{name}");
        }
    }
}
