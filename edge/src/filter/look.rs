//! Looks at a request's parts with the managed rules: path, query, fields, and a form where there is one.
//!
//! What is looked at is bounded: [`decode::LONGEST`] bytes of each value, [`MOST_FIELDS`] of fields in all.

use cache::Fields;

use super::{Class, Classes, Managed, agent, command, crlf, decode, probe, scan, sql, ssrf, template, traversal, xss};

/// Bytes of fields' values that are looked at.
const MOST_FIELDS: usize = 16 << 10;

/// Where in a request something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The path.
    Path,
    /// The query.
    Query,
    /// A form in the body.
    Form,
    /// `User-Agent`.
    UserAgent,
    /// `Referer`.
    Referer,
    /// `Cookie`.
    Cookie,
    /// Another field.
    Field,
}

impl Place {
    /// A stable word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Form => "form",
            Self::UserAgent => "user-agent",
            Self::Referer => "referer",
            Self::Cookie => "cookie",
            Self::Field => "field",
        }
    }

    /// The classes that are looked for there.
    const fn classes(self) -> Classes {
        let markup = Classes::NONE.with(Class::Xss).with(Class::Template).with(Class::Sqli);
        match self {
            Self::Path => markup.with(Class::Command),
            Self::Query | Self::Form => {
                markup.with(Class::Command).with(Class::Crlf).with(Class::Ssrf).with(Class::Traversal)
            }
            Self::UserAgent | Self::Field => markup.with(Class::Command),
            Self::Referer | Self::Cookie => markup,
        }
    }

    /// What is added to a class's threshold: programs fill cookies with anything.
    const fn raised(self) -> u8 {
        match self {
            Self::Cookie => 2,
            _ => 0,
        }
    }
}

/// What a managed rule has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Managed,
    /// Where.
    pub place: Place,
}

/// A request, as it is looked at.
pub struct Looked<'a, F: ?Sized> {
    /// The path, after the path rule.
    pub path: &'a str,
    /// The query.
    pub query: Option<&'a str>,
    /// The fields.
    pub fields: &'a F,
    /// An `application/x-www-form-urlencoded` body, where it is asked for.
    pub form: Option<&'a [u8]>,
}

/// Looks for what any of the managed rules stops. The first finding of a class in `block` ends it; else the first finding of all is given.
pub fn look<F: Fields + ?Sized>(request: &Looked<'_, F>, block: Classes) -> Option<Finding> {
    let mut eye = Eye { block, ..Eye::default() };
    eye.request(request);
    eye.found
}

#[derive(Default)]
struct Eye {
    block: Classes,
    found: Option<Finding>,
    raw: Vec<u8>,
    text: Vec<u8>,
    spare: Vec<u8>,
}

impl Eye {
    /// Whether there is nothing more to look for.
    fn is_done(&self) -> bool {
        self.found.is_some_and(|found| self.block.has(found.rule.class()))
    }

    fn note(&mut self, place: Place, threshold: u8, found: Option<(Managed, u8)>) {
        if let Some((rule, score)) = found
            && score >= threshold + place.raised()
            && (self.found.is_none() || self.block.has(rule.class()))
            && !self.is_done()
        {
            self.found = Some(Finding { rule, place });
        }
    }

    fn request<F: Fields + ?Sized>(&mut self, request: &Looked<'_, F>) {
        self.path(request.path);
        if let Some(query) = request.query {
            self.pairs(query.as_bytes(), Place::Query);
        }
        self.fields(request.fields);
        if let Some(form) = request.form {
            self.pairs(form, Place::Form);
        }
    }

    fn path(&mut self, path: &str) {
        decode::transport(path.as_bytes(), false, &mut self.raw);
        self.text.clone_from(&self.raw);
        decode::all(&mut self.text, &mut self.spare);
        self.note(Place::Path, 5, probe::judge(&self.text));
        self.note(Place::Path, traversal::THRESHOLD, traversal::path(&self.text));
        if self
            .text
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'@' | b'~'))
        {
            return;
        }
        // The whole, then segments: what is put into a page is the one, what is put into a statement the other.
        let text = core::mem::take(&mut self.text);
        let whole = text.strip_prefix(b"/").unwrap_or(&text);
        self.judge(Place::Path, b"", whole);
        for segment in
            whole.split(|byte| *byte == b'/').filter(|segment| segment.len() > 4 && segment.len() < whole.len())
        {
            self.judge(Place::Path, b"", segment);
        }
        self.text = text;
    }

    /// `a=b&c=d`.
    fn pairs(&mut self, text: &[u8], place: Place) {
        for pair in text.split(|byte| *byte == b'&') {
            if self.is_done() {
                return;
            }
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = at.map_or((pair, &[][..]), |at| {
                (pair.get(..at).unwrap_or_default(), pair.get(at + 1..).unwrap_or_default())
            });
            if name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) {
                if !value.is_empty() {
                    self.value(place, name, value);
                }
            } else {
                // A name that is none belongs to what was put there; a value may be all of it.
                self.value(place, b"", pair);
                if !value.is_empty() {
                    self.value(place, b"", value);
                }
            }
        }
    }

    /// One value, as it was sent.
    fn value(&mut self, place: Place, name: &[u8], sent: &[u8]) {
        if sent.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'~')) && sent.len() < 16
        {
            return;
        }
        let form = matches!(place, Place::Query | Place::Form);
        if matches!(place, Place::UserAgent | Place::Field) {
            self.raw.clear();
            self.raw.extend_from_slice(sent.get(..decode::LONGEST).unwrap_or(sent));
        } else {
            decode::transport(sent, form, &mut self.raw);
        }
        // Long identifiers and the like are of one word, and may hide another text.
        let hidden = !matches!(place, Place::UserAgent | Place::Referer) && decode::base64(&self.raw, &mut self.spare);
        let mut hidden = if hidden { core::mem::take(&mut self.spare) } else { Vec::new() };
        self.text.clone_from(&self.raw);
        decode::all(&mut self.text, &mut self.spare);
        let text = core::mem::take(&mut self.text);
        self.judge(place, name, &text);
        self.text = text;
        if !hidden.is_empty() {
            decode::all(&mut hidden, &mut self.spare);
            self.judge(place, b"", &hidden);
            self.spare = hidden;
        }
    }

    /// One value, decoded.
    fn judge(&mut self, place: Place, name: &[u8], text: &[u8]) {
        let classes = place.classes();
        if text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'~')) {
            return;
        }
        if classes.has(Class::Traversal) {
            self.note(place, traversal::THRESHOLD, traversal::value(text));
        }
        if classes.has(Class::Ssrf) {
            self.note(place, ssrf::THRESHOLD, ssrf::judge(name, text));
        }
        if classes.has(Class::Template) && text.contains(&b'$') {
            self.note(place, template::THRESHOLD, template::lookup(text));
        }
        if scan::is_prose(text) {
            return;
        }
        if classes.has(Class::Crlf) {
            self.note(place, crlf::THRESHOLD, crlf::judge(text));
        }
        if classes.has(Class::Xss) {
            self.note(place, xss::THRESHOLD, xss::judge(text));
        }
        if classes.has(Class::Template) {
            self.note(place, template::THRESHOLD, template::judge(text));
        }
        if classes.has(Class::Sqli) {
            self.note(place, sql::THRESHOLD, sql::judge(text));
        }
        if classes.has(Class::Command) {
            self.note(place, command::THRESHOLD, command::judge(text));
        }
    }

    fn fields<F: Fields + ?Sized>(&mut self, fields: &F) {
        let mut left = MOST_FIELDS;
        for (name, value) in fields.iter() {
            if self.is_done() || left == 0 {
                return;
            }
            let value = value.get(..left.min(decode::LONGEST)).unwrap_or(value);
            match name {
                "user-agent" => {
                    let lower = value.to_ascii_lowercase();
                    self.note(Place::UserAgent, 5, agent::judge(&lower));
                    self.value(Place::UserAgent, b"", value);
                }
                "referer" => {
                    let at = value.iter().position(|byte| *byte == b'?').unwrap_or(value.len());
                    self.value(Place::Referer, b"", value.get(..at).unwrap_or_default());
                    self.pairs(value.get(at + 1..).unwrap_or_default(), Place::Referer);
                }
                "cookie" => {
                    for cookie in value.split(|byte| *byte == b';') {
                        let at = cookie.iter().position(|byte| *byte == b'=').map_or(0, |at| at + 1);
                        self.value(Place::Cookie, b"", cookie.get(at..).unwrap_or_default());
                    }
                }
                _ if name.starts_with("x-") => self.value(Place::Field, b"", value),
                // What logs write down is looked up by some libraries, whatever the field.
                _ => {
                    if value.windows(2).any(|pair| pair == b"${") {
                        self.text = value.to_ascii_lowercase();
                        let found = template::lookup(&self.text);
                        self.note(Place::Field, template::THRESHOLD, found);
                    }
                    continue;
                }
            }
            left = left.saturating_sub(value.len());
        }
    }
}
