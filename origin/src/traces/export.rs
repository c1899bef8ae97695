//! Sending batches (OTLP specification 1.x, "OTLP/HTTP"): by POST, again where the collector has too much to do or can't be reached.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Ended, Outcome, Traces, otlp};
use crate::web::Client;

/// Requests in one batch, at most.
const BATCH: usize = 512;
/// For which a batch is collected.
const MOMENT: Duration = Duration::from_secs(1);
/// Between two tries at first; twice as long each time, up to the second.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// For all that waits, when we go down.
const LAST: Duration = Duration::from_secs(3);
/// How often it is said that spans are lost, at most.
const SAID: Duration = Duration::from_secs(60);

/// Sends what comes until it is over, and then what is left.
pub(super) async fn run(traces: &Arc<Traces>, mut waiting: mpsc::Receiver<Ended>) {
    let client = match Client::new(traces.settings.ca.as_deref()) {
        Ok(client) => client,
        Err(error) => return tracing::error!(error, "no spans are sent"),
    };
    // Where the system says it.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
    let mut sender = Sender { traces, client, host, said: None };
    let mut batch = Vec::new();
    loop {
        let mut over = tokio::select! {
            got = waiting.recv_many(&mut batch, BATCH) => got == 0,
            () = traces.over.cancelled() => true,
        };
        let until = Instant::now() + MOMENT;
        while !over && batch.len() < BATCH {
            let room = BATCH - batch.len();
            tokio::select! {
                got = waiting.recv_many(&mut batch, room) => over = got == 0,
                () = traces.over.cancelled() => over = true,
                () = tokio::time::sleep_until(until) => break,
            }
        }
        if over {
            waiting.close();
            let until = Instant::now() + LAST.min(traces.settings.within);
            loop {
                while batch.len() < BATCH
                    && let Ok(ended) = waiting.try_recv()
                {
                    batch.push(ended);
                }
                if batch.is_empty() {
                    return;
                }
                sender.send(&mut batch, until).await;
            }
        }
        sender.send(&mut batch, Instant::now() + traces.settings.within).await;
    }
}

struct Sender<'a> {
    traces: &'a Traces,
    client: Client,
    host: String,
    /// When it was last said that spans were lost.
    said: Option<Instant>,
}

impl Sender<'_> {
    /// Sends a batch, and empties it, until then at the latest. When we go down it has a moment, and no more.
    async fn send(&mut self, batch: &mut Vec<Ended>, until: Instant) {
        let body = Bytes::from(otlp::request(batch, &self.host));
        let requests = batch.len() as u64;
        batch.clear();
        let mut pause = PAUSE;
        let mut error = "no answer in time".to_owned();
        let end = async {
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = async { self.traces.over.cancelled().await; tokio::time::sleep(MOMENT).await } => {}
            }
        };
        tokio::pin!(end);
        let outcome = loop {
            let posted = tokio::select! {
                posted = self.post(body.clone()) => posted,
                () = &mut end => break Outcome::Unreachable,
            };
            let wait = match posted {
                Err(failed) => {
                    error = failed.to_string();
                    None
                }
                Ok(answer) if answer.status().is_success() => {
                    // It counts spans, we count requests: at least one has lost something for each that it names.
                    let rejected = otlp::rejected(answer.body()).min(requests);
                    self.traces.count(Outcome::Sent, requests - rejected);
                    self.traces.count(Outcome::Refused, rejected);
                    return;
                }
                Ok(answer) => {
                    error = format!("it says {}", answer.status());
                    if !may_try_again(answer.status()) {
                        break Outcome::Refused;
                    }
                    retry_after(&answer)
                }
            };
            let wait = wait.unwrap_or(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
            if wait >= until.saturating_duration_since(Instant::now()) {
                break Outcome::Unreachable;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = &mut end => break Outcome::Unreachable,
            }
        };
        self.traces.count(outcome, requests);
        if self.said.is_none_or(|said| said.elapsed() >= SAID) {
            self.said = Some(Instant::now());
            tracing::warn!(error, requests, "spans are lost: the collector has not taken them");
        }
    }

    async fn post(&self, body: Bytes) -> Result<Response<Bytes>, crate::web::Error> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.traces.settings.url.clone();
        request.headers_mut().extend(self.traces.settings.headers.clone());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.client.send(request).await
    }
}

/// What the specification calls retryable.
fn may_try_again(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502..=504)
}

/// After how long the collector wants to be asked again, in seconds.
fn retry_after(answer: &Response<Bytes>) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
