//! Event streams by the thousand: what each costs in memory, how soon all have an event, and what that costs.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::app::App;
use super::pace::{Outcome, Pace};
use super::proxy::Proxy;
use crate::frames::{Client, END_HEADERS, END_STREAM, frame, kind, request, section};

/// Streams that are opened at once, or read by one task.
const SOME: usize = 100;
/// For an event to be with all.
const PATIENCE: Duration = Duration::from_secs(30);
/// Events whose cost is measured.
const EVENTS: u32 = 5;

/// How the subscribers come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Each with a connection of its own.
    Http1,
    /// A hundred on a connection, as an edge brings them.
    Http2,
}

/// Subscribers.
pub struct Streams(Vec<Subscribers>);

/// Those of a connection.
enum Subscribers {
    One(TcpStream),
    Many(Client, usize),
}

impl Streams {
    /// Opens `count` of them, each of which has its first event.
    ///
    /// # Errors
    /// One that can't be opened.
    pub async fn open(proxy: &Proxy, over: Over, count: usize) -> Result<Self, String> {
        let (address, each) = match over {
            Over::Http1 => (proxy.http1, 1),
            Over::Http2 => (proxy.http2, SOME),
        };
        let (mut open, mut left) = (Vec::with_capacity(count / each), count);
        while left > 0 {
            let some = left.min(SOME);
            let opening = (0..some.div_ceil(each)).map(|_| Subscribers::come(address, over, each.min(some)));
            for opened in futures_util::future::join_all(opening).await {
                open.push(opened.map_err(|e| format!("connection {}: {e}", open.len()))?);
            }
            left -= some;
        }
        Ok(Self(open))
    }

    /// Has the app publish an event; the time until the last one has it.
    ///
    /// # Errors
    /// A stream that ended, or to which it did not come.
    pub async fn event(&mut self, app: &App) -> Result<Duration, String> {
        let mut reading = JoinSet::new();
        let mut all = std::mem::take(&mut self.0);
        let began = Instant::now();
        app.publish();
        while !all.is_empty() {
            let mut some = all.split_off(all.len().saturating_sub(SOME));
            reading.spawn(async move {
                for subscribers in &mut some {
                    subscribers.hear().await?;
                }
                Ok::<_, io::Error>(some)
            });
        }
        while let Some(read) = timeout(PATIENCE, reading.join_next()).await.map_err(|_| "an event is not with all")? {
            self.0.extend(read.map_err(|e| e.to_string())?.map_err(|e| format!("a stream: {e}"))?);
        }
        Ok(began.elapsed())
    }
}

impl Subscribers {
    async fn come(address: SocketAddr, over: Over, count: usize) -> io::Result<Self> {
        let mut come = match over {
            Over::Http1 => {
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(b"GET /events HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n\r\n").await?;
                Self::One(stream)
            }
            Over::Http2 => {
                let mut client = Client::connect(address, &[]).await?;
                client.send(&frame(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())).await?;
                let fields = [request("GET", "/events"), section(&[("accept", "text/event-stream")])].concat();
                for stream in (1..).step_by(2).take(count) {
                    client.send(&frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &fields)).await?;
                }
                Self::Many(client, count)
            }
        };
        come.hear().await?;
        Ok(come)
    }

    /// Reads on until each of them has an event.
    async fn hear(&mut self) -> io::Result<()> {
        match self {
            Self::One(stream) => until_its_end(stream).await,
            Self::Many(client, count) => {
                let mut waiting = *count;
                while waiting > 0 {
                    let frame = client.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
                    match frame.kind {
                        kind::DATA if frame.payload.ends_with(b"\n\n") => waiting -= 1,
                        kind::RST_STREAM | kind::GOAWAY => {
                            return Err(io::Error::other(format!("frame {} with code {:?}", frame.kind, frame.code())));
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
        }
    }
}

/// Reads to the end of an event, which comes in a chunk of its own.
async fn until_its_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut last = Vec::new();
    let mut bytes = [0; 1024];
    while !last.ends_with(b"\n\n\r\n") {
        let read = stream.read(&mut bytes).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        last.extend_from_slice(&bytes[..read]);
    }
    Ok(())
}

/// What so many subscribers cost.
#[derive(Clone, Debug)]
pub struct Cost {
    /// KiB of memory for each.
    pub memory: f64,
    /// Microseconds of CPU to pass an event on to one.
    pub event: f64,
    /// Until the last one has an event, of each event, in milliseconds.
    pub last: Vec<f64>,
    /// Good traffic before they come, and while they are there and get events.
    pub good: [Outcome; 2],
}

/// Has so many subscribers come, and sends them events.
///
/// # Errors
/// A stream that can't be opened, ends, or gets no event.
pub async fn subscribed(proxy: &Proxy, app: &App, over: Over, count: usize) -> Result<Cost, String> {
    let good = Pace::good(proxy.http1, 3);
    let before = good.run().await;
    let memory = proxy.memory();
    let mut streams = Streams::open(proxy, over, count).await?;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let each = count as f64;
    let memory = (proxy.memory() - memory) * 1024.0 / each;
    let mut last = Vec::new();
    let cpu = proxy.cpu();
    for _ in 0..EVENTS {
        last.push(streams.event(app).await?.as_secs_f64() * 1e3);
    }
    let event = (proxy.cpu() - cpu) * 1e6 / (each * f64::from(EVENTS));
    let events = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            streams.event(app).await?;
        }
        Ok::<_, String>(())
    };
    let (meanwhile, done) = tokio::join!(good.run(), events);
    done?;
    Ok(Cost { memory, event, last, good: [before, meanwhile] })
}
