//! The parts put together: gateway, CA and app, and clients that come with names.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use reqwest::tls::TlsInfo;
use reqwest::{Certificate, Client};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stack::gateway::{self, Gateway};
use stack::keys::{Authority, ExtendedKeyUsagePurpose};
use stack::ports::free;
use stack::toolchain::Toolchain;
use tempfile::TempDir;

use crate::app::App;
use crate::ca::{Ca, Wanted};

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) ca: Ca,
    pub(crate) app: App,
    gateway: Option<Gateway>,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    folder: TempDir,
    /// What is added to the gateway's `[acme]`.
    acme: String,
    said: Arc<Mutex<Vec<Value>>>,
    /// The process that has taken over from the gateway that we started.
    successor: Option<Pid>,
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(pid) = self.successor {
            let _ = kill_process(pid, Signal::TERM);
        }
        if std::thread::panicking() {
            self.said.lock().unwrap().iter().for_each(|line| println!("gateway: {line}"));
            println!("CA:\n{}", self.ca.log());
        }
    }
}

/// What differs from test to test.
pub(crate) struct Plan {
    pub(crate) life: Option<u64>,
    pub(crate) refused_nonces: u8,
    pub(crate) reused: u8,
    /// Whether the CA finds the gateway over TLS, and over HTTP.
    pub(crate) tls: bool,
    pub(crate) http: bool,
    /// Lines in `[acme]`.
    pub(crate) acme: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        // No nonces: three refused in a row, one order in a thousand at 5 %, make another order, and orders are counted.
        Self { life: None, refused_nonces: 0, reused: 50, tls: true, http: true, acme: "" }
    }
}

impl World {
    /// Everything runs.
    pub(crate) async fn start(plan: Plan) -> Self {
        let mut world = Self::still(plan).await;
        world.serve();
        world
    }

    /// The gateway does not run yet.
    pub(crate) async fn still(plan: Plan) -> Self {
        let (https, http, dead) = (free().unwrap(), free().unwrap(), free().unwrap());
        let wanted = Wanted {
            tls: if plan.tls { https.port() } else { dead.port() },
            http: if plan.http { http.port() } else { dead.port() },
            life: plan.life,
            refused_nonces: plan.refused_nonces,
            reused: plan.reused,
        };
        let (ca, app, folder) = (Ca::start(wanted).await, App::start().await, TempDir::new().unwrap());
        Self {
            ca,
            app,
            gateway: None,
            https,
            http,
            folder,
            acme: plan.acme.to_owned(),
            said: Arc::default(),
            successor: None,
        }
    }

    /// Starts the gateway.
    pub(crate) fn serve(&mut self) {
        let config = self.configuration();
        self.serve_with(&config);
    }

    /// Starts the gateway with a configuration of the caller's.
    pub(crate) fn serve_with(&mut self, config: &Path) {
        let log = self.log();
        let started = tokio::task::block_in_place(|| Gateway::start(binary(), config, Some(log)));
        self.gateway = Some(started.unwrap());
    }

    /// Keeps what the gateway says.
    fn log(&self) -> gateway::OnLine {
        let said = Arc::clone(&self.said);
        Box::new(move |line| said.lock().unwrap().push(line.clone()))
    }

    /// A second gateway on the same storage, with listeners of its own.
    pub(crate) fn another(&self) -> (Gateway, SocketAddr) {
        let text = std::fs::read_to_string(self.configuration()).unwrap();
        let (https, http) = (free().unwrap(), free().unwrap());
        let text = text.replace(&self.https.to_string(), &https.to_string());
        let text = text.replace(&self.http.to_string(), &http.to_string());
        let path = self.folder.path().join("another.toml");
        std::fs::write(&path, text).unwrap();
        (tokio::task::block_in_place(|| Gateway::start(binary(), &path, None)).unwrap(), https)
    }

    /// Has a new process take over, and waits until the old one has ended.
    pub(crate) async fn reload(&mut self) {
        self.gateway.as_mut().unwrap().signal(Signal::HUP);
        let line = self.said("reloaded: a new process serves").await;
        self.successor = line["successor"].as_i64().and_then(|pid| Pid::from_raw(pid as i32));
        assert!(self.successor.is_some(), "{line}");
        let began = Instant::now();
        while !self.gateway.as_mut().unwrap().ended() {
            assert!(began.elapsed() < PATIENCE, "the old process does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Ends the gateway.
    pub(crate) fn stop(&mut self) {
        if let Some(mut gateway) = self.gateway.take() {
            tokio::task::block_in_place(|| gateway.stop());
        }
    }

    /// Writes the gateway's configuration.
    pub(crate) fn configuration(&self) -> PathBuf {
        let path = |name: &str| self.folder.path().join(name);
        if !path("tls.pem").exists() {
            let authority = Authority::new("of [tls]").unwrap();
            let pair = authority.issue(&["makenot.work"], ExtendedKeyUsagePurpose::ServerAuth).unwrap();
            std::fs::write(path("tls.pem"), pair.0).unwrap();
            std::fs::write(path("tls.key"), pair.1).unwrap();
        }
        let Self { https, http, acme, .. } = self;
        let (cert, key, app) = (path("tls.pem"), path("tls.key"), self.app.address);
        let (directory, ca, storage) = (self.ca.directory(), self.ca.file(), self.storage());
        let text = format!(
            "listen = {{ https = [\"{https}\"], redirect = [\"{http}\"], cores = 2 }}\n\
             tls = {{ cert = {cert:?}, key = {key:?} }}\n\
             timeouts.drain = \"2s\"\nadmin.listen = \"127.0.0.1:0\"\n\
             [acme]\ndirectory = \"{directory}\"\nca = {ca:?}\nstorage = {storage:?}\ncontact = \"ops@makenot.work\"\n{acme}\n\
             [[site]]\nhosts = [\"makenot.work\"]\napp = \"{app}\"\n\
             [[site]]\nhosts = [\"*.example\"]\napp = \"{app}\"\nacme_ask = \"http://{app}/tls-ask\"\n",
        );
        let file = path("origin.toml");
        std::fs::write(&file, text).unwrap();
        file
    }

    pub(crate) fn storage(&self) -> PathBuf {
        self.folder.path().join("acme")
    }

    /// The folder of a name in the storage.
    pub(crate) fn kept(&self, name: &str) -> PathBuf {
        let directory = self.ca.directory();
        let authority = directory.trim_start_matches("https://").trim_end_matches("/dir").replace(':', "_");
        self.storage().join(authority).join("names").join(name)
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().unwrap()
    }

    /// A client that trusts what the CA issues, and finds every `name` at the gateway.
    pub(crate) async fn visitor(&self, name: &str) -> Visitor {
        Visitor::new(&[self.ca.root().await], name, self.https)
    }

    /// The newest line of the gateway's log with this message, as soon as it is there.
    pub(crate) async fn said(&self, message: &str) -> Value {
        self.until(message, || self.gateway().find(|line| line["message"].as_str() == Some(message))).await
    }

    /// Waits for something.
    pub(crate) async fn until<T>(&self, what: &str, mut is: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(is) = is() {
                return is;
            }
            assert!(began.elapsed() < PATIENCE, "never: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// A client that comes with one name, every time as if it had never been here: a session that it resumed would hide which
/// certificate is shown now.
#[derive(Clone)]
pub(crate) struct Visitor {
    name: String,
    at: SocketAddr,
    /// The authorities that it trusts; without them it takes any certificate.
    roots: Option<Vec<Certificate>>,
}

impl Visitor {
    pub(crate) fn new(roots: &[Certificate], name: &str, at: SocketAddr) -> Self {
        Self { name: name.to_owned(), at, roots: Some(roots.to_vec()) }
    }

    /// One that takes any certificate.
    pub(crate) fn trusting(name: &str, at: SocketAddr) -> Self {
        Self { name: name.to_owned(), at, roots: None }
    }

    /// The certificate that is shown with a good answer, or why there is none.
    pub(crate) async fn comes(&self) -> Result<Vec<u8>, String> {
        let client = Client::builder().resolve(&self.name, self.at).tls_info(true).no_proxy().timeout(PATIENCE);
        let client = match &self.roots {
            Some(roots) => client.tls_certs_only(roots.clone()),
            None => client.tls_danger_accept_invalid_certs(true),
        };
        let url = format!("https://{}:{}/", self.name, self.at.port());
        let answer = client.build().unwrap().get(url).send().await.map_err(|e| format!("{e:?}"))?;
        assert_eq!(answer.status(), 200);
        let shown = answer.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate).map(ToOwned::to_owned);
        Ok(shown.unwrap())
    }
}

/// The gateway's binary.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| gateway::build(&Toolchain::workspace(), &|line| println!("{line}")).unwrap())
}
