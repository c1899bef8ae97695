//! The challenge: a check by Cloudflare Turnstile that only a person's browser passes, asked for by rules of the filter.
//!
//! Who is challenged gets a page with the widget, whose form brings the widget's token to [`PATH`]. The edge has the vendor say whether the
//! token is good ([`Host::verify`](crate::Host::verify)), and hands out a clearance ([`contract::clearance`]) in a cookie, which no app and no
//! cache ever sees.

use core::fmt;

use contract::Keys;
use contract::clearance::COOKIE;

use crate::FieldsMut;
use crate::filter::line::{is_within_host, plain};

/// Where the form goes, the only address below [`contract::news::RESERVED`] that visitors reach.
pub const PATH: &str = "/.edge/challenge";
/// Bytes of the form at most: a token of the vendor's longest, 2 KiB, and an address of 8 KiB, all of it escaped.
pub const LONGEST_FORM: usize = 32 << 10;
/// The vendor's word for what the check was made for: a token of another widget of ours is none.
pub const ACTION: &str = "challenge";
/// Seconds that a clearance holds, where nothing else is said.
pub const CLEARANCE: u64 = 1_800;
/// Milliseconds in which the vendor must say whether a token is good, where nothing else is said.
pub const WITHIN: u64 = 5_000;

/// Bytes of a token at most, by the vendor's word.
const LONGEST_TOKEN: usize = 2_048;

/// What a host needs to challenge visitors.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a> {
    /// The widget's site key, which everyone may know.
    pub site_key: &'a str,
    /// The edge's keys.
    pub keys: &'a Keys,
    /// Seconds that a clearance holds.
    pub clearance: u64,
}

/// What a host is told of the gateway's `[turnstile]` and webhooks: the line that the Worker's build puts before its rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Seconds that a clearance holds.
    pub clearance: u64,
    /// Milliseconds in which the vendor must say whether a token is good.
    pub within: u64,
    /// The paths of webhooks.
    pub for_programs: Vec<Box<str>>,
}

impl Default for Terms {
    fn default() -> Self {
        Self { clearance: CLEARANCE, within: WITHIN, for_programs: Vec::new() }
    }
}

/// One line; no path holds a tab.
impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "challenge\t{}\t{}", self.clearance, self.within)?;
        self.for_programs.iter().try_for_each(|path| write!(f, "\t{path}"))?;
        f.write_str("\n")
    }
}

impl Terms {
    /// Reads the line that [`Display`](fmt::Display) writes; `None` where it is not one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut parts = line.strip_prefix("challenge\t")?.split('\t');
        let (clearance, within) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { clearance, within, for_programs: parts.map(Into::into).collect() })
    }
}

/// What the vendor says of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether it is good, and had not been shown before.
    pub success: bool,
    /// The host on whose page the check was passed.
    pub hostname: String,
    /// What for.
    pub action: String,
}

impl Said {
    /// Whether that is enough for a host, without its port.
    #[must_use]
    pub fn suffices(&self, host: &str) -> bool {
        self.success && self.hostname.eq_ignore_ascii_case(host) && self.action == ACTION
    }
}

/// Whether a text can be a site key. It stands in the page.
#[must_use]
pub fn is_site_key(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// Takes the clearance out of a request's cookies, before anything else looks at them.
pub fn take(fields: &mut impl FieldsMut) -> Option<Box<str>> {
    let is_ours = |line: &[u8]| line.split(|byte| *byte == b';').any(|pair| value(pair.trim_ascii()).is_some());
    if !fields.values("cookie").any(is_ours) {
        return None;
    }
    let (mut taken, mut left) = (None, Vec::new());
    for line in fields.values("cookie") {
        let (ours, others): (Vec<&[u8]>, Vec<&[u8]>) =
            line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).partition(|pair| value(pair).is_some());
        let first = ours.first().and_then(|pair| core::str::from_utf8(value(pair)?).ok());
        taken = taken.or_else(|| first.map(Into::into));
        left.push(others.join(&b"; "[..]));
    }
    fields.remove("cookie");
    for line in left.iter().filter(|line| !line.is_empty()) {
        fields.append("cookie", line);
    }
    taken
}

fn value(pair: &[u8]) -> Option<&[u8]> {
    pair.strip_prefix(COOKIE.as_bytes())?.trim_ascii_start().strip_prefix(b"=")
}

/// What the form says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// The widget's token.
    pub(crate) token: Box<str>,
    /// Where the visitor was going, on this host.
    pub(crate) to: Box<str>,
}

impl Form {
    pub(crate) fn read(form: &[u8]) -> Self {
        let (mut token, mut to) = (Box::default(), Box::from("/"));
        for pair in core::str::from_utf8(form).unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(value) = plain(&value.replace('+', " ")) else { continue };
            match name {
                "cf-turnstile-response" if value.len() <= LONGEST_TOKEN => token = value,
                "to" if is_within_host(&value) => to = value,
                _ => {}
            }
        }
        Self { token, to }
    }
}

/// Whether one of the vendor's error codes means that it cannot say: our secret is wrong, or the fault is its own. All others are of a token
/// that is not good.
#[must_use]
pub fn says_nothing(code: &str) -> bool {
    matches!(code, "missing-input-secret" | "invalid-input-secret" | "bad-request" | "internal-error")
}

#[cfg(test)]
mod tests {
    use super::{Form, Said, Terms, is_site_key, take};
    use crate::FieldsMut;
    use cache::{Fields, Meta};

    #[derive(Debug, PartialEq, Eq)]
    struct Lines(Vec<(String, String)>);

    impl Fields for Lines {
        fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
            self.0.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
        }
    }

    impl FieldsMut for Lines {
        fn empty() -> Self {
            Self(Vec::new())
        }
        fn of_meta(_: &Meta) -> Self {
            Self::empty()
        }
        fn append(&mut self, name: &'static str, value: &[u8]) {
            self.0.push((name.to_owned(), String::from_utf8_lossy(value).into_owned()));
        }
        fn remove(&mut self, name: &str) {
            self.0.retain(|(is, _)| is != name);
        }
    }

    #[test]
    fn the_cookie_is_taken_and_all_others_stay() {
        for (sent, taken, left) in [
            (&["a=1"][..], None, &["a=1"][..]),
            (&["__Host-clearance=x"], Some("x"), &[]),
            (&["a=1; __Host-clearance=x; b=2"], Some("x"), &["a=1; b=2"]),
            // HTTP/2 may cut it in pieces; and who sends several has made them.
            (&["a=1", "__Host-clearance=x; __Host-clearance=y", "b=2"], Some("x"), &["a=1", "b=2"]),
            // Some servers read this as the same.
            (&["__Host-clearance = x;b=__Host-clearance"], Some(" x"), &["b=__Host-clearance"]),
            (&["__Host-clearances=x", "x__Host-clearance=y"], None, &["__Host-clearances=x", "x__Host-clearance=y"]),
        ] {
            let lines =
                |texts: &[&str]| Lines(texts.iter().map(|text| ("cookie".to_owned(), (*text).to_owned())).collect());
            let mut fields = lines(sent);
            assert_eq!(take(&mut fields).as_deref().map(str::trim), taken.map(str::trim), "{sent:?}");
            assert_eq!(fields, lines(left), "{sent:?}");
        }
    }

    #[test]
    fn the_form_leads_nowhere_else() {
        let to = |value: &str| Form::read(format!("to={value}&cf-turnstile-response=a%2Bb+c").as_bytes()).to;
        assert_eq!((&*to("%2Fa%3Fb%3D1%26c"), &*to("/x")), ("/a?b=1&c", "/x"));
        for elsewhere in
            ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "/%5Cevil.example", "/a%0d%0ab", "", "%", "x"]
        {
            assert_eq!(&*to(elsewhere), "/", "{elsewhere}");
        }
        assert_eq!(&*Form::read(b"cf-turnstile-response=a%2Bb+c").token, "a+b c");
        let long = format!("cf-turnstile-response={}", "x".repeat(2_049));
        assert_eq!(&*Form::read(long.as_bytes()).token, "");
        assert_eq!(Form::read(b"\xff"), Form { token: "".into(), to: "/".into() });
    }

    #[test]
    fn another_sites_or_another_widgets_token_is_none() {
        let said = Said { success: true, hostname: "Makenot.work".to_owned(), action: "challenge".to_owned() };
        assert!(said.suffices("makenot.work") && !said.suffices("evil.example"));
        assert!(!Said { success: false, ..said.clone() }.suffices("makenot.work"));
        assert!(!Said { action: "login".to_owned(), ..said.clone() }.suffices("makenot.work"));
        assert!(!Said { action: String::new(), ..said }.suffices("makenot.work"));
    }

    #[test]
    fn terms_are_read_as_they_are_written() {
        let terms = Terms { for_programs: vec!["/webhooks/a".into(), "/b".into()], ..Terms::default() };
        assert_eq!(terms.to_string(), "challenge\t1800\t5000\t/webhooks/a\t/b\n");
        for terms in [terms, Terms::default()] {
            assert_eq!(Terms::parse(terms.to_string().trim_end()), Some(terms));
        }
        for line in ["", "challenge", "challenge\t1", "challenge\tx\t1", "filter"] {
            assert_eq!(Terms::parse(line), None, "{line}");
        }
    }

    #[test]
    fn what_a_site_key_is() {
        assert!(is_site_key("0x4AAAAAAADnPIDROrmt1Wwj") && is_site_key("1x00000000000000000000AA"));
        assert!(!is_site_key("") && !is_site_key("a\"b") && !is_site_key(&"x".repeat(65)));
    }
}
