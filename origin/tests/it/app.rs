//! An app that does exactly what a test tells it to, byte by byte.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A short good answer.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A listening socket whose connections a test takes one by one.
pub(crate) struct Script(TcpListener);

/// A connection from the gateway.
pub(crate) struct Line(TcpStream);

impl Script {
    pub(crate) async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.expect("a port"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound")
    }

    /// Its address as the configuration's `app`.
    pub(crate) fn app(&self) -> String {
        format!("\"{}\"", self.address())
    }

    /// The next connection on which something is said; those that only look whether somebody listens are passed over.
    pub(crate) async fn accept(&self) -> Line {
        in_time(async {
            loop {
                let (stream, _) = self.0.accept().await.expect("a connection");
                if matches!(stream.peek(&mut [0]).await, Ok(1)) {
                    return Line(stream);
                }
            }
        })
        .await
    }

    /// Whether nobody asks anything for a while.
    pub(crate) async fn is_left_alone(&self, time: Duration) -> bool {
        tokio::time::timeout(time, self.accept()).await.is_err()
    }
}

impl Line {
    /// All up to and with `end`; what came of it where the connection ends before.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        while !all.ends_with(end.as_bytes()) {
            let mut byte = [0];
            match in_time(self.0.read(&mut byte)).await {
                Ok(1) => all.push(byte[0]),
                _ => break,
            }
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// The head of the next request; empty where the connection ends instead.
    pub(crate) async fn head(&mut self) -> String {
        self.until("\r\n\r\n").await
    }

    /// So many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> Vec<u8> {
        let mut all = vec![0; length];
        in_time(self.0.read_exact(&mut all)).await.expect("all of them");
        all
    }

    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // The gateway may have had enough.
        let _ = self.0.write_all(bytes.as_ref()).await;
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), what).await.expect("in time")
}

/// What an app that runs by itself does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers 200.
    Good,
    /// Closes the connection without a word.
    Mute,
    /// Answers every second request and closes on the others.
    Half,
    /// Answers 503.
    Busy,
    /// Hands off to an object.
    HandsOff,
    /// Answers 200 after 300 ms.
    Slow,
    /// Answers 200, for a minute, by the tag `t`.
    Stored,
}

/// An app that runs by itself, and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    mood: watch::Sender<Mood>,
    seen: Arc<Mutex<Vec<String>>>,
    stop: watch::Sender<bool>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(mood: Mood) -> Self {
        Self::on("127.0.0.1:0".parse().expect("an address"), mood).await
    }

    pub(crate) async fn on(address: SocketAddr, mood: Mood) -> Self {
        let listener = TcpListener::bind(address).await.expect("the port is free");
        let address = listener.local_addr().expect("bound");
        let (stop, stopping) = watch::channel(false);
        let (mood, moods) = watch::channel(mood);
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let connections = Arc::<AtomicUsize>::default();
        let (all, count) = (Arc::clone(&seen), Arc::clone(&connections));
        tokio::spawn(async move {
            let mut running = JoinSet::new();
            let mut stopped = stopping.clone();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = stopped.wait_for(|s| *s) => break,
                };
                let Ok((stream, _)) = accepted else { continue };
                running.spawn(serve(stream, moods.clone(), Arc::clone(&all), Arc::clone(&count), stopping.clone()));
            }
            // Those that the system has let in already are served: closing would reset them.
            let listener = listener.into_std().expect("a listener");
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true).expect("it can be");
                let stream = TcpStream::from_std(stream).expect("a stream");
                running.spawn(serve(stream, moods.clone(), Arc::clone(&all), Arc::clone(&count), stopping.clone()));
            }
            drop(listener);
            while running.join_next().await.is_some() {}
        });
        Self { address, mood, seen, stop, connections }
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// The request lines that it has had.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic").clone()
    }

    /// The connections on which it has been asked something.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Ends as a well-behaved app does: accepts no more, answers what it has, closes.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// The same, and waits until it has ended.
    pub(crate) async fn stopped(&self) {
        self.stop();
        // Everything that serves holds a receiver.
        in_time(self.stop.closed()).await;
    }
}

async fn serve(
    stream: TcpStream,
    moods: watch::Receiver<Mood>,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut line = Line(stream);
    let mut asked = false;
    loop {
        let mut first = [0];
        let begun = tokio::select! {
            biased;
            read = line.0.peek(&mut first) => read,
            // What is on its way is answered still: the gateway sends nothing that it may not repeat on a connection that has been idle for
            // 200 ms, and a busy machine takes its time.
            _ = async { let _ = stopping.wait_for(|s| *s).await; tokio::time::sleep(Duration::from_secs(3)).await } => break,
        };
        if !matches!(begun, Ok(1)) {
            break;
        }
        if !std::mem::replace(&mut asked, true) {
            connections.fetch_add(1, Ordering::Relaxed);
        }
        let head = line.head().await;
        let Some(request) = head.lines().next() else { break };
        let number = {
            let mut seen = seen.lock().expect("no panic");
            seen.push(request.to_owned());
            seen.len()
        };
        if head.contains("content-length: 3") {
            line.until("abc").await;
        }
        let mood = *moods.borrow();
        let close = if *stopping.borrow() { "connection: close\r\n" } else { "" };
        match mood {
            Mood::Mute => break,
            Mood::Half if number % 2 == 0 => break,
            Mood::Busy => line.say("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await,
            Mood::HandsOff => {
                line.say("HTTP/1.1 200 OK\r\nhandoff: files;key=\"in/a\"\r\ncontent-length: 0\r\n\r\n").await;
            }
            Mood::Stored => {
                line.say("HTTP/1.1 200 OK\r\ncache-control: public, max-age=60\r\ncache-tag: t\r\ncontent-length: 2\r\n\r\nok").await;
            }
            Mood::Good | Mood::Half | Mood::Slow => {
                if mood == Mood::Slow {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                line.say(format!("HTTP/1.1 200 OK\r\n{close}content-length: 2\r\n\r\nok")).await;
            }
        }
        if !close.is_empty() {
            break;
        }
    }
}
