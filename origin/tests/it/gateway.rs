//! The `origin` binary with a configuration of a test's own, and a client that says exactly what it is told to.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take in any test.
const WITHIN: Duration = Duration::from_secs(10);

/// A running gateway; dropped, it is killed.
pub(crate) struct Gateway {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Gateway {
    /// On one core, before `app`, which is a value of the configuration; `more` is put before the site.
    pub(crate) fn before(app: &str, more: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("origin.toml");
        let text = format!(
            "listen.http = [\"127.0.0.1:0\"]\nlisten.cores = 1\n{more}\n[[site]]\nhosts = [\"*\"]\napp = {app}\n"
        );
        std::fs::write(&file, text).expect("written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_origin"))
            .args(["serve", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let address = lines
            .by_ref()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
            .find(|line| line["message"] == "serving")
            .and_then(|line| line["addresses"].as_str()?.strip_prefix("http://")?.parse().ok())
            .expect("it serves");
        // Shown where a test fails.
        std::thread::spawn(move || lines.for_each(|line| println!("{line}")));
        Self { child, address, _folder: folder }
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
