//! Spans of requests, for a collector that speaks OTLP, where `[traces]` names one (ADR 38).
//!
//! Whether a request is traced is decided when it has ended: so each that fails or is slow is. A span is its access record; it waits in a
//! bounded queue, and is sent from the control plane in batches (`export.rs`). What does not fit or can't be sent is lost and counted.

mod export;
mod otlp;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use contract::{RequestId, Trace};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::access::Record;
use crate::config;

/// A request that has ended, and is to be sent.
pub(crate) struct Ended {
    pub(crate) record: Box<Record>,
    /// When its head had been read.
    pub(crate) began: SystemTime,
    pub(crate) took: Duration,
}

/// Where requests are handed in that have ended.
#[derive(Debug)]
pub(crate) struct Traces {
    settings: config::Traces,
    queue: mpsc::Sender<Ended>,
    /// Until the exporter takes it.
    waiting: Mutex<Option<mpsc::Receiver<Ended>>>,
    counts: [AtomicU64; OUTCOMES.len()],
    /// Told when no request comes any more.
    over: CancellationToken,
}

/// What becomes of a request's spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The collector has them.
    Sent,
    /// Too many waited already.
    QueueFull,
    /// The collector does not want them: it says 4xx, or that it has rejected some.
    Refused,
    /// It could not be reached in time, or had too much to do.
    Unreachable,
}

/// The words for them, as labels.
pub(crate) const OUTCOMES: [&str; 4] = ["sent", "queue-full", "refused", "unreachable"];

impl Traces {
    pub(crate) fn new(settings: &config::Traces) -> Arc<Self> {
        let (queue, waiting) = mpsc::channel(settings.queue as usize);
        Arc::new(Self {
            settings: settings.clone(),
            queue,
            waiting: Mutex::new(Some(waiting)),
            counts: Default::default(),
            over: CancellationToken::new(),
        })
    }

    /// Whether a request is traced whatever comes of it: its client has it sampled and is followed, or it is of the share.
    pub(crate) fn samples(&self, trace: &Trace, id: RequestId) -> bool {
        if self.settings.follow && !trace.is_own(id) {
            return trace.sampled;
        }
        // By our own id: a client's trace has the id that it likes.
        id.is_of(self.settings.sample)
    }

    /// Whether a request that has ended is traced.
    pub(crate) fn wants(&self, record: &Record) -> bool {
        let failed = record.status >= 500 || record.is_cut();
        record.sampled || failed || record.answered - record.started >= self.settings.slow
    }

    /// Hands one in.
    pub(crate) fn ended(&self, record: Box<Record>, took: Duration) {
        let began = SystemTime::now() - took;
        if self.queue.try_send(Ended { record, began, took }).is_err() {
            self.count(Outcome::QueueFull, 1);
        }
    }

    /// Sends what comes, until [`over`](Self::over).
    pub(crate) async fn run(self: Arc<Self>) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            export::run(&self, waiting).await;
        }
    }

    /// No request comes any more: what waits is sent, once, and then [`run`](Self::run) ends.
    pub(crate) fn over(&self) {
        self.over.cancel();
    }

    fn count(&self, outcome: Outcome, requests: u64) {
        self.counts[outcome as usize].fetch_add(requests, Ordering::Relaxed);
    }

    /// Requests by what has become of their spans.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.into_iter().zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}
