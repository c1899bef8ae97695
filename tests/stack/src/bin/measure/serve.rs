//! A Worker in `workerd serve`: the runtime alone, without miniflare's simulators beside the Worker in the same process.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stack::toolchain::Toolchain;
use tempfile::TempDir;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(20);

/// A running workerd; it ends when this is dropped.
pub(crate) struct Served {
    process: Child,
    pub(crate) address: SocketAddr,
    // Removed with it.
    folder: TempDir,
}

impl Served {
    /// Serves the modules of a folder: `index.js`, and `index_bg.wasm` where there is one. Their `fetch` goes to `next_hop`, and their
    /// Cache API to `cache`, whatever host they name.
    pub(crate) async fn start(
        toolchain: &Toolchain,
        date: &str,
        modules: &Path,
        edge_key: &str,
        next_hop: SocketAddr,
        cache: SocketAddr,
    ) -> Result<Self, String> {
        let said = |what: &str, error: std::io::Error| format!("{what}: {error}");
        let folder = tempfile::tempdir().map_err(|e| said("a folder for workerd", e))?;
        let mut listed = String::new();
        for (file, name, kind) in [("index.js", "index.js", "esModule"), ("index_bg.wasm", "./index_bg.wasm", "wasm")] {
            let from = modules.join(file);
            if from.exists() {
                fs::copy(&from, folder.path().join(file)).map_err(|e| said(file, e))?;
                listed += &format!("(name = \"{name}\", {kind} = embed \"{file}\"), ");
            }
        }
        let address = stack::ports::free().map_err(|e| said("a port for workerd", e))?;
        let config = format!(
            r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "worker", worker = .worker),
    (name = "next-hop", external = (address = "{next_hop}", http = ())),
    (name = "cache", external = (address = "{cache}", http = ())),
  ],
  sockets = [(name = "http", address = "{address}", http = (), service = "worker")],
);
const worker :Workerd.Worker = (
  modules = [{listed}],
  compatibilityDate = "{date}",
  bindings = [(name = "EDGE_KEY", text = "{}")],
  globalOutbound = "next-hop",
  cacheApiOutbound = "cache",
);
"#,
            edge_key.trim()
        );
        let path = folder.path().join("config.capnp");
        fs::write(&path, config).map_err(|e| said("workerd's configuration", e))?;
        let log = File::create(folder.path().join("log")).map_err(|e| said("workerd's log", e))?;
        let process = Command::new(program(toolchain)?)
            .arg("serve")
            .arg(&path)
            .env("PATH", toolchain.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|e| said("workerd's log", e))?)
            .stderr(log)
            .spawn()
            .map_err(|e| said("workerd", e))?;
        let mut served = Self { process, address, folder };
        let until = Instant::now() + START;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if Instant::now() > until || !matches!(served.process.try_wait(), Ok(None)) {
                return Err(format!("workerd does not start:\n{}", served.log()));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(served)
    }

    /// The process that does the work.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// workerd itself, not the script of npm that starts it.
fn program(toolchain: &Toolchain) -> Result<PathBuf, String> {
    let packages = toolchain.root().join("node_modules/@cloudflare");
    let found = fs::read_dir(&packages).into_iter().flatten().flatten().map(|entry| entry.path().join("bin/workerd"));
    found
        .into_iter()
        .find(|program| program.exists())
        .ok_or_else(|| format!("no workerd below {}; remove node_modules/ and start again", packages.display()))
}
