//! Zone files in the form of RFC 1035 section 5, as far as ours and Cloudflare's exports go: `$ORIGIN` and `$TTL`, owners left out, classes, lines in
//! parentheses, quotes. What this does not know is an error; `deploy/zone/lint` has BIND read the whole.
//!
//! Whether a record is proxied stands in a comment, `cf_tags=cf-proxied:true`, which readers of zone files throw away. So this is our own.

use crate::record::{Data, Record, plain};

/// What stands on one line, or on several in parentheses.
struct Entry {
    line: usize,
    /// Whether it begins with an owner.
    owner: bool,
    words: Vec<String>,
    comment: String,
}

/// The records of a zone but its SOA and its own NS, which Cloudflare has itself. The error says on which line something is wrong.
pub(crate) fn read(zone: &str, text: &str) -> Result<Vec<Record>, String> {
    let (mut origin, mut ttl, mut last) = (zone.to_owned(), None, None::<String>);
    let mut records = Vec::new();
    for entry in entries(text)? {
        let at = |what: String| format!("line {}: {what}", entry.line);
        let mut words = entry.words.iter();
        let whole = |name: &str| match name {
            "@" => origin.clone(),
            "." => name.to_owned(),
            _ if name.ends_with('.') => plain(name),
            _ => plain(&format!("{name}.{origin}")),
        };
        match entry.words.first().map(String::as_str) {
            Some("$ORIGIN") => {
                let name = entry.words.get(1).ok_or_else(|| at("$ORIGIN has no name".to_owned()))?;
                origin = whole(name);
                continue;
            }
            Some("$TTL") => {
                let seconds = entry.words.get(1).and_then(|text| text.parse().ok());
                ttl = Some(seconds.ok_or_else(|| at("$TTL is a number of seconds".to_owned()))?);
                continue;
            }
            Some(word) if word.starts_with('$') => return Err(at(format!("{word} is not known here"))),
            _ => {}
        }
        if entry.owner
            && let Some(word) = words.next()
        {
            last = Some(whole(word));
        }
        let name = last.clone().ok_or_else(|| at("there is no owner before it".to_owned()))?;
        let mut own = None;
        let kind = loop {
            let word = words.next().ok_or_else(|| at("there is no type".to_owned()))?;
            match word.parse::<u32>() {
                Ok(seconds) => own = Some(seconds),
                Err(_) if word.eq_ignore_ascii_case("IN") => {}
                Err(_) => break word.to_ascii_uppercase(),
            }
        };
        if kind == "SOA" || (kind == "NS" && name == zone) {
            continue;
        }
        let ttl = own.or(ttl).ok_or_else(|| at("there is neither a TTL nor a $TTL".to_owned()))?;
        let parts: Vec<String> = words.cloned().collect();
        let data = Data::parse(&kind, &parts, whole).map_err(at)?;
        let proxied = entry.comment.split([' ', ',', '=']).any(|word| word == "cf-proxied:true");
        if proxied && !data.proxiable() {
            return Err(at(format!("a record of type {kind} can't be proxied")));
        }
        if name != zone && !name.ends_with(&format!(".{zone}")) {
            return Err(at(format!("{name} is not in {zone}")));
        }
        let record = Record { name, data, ttl, proxied };
        if !proxied && ttl != 1 && !(60..=86_400).contains(&ttl) {
            return Err(at(format!("TTL {ttl}: Cloudflare takes 60 to 86400 seconds")));
        }
        if records.iter().any(|known: &Record| known.name == record.name && known.data == record.data) {
            return Err(at(format!("{record} is there twice")));
        }
        records.push(record);
    }
    Ok(records)
}

fn entries(text: &str) -> Result<Vec<Entry>, String> {
    let mut all = Vec::new();
    let mut open: Option<Entry> = None;
    let mut depth = 0_usize;
    for (number, line) in (1..).zip(text.lines()) {
        let owner = !line.starts_with([' ', '\t']);
        let entry =
            open.get_or_insert_with(|| Entry { line: number, owner, words: Vec::new(), comment: String::new() });
        let mut rest = line.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                ' ' | '\t' => {}
                ';' => {
                    entry.comment.push_str(&rest.by_ref().collect::<String>());
                }
                '(' => depth += 1,
                ')' => depth = depth.checked_sub(1).ok_or(format!("line {number}: `)` without `(`"))?,
                '"' => {
                    let mut word = String::new();
                    loop {
                        match rest.next() {
                            Some('"') => break,
                            Some('\\') => word.push(escaped(&mut rest, number)?),
                            Some(character) => word.push(character),
                            None => return Err(format!("line {number}: a quote does not end")),
                        }
                    }
                    entry.words.push(word);
                }
                _ => {
                    let mut word = String::from(character);
                    while let Some(next) = rest.next_if(|next| !matches!(next, ' ' | '\t' | ';' | '(' | ')' | '"')) {
                        word.push(if next == '\\' { escaped(&mut rest, number)? } else { next });
                    }
                    entry.words.push(word);
                }
            }
        }
        if depth == 0
            && let Some(entry) = open.take_if(|_| true)
            && !entry.words.is_empty()
        {
            all.push(entry);
        }
    }
    match open {
        Some(entry) => Err(format!("line {}: `(` is not closed", entry.line)),
        None => Ok(all),
    }
}

/// What follows a backslash: three digits, or the character itself.
fn escaped(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, line: usize) -> Result<char, String> {
    let mut digits = String::new();
    while digits.len() < 3
        && let Some(digit) = rest.next_if(char::is_ascii_digit)
    {
        digits.push(digit);
    }
    let wrong = || format!("line {line}: after `\\` there are three digits, to 255, or a character");
    match digits.len() {
        0 => rest.next().ok_or_else(wrong),
        3 => digits.parse::<u8>().map(char::from).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    fn shown(text: &str) -> Vec<String> {
        read("example.com", text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn our_form_and_the_form_of_exports_are_read() {
        let ours = "$ORIGIN example.com.\n$TTL 3600\n@\tSOA\ta. b. 1 2 3 4 5\n@ NS x.\n@ 300 A 192.0.2.1 ; cf_tags=cf-proxied:true\n\
            \tAAAA 2001:DB8::1\nwww CNAME @\n_s._tcp SRV 0 0 0 .\n@ TXT \"v=spf1; \" (\n \"-all\" ) ; joined\n@ CAA 0 issue \"a.example; x=y\"\n";
        let expected = [
            "example.com A 192.0.2.1, proxied",
            "example.com AAAA 2001:db8::1, ttl 3600",
            "www.example.com CNAME example.com, ttl 3600",
            "_s._tcp.example.com SRV 0 0 0 ., ttl 3600",
            "example.com TXT \"v=spf1; -all\", ttl 3600",
            "example.com CAA 0 issue \"a.example; x=y\", ttl 3600",
        ];
        assert_eq!(shown(ours), expected);
        let export = ";;\n;; Domain: example.com.\nexample.com.\t3600\tIN\tSOA\ta.ns. b. 1 2 3 4 5\nexample.com.\t86400\tIN\tNS\ta.ns.\n\
            www.example.com.\t1\tIN\tA\t192.0.2.7 ; cf_tags=cf-proxied:true\nsub.example.com.\t300\tIN\tNS\tns.example.net.\n";
        let expected = ["www.example.com A 192.0.2.7, proxied", "sub.example.com NS ns.example.net, ttl 300"];
        assert_eq!(shown(export), expected);
    }

    #[test]
    fn an_error_names_its_line_and_what_would_be_right() {
        for (text, complaint) in [
            ("a 300 A 1.2.3.4\nb 300 A 1.2.3", "line 2: A 1.2.3: is not an IPv4 address"),
            ("a A 1.2.3.4", "line 1: there is neither a TTL nor a $TTL"),
            ("a 300 MX 1.2.3.4", "line 1: MX 1.2.3.4: it has not the parts"),
            ("a 300 MX 10 mx ; cf_tags=cf-proxied:true", "line 1: a record of type MX can't be proxied"),
            ("a 300 TXT \"x", "line 1: a quote does not end"),
            ("a 300 TXT ( x", "line 1: `(` is not closed"),
            ("a 300 TXT x )", "line 1: `)` without `(`"),
            ("a 300 TLSA 3 1 1 00", "line 1: records of type TLSA are not made here"),
            ("$INCLUDE x", "line 1: $INCLUDE is not known here"),
            ("a.example.net. 300 A 1.2.3.4", "line 1: a.example.net is not in example.com"),
            ("a 5 A 1.2.3.4", "line 1: TTL 5: Cloudflare takes 60 to 86400"),
            ("a 300 A 1.2.3.4\na 600 A 1.2.3.4", "line 2: a.example.com A 1.2.3.4, ttl 600 is there twice"),
            (" 300 A 1.2.3.4", "line 1: there is no owner"),
        ] {
            let error = read("example.com", text).unwrap_err();
            assert!(error.starts_with(complaint), "{text}: {error}");
        }
    }
}
