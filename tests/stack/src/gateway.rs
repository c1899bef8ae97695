//! The gateway as a process of its own: the real `origin` binary, built with the profile that the stack was built with.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::toolchain::Progress;

/// How long it may take until it serves.
const START: Duration = Duration::from_secs(20);
/// How long after SIGTERM it is killed.
const STOP: Duration = Duration::from_secs(15);
/// With these the gateway's dependencies have the features that the stack needs, and are built once for both.
const WITH_STACK: &[&str] = &["--package", "origin", "--package", "stack"];
/// Log lines kept.
const KEPT: usize = 5_000;

/// Takes every log line as it comes, on a thread of its own.
pub type OnLine = Box<dyn Fn(&Value) + Send>;

/// What becomes of the gateway's log.
pub enum Lines {
    /// The newest lines are kept, and each is given to whoever wants them.
    Kept(Option<OnLine>),
    /// They go to a file, and nobody reads them: for who measures what the gateway alone can do.
    Written(PathBuf),
}

/// The running gateway; dropping it ends it.
pub struct Gateway {
    child: Child,
    log: Arc<Log>,
    /// `https://…` and `http://…`, as it said.
    addresses: Vec<String>,
    admin: Option<String>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<VecDeque<Value>>,
    stderr: Mutex<String>,
    more: Condvar,
}

/// Builds the binary, if need be.
///
/// # Errors
/// What cargo said.
pub fn build(root: &Path, progress: &Progress<'_>) -> Result<PathBuf, String> {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    progress("gateway  building origin …");
    cargo_build(root, &[WITH_STACK, &["--profile", profile]].concat())
}

/// Builds the binary as it is deployed.
///
/// # Errors
/// What cargo said.
pub fn build_release(root: &Path, progress: &Progress<'_>) -> Result<PathBuf, String> {
    progress("gateway  building origin as for a deployment (some minutes the first time) …");
    cargo_build(root, &["--locked", "--package", "origin", "--release"])
}

/// Builds the binary with our own crates optimised and all others as the tests have them (optimised.toml), into a folder of the
/// caller's.
///
/// # Errors
/// What cargo said, or that the binary can't be copied.
pub fn build_optimised(root: &Path, folder: &Path, progress: &Progress<'_>) -> Result<PathBuf, String> {
    progress("gateway  building origin, optimised …");
    let dev: &[&str] = &["--profile", "dev"];
    let built = cargo_build(root, &[WITH_STACK, dev, &["--config", "tests/stack/optimised.toml"]].concat());
    let copied = built.and_then(|built| {
        let copy = folder.join("origin");
        std::fs::copy(&built, &copy).map_err(|e| format!("{}: {e}", built.display()))?;
        Ok(copy)
    });
    // Both builds go by the same name: the other tests' comes back.
    cargo_build(root, &[WITH_STACK, dev].concat())?;
    copied
}

fn cargo_build(root: &Path, arguments: &[&str]) -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // Not quietly: cargo shows how far it is, and whom it waits for.
    let output = Command::new(cargo)
        .args(["build", "--bin", "origin"])
        .args(arguments)
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot run cargo: {e}"))?;
    let executable = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|m| m["reason"] == "compiler-artifact" && m["target"]["name"] == "origin")
        .find_map(|m| m["executable"].as_str().map(PathBuf::from));
    match executable {
        Some(path) if output.status.success() => Ok(path),
        _ => Err("the gateway does not build; cargo says above why".to_owned()),
    }
}

impl Gateway {
    /// Starts it and waits until it serves.
    ///
    /// # Errors
    /// What it said on standard error.
    pub fn start(binary: &Path, config: &Path, on_line: Option<OnLine>) -> Result<Self, String> {
        Self::start_with(binary, config, Lines::Kept(on_line))
    }

    /// The same with its log elsewhere, if need be.
    ///
    /// # Errors
    /// What it said on standard error, or that the log's file can't be written.
    pub fn start_with(binary: &Path, config: &Path, lines: Lines) -> Result<Self, String> {
        let (stdout, on_line, file) = match lines {
            Lines::Kept(on_line) => (Stdio::piped(), on_line, None),
            Lines::Written(path) => {
                let file = std::fs::File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                (file.into(), None, Some(path))
            }
        };
        // Where the system can do it, the gateway ends with us even when we are killed.
        let mut command = match Command::new("setpriv").arg("--version").output() {
            Ok(output) if output.status.success() => {
                let mut command = Command::new("setpriv");
                command.args(["--pdeathsig", "TERM"]).arg(binary);
                command
            }
            _ => Command::new(binary),
        };
        command.args(["serve", "--config"]).arg(config);
        command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        let log = Arc::new(Log::default());
        let (spawned, spawning) = mpsc::channel();
        let kept = Arc::clone(&log);
        // The death signal is tied to the thread that spawns, so that thread stays until the gateway's output ends.
        thread::spawn(move || {
            let mut child = command.spawn();
            let output = child.as_mut().ok().and_then(|c| c.stderr.take());
            let sent = spawned.send(child);
            if let (Some(output), Ok(())) = (output, sent) {
                kept.complaints(BufReader::new(output));
            }
        });
        let spawned = spawning.recv().unwrap_or_else(|_| Err(std::io::ErrorKind::BrokenPipe.into()));
        let mut child = spawned.map_err(|e| format!("cannot start {}: {e}", binary.display()))?;
        if let Some(stdout) = child.stdout.take() {
            let log = Arc::clone(&log);
            thread::spawn(move || log.follow(BufReader::new(stdout), on_line.as_deref()));
        }
        let mut gateway = Self { child, log, addresses: Vec::new(), admin: None };
        let started = Instant::now();
        let serving = loop {
            if let Some(path) = &file {
                gateway.log.read(path);
            }
            if let Some(line) = gateway.find(|line| line["message"] == "serving") {
                break line;
            }
            if !matches!(gateway.child.try_wait(), Ok(None)) || started.elapsed() > START {
                thread::sleep(Duration::from_millis(50));
                let said = gateway.log.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone();
                return Err(if said.is_empty() {
                    "the gateway does not start".to_owned()
                } else {
                    said.trim_end().to_owned()
                });
            }
            gateway.log.wait(Duration::from_millis(20));
        };
        gateway.addresses =
            serving["addresses"].as_str().unwrap_or_default().split(' ').map(ToOwned::to_owned).collect();
        gateway.admin = serving["admin"].as_str().filter(|a| !a.is_empty()).map(ToOwned::to_owned);
        Ok(gateway)
    }

    /// Its first address of a scheme, as in `https://127.0.0.1:8443`.
    #[must_use]
    pub fn address(&self, scheme: &str) -> Option<&str> {
        self.addresses.iter().find(|a| a.starts_with(&format!("{scheme}://"))).map(String::as_str)
    }

    /// The private listener's address.
    #[must_use]
    pub fn admin(&self) -> Option<&str> {
        self.admin.as_deref()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The newest log line that fits.
    #[must_use]
    pub fn find(&self, fits: impl Fn(&Value) -> bool) -> Option<Value> {
        self.log.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().find(|l| fits(l)).cloned()
    }

    /// The log lines that are kept, the newest last.
    #[must_use]
    pub fn all_lines(&self) -> Vec<Value> {
        self.log.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How many log lines are kept.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.log.lines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The access-log line of a request, as soon as it is there; at most 5 s.
    #[must_use]
    pub fn record(&self, request_id: &str) -> Option<Value> {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let found = self.find(|l| l["message"] == "request" && l["request.id"] == request_id);
            if found.is_some() || Instant::now() > until {
                return found;
            }
            self.log.wait(Duration::from_millis(20));
        }
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends SIGTERM and waits for the end.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        let until = Instant::now() + STOP;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                Ok(Some(status)) => return status.code(),
                Err(_) => return None,
            }
        }
        let _ = self.child.kill();
        self.child.wait().ok()?.code()
    }

    /// Sends it a signal, while it lives.
    pub fn signal(&mut self, signal: Signal) {
        if matches!(self.child.try_wait(), Ok(None))
            && let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
        {
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Log {
    fn follow(&self, stdout: impl BufRead, on_line: Option<&(dyn Fn(&Value) + Send)>) {
        for line in stdout.lines().map_while(Result::ok) {
            let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
            if let Some(on_line) = on_line {
                on_line(&value);
            }
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == KEPT {
                lines.pop_front();
            }
            lines.push_back(value);
            self.more.notify_all();
        }
    }

    /// Takes what a file has so far in the place of what is kept.
    fn read(&self, path: &Path) {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        *self.lines.lock().unwrap_or_else(PoisonError::into_inner) = lines.collect();
    }

    fn complaints(&self, stderr: impl BufRead) {
        for line in stderr.lines().map_while(Result::ok) {
            let mut all = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
            all.push_str(&line);
            all.push('\n');
        }
    }

    fn wait(&self, at_most: Duration) {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.more.wait_timeout(lines, at_most));
    }
}
