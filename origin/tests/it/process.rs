//! The gateway as whoever runs it sees it: a configuration file, signals, a log, and processes that follow one another.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const WITHIN: Duration = Duration::from_secs(60);

/// A folder with a configuration.
pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration: `listen` and whatever comes before the one site, whose app is at `app`.
    pub(crate) fn configure(&self, listen: &str, app: SocketAddr) {
        let text = format!("{listen}\n[[site]]\nhosts = [\"*\"]\napp = \"{app}\"\n");
        std::fs::write(self.path("origin.toml"), text).expect("written");
    }

    /// A command that serves it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(self.path("origin.toml"));
        command
    }

    pub(crate) fn start(&self) -> Process {
        Process::start(self.command(Path::new(env!("CARGO_BIN_EXE_origin"))))
    }
}

/// A gateway, with those that take over from it. Dropped, all of them are killed.
pub(crate) struct Process {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
    complaint: Arc<Mutex<String>>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (lines, complaint) = (Arc::<Mutex<Vec<Value>>>::default(), Arc::<Mutex<String>>::default());
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let all = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                all.lock().expect("no panic").push(serde_json::from_str(&line).expect("JSON"));
            }
        });
        let said = Arc::clone(&complaint);
        std::thread::spawn(move || {
            let mut stderr = stderr;
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = stderr.read(&mut bytes) {
                said.lock().expect("no panic").push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Self { child, lines, complaint }
    }

    /// The lines so far with this message.
    pub(crate) fn lines(&self, message: &str) -> Vec<Value> {
        self.lines.lock().expect("no panic").iter().filter(|line| line["message"] == message).cloned().collect()
    }

    /// The `n`th line (from 0) with this message, as soon as it is there.
    pub(crate) async fn line(&self, message: &str, n: usize) -> Value {
        let found = eventually(|| self.lines(message).into_iter().nth(n)).await;
        let Some(found) = found else {
            let all = self.lines.lock().expect("no panic").clone();
            panic!("no `{message}` among {all:#?}");
        };
        found
    }

    /// What it says when the `n`th process (from 0) serves.
    pub(crate) async fn serving(&self, n: usize) -> Serving {
        Serving(self.line("serving", n).await)
    }

    /// The exit code of the first process, when it has ended.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        let child = &mut self.child;
        eventually(|| child.try_wait().expect("ours")).await.expect("an end").code()
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("ours").is_none()
    }

    /// What it says on standard error.
    pub(crate) async fn complaint(&self) -> String {
        let said = || Some(self.complaint.lock().expect("no panic").clone()).filter(|said| said.ends_with('\n'));
        eventually(said).await.expect("it says something")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for line in self.lines("serving") {
            let pid = Serving(line).pid();
            if pid != self.child.id() && command_line(pid).contains("origin.toml") {
                send(pid, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The line of a process that serves.
pub(crate) struct Serving(Value);

impl Serving {
    pub(crate) fn pid(&self) -> u32 {
        self.0["pid"].as_u64().and_then(|pid| pid.try_into().ok()).expect("a process")
    }

    pub(crate) fn addresses(&self) -> &str {
        self.0["addresses"].as_str().expect("text")
    }

    /// Where it listens, by the scheme.
    pub(crate) fn at(&self, scheme: &str) -> SocketAddr {
        let found = self.addresses().split(' ').find_map(|address| address.strip_prefix(&format!("{scheme}://")));
        found.expect("it listens there").parse().expect("an address")
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        let admin = self.0["admin"].as_str().and_then(|address| address.strip_prefix("http://"));
        admin.expect("a private listener").parse().expect("an address")
    }
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    let _ = kill_process(pid, signal);
}

/// Empty where there is no such process, or it has ended and nobody has asked how.
pub(crate) fn command_line(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// Waits until there is something; `None` when it takes too long.
pub(crate) async fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    while began.elapsed() < WITHIN {
        if let Some(found) = look() {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}
