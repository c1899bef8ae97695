//! The stack: storage, app, gateway and edge, started in that order on loopback, and taken down again in the opposite one,
//! also after a panic.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::bucket::Buckets;
use crate::configuration;
use crate::gateway::{self, Gateway, Lines, OnLine};
use crate::keys::Credentials;
use crate::toolchain::{Bundle, Progress, Toolchain, Worker, Wrangler};
use crate::turnstile;
use crate::workerd::{self, Workerd};

/// Which of its two hosts the edge runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// The Worker, in workerd.
    Worker,
    /// The gateway.
    Native,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the edge runs.
    pub edge: Edge,
    /// `host:port` or `unix:/path` of an app to put behind it; the demo app where there is none.
    pub app: Option<String>,
    /// Sections of the gateway's configuration that add to the stack's, or replace them.
    pub config: Option<PathBuf>,
    /// Requests a minute that the Worker lets one client bring to the gateway; no limit where there is none.
    pub limit: Option<u32>,
    /// Ports; 0 takes a free one.
    pub ports: Ports,
}

/// Ports on loopback.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "each is the part's of that name")]
pub struct Ports {
    pub edge: u16,
    pub gateway: u16,
    pub admin: u16,
    pub app: u16,
    pub s3: u16,
}

/// Where everything listens: the JSON of the line `ready`.
#[derive(Clone, Debug, Serialize)]
pub struct Addresses {
    /// The site, as a visitor sees it.
    pub edge: String,
    /// The gateway, over TLS.
    pub gateway: String,
    /// The gateway's private listener.
    pub admin: String,
    /// The app, bypassing everything.
    pub app: String,
    /// The object storage.
    pub s3: String,
}

/// What takes lines about requests as they come.
#[derive(Default)]
pub struct Listeners {
    /// The gateway's log lines.
    pub gateway: Option<OnLine>,
    /// A file that the gateway's log lines go to instead; [`Stack::record`] finds none then.
    pub log: Option<PathBuf>,
    /// The Worker's log lines.
    pub worker: Option<workerd::OnLine>,
}

/// The running stack. Fields are dropped in this order.
pub struct Stack {
    /// Where everything listens.
    pub addresses: Addresses,
    /// The Worker, where the edge runs in it.
    pub workerd: Option<Workerd>,
    /// The gateway's process.
    pub gateway: Gateway,
    /// The demo app, where it is the app.
    pub demo: Option<Demo>,
    /// The object storage.
    pub buckets: Buckets,
    /// What says whether a challenge was passed.
    pub turnstile: turnstile::Double,
    /// Keys and certificates of this run.
    pub credentials: Credentials,
    /// What its Worker was started with, where it runs in one.
    worker: Option<Deployed>,
    folder: TempDir,
}

/// A Worker that may be started several times, as in several data centres.
struct Deployed {
    toolchain: Toolchain,
    modules: PathBuf,
    wrangler: Wrangler,
    gateway: SocketAddr,
    turnstile: SocketAddr,
    assets: PathBuf,
    limit: Option<u32>,
}

/// The demo app in this process.
pub struct Demo {
    /// Its handle.
    pub app: demo::Demo,
    task: JoinHandle<()>,
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Stack {
    /// Builds what has changed and starts everything.
    ///
    /// # Errors
    /// One sentence that says what is wrong; nothing is left running.
    pub async fn start(options: Options, listeners: Listeners, progress: &Progress<'_>) -> Result<Self, String> {
        // What is wrong with the options is said before anything is built, which may take minutes.
        options.ports.check().await?;
        let overlay = options.config.as_deref().map(configuration::Overlay::read).transpose()?;
        let root = Toolchain::workspace();
        let built = match options.edge {
            Edge::Native => None,
            Edge::Worker => Some(build_worker(&root, progress)?),
        };
        let binary = gateway::build(&root, progress)?;
        progress("stack    starting storage, app, gateway and edge …");
        let folder = TempDir::with_prefix("makenotwork-").map_err(|e| format!("no temporary folder: {e}"))?;
        let credentials = Credentials::make(folder.path()).map_err(|e| format!("cannot make keys: {e}"))?;
        let s3 = bind("s3", options.ports.s3).await?;
        let buckets =
            Buckets::start(&folder.path().join("buckets"), s3, &credentials.bucket, &credentials.bucket_writer)
                .await
                .map_err(|e| format!("the object storage does not start: {e}"))?;
        let (certificate, key) = &credentials.server;
        let turnstile = turnstile::Double::start(certificate, key).await;
        let turnstile = turnstile.map_err(|e| format!("the double of Turnstile does not start: {e}"))?;
        let (app, demo) = match options.app {
            Some(app) => (app, None),
            None => {
                let listener = bind("app", options.ports.app).await?;
                let address = listener.local_addr().map_err(|e| e.to_string())?;
                let app = demo::Demo::new(demo::Options::default());
                let task = tokio::spawn(app.clone().serve(demo::prompt(listener)));
                (address.to_string(), Some(Demo { app, task }))
            }
        };
        let assets = folder.path().join("assets");
        if built.is_some() {
            // Of this run: another app has its own.
            crate::toolchain::publish(demo.is_some().then_some(Path::new(demo::STATIC_DIR)), &assets)
                .map_err(|e| e.to_string())?;
        }
        let config = configuration::write(&configuration::Wanted {
            folder: folder.path(),
            files: &credentials.files,
            edge: options.edge,
            app: &app,
            static_dir: demo.is_some().then_some(demo::STATIC_DIR),
            s3: buckets.address(),
            turnstile: turnstile.address,
            ports: options.ports,
            overlay: overlay.as_ref(),
        })?;
        let lines = listeners.log.map_or(Lines::Kept(listeners.gateway), Lines::Written);
        let gateway = tokio::task::block_in_place(|| Gateway::start_with(&binary, &config, lines))
            .map_err(|error| configuration::blame(&error, &config, overlay.as_ref()))?;
        if let (Some(demo), Some(admin)) = (&demo, gateway.admin()) {
            let token = Some(credentials.app_token.as_str());
            let known = client::Gateway::at(admin.trim_start_matches("http://"), token);
            demo.app.ask(known.map_err(|e| format!("the app can't ask the gateway: {e}"))?);
        }
        let secure = gateway.address("https").unwrap_or_default().to_owned();
        let (worker, workerd) = match built {
            None => (None, None),
            Some((toolchain, bundle, wrangler)) => {
                // The rules of this run's gateway.
                let rules = origin::config::edge_rules(&config).map_err(|e| e.to_string())?;
                let bundle = bundle.with_rules(rules.as_deref(), &folder.path().join("worker"));
                let modules = bundle.map_err(|e| e.to_string())?.folder;
                let address = secure.trim_start_matches("https://").parse();
                let gateway = address.map_err(|_| "the gateway has no https address for the Worker to reach")?;
                let (turnstile, limit) = (turnstile.address, options.limit);
                let worker = Deployed { toolchain, modules, wrangler, gateway, turnstile, assets, limit };
                let workerd = worker.start(&credentials, options.ports.edge, listeners.worker).await?;
                (Some(worker), Some(workerd))
            }
        };
        let edge = match &workerd {
            Some(workerd) => workerd.url().to_owned(),
            None => gateway.address("http").unwrap_or_default().to_owned(),
        };
        let addresses = Addresses {
            edge,
            gateway: secure,
            admin: gateway.admin().unwrap_or_default().to_owned(),
            app: if app.starts_with("unix:") { app } else { format!("http://{app}") },
            s3: format!("http://{}", buckets.address()),
        };
        Ok(Self { addresses, workerd, gateway, demo, buckets, turnstile, credentials, worker, folder })
    }

    /// The folder of this run, with its keys and the gateway's configuration.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The Worker once more, before the same gateway and with a cache of its own, as in another data centre.
    ///
    /// # Errors
    /// It does not start, or the edge of this stack is no Worker.
    pub async fn another_edge(&self) -> Result<Workerd, String> {
        let worker = self.worker.as_ref().ok_or("the edge runs in the gateway, which has one cache")?;
        worker.start(&self.credentials, 0, None).await
    }

    /// What has ended by itself, if anything has.
    pub fn ended(&mut self) -> Option<&'static str> {
        if self.gateway.ended() {
            return Some("the gateway");
        }
        self.workerd.as_ref().is_some_and(|w| w.pid().is_none()).then_some("workerd")
    }

    /// Takes it down and waits until everything has ended.
    pub async fn stop(mut self) {
        if let Some(workerd) = self.workerd.take() {
            workerd.stop().await;
        }
        tokio::task::block_in_place(|| self.gateway.stop());
    }

    /// The access-log line of the gateway for a request.
    #[must_use]
    pub fn record(&self, request_id: &str) -> Option<Value> {
        tokio::task::block_in_place(|| self.gateway.record(request_id))
    }
}

impl Deployed {
    async fn start(
        &self,
        credentials: &Credentials,
        port: u16,
        on_line: Option<workerd::OnLine>,
    ) -> Result<Workerd, String> {
        let options = workerd::Options {
            worker: self.modules.clone(),
            host: Ipv4Addr::LOCALHOST.into(),
            port,
            compatibility_date: self.wrangler.compatibility_date.clone(),
            zone: self.wrangler.zone().to_owned(),
            bindings: [
                ("EDGE_KEY".to_owned(), credentials.edge_keys.clone()),
                ("TURNSTILE_SITEKEY".to_owned(), turnstile::SITE_KEY.to_owned()),
                ("TURNSTILE_SECRET".to_owned(), turnstile::SECRET.to_owned()),
            ]
            .into(),
            turnstile: Some(self.turnstile),
            limit: self.limit,
            gateway: workerd::Gateway {
                address: self.gateway,
                ca: vec![credentials.ca.clone()],
                certificate: Some(credentials.client.0.clone()),
                key: Some(credentials.client.1.clone()),
                server_name: "makenot.work".to_owned(),
            },
            assets: Some(self.assets.clone()),
            cf: None,
            verbose: false,
            on_line,
        };
        Workerd::start(&self.toolchain, options).await.map_err(|e| e.to_string())
    }
}

/// The Worker, ready to run.
fn build_worker(root: &Path, progress: &Progress<'_>) -> Result<(Toolchain, Bundle, Wrangler), String> {
    let say = |e: &dyn std::fmt::Display| e.to_string();
    tokio::task::block_in_place(|| {
        let toolchain = Toolchain::prepare(root, progress).map_err(|e| say(&e))?;
        let bundle = toolchain.build(&Worker::edge(root), progress).map_err(|e| say(&e))?;
        let wrangler = Wrangler::read(root).map_err(|e| say(&e))?;
        Ok((toolchain, bundle, wrangler))
    })
}

impl Ports {
    /// Whether all of them can be had, by taking them for a moment.
    async fn check(self) -> Result<(), String> {
        let Self { edge, gateway, admin, app, s3 } = self;
        let named = [("edge", edge), ("gateway", gateway), ("admin", admin), ("app", app), ("s3", s3)];
        let mut taken: Vec<(&str, u16, TcpListener)> = Vec::new();
        for (part, port) in named.into_iter().filter(|(_, port)| *port != 0) {
            if let Some((other, ..)) = taken.iter().find(|(_, taken, _)| *taken == port) {
                return Err(format!("--{other}-port and --{part}-port are both {port}: choose two that differ"));
            }
            taken.push((part, port, bind(part, port).await?));
        }
        Ok(())
    }
}

async fn bind(part: &str, port: u16) -> Result<TcpListener, String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|e| match e.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} is in use: stop what listens there, or choose another with --{part}-port")
        }
        io::ErrorKind::PermissionDenied => {
            format!("port {port} is not for everyone: choose one from 1024 on with --{part}-port")
        }
        _ => format!("cannot listen on {address}: {e}"),
    })
}
