//! The built Worker in workerd, the runtime that Cloudflare runs, as miniflare sets it up (`workerd.mjs` is the other end).
//!
//! The Worker's `fetch`, to any host, reaches the gateway over TLS; its Cache API, static assets and environment are those of production,
//! simulated. workerd ends when [`Workerd`] is dropped, and also when our process dies, however it does: Node sees its standard input
//! close. So Node is never killed while it can still end by itself, since that would orphan workerd.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::toolchain::Toolchain;

/// How long workerd may take to start; it takes about a second on an idle machine.
const START: Duration = Duration::from_secs(60);

/// How long it may take to end before it is killed.
const STOP: Duration = Duration::from_secs(10);

/// How many lines are kept for [`Workerd::lines`].
const KEPT: usize = 1_000;

/// Takes every line as it comes, on a thread of its own.
pub type OnLine = Box<dyn Fn(&Line) + Send>;

/// How to run the Worker.
#[derive(Serialize)]
pub struct Options {
    /// The folder with `index.js` and `index_bg.wasm`: [`Bundle::folder`](crate::toolchain::Bundle::folder).
    pub worker: PathBuf,
    /// The address to listen on.
    pub host: std::net::IpAddr,
    /// The port; 0 for any that is free.
    pub port: u16,
    /// From wrangler.toml: the date whose behaviour the runtime keeps.
    pub compatibility_date: String,
    /// From wrangler.toml: what the runtime calls itself in `CF-Worker`.
    pub zone: String,
    /// The environment's texts and secrets, by name.
    pub bindings: BTreeMap<String, String>,
    /// Requests a minute of one client, where there is to be a limit.
    pub limit: Option<u32>,
    /// Where the Worker's `fetch` goes.
    pub gateway: Gateway,
    /// Where Turnstile's double listens, where there is one; its certificate is of the gateway's authorities.
    pub turnstile: Option<SocketAddr>,
    /// The folder that holds `static/` and `_headers`.
    pub assets: Option<PathBuf>,
    /// `request.cf` of every request; `None` for miniflare's constant. A request that carries JSON in `MF-CF-Blob` brings its own.
    pub cf: Option<serde_json::Value>,
    /// Whether the runtime's own messages are wanted too.
    pub verbose: bool,
    /// Takes every line as it comes, on a thread of its own.
    #[serde(skip)]
    pub on_line: Option<OnLine>,
}

/// The gateway as the Worker reaches it.
#[derive(Serialize)]
pub struct Gateway {
    /// Where it listens.
    pub address: SocketAddr,
    /// The authorities that may have issued its certificate, in PEM.
    pub ca: Vec<String>,
    /// The client certificate that the Worker presents, in PEM, with its chain.
    pub certificate: Option<String>,
    /// Its private key, in PEM.
    pub key: Option<String>,
    /// The name in SNI that the gateway's certificate must hold.
    pub server_name: String,
}

/// A line that the Worker or the runtime wrote. A Worker's line may hold line breaks.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Line {
    /// `log`, `info`, `warn`, `error`, `debug` from the Worker's console; `miniflare` and `stderr` from those.
    pub level: String,
    /// The text.
    pub message: String,
}

impl Line {
    fn stderr(message: String) -> Self {
        Self { level: "stderr".to_owned(), message }
    }
}

/// Why workerd does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Node could not be started.
    #[error("can't start {}: {source}; remove node_modules/ and start again", node.display())]
    Spawn {
        /// The program.
        node: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another program listens there.
    #[error("port {0} is in use: stop what listens there, or choose another port")]
    PortInUse(u16),
    /// It said why it does not start.
    #[error("workerd does not start: {0}")]
    Refused(String),
    /// It ended, or said nothing in time; with the last lines that it wrote.
    #[error("workerd did not start in time; its last lines:\n{0}")]
    Silent(String),
}

/// A line of workerd.mjs's output.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message {
    Ready { url: String },
    Log { log: Line },
    Error { error: String, code: Option<String> },
}

/// The running Worker; dropping it ends it.
#[derive(Debug)]
pub struct Workerd {
    url: String,
    node: u32,
    child: Arc<Mutex<Child>>,
    stdin: Option<ChildStdin>,
    lines: Arc<Mutex<VecDeque<Line>>>,
}

impl Workerd {
    /// Starts the Worker and waits until it answers.
    ///
    /// # Errors
    /// Says which port is in use, or shows what the runtime said.
    pub async fn start(toolchain: &Toolchain, options: Options) -> Result<Self, Error> {
        let script = toolchain.root().join("tests/stack/workerd.mjs");
        let mut child = Command::new(toolchain.node())
            .arg(script)
            .env("PATH", toolchain.path())
            .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| Error::Spawn { node: toolchain.node().to_owned(), source })?;
        let (node, stdin, stdout, stderr) = (child.id(), child.stdin.take(), child.stdout.take(), child.stderr.take());
        let child = Arc::new(Mutex::new(child));
        let port = options.port;
        let sent = serde_json::to_string(&options).unwrap_or_default();
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let keep = {
            let (lines, on_line) = (Arc::clone(&lines), Mutex::new(options.on_line));
            move |line: Line| {
                // Kept first: whoever is told of a line finds it in `lines`.
                let mut lines = locked(&lines);
                if lines.len() == KEPT {
                    lines.pop_front();
                }
                lines.push_back(line.clone());
                drop(lines);
                if let Some(on_line) = &*locked(&on_line) {
                    on_line(&line);
                }
            }
        };
        let keep = Arc::new(keep);
        // From here on, dropping it ends Node, whatever happens.
        let mut workerd = Self { url: String::new(), node, child: Arc::clone(&child), stdin, lines };
        if let Some(stderr) = stderr {
            let keep = Arc::clone(&keep);
            thread::spawn(move || {
                BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| keep(Line::stderr(line)));
            });
        }
        let (started, starting) = oneshot::channel();
        if let Some(stdout) = stdout {
            // Threads, not tasks: the one who starts a Worker in a test's runtime may share it with other tests.
            thread::spawn(move || {
                let mut started = Some(started);
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    let outcome = match serde_json::from_str(&line) {
                        Ok(Message::Log { log }) => {
                            keep(log);
                            continue;
                        }
                        Ok(Message::Ready { url }) => Ok(url),
                        Ok(Message::Error { code, .. }) if code.as_deref() == Some("ERR_ADDRESS_IN_USE") => {
                            Err(Error::PortInUse(port))
                        }
                        Ok(Message::Error { error, .. }) => Err(Error::Refused(error)),
                        Err(_) => {
                            keep(Line::stderr(line));
                            continue;
                        }
                    };
                    if let Some(started) = started.take() {
                        let _ = started.send(outcome);
                    }
                }
                // It closed its output, so it is about to end: leave no zombie.
                let _ = locked(&child).wait();
            });
        }
        if let Some(stdin) = &mut workerd.stdin {
            match writeln!(stdin, "{sent}") {
                // It ended already, and the lines will say why.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(Error::Refused(error.to_string())),
                _ => {}
            }
        }
        match tokio::time::timeout(START, starting).await {
            Ok(Ok(outcome)) => workerd.url = outcome?,
            // Ended without a word on its output, or still silent.
            Ok(Err(_)) | Err(_) => {
                let last: Vec<String> = workerd.lines().into_iter().rev().take(20).map(|line| line.message).collect();
                return Err(Error::Silent(last.into_iter().rev().collect::<Vec<_>>().join("\n")));
            }
        }
        Ok(workerd)
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The last lines, at most 1,000, that the Worker and the runtime wrote.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        locked(&self.lines).iter().cloned().collect()
    }

    /// The process id of workerd itself, for measurements; `None` where `/proc` does not tell.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.node)).ok()?;
        let named =
            |pid: &&str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "workerd");
        children.split_whitespace().find(named)?.parse().ok()
    }

    /// Ends it and waits until it has ended, so that its port is free again.
    pub async fn stop(mut self) {
        drop(self.stdin.take());
        let deadline = Instant::now() + STOP;
        // The thread that reads its output may hold the lock while it waits for the end; that is as good as our own look.
        while !self.child.try_lock().is_ok_and(|mut child| !matches!(child.try_wait(), Ok(None))) {
            if Instant::now() > deadline {
                // Node hangs and so takes workerd's end with it; end both.
                let workerd = self.pid();
                let pids = workerd.into_iter().chain([self.node]).map(|pid| pid.to_string());
                let _ = Command::new("kill").arg("-KILL").args(pids).status();
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs, net::TcpListener, path::PathBuf, sync::mpsc, time::Duration};

    use super::{Error, Gateway, Options, Workerd};
    use crate::toolchain::Toolchain;

    /// The smallest module that WebAssembly allows.
    const EMPTY_WASM: &[u8] = b"\0asm\x01\0\0\0";

    fn toolchain() -> Toolchain {
        Toolchain::prepare(&Toolchain::workspace(), &|line| eprintln!("{line}")).unwrap()
    }

    /// A Worker of one script, whose gateway is not there.
    fn options(name: &str, script: &str) -> Options {
        let worker = std::env::temp_dir().join(format!("stack-workerd-{name}-{}", std::process::id()));
        fs::create_dir_all(&worker).unwrap();
        fs::write(worker.join("index.js"), script).unwrap();
        fs::write(worker.join("index_bg.wasm"), EMPTY_WASM).unwrap();
        Options {
            worker,
            host: [127, 0, 0, 1].into(),
            port: 0,
            compatibility_date: "2026-11-01".to_owned(),
            zone: "makenot.work".to_owned(),
            bindings: [("EDGE_KEY".to_owned(), "a-key".to_owned())].into(),
            limit: None,
            gateway: Gateway {
                address: "127.0.0.1:1".parse().unwrap(),
                ca: Vec::new(),
                certificate: None,
                key: None,
                server_name: "localhost".to_owned(),
            },
            turnstile: None,
            assets: None,
            cf: Some(serde_json::json!({ "country": "DE" })),
            verbose: false,
            on_line: None,
        }
    }

    #[tokio::test]
    async fn a_worker_runs_speaks_and_ends() {
        let script = "import wasm from './index_bg.wasm';
            export default { async fetch(request, env) {
                console.warn('asked for', new URL(request.url).pathname);
                const dead = await fetch('https://makenot.work/').then(() => 'alive', (error) => error.message);
                return new Response([env.EDGE_KEY, request.cf.country, wasm instanceof WebAssembly.Module, dead].join());
            } };";
        let (sender, receiver) = mpsc::channel();
        let mut options = options("runs", script);
        let worker = options.worker.clone();
        options.on_line = Some(Box::new(move |line| sender.send(line.clone()).unwrap()));
        let workerd = Workerd::start(&toolchain(), options).await.unwrap();
        let url = workerd.url().to_owned();
        let text = reqwest::get(format!("{url}/a?b")).await.unwrap().text().await.unwrap();
        assert_eq!(text, "a-key,DE,true,Network connection lost.");
        let line = receiver.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!((line.level.as_str(), line.message.as_str()), ("warn", "asked for /a"));
        assert!(workerd.lines().contains(&line));

        let process = PathBuf::from(format!("/proc/{}", workerd.pid().unwrap()));
        assert!(process.exists());
        workerd.stop().await;
        assert!(!process.exists());
        assert!(reqwest::get(url).await.is_err());
        fs::remove_dir_all(worker).unwrap();
    }

    #[tokio::test]
    async fn dropping_it_ends_it() {
        let options = options("drop", "export default { fetch: () => new Response('here') };");
        let worker = options.worker.clone();
        let workerd = Workerd::start(&toolchain(), options).await.unwrap();
        let process = PathBuf::from(format!("/proc/{}", workerd.pid().unwrap()));
        drop(workerd);
        for _ in 0..500 {
            if !process.exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!process.exists());
        fs::remove_dir_all(worker).unwrap();
    }

    #[tokio::test]
    async fn why_it_does_not_start_is_said() {
        let script = "export default { fetch: () => new Response('here') };";
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut in_use = options("port", script);
        in_use.port = taken.local_addr().unwrap().port();
        let folder = in_use.worker.clone();
        let error = Workerd::start(&toolchain(), in_use).await.unwrap_err();
        assert!(matches!(error, Error::PortInUse(port) if port == taken.local_addr().unwrap().port()), "{error}");

        fs::write(folder.join("index.js"), "export default {").unwrap();
        let broken = Options { worker: folder.clone(), ..options("port", "export default {") };
        let error = Workerd::start(&toolchain(), broken).await.unwrap_err().to_string();
        assert!(error.contains("SyntaxError"), "{error}");

        fs::remove_dir_all(&folder).unwrap();
        let nowhere = Options { worker: folder, ..options("nowhere", script) };
        let other = nowhere.worker.with_file_name(format!("stack-workerd-nowhere-{}", std::process::id()));
        let error = Workerd::start(&toolchain(), nowhere).await.unwrap_err().to_string();
        assert!(error.contains("ENOENT") && error.contains("index.js"), "{error}");
        fs::remove_dir_all(other).unwrap();
    }
}
