//! An answer as the client got it: status, field lines, body.

use std::fmt::Write as _;

use reqwest::RequestBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Field lines in the order received; names in lower case.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// Sends a request and takes the whole answer.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let fields = response.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    let body = response.bytes().await.expect("a whole body").to_vec();
    Answer { status, fields, body }
}

impl Answer {
    /// The values of the lines of a name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_slice())
    }

    /// The value of the one line of a name; empty where there is none.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut lines = self.all(name);
        let value = lines.next().unwrap_or_default();
        assert!(lines.next().is_none(), "several lines of {name}: {}", self.head());
        std::str::from_utf8(value).expect("an ASCII value")
    }

    /// The request's id.
    #[track_caller]
    pub(crate) fn id(&self) -> &str {
        let id = self.field("x-request-id");
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "no request id: {}", self.head());
        id
    }

    /// The body as text.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    /// The body from JSON.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {}: {:?}", self.head(), self.text()))
    }

    /// What the app saw, where this is the answer of `/echo`.
    #[track_caller]
    pub(crate) fn seen(&self) -> Seen {
        self.json()
    }

    /// Status and fields as text, in the order of their names.
    pub(crate) fn head(&self) -> String {
        let mut lines: Vec<_> = self.fields.iter().collect();
        lines.sort_by_key(|(name, _)| name);
        let mut head = format!("{}\n", self.status);
        for (name, value) in lines {
            let _ = writeln!(head, "{name}: {}", String::from_utf8_lossy(value));
        }
        head
    }

    /// Asserts that it is one of our own, with this code, in JSON, and under the request's id.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{}{:?}", self.head(), String::from_utf8_lossy(&self.body));
        let problem: Problem = self.json();
        assert_eq!((problem.code.as_str(), problem.request_id.as_str()), (code, self.id()));
        assert_eq!(self.field("cache-control"), "no-store");
        assert_eq!(self.field("content-type"), "application/json");
    }
}

/// The JSON of an answer of our own.
#[derive(Deserialize)]
struct Problem {
    code: String,
    request_id: String,
}

/// A request as the app saw it.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body_bytes: u64,
    pub(crate) body_sha256: String,
}

impl Seen {
    /// The values of the lines of a name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the one line of a name; empty where there is none.
    #[track_caller]
    pub(crate) fn field(&self, name: &str) -> &str {
        let lines = self.all(name);
        assert!(lines.len() < 2, "several lines of {name}: {:?}", self.headers);
        lines.first().copied().unwrap_or_default()
    }
}
