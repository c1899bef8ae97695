//! The `origin` binary with a configuration of a test's own, and a client that says exactly what it is told to.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take in any test.
const WITHIN: Duration = Duration::from_secs(10);

/// The lines that a gateway has logged so far.
pub(crate) type Log = Arc<Mutex<Vec<serde_json::Value>>>;

/// A running gateway; dropped, it is killed.
pub(crate) struct Gateway {
    child: Child,
    log: Log,
    /// Its log, while nobody reads it.
    unread: Option<BufReader<ChildStdout>>,
    address: SocketAddr,
    https: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    _folder: TempDir,
}

impl Gateway {
    /// On one core, where `more` does not say otherwise, before `app`, which is a value of the configuration; `more` is put before
    /// the site.
    pub(crate) fn before(app: &str, more: &str) -> Self {
        Self::by(Command::new(env!("CARGO_BIN_EXE_origin")), app, more)
    }

    /// The same, run by a command that ends with the program.
    pub(crate) fn by(mut command: Command, app: &str, more: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("origin.toml");
        let cores = if more.contains("listen.cores") { "" } else { "listen.cores = 1" };
        let text =
            format!("listen.http = [\"127.0.0.1:0\"]\n{cores}\n{more}\n[[site]]\nhosts = [\"*\"]\napp = {app}\n");
        std::fs::write(&file, text).expect("written");
        command.args(["serve", "--config"]).arg(&file);
        let mut gateway = Self::run(command, folder);
        gateway.read_log();
        gateway
    }

    /// One that `command` runs. Of its log only the beginning is read.
    pub(crate) fn run(mut command: Command, folder: TempDir) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut log = BufReader::new(child.stdout.take().expect("piped"));
        let serving = std::iter::from_fn(|| {
            let mut line = String::new();
            log.read_line(&mut line).ok().filter(|n| *n > 0).map(|_| line)
        });
        let serving = serving
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
            .find(|line| line["message"] == "serving")
            .expect("it serves");
        let at = |key: &str, scheme: &str| {
            serving[key].as_str()?.split(' ').find_map(|address| address.strip_prefix(scheme))?.parse().ok()
        };
        let address = at("addresses", "http://").expect("an address");
        let (https, admin) = (at("addresses", "https://"), at("admin", "http://"));
        Self { child, log: Log::default(), unread: Some(log), address, https, admin, _folder: folder }
    }

    /// Reads its log from now on.
    pub(crate) fn read_log(&mut self) {
        let (Some(unread), log) = (self.unread.take(), Arc::clone(&self.log)) else { return };
        std::thread::spawn(move || {
            for line in unread.lines().map_while(Result::ok) {
                // Shown where a test fails.
                println!("{line}");
                log.lock().expect("no panic").extend(serde_json::from_str::<serde_json::Value>(&line));
            }
        });
    }

    /// The first line of its log with this message, once it is there.
    pub(crate) async fn logged(&self, message: &str) -> serde_json::Value {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let found = self.log.lock().expect("no panic").iter().find(|line| line["message"] == message).cloned();
            match found {
                Some(line) => return line,
                None => assert!(Instant::now() < until, "{message} is not logged"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it takes clear text.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it takes TLS.
    pub(crate) fn https(&self) -> SocketAddr {
        self.https.expect("[tls]")
    }

    /// Its log, once it has this many lines with this message.
    pub(crate) async fn all_logged(&self, message: &str, many: usize) -> Vec<serde_json::Value> {
        let fits = |lines: &[serde_json::Value]| lines.iter().filter(|line| line["message"] == message).count() >= many;
        let lines = self.once(fits).await;
        lines.into_iter().filter(|line| line["message"] == message).collect()
    }

    /// All of its log, once it has a line that fits.
    pub(crate) async fn until_logged(&self, fits: impl Fn(&serde_json::Value) -> bool) -> Vec<serde_json::Value> {
        self.once(|lines| lines.iter().any(&fits)).await
    }

    async fn once(&self, fits: impl Fn(&[serde_json::Value]) -> bool) -> Vec<serde_json::Value> {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let lines = self.log.lock().expect("no panic").clone();
            if fits(&lines) {
                return lines;
            }
            assert!(Instant::now() < until, "not logged: {lines:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A connection to it.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it accepts")
    }

    /// Says `request` on a connection of its own, and returns all that comes back until that is closed.
    pub(crate) async fn say(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.expect("written");
        rest(&mut stream).await
    }

    /// The same on the private listener.
    pub(crate) async fn say_admin(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.admin.expect("[admin]")).await.expect("it accepts");
        stream.write_all(request.as_bytes()).await.expect("written");
        rest(&mut stream).await
    }

    /// Asks the private listener.
    pub(crate) async fn ask_admin(&self, method: &str, path: &str) -> String {
        self.say_admin(&format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")).await
    }

    /// A GET.
    pub(crate) async fn get(&self, path: &str) -> String {
        self.say(&get(path)).await
    }

    /// A POST of three bytes.
    pub(crate) async fn post(&self, path: &str) -> String {
        self.say(&format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\naccept: application/json\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc"
        ))
        .await
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A GET that ends its connection.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\naccept: application/json\r\nconnection: close\r\n\r\n")
}

/// All that comes until the connection ends, in whatever way.
pub(crate) async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(WITHIN, stream.read_to_end(&mut all)).await;
    let _ = read.expect("an end in time");
    String::from_utf8_lossy(&all).into_owned()
}

/// That an answer has this status and this problem code.
#[track_caller]
pub(crate) fn assert_problem(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(code), "{answer}");
}

/// That an answer is a 200.
#[track_caller]
pub(crate) fn assert_good(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
