//! The local stack as its own processes: the demo app, and `cargo dev` with it behind the gateway. So each part's CPU can be told, and the app
//! can go and come back.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::peer::{Kind, Peer};
use crate::target::{Edge, Target};
use crate::watch::plain;
use crate::{ports, process};

/// The host by which our edge asks, who must show the zone's certificate and sign. By any other anyone may ask.
const BY_THE_EDGE: &str = "makenot.work";

/// What the gateway is given besides the stack's configuration: the stack takes an app of somebody else's to have no static files. Payments are
/// told of by who has the secret.
fn site(app: &str, webhook: &Path) -> String {
    let folder = workspace().join("tests/demo/static");
    let site = |host: &str, trust: &str| {
        format!(
            "[[site]]\nhosts = [\"{host}\"]\napp = \"{app}\"\ntrust = \"{trust}\"\nstatic = \"{}\"\n",
            folder.display()
        )
    };
    let sender = format!(
        "[webhook.payments]\npath = \"/webhooks/stripe\"\nscheme = \"bearer\"\nsecrets_file = \"{}\"\n",
        webhook.display()
    );
    site(BY_THE_EDGE, "edge-only") + &site("*", "direct") + &sender
}

/// The file with the webhooks' secret.
const WEBHOOK: &str = "webhook.key";

/// The running stack; dropping it ends it.
pub struct Local {
    app: Option<Child>,
    app_binary: PathBuf,
    app_address: String,
    dev: Dev,
    gateway: u32,
    addresses: Addresses,
    /// In the gateway's place.
    peer: Option<Peer>,
    /// Holds the stack's own folder, with its keys.
    folder: TempDir,
}

#[derive(Debug, Deserialize)]
struct Addresses {
    edge: String,
    gateway: String,
    admin: String,
}

impl Local {
    /// Builds what has changed and starts it. `quick` builds without optimising: whether it works, not how fast it is. `added` is added to the
    /// gateway's configuration.
    ///
    /// # Errors
    /// What does not build or start.
    pub async fn start(quick: bool, added: &str) -> Result<Self, String> {
        let root = workspace();
        let profile = if quick { "dev" } else { "release" };
        build(&root, profile).await?;
        let folder = TempDir::with_prefix("load-").map_err(|e| format!("no temporary folder: {e}"))?;
        let built = root.join("target").join(if quick { "debug" } else { "release" });
        let app_address = free_address()?.to_string();
        let app_binary = built.join("demo");
        let app = start_app(&app_binary, &app_address).await?;
        let webhook = folder.path().join(WEBHOOK);
        let secret = format!("{:032x}", rand::random::<u128>());
        std::fs::write(&webhook, secret).map_err(|e| format!("{}: {e}", webhook.display()))?;
        let overlay = added.to_owned() + &site(&app_address, &webhook);
        let added = folder.path().join("overlay.toml");
        std::fs::write(&added, overlay).map_err(|e| format!("{}: {e}", added.display()))?;
        let dev = Command::new(built.join("dev"))
            .args(["--edge", "native", "--edge-port", "0", "--app", &format!("http://{app_address}"), "--config"])
            .arg(&added)
            // Who reads each line would take of the cores that the load is to find the end of.
            .arg("--log")
            .arg(folder.path().join("gateway.log"))
            .env("TMPDIR", folder.path())
            .current_dir(&root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // Ctrl-C is for the load, which then takes the stack down.
            .process_group(0)
            .spawn()
            .map_err(|e| format!("cannot start the stack: {e}"))?;
        let mut dev = Dev(dev);
        let addresses = ready(&mut dev.0).await?;
        let family = process::family(dev.0.id().unwrap_or_default());
        let is_gateway =
            |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim() == "origin");
        let gateway = family.into_iter().find(is_gateway).ok_or("the stack has no process called origin")?;
        Ok(Self { app: Some(app), app_binary, app_address, dev, gateway, addresses, peer: None, folder })
    }

    /// Has somebody else stand before the app, whom visitors are sent to from then on. Who sends a webhook is verified by nobody then
    /// ([`Scenario::unverified`](crate::scenario::Scenario::unverified)).
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub async fn through(&mut self, kind: Kind) -> Result<(), String> {
        self.peer = Some(Peer::start(kind, &self.app_address).await?);
        Ok(())
    }

    /// The stack as a target: as a browser comes, or as Cloudflare's edge does.
    ///
    /// # Errors
    /// The stack's keys are not where they should be.
    pub fn target(&self, as_edge: bool) -> Result<Target, String> {
        let mut target = Target {
            url: self.addresses.edge.trim_end_matches('/').to_owned(),
            admin: Some(self.addresses.admin.clone()),
            processes: self.processes(),
            secrets: [("webhook".to_owned(), self.folder.path().join(WEBHOOK))].into(),
            ..Target::default()
        };
        if let Some(peer) = &self.peer {
            (target.url, target.admin) = (format!("http://{}", peer.address), None);
        }
        if as_edge {
            let entries = std::fs::read_dir(self.folder.path()).map_err(|e| e.to_string())?;
            let keys = entries.flatten().map(|entry| entry.path()).find(|path| path.join("edge.keys").exists());
            let keys = keys.ok_or("the stack's folder has no keys")?;
            let port = self.addresses.gateway.trim_end_matches('/').rsplit_once(':').map_or("443", |(_, port)| port);
            target.url = format!("https://{BY_THE_EDGE}:{port}");
            target.connect = Some(Ipv4Addr::LOCALHOST.into());
            target.ca = Some(keys.join("ca.pem"));
            target.edge = Some(Edge {
                keys_file: keys.join("edge.keys"),
                certificate: Some(keys.join("client.pem")),
                key: Some(keys.join("client.key")),
                connections: 8,
            });
        }
        Ok(target)
    }

    /// Gateway, app, and the storage.
    #[must_use]
    pub fn processes(&self) -> BTreeMap<String, u32> {
        let app = self.app.as_ref().and_then(Child::id);
        let first = match &self.peer {
            Some(peer) => (peer.kind.as_str(), peer.pid()),
            None => ("gateway", Some(self.gateway)),
        };
        let parts = [first, ("app", app), ("storage", self.dev.0.id())];
        parts.into_iter().filter_map(|(name, pid)| Some((name.to_owned(), pid?))).collect()
    }

    /// The app is gone, as if it had crashed.
    pub(crate) async fn stop_app(&mut self) -> Result<(), String> {
        match self.app.take() {
            Some(mut app) => app.kill().await.map_err(|e| format!("cannot stop the app: {e}")),
            None => Ok(()),
        }
    }

    /// It is back, and has forgotten who was signed in.
    pub(crate) async fn start_app(&mut self) -> Result<(), String> {
        self.app = Some(start_app(&self.app_binary, &self.app_address).await?);
        Ok(())
    }

    /// What needs the database takes so much longer.
    pub(crate) async fn slow_database(&mut self, by: Duration) -> Result<(), String> {
        let path = format!("/misbehave/database?ms={}", by.as_millis());
        expect(Method::POST, &format!("http://{}{path}", self.app_address), "").await
    }

    /// Nothing is cached any more.
    pub(crate) async fn purge(&mut self) -> Result<(), String> {
        expect(Method::POST, &format!("{}/purge", self.addresses.admin), r#"{"all": true}"#).await
    }

    /// Ends it and waits for the end.
    pub async fn stop(mut self) {
        self.dev.tell();
        let _ = tokio::time::timeout(Duration::from_secs(20), self.dev.0.wait()).await;
        if let Some(peer) = self.peer.take() {
            peer.stop().await;
        }
        let _ = self.stop_app().await;
    }
}

/// The stack's own process.
#[derive(Debug)]
struct Dev(Child);

impl Dev {
    /// Tells it to end; the gateway, too, which a kill would leave to the system.
    fn tell(&self) {
        if let Some(pid) = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

impl Drop for Dev {
    /// Where nobody has stopped it, as who measured was interrupted: it has some seconds, as it writes to its folder until it has ended.
    fn drop(&mut self) {
        self.tell();
        let until = Instant::now() + Duration::from_secs(5);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The folder of the checkout.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

async fn build(root: &Path, profile: &str) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    eprintln!("load     building the stack ({profile}) …");
    let mut command = Command::new(cargo);
    command.args(["build", "--profile", profile, "--package", "demo", "--package", "stack", "--package", "origin"]);
    command.args(["--bin", "demo", "--bin", "dev", "--bin", "origin"]).current_dir(root);
    let status = command.status().await.map_err(|e| format!("cannot run cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err("the stack does not build; cargo says above why".to_owned()) }
}

async fn start_app(binary: &Path, address: &str) -> Result<Child, String> {
    let mut command = Command::new(binary);
    command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true).process_group(0);
    let mut app = command.spawn().map_err(|e| format!("{}: {e}", binary.display()))?;
    let until = Instant::now() + Duration::from_secs(10);
    while tokio::net::TcpStream::connect(address).await.is_err() {
        if let Ok(Some(status)) = app.try_wait() {
            return Err(format!("the app ended by itself: {status}"));
        }
        if Instant::now() > until {
            return Err("the app does not listen after 10 s".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(app)
}

/// Waits for the line `ready`, and reads on so that the stack can go on writing.
async fn ready(dev: &mut Child) -> Result<Addresses, String> {
    let (stdout, stderr) = (dev.stdout.take(), dev.stderr.take());
    let mut lines = BufReader::new(stdout.ok_or("no output")?).lines();
    let mut complaints = BufReader::new(stderr.ok_or("no output")?).lines();
    let mut said = String::new();
    let waiting = async {
        loop {
            tokio::select! {
                line = lines.next_line() => match line {
                    Ok(Some(line)) => if let Some(json) = line.strip_prefix("ready ") {
                        return serde_json::from_str(json).map_err(|e| e.to_string());
                    },
                    _ => return Err(format!("the stack does not start: {}", said.trim())),
                },
                Ok(Some(line)) = complaints.next_line() => said = said + "\n" + &line,
            }
        }
    };
    let addresses = tokio::time::timeout(Duration::from_secs(600), waiting).await;
    let addresses = addresses.unwrap_or_else(|_| Err("the stack is not ready after ten minutes".to_owned()))?;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    tokio::spawn(async move { while let Ok(Some(_)) = complaints.next_line().await {} });
    Ok(addresses)
}

pub(crate) fn free_address() -> Result<SocketAddr, String> {
    ports::free().map_err(|e| format!("no free port: {e}"))
}

async fn expect(method: Method, uri: &str, body: &'static str) -> Result<(), String> {
    let request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
    let request = request.body(Full::new(Bytes::from_static(body.as_bytes()))).map_err(|e| e.to_string())?;
    let (status, _, answer) = plain(request).await?;
    let fine = (200..300).contains(&status);
    if fine { Ok(()) } else { Err(format!("{uri}: status {status}: {}", String::from_utf8_lossy(&answer).trim())) }
}
