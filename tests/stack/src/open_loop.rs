//! An open loop: requests leave when they are due, whether or not earlier ones were answered, and a request's time counts from the
//! moment it was due. So a server that stalls is charged for everything that it kept waiting (what a closed loop leaves out is
//! known as coordinated omission).

use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use crate::link::Link;

/// How much longer than it should an open loop may last, until the server is said not to keep up.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest time that is told from longer ones, in microseconds.
const LONGEST: u64 = 60_000_000;

/// What to ask, and how often.
#[derive(Clone)]
pub struct OpenLoop {
    /// Whom.
    pub link: Link,
    /// The path.
    pub path: String,
    /// Fields besides Host.
    pub fields: Vec<(String, String)>,
    /// Keep-alive connections. Requests are dealt out to them in turn, and wait at a connection that is busy.
    pub connections: usize,
    /// Requests a second.
    pub rate: f64,
    /// For how long.
    pub lasting: Duration,
}

impl OpenLoop {
    /// Runs it; the time of each request in microseconds.
    ///
    /// # Errors
    /// The first answer that is not 200, a connection that fails, or a server that is far behind at the end.
    pub async fn run(self) -> Result<Histogram<u64>, String> {
        let mut workers = JoinSet::new();
        let mut queues = Vec::new();
        for _ in 0..self.connections {
            let (queue, due) = unbounded_channel();
            queues.push(queue);
            workers.spawn(worker(self.clone(), due, self.link.connect().await?));
        }
        let (rate, lasting) = (self.rate, self.lasting);
        // A thread of its own: the runtime's timers are only good to the millisecond.
        let dealer = thread::spawn(move || {
            let started = Instant::now();
            for (n, queue) in queues.iter().cycle().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "a few million requests")]
                let after = Duration::from_secs_f64(n as f64 / rate);
                if after > lasting {
                    return;
                }
                let due = started + after;
                thread::sleep(due.saturating_duration_since(Instant::now()));
                // A worker that is gone says why itself.
                let _ = queue.send(due);
            }
        });
        let all = async {
            let mut times = histogram();
            while let Some(ended) = workers.join_next().await {
                times.add(ended.map_err(|e| e.to_string())??).map_err(|e| e.to_string())?;
            }
            Ok(times)
        };
        let times = tokio::time::timeout(lasting + PATIENCE, all).await;
        let dealt = dealer.join();
        let times = times.map_err(|_| format!("{rate:.0} requests a second are more than it can answer"))?;
        dealt.map_err(|_| "the dealer of requests panicked")?;
        times
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).unwrap_or_else(|_| unreachable!("fixed bounds that are in range"))
}

async fn worker(
    load: OpenLoop,
    mut due: UnboundedReceiver<Instant>,
    io: Box<dyn crate::link::Io>,
) -> Result<Histogram<u64>, String> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(|e| e.to_string())?;
    let driver = tokio::spawn(connection);
    let mut times = histogram();
    while let Some(due) = due.recv().await {
        let mut request = Request::get(&load.path).header("host", load.link.address.to_string());
        for (name, value) in &load.fields {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
        sender.ready().await.map_err(|e| e.to_string())?;
        let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
        if response.status() != StatusCode::OK {
            return Err(format!("{}: {}", load.path, response.status()));
        }
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(|e| e.to_string())?;
        }
        let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(LONGEST);
        times.saturating_record(took);
    }
    driver.abort();
    Ok(times)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use http::Response;
    use http_body_util::Full;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::OpenLoop;
    use crate::link::Link;

    #[tokio::test]
    async fn a_stall_is_charged_to_all_that_it_kept_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // One request of two hundred takes 400 ms.
        let count = Arc::new(AtomicU32::new(0));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let count = Arc::clone(&count);
                let service = service_fn(move |_| {
                    let stalls = count.fetch_add(1, Ordering::Relaxed) == 20;
                    async move {
                        if stalls {
                            tokio::time::sleep(Duration::from_millis(400)).await;
                        }
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"fine"))))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        let load = OpenLoop {
            link: Link { address, tls: None },
            path: "/".to_owned(),
            fields: Vec::new(),
            connections: 1,
            rate: 200.0,
            lasting: Duration::from_millis(995),
        };
        let times = load.run().await.unwrap();
        assert_eq!(times.len(), 200);
        assert!(times.max() >= 400_000, "{}", times.max());
        // 80 requests were due in that time, a quarter of them in its first 100 ms.
        let late = times.count_between(100_000, 500_000);
        assert!(late >= 55, "{late} requests took 100 ms and more: a closed loop would have seen one");
    }
}
