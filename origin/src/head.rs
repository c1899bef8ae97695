//! The heads of requests and answers, as the pipeline reads and changes them.

use cache::{Fields, Meta};
use edge::{FieldsMut, Head, challenge};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::forwarded;

/// A header map as the pipeline reads and changes it.
#[derive(Debug, Default)]
pub(crate) struct HeaderFields(pub(crate) HeaderMap);

impl Fields for HeaderFields {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_bytes()))
    }
}

impl FieldsMut for HeaderFields {
    fn empty() -> Self {
        Self(HeaderMap::with_capacity(16))
    }

    fn of_meta(meta: &Meta) -> Self {
        // Room for the three that every answer gets.
        let mut fields = Self(HeaderMap::with_capacity(meta.iter().count() + 3));
        for (name, value) in meta.iter() {
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
                fields.0.append(name, value);
            }
        }
        fields
    }

    fn append(&mut self, name: &'static str, value: &[u8]) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            self.0.append(forwarded::name(name), value);
        }
    }

    fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.0.insert(forwarded::name(name), value);
        }
    }

    fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
}

/// A request as it came from downstream, without its body.
pub(crate) struct Incoming {
    pub(crate) parts: Parts,
    /// Host and port, checked.
    pub(crate) authority: Box<str>,
    /// Whether the client speaks TLS, to us or to what stands before us.
    pub(crate) secure: bool,
}

impl Fields for Incoming {
    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.parts.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes()))
    }
}

impl Head for Incoming {
    fn method(&self) -> &str {
        self.parts.method.as_str()
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn secure(&self) -> bool {
        self.secure
    }

    fn target(&self) -> &str {
        self.parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str)
    }
}

impl Incoming {
    /// Takes the clearance out of its cookies.
    pub(crate) fn take_clearance(&mut self) -> Option<Box<str>> {
        let mut fields = HeaderFields(std::mem::take(&mut self.parts.headers));
        let clearance = challenge::take(&mut fields);
        self.parts.headers = fields.0;
        clearance
    }

    /// The same once more.
    pub(crate) fn again(&self) -> Self {
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = self.parts.method.clone();
        parts.uri = self.parts.uri.clone();
        parts.version = self.parts.version;
        parts.headers = self.parts.headers.clone();
        Self { parts, authority: self.authority.clone(), secure: self.secure }
    }
}
