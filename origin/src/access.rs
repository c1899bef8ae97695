//! The access log: one JSON line a request, written when its answer's body has ended.
//!
//! Paths are logged without their query, which may hold what is not for a log; no field's value is logged at all.

mod line;

use std::net::{IpAddr, Ipv4Addr};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::{Hop, RequestId, Trace};
use edge::filter::Hit;
use edge::{Exchange, Sampling, Spent, sampling};
use tracing::Level;

use crate::body::BodyError;
use crate::metrics::{self, Ended, Event};
use crate::telemetry::{self, ACCESS};
use crate::traces::Traces;
use crate::trust::Trusted;

/// What is known of a request when its answer's head leaves.
pub struct Record {
    /// When its head had been read.
    pub(crate) started: Instant,
    /// When the head of the answer was there.
    pub(crate) answered: Instant,
    /// Its id.
    pub(crate) id: RequestId,
    /// The trace that it belongs to.
    pub(crate) trace: Trace,
    /// Who asked.
    pub(crate) client: IpAddr,
    /// How it came.
    pub(crate) trust: Trusted,
    /// Its method.
    pub(crate) method: http::Method,
    /// Whether its client speaks TLS.
    pub(crate) secure: bool,
    /// Its host.
    pub(crate) host: Box<str>,
    /// Its path, without the query.
    pub(crate) path: Box<str>,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(crate) version: http::Version,
    /// The number of its site, if there is one, and whether that serves it: by these it is counted.
    pub(crate) site: Option<usize>,
    pub(crate) admitted: bool,
    /// The status of the answer.
    pub(crate) status: u16,
    /// What the cache did.
    pub(crate) cache: &'static str,
    /// Why it was refused or failed, as a problem's code.
    pub(crate) reason: &'static str,
    /// The rules of the filter that matched; the last one decided.
    pub(crate) filter: Vec<Hit>,
    /// Which of the app's upstreams had it last, as the log calls it; empty where none had.
    pub(crate) upstream: &'static str,
    /// Where its time went, as far as the head of its answer.
    pub(crate) spent: Spent,
    /// Which requests are logged, where not all are.
    pub(crate) sampling: Option<Sampling>,
    /// Whether it is the operator's own, who is told where its time goes.
    pub(crate) operator: bool,
    /// Where its spans go, where they go anywhere, and whether they do whatever comes of it.
    pub(crate) traces: Option<Arc<Traces>>,
    pub(crate) sampled: bool,
    bytes: u64,
    end: End,
}

/// A record that is counted, and written where it is to be, when it is dropped.
pub(crate) struct Report(Box<Record>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Complete,
    Cut,
}

impl Record {
    /// What is left of one that is on its way elsewhere.
    fn none(started: Instant) -> Self {
        let (id, client) = (RequestId::from_random([0; 16]), Ipv4Addr::UNSPECIFIED.into());
        Self::new(started, id, client, Trusted::Direct, http::Method::GET, false, "", "", http::Version::HTTP_11)
    }

    /// A record of what is known so far.
    #[expect(clippy::too_many_arguments, reason = "a line of a log has that many columns")]
    pub(crate) fn new(
        started: Instant,
        id: RequestId,
        client: IpAddr,
        trust: Trusted,
        method: http::Method,
        secure: bool,
        host: &str,
        path: &str,
        version: http::Version,
    ) -> Self {
        Self {
            started,
            answered: started,
            id,
            trace: Trace::at(Hop::First, None, id),
            client,
            trust,
            method,
            secure,
            host: host.into(),
            path: path.into(),
            version,
            site: None,
            admitted: false,
            status: 0,
            cache: "none",
            reason: "",
            filter: Vec::new(),
            upstream: "",
            spent: Spent::default(),
            sampling: None,
            operator: false,
            traces: None,
            sampled: false,
            bytes: 0,
            end: End::Open,
        }
    }

    /// Takes over what has been noted of the request's way.
    pub(crate) fn went(&mut self, exchange: &Exchange, upstream: impl FnOnce(u32) -> &'static str) {
        self.spent = exchange.spent.clone();
        self.upstream = upstream(exchange.spent.upstream.get());
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Bytes of the answer's body that have gone.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the answer's body broke off.
    pub(crate) fn is_cut(&self) -> bool {
        self.end == End::Cut
    }

    pub(crate) fn complete(&mut self) {
        self.end = End::Complete;
    }

    pub(crate) fn cut(&mut self, error: &BodyError) {
        self.end = End::Cut;
        tracing::debug!(request.id = %self.id, %error, "the answer's body broke off");
    }
}

impl Report {
    /// Of a request that has begun.
    pub(crate) fn new(record: Record) -> Self {
        Self(Box::new(record))
    }
}

impl Deref for Report {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.0
    }
}

impl DerefMut for Report {
    fn deref_mut(&mut self) -> &mut Record {
        &mut self.0
    }
}

impl Drop for Report {
    /// A receiver that has all bytes of a known length may never ask for the end, so an open end is complete unless the
    /// sender broke off. What a client did not take shows in the number of bytes.
    fn drop(&mut self) {
        let total = self.started.elapsed();
        self.count(total);
        if tracing::enabled!(target: ACCESS, Level::INFO)
            && let Some(sample) = self.sample()
        {
            // Where all are logged, it need not be said.
            let sample = self.sampling.map(|_| sample);
            telemetry::line(|line| self.write(line, total, sample));
        }
        if let Some(traces) = self.0.traces.take()
            && traces.wants(&self.0)
        {
            let none = Record::none(self.started);
            traces.ended(std::mem::replace(&mut self.0, Box::new(none)), total);
        }
    }
}

impl Record {
    /// The share of requests like this one that are logged; `None` where it is not.
    fn sample(&self) -> Option<f64> {
        let Some(sampling) = self.sampling else { return Some(1.0) };
        let noted = self.is_cut() || !self.filter.is_empty() || self.operator;
        let head = self.answered - self.started;
        let ended = sampling::Ended { id: self.id, status: self.status, reason: self.reason, head, noted };
        sampling.keeps(&ended)
    }

    fn count(&self, total: Duration) {
        metrics::count(|counts| {
            counts.request(&Ended {
                site: self.site,
                method: &self.method,
                secure: self.secure,
                trust: self.admitted.then_some(self.trust),
                status: self.status,
                reason: self.reason,
                cache: self.cache,
                head: self.answered - self.started,
                total,
                bytes: self.bytes,
                cut: self.is_cut(),
            });
            if !self.reason.is_empty() {
                counts.event(Event::Problem, self.reason);
            }
            for hit in &self.filter {
                counts.filtered(&hit.rule, hit.action);
            }
        });
    }
}
