//! Open-loop load: requests leave at their times, whether or not those before them have been answered, and what counts is the time
//! from then on. A slow server is not asked less.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What to ask, how often, for how long.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Where.
    pub address: SocketAddr,
    /// For which host.
    pub host: &'static str,
    /// Path and query.
    pub target: &'static str,
    /// Requests a second.
    pub per_second: u32,
    /// For how long.
    pub time: Duration,
    /// How long an answer may take; past it the request counts as failed.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Requests that left.
    pub sent: usize,
    /// Times to the whole answer, sorted, by status; 0 is no answer in time.
    pub by_status: BTreeMap<u16, Vec<Duration>>,
}

impl Outcome {
    /// Answers with a status.
    #[must_use]
    pub fn count(&self, status: u16) -> usize {
        self.by_status.get(&status).map_or(0, Vec::len)
    }

    /// Requests that were not answered with 200.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.sent - self.count(200)
    }

    /// The time within which this share of a status's answers came, in milliseconds; NaN without any.
    #[must_use]
    pub fn quantile(&self, status: u16, share: f64) -> f64 {
        let Some(times) = self.by_status.get(&status) else { return f64::NAN };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "thousands of answers"
        )]
        let at = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len()) - 1;
        times[at].as_secs_f64() * 1e3
    }

    /// The time within which 99 of 100 good answers came, in milliseconds.
    #[must_use]
    pub fn p99(&self) -> f64 {
        self.quantile(200, 0.99)
    }
}

type Idle = Arc<Mutex<Vec<SendRequest<Empty<Bytes>>>>>;

impl Pace {
    /// 200 requests a second for `/` over some seconds.
    #[must_use]
    pub fn good(address: SocketAddr, seconds: u64) -> Self {
        let time = Duration::from_secs(seconds);
        Self { address, host: "a", target: "/", per_second: 200, time, patience: Duration::from_secs(5) }
    }

    /// Runs it.
    pub async fn run(self) -> Outcome {
        let idle = Idle::default();
        let mut requests = JoinSet::new();
        let start = Instant::now();
        let count = self.per_second * u32::try_from(self.time.as_millis()).unwrap_or(0) / 1000;
        let mut all = Vec::new();
        for n in 0..count {
            let due = start + Duration::from_secs(1) * n / self.per_second;
            tokio::time::sleep_until(due).await;
            let idle = Arc::clone(&idle);
            requests.spawn(async move {
                let status = match tokio::time::timeout_at(due + self.patience, self.one(&idle)).await {
                    Ok(Some(status)) => status,
                    _ => 0,
                };
                (status, due.elapsed())
            });
            while let Some(done) = requests.try_join_next() {
                all.extend(done);
            }
        }
        all.extend(requests.join_all().await);
        let mut outcome = Outcome { sent: all.len(), by_status: BTreeMap::new() };
        for (status, time) in all {
            outcome.by_status.entry(status).or_default().push(time);
        }
        outcome.by_status.values_mut().for_each(|times| times.sort());
        outcome
    }

    async fn one(&self, idle: &Idle) -> Option<u16> {
        loop {
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (mut sender, fresh) = match pooled {
                Some(sender) => (sender, false),
                None => (connect(self.address).await?, true),
            };
            let request = Request::get(self.target).header("host", self.host).body(Empty::new()).ok()?;
            if sender.ready().await.is_err() {
                if fresh {
                    return None;
                }
                continue;
            }
            let response = match sender.try_send_request(request).await {
                Ok(response) => response,
                // It was closed while it was idle, and nothing has been sent.
                Err(error) if error.message().is_some() && !fresh => continue,
                Err(_) => return None,
            };
            let status = response.status().as_u16();
            response.into_body().collect().await.ok()?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
            return Some(status);
        }
    }
}

async fn connect(address: SocketAddr) -> Option<SendRequest<Empty<Bytes>>> {
    let stream = TcpStream::connect(address).await.ok()?;
    let _ = stream.set_nodelay(true);
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    tokio::spawn(connection);
    Some(sender)
}
