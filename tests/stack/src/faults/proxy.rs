//! What is put to the test: the gateway, nginx and HAProxy, each with the same app behind it and the same limits.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ::load::peer;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::gateway::{self, Gateway};
use crate::ports::free;
use crate::process::{self, cpu_seconds};
use crate::toolchain::Toolchain;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ours.
    Gateway,
    /// nginx, as installed.
    Nginx,
    /// HAProxy, as installed.
    Haproxy,
}

impl Kind {
    /// The name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self.peer() {
            Some(peer) => peer.as_str(),
            None => "gateway",
        }
    }

    /// The version, where it is installed.
    #[must_use]
    pub fn version(self) -> Option<String> {
        match self.peer() {
            Some(peer) => peer.version(),
            None => Some(env!("CARGO_PKG_VERSION").to_owned()),
        }
    }

    /// None where it is ours.
    const fn peer(self) -> Option<peer::Kind> {
        match self {
            Self::Gateway => None,
            Self::Nginx => Some(peer::Kind::Nginx),
            Self::Haproxy => Some(peer::Kind::Haproxy),
        }
    }
}

/// What all of them are set up to.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where the app listens.
    pub app: SocketAddr,
    /// What the host `hole` leads to.
    pub hole: SocketAddr,
    /// For a client to send a head.
    pub head: Duration,
    /// For an app to accept a connection.
    pub connect: Duration,
    /// For an app to begin its answer.
    pub answer: Duration,
    /// File descriptors for the gateway, soft and hard; `None` leaves them as they are.
    pub descriptors: Option<u32>,
}

impl Setup {
    /// Before an app, with limits that suit tests.
    #[must_use]
    pub fn before(app: SocketAddr) -> Self {
        let second = Duration::from_secs(1);
        Self { app, hole: app, head: 10 * second, connect: 3 * second, answer: 30 * second, descriptors: None }
    }
}

/// One of them, running; dropped, it is stopped.
pub struct Proxy {
    /// Which.
    pub kind: Kind,
    /// Where it speaks HTTP/1.1.
    pub http1: SocketAddr,
    /// Where it speaks HTTP/2 by prior knowledge.
    pub http2: SocketAddr,
    running: Running,
    folder: TempDir,
}

enum Running {
    Gateway(Gateway),
    Peer(Child),
}

impl Proxy {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// It is not installed or does not start.
    pub fn start(kind: Kind, setup: &Setup) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|e| e.to_string())?;
        let (http1, http2) = (free().map_err(|e| e.to_string())?, free().map_err(|e| e.to_string())?);
        let http2 = if kind == Kind::Gateway { http1 } else { http2 };
        let text = match kind {
            Kind::Gateway => gateway_config(setup, http1),
            Kind::Nginx => nginx_config(setup, http1, http2, folder.path()),
            Kind::Haproxy => haproxy_config(setup, http1, http2),
        };
        fs::write(folder.path().join("config"), text).map_err(|e| e.to_string())?;
        let running = run(kind, folder.path(), setup.descriptors)?;
        let proxy = Self { kind, http1, http2, running, folder };
        proxy.wait()?;
        Ok(proxy)
    }

    /// Waits until it accepts connections.
    fn wait(&self) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(self.http1).is_err() {
            if Instant::now() > until {
                return Err(format!("{} does not start", self.kind.as_str()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Kills it and starts it again, with the same configuration, at once.
    ///
    /// # Errors
    /// It does not start again.
    pub fn kill_and_start(&mut self) -> Result<(), String> {
        for pid in self.pids() {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        // A process that is killed holds its port for a moment.
        match &mut self.running {
            Running::Peer(child) => drop(child.wait()),
            Running::Gateway(gateway) => {
                while !gateway.ended() {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        }
        self.running = run(self.kind, self.folder.path(), None)?;
        self.wait()
    }

    /// The gateway's own handle.
    #[must_use]
    pub fn gateway(&self) -> Option<&Gateway> {
        match &self.running {
            Running::Gateway(gateway) => Some(gateway),
            Running::Peer(_) => None,
        }
    }

    /// Lines that the gateway has logged, of the newest that are kept.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.gateway().map_or(0, Gateway::lines)
    }

    /// Its processes.
    fn pids(&self) -> Vec<u32> {
        let pid = match &self.running {
            Running::Gateway(gateway) => gateway.pid(),
            Running::Peer(child) => child.id(),
        };
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        std::iter::once(pid).chain(children.split_whitespace().filter_map(|n| n.parse().ok())).collect()
    }

    /// CPU time it has used, in seconds.
    #[must_use]
    pub fn cpu(&self) -> f64 {
        self.pids().into_iter().filter_map(cpu_seconds).sum()
    }

    /// Resident memory in MiB.
    #[must_use]
    pub fn memory(&self) -> f64 {
        let bytes = process::memory(&self.pids()).resident;
        #[expect(clippy::cast_precision_loss, reason = "mebibytes")]
        let mebibytes = bytes as f64 / f64::from(1 << 20);
        mebibytes
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The gateway's handle stops it.
        if let Running::Peer(child) = &mut self.running {
            if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::TERM);
            }
            let _ = child.wait();
        }
    }
}

fn run(kind: Kind, folder: &Path, descriptors: Option<u32>) -> Result<Running, String> {
    let config = folder.join("config");
    if kind == Kind::Gateway {
        let mut binary = binary()?;
        if let Some(descriptors) = descriptors {
            let script = folder.join("limited");
            let text = format!("#!/bin/sh\nulimit -n {descriptors}\nexec {} \"$@\"\n", binary.display());
            fs::write(&script, text).map_err(|e| e.to_string())?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(&script, mode).map_err(|e| e.to_string())?;
            binary = script;
        }
        return Gateway::start(&binary, &config, None).map(Running::Gateway);
    }
    let program = kind.peer().and_then(peer::Kind::program);
    let program = program.ok_or_else(|| format!("{} is not installed", kind.as_str()))?;
    let mut command = Command::new(program);
    match kind {
        Kind::Nginx => command.arg("-p").arg(folder).arg("-c").arg(&config),
        _ => command.arg("-f").arg(&config),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(Running::Peer).map_err(|e| e.to_string())
}

/// The gateway's binary, built once.
fn binary() -> Result<PathBuf, String> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BINARY.get_or_init(|| gateway::build(&Toolchain::workspace(), &|_| {})).clone()
}

fn gateway_config(setup: &Setup, address: SocketAddr) -> String {
    format!(
        "listen.http = [\"{address}\"]\n\
         listen.cores = 2\n\
         timeouts.drain = \"1s\"\n\
         timeouts.head = \"{}ms\"\n\
         timeouts.connect = \"{}ms\"\n\
         timeouts.answer = \"{}ms\"\n\
         [[site]]\n\
         hosts = [\"hole\"]\n\
         app = \"{}\"\n\
         [[site]]\n\
         hosts = [\"*\"]\n\
         app = \"{}\"\n",
        setup.head.as_millis(),
        setup.connect.as_millis(),
        setup.answer.as_millis(),
        setup.hole,
        setup.app,
    )
}

fn nginx_config(setup: &Setup, http1: SocketAddr, http2: SocketAddr, folder: &Path) -> String {
    let user = if geteuid().is_root() { "user root;" } else { "" };
    let folder = folder.display();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {folder}/{name};\n"))
        .concat();
    let common = |app: SocketAddr| {
        format!(
            "        location / {{ proxy_pass http://{app}; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n"
        )
    };
    format!(
        "{user}\n\
         daemon off;\n\
         worker_processes 2;\n\
         pid {folder}/pid;\n\
         error_log {folder}/error.log crit;\n\
         events {{ worker_connections 15000; }}\n\
         http {{\n\
         {paths}\
         \x20   access_log {folder}/access.log;\n\
         \x20   client_header_timeout {head}ms;\n\
         \x20   proxy_connect_timeout {connect}ms;\n\
         \x20   proxy_read_timeout {answer}ms;\n\
         \x20   proxy_max_temp_file_size 0;\n\
         \x20   proxy_request_buffering off;\n\
         \x20   client_max_body_size 1g;\n\
         \x20   upstream app {{ server {app}; keepalive 64; }}\n\
         \x20   server {{\n\
         \x20       listen {http1} default_server reuseport backlog=4096;\n\
         \x20       listen {http2} default_server http2;\n\
         \x20       location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n\
         \x20   }}\n\
         \x20   server {{\n\
         \x20       listen {http1};\n\
         \x20       server_name hole;\n\
         {hole}\
         \x20   }}\n\
         }}\n",
        head = setup.head.as_millis(),
        connect = setup.connect.as_millis(),
        answer = setup.answer.as_millis(),
        app = setup.app,
        hole = common(setup.hole),
    )
}

fn haproxy_config(setup: &Setup, http1: SocketAddr, http2: SocketAddr) -> String {
    format!(
        "global\n\
         \x20   nbthread 2\n\
         \x20   maxconn 15000\n\
         \x20   no strict-limits\n\
         defaults\n\
         \x20   mode http\n\
         \x20   timeout client 60s\n\
         \x20   timeout http-request {}ms\n\
         \x20   timeout connect {}ms\n\
         \x20   timeout server {}ms\n\
         frontend in\n\
         \x20   bind {http1} backlog 4096\n\
         \x20   bind {http2} proto h2\n\
         \x20   use_backend hole if {{ hdr(host) hole }}\n\
         \x20   default_backend app\n\
         backend app\n\
         \x20   server app {}\n\
         backend hole\n\
         \x20   retries 0\n\
         \x20   server hole {}\n",
        setup.head.as_millis(),
        setup.connect.as_millis(),
        setup.answer.as_millis(),
        setup.app,
        setup.hole,
    )
}
