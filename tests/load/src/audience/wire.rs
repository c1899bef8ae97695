//! What goes between the places: requests, and answers of which only the head counts.

use std::rc::Rc;

use cache::{Fields, Meta, Timestamp, date};
use edge::{Answer, FieldsMut, Head};

/// What the app answers to a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// `Cache-Control`.
    pub control: String,
    /// `ETag`; a request that shows it gets 304.
    pub etag: Option<&'static str>,
    /// `Vary`.
    pub vary: Option<&'static str>,
    /// Bytes of the body.
    pub bytes: u64,
}

/// A request that may be answered from a cache.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) target: Rc<str>,
    pub(super) fields: Rc<[(&'static str, Box<str>)]>,
}

impl Request {
    /// A GET; `htmx` for a fragment.
    #[must_use]
    pub fn get(target: &str, htmx: bool) -> Self {
        let fields: &[_] = if htmx { &[("hx-request", Box::from("true"))] } else { &[] };
        Self { target: target.into(), fields: fields.into() }
    }
}

impl Fields for Request {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| (*name, value.as_bytes()))
    }
}

impl Head for Request {
    fn method(&self) -> &'static str {
        "GET"
    }
    fn authority(&self) -> &'static str {
        "makenot.work"
    }
    fn secure(&self) -> bool {
        true
    }
    fn target(&self) -> &str {
        &self.target
    }
}

/// A header section.
#[derive(Clone, Debug, Default)]
pub struct Lines(Vec<(Box<str>, Box<[u8]>)>);

impl Fields for Lines {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl FieldsMut for Lines {
    fn empty() -> Self {
        Self::default()
    }
    fn of_meta(meta: &Meta) -> Self {
        Self(meta.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
    fn append(&mut self, name: &'static str, value: &[u8]) {
        self.0.push((name.into(), value.into()));
    }
    fn remove(&mut self, name: &str) {
        self.0.retain(|(known, _)| **known != *name);
    }
}

impl Said {
    /// The answer to a request.
    pub(super) fn to(&self, request: &Request, now: Timestamp) -> Answer<Lines, u64> {
        let mut fields = Lines::default();
        fields.append("date", date::format(now).as_bytes());
        fields.append("cache-control", self.control.as_bytes());
        if let Some(vary) = self.vary {
            fields.append("vary", vary.as_bytes());
        }
        let etag = self.etag.unwrap_or_default();
        if !etag.is_empty() {
            fields.append("etag", etag.as_bytes());
        }
        let known = !etag.is_empty() && request.single("if-none-match") == Some(etag);
        let (status, body) = if known { (304, 0) } else { (200, self.bytes) };
        Answer { status, fields, body }
    }
}
