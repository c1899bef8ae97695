//! The access log: one JSON line a request, written when its answer's body has ended.
//!
//! Paths are logged without their query, which may hold what is not for a log; no field's value is logged at all.

use std::net::IpAddr;
use std::time::Instant;

use contract::RequestId;

use crate::body::BodyError;
use crate::trust::Trusted;

/// What is known of a request when its answer's head leaves.
pub struct Record {
    /// When its head had been read.
    pub(crate) started: Instant,
    /// When the head of the answer was there.
    pub(crate) answered: Instant,
    /// Its id.
    pub(crate) id: RequestId,
    /// Who asked.
    pub(crate) client: IpAddr,
    /// How it came.
    pub(crate) trust: Trusted,
    /// Its method.
    pub(crate) method: http::Method,
    /// Its host.
    pub(crate) host: Box<str>,
    /// Its path, without the query.
    pub(crate) path: Box<str>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(crate) version: http::Version,
    /// The status of the answer.
    pub(crate) status: u16,
    /// What the cache did.
    pub(crate) cache: &'static str,
    /// Why it was refused or failed, as a problem's code.
    pub(crate) reason: &'static str,
    bytes: u64,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Complete,
    Cut,
}

impl Record {
    /// A record of what is known so far.
    #[expect(clippy::too_many_arguments, reason = "a line of a log has that many columns")]
    pub(crate) fn new(
        started: Instant,
        id: RequestId,
        client: IpAddr,
        trust: Trusted,
        method: http::Method,
        host: &str,
        path: &str,
        version: http::Version,
    ) -> Self {
        Self {
            started,
            answered: started,
            id,
            client,
            trust,
            method,
            host: host.into(),
            path: path.into(),
            version,
            status: 0,
            cache: "none",
            reason: "",
            bytes: 0,
            end: End::Open,
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(crate) fn complete(&mut self) {
        self.end = End::Complete;
    }

    pub(crate) fn cut(&mut self, error: &BodyError) {
        self.end = End::Cut;
        tracing::debug!(request.id = %self.id, %error, "the answer's body broke off");
    }
}

impl Drop for Record {
    /// A receiver that has all bytes of a known length may never ask for the end, so an open end is complete unless the
    /// sender broke off. What a client did not take shows in the number of bytes.
    fn drop(&mut self) {
        let millis = |d: std::time::Duration| (d.as_secs_f64() * 1e6).round() / 1e3;
        let cut = self.end == End::Cut;
        tracing::event!(
            target: "access",
            tracing::Level::INFO,
            request.id = %self.id,
            client.address = %self.client,
            trust = self.trust.as_str(),
            http.request.method = %self.method,
            url.host = %self.host,
            url.path = %self.path,
            network.protocol = ?self.version,
            http.response.status_code = self.status,
            http.response.body.bytes = self.bytes,
            http.response.cut = cut,
            cache = self.cache,
            reason = self.reason,
            duration.head_ms = millis(self.answered - self.started),
            duration.total_ms = millis(self.started.elapsed()),
            "request"
        );
    }
}
