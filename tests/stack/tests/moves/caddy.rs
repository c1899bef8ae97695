//! Moving from Caddy, by docs/deploy.md: the steps in their order, each forth and back, while visitors come.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::Full;
use rustix::process::{Pid, Signal, kill_process};
use stack::gateway::Gateway;
use stack::keys::{Authority, Credentials, ExtendedKeyUsagePurpose};
use stack::toolchain::Toolchain;
use tempfile::TempDir;

use crate::app::{self, App};
use crate::client::{Client, HOST, trusting};
use crate::machine::{Machine, can_be_had};

const SERVER: &str = "198.51.100.1";
const VISITOR: &str = "203.0.113.7";
/// Requests a second, each on a new connection, while anything is done.
const PER_SECOND: u32 = 50;

/// The server with the app and Caddy, and visitors.
struct Site {
    server: Machine,
    outside: Machine,
    credentials: Credentials,
    caddy: PathBuf,
    running: Option<Child>,
    gateway: Option<Gateway>,
    binary: PathBuf,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let progress = |line: &str| println!("{line}");
        let binary = stack::gateway::build(&Toolchain::workspace(), &progress).expect("it builds");
        let caddy = stack::toolchain::caddy(&progress).expect("Caddy");
        let (server, outside) = (Machine::new(), Machine::new());
        server.cable(&outside, "wan0");
        server.run(&format!("ip addr add {SERVER}/24 dev wan0; ip route add default via 198.51.100.2"));
        outside.run(&format!("ip addr add 198.51.100.2/24 dev wan0; ip addr add {VISITOR}/32 dev lo"));
        drop(server.host(|| app::serve(Arc::new(App::default()), SocketAddr::from(([127, 0, 0, 1], 3000)))));
        let folder = tempfile::tempdir().expect("a folder");
        firewall(&server, folder.path());
        let credentials = Credentials::make(folder.path()).expect("made");
        fs::create_dir(folder.path().join("static")).expect("made");
        fs::write(folder.path().join("static/app.css"), "body { color: black }\n").expect("written");
        let mut site = Self { server, outside, credentials, caddy, running: None, gateway: None, binary, folder };
        site.write_caddyfile("");
        site.start_caddy();
        site
    }

    /// Caddy's configuration before the move, with these further options of its servers.
    fn write_caddyfile(&self, servers: &str) {
        let folder = self.folder.path().display();
        let clear = if servers.is_empty() { "" } else { "header Alt-Svc clear" };
        let files = &self.credentials.files;
        let text = format!(
            "{{\nauto_https off\nstorage file_system {folder}/caddy\ngrace_period 5s\n{servers}\n}}\n\
             {HOST} {{\ntls {} {}\n{clear}\nlog {{\noutput file {folder}/access.log\nformat json\n}}\n\
             handle_path /static/* {{\nroot * {folder}/static\nfile_server\n}}\n\
             handle /only-caddys {{\nheader X-Extra 1\nreverse_proxy 127.0.0.1:3000\n}}\n\
             handle {{\nreverse_proxy 127.0.0.1:3000\n}}\n}}\n",
            files.cert.display(),
            files.key.display(),
        );
        fs::write(self.folder.path().join("Caddyfile"), text).expect("written");
    }

    fn start_caddy(&mut self) {
        let mut command = self.server.command(&self.caddy);
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(self.folder.path().join("Caddyfile"));
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("caddy.log"));
        command.env("HOME", self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log"));
        self.running = Some(command.spawn().expect("it starts"));
        // Somebody listens on 443, who need not be answered by it yet.
        self.until("Caddy listens", |site| site.server.run("ss -Hltnp 'sport = :443'").contains("caddy"));
    }

    /// As `systemctl stop caddy` does.
    fn stop_caddy(&mut self) {
        let mut child = self.running.take().expect("it runs");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process");
        kill_process(pid, Signal::TERM).expect("it lives");
        child.wait().expect("it ends");
    }

    /// The gateway's configuration, with where it listens.
    fn write_configuration(&self, https: &str) -> PathBuf {
        let folder = self.folder.path();
        let files = &self.credentials.files;
        let text = format!(
            "listen = {{ https = [{https}], cores = 1 }}\ntls = {{ cert = {:?}, key = {:?} }}\n\
             admin.listen = \"127.0.0.1:9180\"\nacme = {{ storage = {:?}, directory = \"https://127.0.0.1:1/dir\" }}\n\
             [[site]]\nhosts = [\"{HOST}\"]\napp = \"127.0.0.1:3000\"\nstatic = {:?}\n\
             [[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:3000\"\nacme_ask = \"http://127.0.0.1:3000/ask\"\n",
            files.cert,
            files.key,
            folder.join("acme"),
            folder.join("static"),
        );
        let file = folder.join("origin.toml");
        fs::write(&file, text).expect("written");
        file
    }

    /// `systemctl reload origin`, after which it serves as its configuration says.
    fn reload(&self, https: &str) {
        self.write_configuration(https);
        let before = self.listening();
        self.gateway.as_ref().expect("it runs");
        let pids = self.server.run("pidof origin || true");
        for pid in pids.split_whitespace() {
            let pid = Pid::from_raw(pid.parse().expect("a number")).expect("a process");
            let ours = self.of_this_site(pid);
            if ours {
                kill_process(pid, Signal::HUP).expect("it lives");
            }
        }
        self.until("it has been reloaded", |site| site.listening() != before);
    }

    /// Whether a process runs on our server: others' gateways go by the same name.
    fn of_this_site(&self, pid: Pid) -> bool {
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        namespace(&pid.as_raw_nonzero().to_string()) == namespace(&self.server.pid().to_string())
    }

    /// The ports at which a gateway listens.
    fn listening(&self) -> Vec<u16> {
        let said = self.server.run("ss -Hltnp | grep '\"origin\"' || true");
        let mut ports: Vec<u16> =
            said.lines().filter_map(|line| line.split_whitespace().nth(3)?.rsplit(':').next()?.parse().ok()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    #[track_caller]
    fn until(&self, what: &str, mut is: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !is(self) {
            assert!(began.elapsed() < Duration::from_secs(20), "not so within 20 s: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn client(&self) -> Client {
        let server = format!("{SERVER}:443").parse().expect("an address");
        let from: IpAddr = VISITOR.parse().expect("an address");
        Client { server, from, tls: Some(trusting(&self.credentials.ca)) }
    }

    /// A field of the answer to a visitor.
    fn field(&self, name: &'static str) -> String {
        let client = self.client();
        let ask = || async move { client.ask(Request::get("/who").body(Full::default()).expect("good")).await };
        let answer = self.outside.host(ask).join().expect("no panic").expect("an answer");
        answer.headers().get(name).map_or("", |value| value.to_str().expect("text")).to_owned()
    }

    fn answers_by_caddy(&self) -> bool {
        self.field("server") == "Caddy"
    }

    /// Does something while visitors come, none of whom may lose a request.
    fn without_loss(&mut self, what: &str, does: impl FnOnce(&mut Self)) {
        let client = self.client();
        let slow = self.client();
        // One of them sends for as long as it takes, on one connection.
        let load = self.outside.host(move || async move {
            let sent = async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                let request = Request::post("/send").body(Full::from(vec![b'a'; 1 << 20])).expect("good");
                slow.ask(request).await.map(|answer| answer.into_body())
            };
            tokio::join!(client.load("/who", PER_SECOND, Duration::from_secs(3)), sent)
        });
        std::thread::sleep(Duration::from_secs(1));
        let began = Instant::now();
        does(self);
        let took = began.elapsed();
        let ((all, lost), sent) = load.join().expect("no panic");
        println!("caddy    {what}: {} of {all} lost, the step took {} ms", lost.len(), took.as_millis());
        assert!(lost.is_empty() && all >= 2 * PER_SECOND, "{what}: {lost:?}");
        assert_eq!(sent.expect("taken"), "1048576 bytes", "{what}");
    }

    /// One of the scripts, on the server.
    fn script(&self, name: &str, arguments: &str) -> (Option<i32>, String) {
        let script = Toolchain::workspace().join("deploy/caddy").join(name);
        let output = self.server.command("sh").args(["-c", &format!("{} {arguments} 2>&1", script.display())]).output();
        let output = output.expect("sh");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            println!("{}", fs::read_to_string(self.folder.path().join("caddy.log")).unwrap_or_default());
        }
        // A successor is nobody's child.
        for pid in self.server.run("pidof origin || true").split_whitespace() {
            if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw).filter(|pid| self.of_this_site(*pid)) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// The server's own firewall, with 80 and 443 open to everyone.
fn firewall(server: &Machine, folder: &Path) {
    let deploy = Toolchain::workspace().join("deploy");
    let rules = fs::read_to_string(deploy.join("firewall/nftables.conf")).expect("read");
    fs::write(folder.join("nftables.conf"), rules.replace("/etc/firewall", &folder.display().to_string()))
        .expect("written");
    fs::write(folder.join("cloudflare.nft"), "").expect("written");
    fs::write(folder.join("site.nft"), "add element inet site everyone { 80, 443 }\n").expect("written");
    server.run(&format!("PATH=$PATH:/usr/sbin nft -f {}", folder.join("nftables.conf").display()));
}

#[test]
fn from_caddy_and_back_without_a_lost_request() {
    if !can_be_had() {
        return;
    }
    let mut site = Site::new();
    assert!(site.field("alt-svc").contains("h3="), "as Caddy comes: {}", site.field("alt-svc"));

    site.without_loss("Caddy takes HTTP/3 back", |site| {
        site.write_caddyfile("servers {\nprotocols h1 h2\n}");
        let file = site.folder.path().join("Caddyfile");
        let reload =
            site.server.command(&site.caddy).args(["reload", "--adapter", "caddyfile", "--config"]).arg(file).output();
        assert!(reload.expect("caddy").status.success());
    });
    assert_eq!(site.field("alt-svc"), "clear");

    site.without_loss("the gateway is started beside it", |site| {
        let file = site.write_configuration("\"[::]:8443\"");
        let program = site.server.program(&site.binary, site.folder.path());
        site.gateway = Some(Gateway::start(&program, &file, None).expect("it serves"));
    });
    assert!(site.answers_by_caddy());
    certificates_are_imported(&site);
    answers_are_compared(&site);

    for _ in 0..2 {
        site.without_loss("switched to the gateway", |site| {
            let (code, said) = site.script("switch", "origin");
            assert_eq!((code, &*said), (Some(0), "new connections for port 443 go to the gateway, :8443\n"));
        });
        assert!(!site.answers_by_caddy());
        site.without_loss("switched back to Caddy", |site| {
            let (code, said) = site.script("switch", "caddy");
            assert_eq!((code, &*said), (Some(0), "new connections for port 443 go to Caddy\n"));
        });
        assert!(site.answers_by_caddy());
    }
    let (code, said) = site.script("switch", "origin 8444");
    assert!(code == Some(1) && said.contains("nobody listens on port 8444"), "{said}");
    assert_eq!(site.script("switch", "").1, "new connections for port 443 go to Caddy\n");

    site.without_loss("Caddy stopped, and the gateway on its port", |site| {
        assert_eq!(site.script("switch", "origin").0, Some(0));
        site.stop_caddy();
        site.reload("\"[::]:443\", \"[::]:8443\"");
        assert_eq!(site.script("switch", "caddy").0, Some(0));
    });
    assert!(!site.answers_by_caddy());
    assert_eq!(site.listening(), [443, 8443, 9180]);
    let other = site.client().at(format!("{SERVER}:8443").parse().expect("an address"));
    let other = async move || tokio::time::timeout(Duration::from_secs(2), other.get("/who")).await;
    assert!(site.outside.host(other).join().expect("no panic").is_err(), "the other port was never open to the world");

    site.without_loss("and back to Caddy from there", |site| {
        assert_eq!(site.script("switch", "origin").0, Some(0));
        site.reload("\"[::]:8443\"");
        // What still comes to the old process is answered before it lets go of the port.
        site.until("the port is free", |site| !site.listening().contains(&443));
        site.start_caddy();
        assert_eq!(site.script("switch", "caddy").0, Some(0));
    });
    assert!(site.answers_by_caddy());
}

/// What Caddy has of creators' certificates is taken over while both run, and shown by the gateway.
fn certificates_are_imported(site: &Site) {
    let name = "creator.example";
    let authority = Authority::new("of a CA").expect("made");
    let (cert, key) = authority.issue(&[name], ExtendedKeyUsagePurpose::ServerAuth).expect("issued");
    let store = site.folder.path().join("caddy/certificates/ca.example-directory").join(name);
    fs::create_dir_all(&store).expect("made");
    fs::write(store.join(format!("{name}.crt")), cert).expect("written");
    fs::write(store.join(format!("{name}.key")), key).expect("written");
    fs::write(store.join(format!("{name}.json")), "{}").expect("written");
    let mut command = site.server.command(&site.binary);
    command
        .arg("import-caddy")
        .arg(site.folder.path().join("caddy"))
        .arg("--config")
        .arg(site.folder.path().join("origin.toml"));
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.ends_with("1 taken over, 0 kept, 0 refused\n"), "{said}");
    let ca = authority.pem;
    let handshake = site.server.host(move || async move {
        let stream = tokio::net::TcpStream::connect("127.0.0.1:8443").await.expect("it accepts");
        let name = rustls_pki_types::ServerName::try_from("creator.example").expect("a name");
        trusting(&ca).connect(name, stream).await.map(drop)
    });
    handshake.join().expect("no panic").expect("its own certificate");
}

/// What the log has is asked of both.
fn answers_are_compared(site: &Site) {
    let client = site.client();
    let visits = site.outside.host(move || async move {
        for target in ["/page", "/who?a=1", "/static/app.css", "/only-caddys"] {
            client.get(target).await.expect("an answer");
        }
    });
    visits.join().expect("no panic");
    let log = site.folder.path().join("access.log");
    let ca = site.credentials.files.ca.display();
    let compare = |more: &str| site.script("compare.py", &format!("--ca {ca} {more} {}", log.display()));
    // What the gateway says of static files, and Caddy does not.
    let own =
        "--ignore etag --ignore cache-control --ignore cross-origin-resource-policy --ignore x-content-type-options";
    let (code, said) = compare("");
    assert!(code == Some(1) && said.contains("cache-control: – → public, max-age=0, must-revalidate\n"), "{said}");
    let (code, said) = compare(own);
    println!("{said}");
    assert!(code == Some(1) && said.contains("GET makenot.work/only-caddys\n  x-extra: 1 → –\n"), "{said}");
    assert!(said.contains(" 1 differ, 0 differ at Caddy itself"), "what differs, and nothing else: {said}");
    assert!(!said.contains("a=1"), "queries are not shown: {said}");
    let (code, said) = compare(&format!("{own} --ignore x-extra"));
    assert!(code == Some(0) && said.contains(" 0 differ, 0 differ at Caddy itself"), "{said}");
    let (code, said) = compare("--origin 127.0.0.1:1");
    assert!(code == Some(75) && said.contains("Connection refused"), "{said}");
    fs::write(site.folder.path().join("none.log"), "not json\n{}\n").expect("written");
    let (code, said) = site.script("compare.py", &site.folder.path().join("none.log").display().to_string());
    assert!(code == Some(2) && said.contains("no GET among 2 lines"), "{said}");
}
