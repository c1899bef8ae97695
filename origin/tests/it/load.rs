//! Clients that ask all the time, and forgive nothing: a request that has been sent and is not answered is lost.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) asked: Vec<String>,
    pub(crate) lost: Vec<String>,
    pub(crate) longest: Duration,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: Self) {
        self.asked.extend(other.asked);
        self.lost.extend(other.lost);
        self.longest = self.longest.max(other.longest);
    }

    /// How often each POST was seen is once: none is lost, none is sent twice.
    #[track_caller]
    pub(crate) fn assert_whole(&self, seen: &[String]) {
        assert!(self.lost.is_empty(), "{} lost: {:#?}", self.lost.len(), &self.lost[..self.lost.len().min(5)]);
        for asked in &self.asked {
            let times = seen.iter().filter(|seen| seen.starts_with(&format!("{asked} "))).count();
            assert_eq!(times, 1, "{asked}");
        }
    }
}

/// 200 requests a second, half of them POST: 80 on connections of their own, 100 on ten busy connections, and 20 on thirty that are
/// idle for 1.5 s at a time.
pub(crate) async fn mixed(address: SocketAddr, time: Duration) -> Outcome {
    let mut clients = JoinSet::new();
    for n in 0..48 {
        let (close, every) = match n {
            0..8 => (true, 100),
            8..18 => (false, 100),
            _ => (false, 1_500),
        };
        clients.spawn(async move {
            // Not all at the same time.
            tokio::time::sleep(Duration::from_millis(every * (n % 16) / 16)).await;
            client(address, n, close, Duration::from_millis(every), time).await
        });
    }
    let mut all = Outcome::default();
    while let Some(outcome) = clients.join_next().await {
        all.add(outcome.expect("no panic"));
    }
    all
}

async fn client(address: SocketAddr, name: u64, close: bool, every: Duration, time: Duration) -> Outcome {
    let mut outcome = Outcome::default();
    let mut open = None;
    let mut ticks = tokio::time::interval(every);
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < time {
        ticks.tick().await;
        let asked = format!("{} /{name}/{number}", if number % 2 == 0 { "GET" } else { "POST" });
        let since = Instant::now();
        let reused = open.is_some();
        let answered = tokio::time::timeout(Duration::from_secs(30), exchange(address, &asked, close, &mut open));
        match answered.await.unwrap_or_else(|_| Err("no answer in 30 s".to_owned())) {
            Ok(()) => {}
            Err(why) => {
                outcome.lost.push(format!("{asked} (connection reused: {reused}): {why}"));
                open = None;
            }
        }
        outcome.longest = outcome.longest.max(since.elapsed());
        outcome.asked.push(asked);
        number += 1;
    }
    outcome
}

/// One request and its answer, on the connection that is open, or a new one.
async fn exchange(address: SocketAddr, asked: &str, close: bool, open: &mut Option<TcpStream>) -> Result<(), String> {
    let mut stream = match open.take() {
        Some(stream) => stream,
        None => TcpStream::connect(address).await.map_err(|e| format!("connect: {e}"))?,
    };
    let connection = if close { "connection: close\r\n" } else { "" };
    let body = if asked.starts_with("POST") { "content-length: 3\r\n\r\nabc" } else { "\r\n" };
    let request = format!("{asked} HTTP/1.1\r\nhost: a\r\n{connection}{body}");
    stream.write_all(request.as_bytes()).await.map_err(|e| format!("write: {e}"))?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        let mut bytes = [0; 1024];
        match stream.read(&mut bytes).await.map_err(|e| format!("read: {e}"))? {
            0 => return Err(format!("closed after {:?}", String::from_utf8_lossy(&answer))),
            n => answer.extend_from_slice(&bytes[..n]),
        }
    }
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    if !answer.starts_with("http/1.1 200 ") {
        return Err(answer);
    }
    if !answer.contains("connection: close") {
        *open = Some(stream);
    }
    Ok(())
}
