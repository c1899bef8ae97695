//! nginx or HAProxy in the gateway's place, before the same app: what a scenario does to what most people have there. Each caches what the
//! app lets it, and serves what it can; neither signs redirects to files, filters, or verifies who sends a webhook.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::local::{free_address, workspace};

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// nginx, as installed
    Nginx,
    /// HAProxy, as installed; it serves no files, which the app does then
    Haproxy,
}

impl Kind {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }

    /// Its version, where it is installed.
    #[must_use]
    pub fn version(self) -> Option<String> {
        let output = std::process::Command::new(self.program()?).arg("-v").output().ok()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let mut words = said.split(|c: char| c.is_whitespace() || c == '/');
        words.find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(ToOwned::to_owned)
    }

    /// Where it is installed.
    #[must_use]
    pub fn program(self) -> Option<PathBuf> {
        let name = self.as_str().to_ascii_lowercase();
        let folders = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"];
        folders.iter().map(|folder| Path::new(folder).join(&name)).find(|path| path.exists())
    }
}

/// One that runs; dropped, it is told to end.
pub(crate) struct Peer {
    pub(crate) kind: Kind,
    pub(crate) address: String,
    child: Child,
    _folder: TempDir,
}

impl Peer {
    /// Starts it before an app, and waits until it listens.
    pub(crate) async fn start(kind: Kind, app: &str) -> Result<Self, String> {
        let name = kind.as_str();
        let program = kind.program().ok_or_else(|| format!("{name} is not installed"))?;
        let folder = TempDir::with_prefix("load-").map_err(|e| format!("no temporary folder: {e}"))?;
        let address = free_address()?.to_string();
        let text = match kind {
            Kind::Nginx => nginx(&address, app, folder.path()),
            Kind::Haproxy => haproxy(&address, app),
        };
        let config = folder.path().join("config");
        std::fs::write(&config, text).map_err(|e| format!("{}: {e}", config.display()))?;
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => command.arg("-p").arg(folder.path()).arg("-c").arg(&config),
            Kind::Haproxy => command.arg("-f").arg(&config),
        };
        let said = folder.path().join("said");
        let stderr = std::fs::File::create(&said).map_err(|e| format!("{}: {e}", said.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).process_group(0);
        let child = command.spawn().map_err(|e| format!("{name}: {e}"))?;
        let mut peer = Self { kind, address, child, _folder: folder };
        let until = Instant::now() + Duration::from_secs(10);
        while tokio::net::TcpStream::connect(&peer.address).await.is_err() {
            if let Ok(Some(status)) = peer.child.try_wait() {
                let said = std::fs::read_to_string(&said).unwrap_or_default();
                return Err(format!("{name} ended by itself: {status}: {}", said.trim()));
            }
            if Instant::now() > until {
                return Err(format!("{name} does not listen after 10 s"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(peer)
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends it, with the processes that it has started.
    pub(crate) async fn stop(mut self) {
        self.tell();
        let _ = tokio::time::timeout(Duration::from_secs(5), self.child.wait()).await;
    }

    /// A kill would leave the processes that nginx has started.
    fn tell(&self) {
        if let Some(pid) =
            self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.tell();
    }
}

fn nginx(address: &str, app: &str, folder: &Path) -> String {
    let files = workspace().join("tests/demo");
    let (files, folder) = (files.display(), folder.display());
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
daemon off;
worker_processes auto;
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 9000; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=pages:16m max_size=256m use_temp_path=off;
    client_max_body_size 16m;
    types {{ text/css css; text/javascript js; image/svg+xml svg; }}
    upstream app {{ server {app}; keepalive 64; }}
    map $http_upgrade $upgrades {{ default upgrade; '' ''; }}
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Connection $upgrades;
    proxy_set_header Upgrade $http_upgrade;
    server {{
        listen {address} reuseport backlog=4096;
        location /static/ {{ root {files}; expires max; }}
        location /api/sync/subscribe {{ proxy_pass http://app; proxy_buffering off; }}
        location / {{
            proxy_pass http://app;
            proxy_cache pages;
            proxy_cache_lock on;
            # Who is signed in would wait for others' answers, by half a second each time.
            proxy_cache_bypass $http_cookie;
            proxy_no_cache $http_cookie;
            proxy_cache_use_stale error timeout updating http_502 http_503 http_504;
            proxy_cache_background_update on;
        }}
    }}
}}
"
    )
}

fn haproxy(address: &str, app: &str) -> String {
    format!(
        "global
    maxconn 9000
    no strict-limits
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    timeout http-request 10s
cache pages
    total-max-size 256
    max-object-size 1000000
    max-age 86400
    process-vary on
frontend in
    bind {address} backlog 4096
    default_backend app
backend app
    http-request cache-use pages
    http-response cache-store pages
    http-reuse safe
    server app {app}
"
    )
}
