//! The `tracestate` field: what of it goes on (section 3.3, and 4.2 for who only passes it on).

/// Members of a list, at most (3.3.1.1).
const MEMBERS: usize = 32;
/// Bytes that go on in any case (3.3.1.5), and no more than these.
const MOST: usize = 512;
/// A member longer than this goes first where there are too many bytes.
const LONG: usize = 128;

/// The value to send on, from the lines of a request that has a valid `traceparent`: unchanged as long as it has no more than 512
/// bytes. What is longer loses members of more than 128 bytes first, then those at the end, which are the oldest. `None` where there is
/// nothing to send: a list that is broken, or has more than 32 members, is dropped as a whole (3.3.1.1), and the trace goes on without.
pub fn tracestate<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Box<str>> {
    let mut members = Vec::new();
    for line in lines {
        for member in str::from_utf8(line).ok()?.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            if members.len() == MEMBERS || !is_member(member) {
                return None;
            }
            members.push(member);
        }
    }
    let bytes = |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>().saturating_sub(1);
    while bytes(&members) > MOST {
        match members.iter().rposition(|member| member.len() > LONG) {
            Some(long) => drop(members.remove(long)),
            None => drop(members.pop()),
        }
    }
    (!members.is_empty()).then(|| members.join(",").into())
}

/// Whether it is `key=value` (3.3.1.3).
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/');
    let simple = |key: &str, most: usize| (1..=most).contains(&key.len()) && key.bytes().all(plain);
    let begins =
        |key: &str, or: fn(&u8) -> bool| key.as_bytes().first().is_some_and(|b| b.is_ascii_lowercase() || or(b));
    let key_is_good = match key.split_once('@') {
        // A tenant of a system; only its name may begin with a digit.
        Some((tenant, system)) => {
            simple(tenant, 241) && begins(tenant, u8::is_ascii_digit) && simple(system, 14) && begins(system, |_| false)
        }
        None => simple(key, 256) && begins(key, |_| false),
    };
    let value_is_good = (1..=256).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b',' | b'='));
    key_is_good && value_is_good
}

#[cfg(test)]
mod tests {
    use super::tracestate;

    fn sent(lines: &[&str]) -> Option<String> {
        tracestate(lines.iter().map(|line| line.as_bytes())).map(Into::into)
    }

    #[test]
    fn what_is_valid_goes_on_unchanged() {
        for good in
            ["congo=t61rcWkgMzE", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "fw529a3039@dt=FfffffeeF;x:1", "a=b c"]
        {
            assert_eq!(sent(&[good]).as_deref(), Some(good));
        }
        assert_eq!(sent(&["a=1", "b=2"]).as_deref(), Some("a=1,b=2"), "lines are one list");
        assert_eq!(sent(&["a=1 ,\tb=2,,"]).as_deref(), Some("a=1,b=2"), "members may be empty");
    }

    #[test]
    fn what_is_broken_is_dropped_as_a_whole() {
        let long = format!("a={}", "x".repeat(257));
        for bad in
            ["", ",", "a", "a=", "=1", "A=1", "a=1,b", "1a=1", "a@=1", "@a=1", "a@1b=1", "a=b=c", "a=\u{e9}", &long]
        {
            assert_eq!(sent(&[bad]), None, "{bad}");
        }
        assert_eq!(tracestate([&b"a=\xff"[..]].into_iter()), None);
        let many = |n: usize| (0..n).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(sent(&[&many(32)]), Some(many(32)));
        assert_eq!(sent(&[&many(33)]), None);
    }

    #[test]
    fn what_is_too_long_loses_the_long_and_then_the_old() {
        let (long, short) = (format!("long={}", "x".repeat(200)), |n: usize| format!("k{n}={}", "y".repeat(57)));
        let all = [&short(0), &long, &short(1), &long.replace("long", "more"), &short(2), &short(3)]
            .map(String::as_str)
            .join(",");
        let kept = sent(&[&all]).expect("something");
        assert_eq!(kept, [&short(0), &long, &short(1), &short(2), &short(3)].map(String::as_str).join(","));
        let all = (0..12).map(short).collect::<Vec<_>>().join(",");
        let kept = sent(&[&all]).expect("something");
        assert!(kept.len() <= 512 && all.starts_with(&kept) && kept.len() > 440, "{kept}");
    }
}
