//! Requests made of the lines of a corpus.

use edge::filter::Class;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// One request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) class: Option<Class>,
    pub(crate) target: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) form: Option<String>,
}

impl Case {
    fn get(class: Option<Class>, target: impl Into<String>) -> Self {
        Self { class, target: target.into(), ..Self::default() }
    }

    fn form(class: Option<Class>, value: &str) -> Self {
        let form = format!("_csrf=0Zm9vYmFy&body={}&save=1", encode(value).replace("%20", "+"));
        Self { form: Some(form), ..Self::get(class, "/posts") }
    }
}

const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'*');

fn encode(value: &str) -> String {
    utf8_percent_encode(value, QUERY).to_string()
}

/// Each attack plainly in a query, and once more in another place or encoding, which go round.
pub(crate) fn attacks(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (n, (section, line)) in lines(text).enumerate() {
        let class = Some(Class::parse(section).unwrap_or_else(|| panic!("{section}")));
        if let Some(case) = whole(class, &line) {
            cases.push(case);
            continue;
        }
        cases.push(Case::get(class, format!("/search?q={}", encode(&line))));
        let url = matches!(class, Some(Class::Ssrf | Class::Traversal | Class::Crlf));
        cases.push(match n % 7 {
            0 => Case::get(class, format!("/search?page=1&q={}", encode(&encode(&line)))),
            1 => Case::form(class, &line),
            2 => Case::get(class, format!("/search?q={}", encode(&entities(&line)))),
            3 if !url => Case::get(class, format!("/tags/{}", encode(&line))),
            4 => Case::get(class, format!("/search?q={}", encode(&unicode(&line)))),
            5 if !url && !line.contains('\n') => {
                Case { fields: vec![("x-api-note".into(), line)], ..Case::get(class, "/api/posts") }
            }
            6 if line.len() > 8 => Case::get(class, format!("/search?q={}", encode(&base64(&line)))),
            _ => Case::get(class, format!("/search?sort=new&q={}", encode(&line.to_uppercase()))),
        });
    }
    cases
}

/// Each text in a query and in a form.
pub(crate) fn harmless(text: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (section, line) in lines(text) {
        match whole(None, &line).filter(|_| section != "search" && section != "form") {
            Some(case) => cases.push(case),
            None => {
                cases.push(Case::get(None, format!("/search?q={}&page=2", encode(&line))));
                cases.push(Case::form(None, &line));
            }
        }
    }
    cases
}

fn lines(text: &str) -> impl Iterator<Item = (&str, String)> {
    let mut section = "";
    text.lines().filter(|line| !line.is_empty()).filter_map(move |line| {
        let name = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
        match name.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase()) && !name.is_empty()) {
            Some(name) => section = name,
            None if section.is_empty() => {}
            None => return Some((section, line.replace('␊', "\n").replace('␍', "\r").replace('␉', "\t"))),
        }
        None
    })
}

/// A line that is a target or a field.
fn whole(class: Option<Class>, line: &str) -> Option<Case> {
    if let Some((name, value)) = line.strip_prefix('@').and_then(|line| line.split_once(": ")) {
        return Some(Case { fields: vec![(name.into(), value.into())], ..Case::get(class, "/") });
    }
    let file = matches!(class, Some(Class::Traversal | Class::Command | Class::Sqli | Class::Xss));
    let target = line.starts_with('/')
        && (!file || line.contains(['?', '%']) || line.contains("/WEB-INF") || line.starts_with("/../"));
    target.then(|| Case::get(class, line))
}

fn entities(line: &str) -> String {
    let coded = |c: char| if c.is_ascii_punctuation() { format!("&#{};", u32::from(c)) } else { c.to_string() };
    line.chars().map(coded).collect()
}

fn unicode(line: &str) -> String {
    let coded = |c: char| if c.is_ascii_punctuation() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    line.chars().map(coded).collect()
}

fn base64(line: &str) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in line.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            out.push(if digit <= chunk.len() { char::from(DIGITS[value as usize]) } else { '=' });
        }
    }
    out
}
