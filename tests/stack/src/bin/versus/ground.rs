//! What the proxies stand on: the programs, the certificate, the app behind all of them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use contract::signature::{Keys, Message};
use contract::{EdgeFacts, RequestId};
use stack::keys::Credentials;
use stack::link::{self, Link};
use stack::toolchain::{Progress, Toolchain, program};
use tempfile::TempDir;

use crate::parts::Size;
use crate::peer::{Peer, Proxy, Running, free_addresses, mortal};
use crate::pingora;

const REMEDY: &str = "Install it (on Debian: `apt install nginx haproxy caddy varnish nghttp2-client cmake`), or choose with --only what is there.";

/// Everything but the proxies. Fields are dropped in this order.
pub(crate) struct Ground {
    /// The app, in clear text.
    pub(crate) app: SocketAddr,
    _app: Running,
    pub(crate) h2load: PathBuf,
    credentials: Credentials,
    keys: Keys,
    programs: Vec<(Proxy, PathBuf)>,
    folder: TempDir,
}

impl Ground {
    /// Builds, installs and starts it. A Pingora that does not build is only complained of.
    pub(crate) fn prepare(
        proxies: &[Proxy],
        quick: bool,
        progress: &Progress<'_>,
    ) -> Result<(Self, Vec<String>), String> {
        let root = Toolchain::workspace();
        let find = |name: &str, package: &str| {
            program("versus", name, package, REMEDY, progress).map_err(|error| error.to_string())
        };
        let mut failures = Vec::new();
        let mut programs = Vec::new();
        let (h2load, nginx) = (find("h2load", "nghttp2-client")?, find("nginx", "nginx")?);
        for proxy in proxies {
            let program = match proxy {
                Proxy::Origin | Proxy::OriginSigned if quick => stack::gateway::build(&root, progress)?,
                Proxy::Origin | Proxy::OriginSigned => stack::gateway::build_release(&root, progress)?,
                Proxy::Nginx => nginx.clone(),
                Proxy::Haproxy => find("haproxy", "haproxy")?,
                Proxy::Caddy => find("caddy", "caddy")?,
                Proxy::Varnish => find("varnishd", "varnish")?,
                Proxy::Pingora => match find("cmake", "cmake").and_then(|_| pingora::build(&root, progress)) {
                    Ok(program) => program,
                    Err(error) => {
                        failures.push(format!("Pingora: {error}"));
                        continue;
                    }
                },
            };
            programs.push((*proxy, program));
        }
        let failed = |e: std::io::Error| format!("cannot prepare: {e}");
        let folder = TempDir::with_prefix("versus-").map_err(failed)?;
        // nginx's workers run as another user where we are root.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).map_err(failed)?;
        let credentials = Credentials::make(folder.path()).map_err(failed)?;
        let read = |path: &PathBuf| fs::read_to_string(path).map_err(failed);
        let both = read(&credentials.files.cert)? + &read(&credentials.files.key)?;
        fs::write(folder.path().join("both.pem"), both).map_err(failed)?;
        fs::create_dir(folder.path().join("files")).map_err(failed)?;
        for size in Size::ALL {
            fs::write(folder.path().join("files").join(size.file()), size.content()).map_err(failed)?;
        }
        let keys = Keys::parse(&credentials.edge_keys).map_err(|e| e.to_string())?;
        let [app] = free_addresses().map_err(failed)?;
        let config = include_str!("../../../../peers/app.conf").replace("@APP@", &app.to_string());
        let config = config.replace("@DIR@", &folder.path().display().to_string());
        let path = folder.path().join("app.conf");
        fs::write(&path, config).map_err(failed)?;
        let output = |name: &str| folder.path().join(name);
        let mut serving = Running::start(mortal(&nginx).arg("-c").arg(&path), &output("app.out"), output("app.stderr"))
            .map_err(failed)?;
        serving.listens(&[app]).map_err(|e| format!("the app {e}"))?;
        Ok((Self { app, _app: serving, h2load, credentials, keys, programs, folder }, failures))
    }

    /// The proxies that there are programs for.
    pub(crate) fn ready(&self, wanted: &[Proxy]) -> Vec<Proxy> {
        wanted.iter().copied().filter(|p| self.programs.iter().any(|(known, _)| known == p)).collect()
    }

    /// Starts one and waits until it serves. `n` tells instances of one proxy apart.
    pub(crate) fn start(&self, proxy: Proxy, n: usize) -> Result<Peer, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", proxy.name());
        let (_, program) = self.programs.iter().find(|(known, _)| *known == proxy).ok_or("there is no such program")?;
        let folder = self.folder.path().join(format!("{n}-{proxy:?}"));
        fs::create_dir(&folder).map_err(failed)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        let [http, https] = free_addresses().map_err(failed)?;
        let files = &self.credentials.files;
        let both = self.folder.path().join("both.pem");
        let path = |path: &std::path::Path| path.display().to_string();
        let config = folder.join("config");
        if let Some(template) = proxy.template() {
            let filled = [
                ("@DIR@", path(&folder)),
                ("@APP@", self.app.to_string()),
                ("@APP_HOST@", self.app.ip().to_string()),
                ("@APP_PORT@", self.app.port().to_string()),
                ("@HTTP@", http.to_string()),
                ("@HTTPS@", https.to_string()),
                ("@CERT@", path(&files.cert)),
                ("@KEY@", path(&files.key)),
                ("@BOTH@", path(&both)),
                ("@EDGE_KEYS@", path(&files.edge_keys)),
            ];
            let text = filled.iter().fold(template.to_owned(), |text, (name, value)| text.replace(name, value));
            fs::write(&config, text).map_err(failed)?;
        }
        let mut command = mortal(program);
        let mut log = folder.join("output");
        match proxy {
            Proxy::Origin | Proxy::OriginSigned => drop(command.args(["serve", "--config"]).arg(&config)),
            Proxy::Nginx => {
                log = folder.join("nginx.log");
                command.arg("-c").arg(&config);
            }
            Proxy::Haproxy => drop(command.args(["-db", "-f"]).arg(&config)),
            Proxy::Caddy => {
                log = folder.join("caddy.log");
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&config);
                command.env("GOMAXPROCS", "2").env("XDG_DATA_HOME", &folder).env("XDG_CONFIG_HOME", &folder);
            }
            Proxy::Varnish => {
                command.args(["-F", "-s", "malloc,256m", "-p", "thread_pools=2", "-n"]).arg(folder.join("work"));
                command.args(["-a", &http.to_string(), "-f"]).arg(&config);
            }
            Proxy::Pingora => {
                log = folder.join("pingora.log");
                command.args([http, https, self.app].map(|a| a.to_string()));
                command.arg(&files.cert).arg(&files.key).arg(&log);
            }
        }
        let mut running =
            Running::start(&mut command, &folder.join("output"), folder.join("errors")).map_err(failed)?;
        let addresses = [http, https];
        let addresses = if proxy.has_tls() { &addresses[..] } else { &addresses[..1] };
        running.listens(addresses).map_err(|e| format!("{} {e}", proxy.name()))?;
        Ok(Peer { proxy, running, http, https, log })
    }

    /// A way to connect to a proxy.
    pub(crate) fn link(&self, peer: &Peer, tls: bool) -> Result<Link, String> {
        let tls = if tls { Some(link::tls(&self.credentials.ca)?) } else { None };
        Ok(Link { address: peer.address(tls.is_some()), tls })
    }

    /// The fields that go with a request: the Worker's signature, where it is to be signed. Good for five minutes.
    pub(crate) fn fields(&self, peer: &Peer, tls: bool, path: &str) -> Vec<(String, String)> {
        if peer.proxy != Proxy::OriginSigned {
            return Vec::new();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let id = RequestId::from_random((u128::from(now) << 64 | 7).to_be_bytes());
        let client = SocketAddr::from(([203, 0, 113, 7], 0)).ip();
        let facts = EdgeFacts { client, id, country: None, asn: None, ruleset: None, cleared: false }.to_string();
        let authority = peer.address(tls).to_string();
        let message = Message { method: "GET", authority: &authority, path, query: None, facts: &facts };
        let signed = self.keys.signing().sign(&message, now);
        let pairs =
            [("edge-facts", facts.as_str()), ("signature-input", &signed.input), ("signature", &signed.signature)];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// What each program says of its version.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        let said = |program: &PathBuf, argument: &str| -> String {
            let output = Command::new(program).arg(argument).output().ok();
            let text = output.map(|o| [o.stdout, o.stderr].concat()).unwrap_or_default();
            String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
        };
        let mut versions = BTreeMap::from([("h2load".to_owned(), said(&self.h2load, "--version"))]);
        for (proxy, program) in &self.programs {
            let version = match proxy {
                Proxy::Origin | Proxy::OriginSigned => said(program, "--version"),
                Proxy::Nginx | Proxy::Haproxy => said(program, "-v"),
                Proxy::Varnish => said(program, "-V"),
                Proxy::Caddy => said(program, "version"),
                Proxy::Pingora => pingora::version(&Toolchain::workspace()),
            };
            versions.insert(proxy.name().to_owned(), version);
        }
        versions
    }
}
