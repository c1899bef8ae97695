//! The server with the app and Caddy, the gateway that comes beside it, and visitors.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::Full;
use rustix::process::{Pid, Signal, kill_process};
use stack::gateway::Gateway;
use stack::keys::Credentials;
use stack::toolchain::Toolchain;
use tempfile::TempDir;

use crate::app::{self, App};
use crate::client::{Client, HOST};
use crate::machine::{Machine, firewall};

pub(super) const SERVER: &str = "198.51.100.1";
const VISITOR: &str = "203.0.113.7";
/// Requests a second over TLS and in clear text, each on a new connection, while anything is done.
const PER_SECOND: [u32; 2] = [50, 20];

/// The server and those outside.
pub(super) struct Site {
    pub(super) server: Machine,
    pub(super) outside: Machine,
    pub(super) credentials: Credentials,
    /// Whether Cloudflare, who the visitors are, shows the zone's certificate to a server that asks for one.
    pub(super) pulls: bool,
    pub(super) gateway: Option<Gateway>,
    pub(super) caddy: PathBuf,
    pub(super) binary: PathBuf,
    pub(super) folder: TempDir,
}

impl Site {
    /// With Caddy on its ports.
    pub(super) fn new() -> Self {
        let progress = |line: &str| println!("{line}");
        let binary = stack::gateway::build(&Toolchain::workspace(), &progress).expect("it builds");
        let caddy = stack::toolchain::caddy(&progress).expect("Caddy");
        let (server, outside) = (Machine::new(), Machine::new());
        server.cable(&outside, "wan0");
        server.run(&format!("ip addr add {SERVER}/24 dev wan0; ip route add default via 198.51.100.2"));
        outside.run(&format!("ip addr add 198.51.100.2/24 dev wan0; ip addr add {VISITOR}/32 dev lo"));
        drop(server.host(|| app::serve(Arc::new(App::default()), SocketAddr::from(([127, 0, 0, 1], 3000)))));
        let folder = tempfile::tempdir().expect("a folder");
        firewall(&server, folder.path(), "add element inet site everyone { 80, 443 }\n");
        systemctl(&caddy, folder.path());
        let credentials = Credentials::make(folder.path()).expect("made");
        fs::create_dir(folder.path().join("static")).expect("made");
        fs::write(folder.path().join("static/app.css"), "body { color: black }\n").expect("written");
        server.run("sysctl -q -w net.ipv4.tcp_migrate_req=1");
        let site = Self { server, outside, credentials, pulls: false, gateway: None, caddy, binary, folder };
        site.write_caddyfile("");
        let (code, said) = site.shell("systemctl enable --now caddy");
        assert_eq!(code, Some(0), "{said}");
        site
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Caddy's configuration before the move, with these further options of its servers. It sends those who come to port 80 to https.
    pub(super) fn write_caddyfile(&self, servers: &str) {
        let folder = self.folder.path().display();
        let clear = if servers.is_empty() { "" } else { "header Alt-Svc clear" };
        let files = &self.credentials.files;
        let text = format!(
            "{{\nauto_https disable_certs\nstorage file_system {folder}/caddy\ngrace_period 5s\n{servers}\n}}\n\
             {HOST} {{\ntls {} {}\n{clear}\nlog {{\noutput file {folder}/access.log\nformat json\n}}\n\
             handle_path /static/* {{\nroot * {folder}/static\nfile_server\n}}\n\
             handle /only-caddys {{\nheader X-Extra 1\nreverse_proxy 127.0.0.1:3000\n}}\n\
             handle {{\nreverse_proxy 127.0.0.1:3000\n}}\n}}\n",
            files.cert.display(),
            files.key.display(),
        );
        fs::write(self.path("Caddyfile"), text).expect("written");
    }

    /// `caddy reload`, after which it serves by the file as it is now.
    pub(super) fn reload_caddy(&self) {
        let mut command = self.server.command(&self.caddy);
        let output =
            command.args(["reload", "--adapter", "caddyfile", "--config"]).arg(self.path("Caddyfile")).output();
        let output = output.expect("caddy");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The gateway's configuration, as it is beside Caddy: behind Cloudflare, as the one that is shipped, and creators' domains for everybody.
    pub(super) fn write_configuration(&self) {
        let files = &self.credentials.files;
        let text = format!(
            "listen.https = [\"[::]:8443\"]\nlisten.redirect = [\"[::]:8080\"] # as docs/deploy.md has it\nlisten.cores = 1\n\
             tls = {{ cert = {:?}, key = {:?}, client_ca = {:?} }}\n\
             admin.listen = \"127.0.0.1:9180\"\nacme = {{ storage = {:?}, directory = \"https://127.0.0.1:1/dir\" }}\n\
             [[site]]\nhosts = [\"{HOST}\"]\napp = \"127.0.0.1:3000\"\nstatic = {:?}\ntrust = \"cloudflare\"\n\
             [[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:3000\"\nacme_ask = \"http://127.0.0.1:3000/ask\"\n",
            files.cert,
            files.key,
            files.client_ca,
            self.path("acme"),
            self.path("static"),
        );
        fs::write(self.path("origin.toml"), text).expect("written");
    }

    /// Its lines that say where it listens, and what somebody wrote above them.
    pub(super) fn listen_lines(&self) -> String {
        let text = fs::read_to_string(self.path("origin.toml")).expect("read");
        text.split_once("listen.cores").expect("as it was written").0.to_owned()
    }

    /// `systemctl start origin`.
    pub(super) fn start_gateway(&mut self) {
        let file = self.path("origin.toml");
        let program = self.server.program(&self.binary, self.folder.path());
        self.gateway = Some(Gateway::start(&program, &file, None).expect("it serves"));
    }

    /// Whether a process runs on our server: others' gateways go by the same name.
    fn of_this_site(&self, pid: Pid) -> bool {
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        namespace(&pid.as_raw_nonzero().to_string()) == namespace(&self.server.pid().to_string())
    }

    /// The ports at which a program listens.
    pub(super) fn ports_of(&self, program: &str) -> Vec<u16> {
        let said = self.server.run(&format!("ss -Hltnp | grep '\"{program}\"' || true"));
        let mut ports: Vec<u16> =
            said.lines().filter_map(|line| line.split_whitespace().nth(3)?.rsplit(':').next()?.parse().ok()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// A visitor over TLS, who is Cloudflare.
    pub(super) fn client(&self) -> Client {
        let identity = self.pulls.then_some(&self.credentials.client);
        let tls = stack::link::tls_as(&self.credentials.ca, identity).expect("an authority");
        Client { tls: Some(tls), ..clear(443) }
    }

    /// A field of the answer to a visitor, or why there is none.
    pub(super) fn field(&self, client: Client, name: &'static str) -> Result<String, String> {
        let ask = || async move { client.ask(Request::get("/who").body(Full::default()).expect("good")).await };
        let answer = self.outside.host(ask).join().expect("no panic")?;
        Ok(answer.headers().get(name).map_or("", |value| value.to_str().expect("text")).to_owned())
    }

    /// Who answers at both ports, Caddy or the gateway; it is the same at both.
    #[track_caller]
    pub(super) fn answers_by_caddy(&self) -> bool {
        let by_caddy = [self.client(), clear(80)].map(|client| {
            let server = self.field(client, "server").expect("an answer");
            server == "Caddy"
        });
        assert_eq!(by_caddy[0], by_caddy[1], "one port is Caddy's, and one is not");
        by_caddy[0]
    }

    /// Does something while visitors come, none of whom may lose a request.
    pub(super) fn without_loss(&mut self, what: &str, does: impl FnOnce(&mut Self)) {
        let over = Arc::new(AtomicBool::new(false));
        let (secure, slow, clear) = (self.client(), self.client(), clear(80));
        let told = Arc::clone(&over);
        // One of them sends on one connection.
        let load = self.outside.host(move || async move {
            let goes_on = || !told.load(Ordering::SeqCst);
            let sent = async {
                tokio::time::sleep(Duration::from_millis(400)).await;
                let request = Request::post("/send").body(Full::from(vec![b'a'; 1 << 20])).expect("good");
                slow.ask(request).await.map(|answer| answer.into_body())
            };
            tokio::join!(secure.load("/who", PER_SECOND[0], goes_on), clear.load("/who", PER_SECOND[1], goes_on), sent)
        });
        std::thread::sleep(Duration::from_millis(500));
        let began = Instant::now();
        does(self);
        let took = began.elapsed();
        std::thread::sleep(Duration::from_millis(500));
        over.store(true, Ordering::SeqCst);
        let ((all, lost), (plain, not_sent_on), sent) = load.join().expect("no panic");
        println!(
            "caddy    {what}: {} of {all} lost, in clear text {} of {plain}, the step took {} ms",
            lost.len(),
            not_sent_on.len(),
            took.as_millis()
        );
        assert!(lost.is_empty() && all > 20, "{what}: {lost:?}");
        assert!(not_sent_on.is_empty() && plain > 8, "{what}: {not_sent_on:?}");
        assert_eq!(sent.expect("taken"), "1048576 bytes", "{what}");
    }

    /// One of the scripts, on the server.
    pub(super) fn script(&self, name: &str, arguments: &str) -> (Option<i32>, String) {
        self.script_with("", name, arguments)
    }

    /// The same, with variables.
    pub(super) fn script_with(&self, variables: &str, name: &str, arguments: &str) -> (Option<i32>, String) {
        let script = Toolchain::workspace().join("deploy/caddy").join(name);
        self.shell(&format!("{variables} {} {arguments} 2>&1", script.display()))
    }

    /// A line of shell on the server, where `systemctl` does systemd's part.
    pub(super) fn shell(&self, line: &str) -> (Option<i32>, String) {
        let mut command = self.server.command("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command.env("CONFIG", self.path("origin.toml")).env("WAIT", "20").env("HOME", self.folder.path());
        let output = command.args(["-c", line]).output().expect("sh");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// A visitor who did not write https, or would not at that port.
fn clear(port: u16) -> Client {
    let from: IpAddr = VISITOR.parse().expect("an address");
    Client { server: SocketAddr::new(SERVER.parse().expect("an address"), port), from, tls: None }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", fs::read_to_string(self.path("caddy.log")).unwrap_or_default());
        }
        // A successor is nobody's child, and Caddy its own master.
        let pids = self.server.run("pidof origin caddy || true");
        for pid in pids.split_whitespace() {
            if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw).filter(|pid| self.of_this_site(*pid)) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// systemd's part: it starts and stops Caddy and waits for that, and reloads the gateway, whose newest process is the one that serves.
fn systemctl(caddy: &Path, folder: &Path) {
    let text = format!(
        r#"#!/bin/sh
set -eu
cd {folder}
here() {{ [ "$(readlink "/proc/$1/ns/net")" = "$(readlink /proc/self/ns/net)" ]; }}
gateways() {{ for pid in $(pidof origin || true); do if here "$pid"; then echo "$pid"; fi; done; }}
has() {{ ss -Hltnp "sport = :$1" | grep -q '"caddy"'; }}
case "$*" in
    'enable --now caddy')
        {caddy} run --adapter caddyfile --config Caddyfile </dev/null >/dev/null 2>>caddy.log &
        echo $! >caddy.pid
        until has 443 && has 80; do readlink "/proc/$(cat caddy.pid)/exe" >/dev/null; sleep 0.05; done ;;
    'disable --now caddy')
        kill "$(cat caddy.pid)"
        while readlink "/proc/$(cat caddy.pid)/exe" >/dev/null 2>&1; do sleep 0.05; done ;;
    'restart caddy') "$0" disable --now caddy; "$0" enable --now caddy ;;
    'reload origin') kill -HUP "$(gateways | sort -n | tail -n 1)" ;;
    'enable origin') ;;
    *) echo "systemctl $*: unknown" >&2; exit 1 ;;
esac
"#,
        folder = folder.display(),
        caddy = caddy.display(),
    );
    let file = folder.join("bin/systemctl");
    fs::create_dir(folder.join("bin")).expect("made");
    fs::write(&file, text).expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("set");
}
