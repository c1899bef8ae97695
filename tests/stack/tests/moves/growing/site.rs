//! The two servers, the balancer before them, and who asks.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use contract::news::{self, News};
use contract::signature::{Keys, Message};
use http::{Method, Request};
use http_body_util::Full;
use stack::gateway::Gateway;
use stack::keys::Credentials;
use stack::toolchain::Toolchain;
use tempfile::TempDir;

use crate::app::{self, App};
use crate::client::{Client, HOST, text, trusting};
use crate::machine::{Machine, firewall};

/// What the world sees.
const PUBLIC: &str = "198.51.100.1:443";
/// In the private network: the balancer, the gateways, and the machine with app and operator.
const BALANCER: &str = "10.0.0.2";
pub(super) const GATEWAYS: [&str; 2] = ["10.0.0.5", "10.0.0.6"];
pub(super) const APP: &str = "10.0.0.9";
/// Clients.
pub(super) const CLIENTS: [&str; 2] = ["203.0.113.7", "203.0.113.8"];
const TOKEN: &str = "0123456789abcdef0123456789abcdef0123";

/// The site, on two servers.
pub(super) struct Site {
    pub(super) outside: Machine,
    pub(super) balancer: Machine,
    pub(super) servers: [Machine; 2],
    pub(super) inside: Machine,
    pub(super) app: Arc<App>,
    credentials: Credentials,
    pub(super) gateways: [Option<Gateway>; 2],
    haproxy: Child,
    folder: TempDir,
    binary: PathBuf,
}

impl Site {
    pub(super) fn new() -> Self {
        let progress = |line: &str| println!("{line}");
        let binary = stack::gateway::build(&Toolchain::workspace(), &progress).expect("it builds");
        let haproxy = haproxy();
        let folder = tempfile::tempdir().expect("a folder");
        let (outside, balancer, inside) = (Machine::new(), Machine::new(), Machine::new());
        let servers = [Machine::new(), Machine::new()];
        balancer.cable(&outside, "wan0");
        balancer.run("ip link add lan0 type bridge; ip link set lan0 up");
        for (machine, name, address) in
            [(&servers[0], "one0", GATEWAYS[0]), (&servers[1], "two0", GATEWAYS[1]), (&inside, "in0", APP)]
        {
            balancer.cable(machine, name);
            balancer.run(&format!("ip link set {name} master lan0"));
            machine.run(&format!("ip addr add {address}/24 dev {name}"));
        }
        balancer.run(&format!("ip addr add {BALANCER}/24 dev lan0; ip addr add 198.51.100.1/24 dev wan0; ip route add default via 198.51.100.2"));
        let [a, b] = CLIENTS;
        outside.run(&format!(
            "ip addr add 198.51.100.2/24 dev wan0; ip addr add {a}/32 dev lo; ip addr add {b}/32 dev lo"
        ));
        // As docs/deploy.md has it for the private network; nobody else reaches them.
        for (server, name) in servers.iter().zip(["one0", "two0"]) {
            let open = format!("add rule inet site input iifname \"{name}\" tcp dport {{ 443, 9180 }} accept\n");
            firewall(server, folder.path(), &open);
        }
        let app = Arc::new(App::default());
        let served = Arc::clone(&app);
        // It ends with the tests' process.
        drop(inside.host(move || app::serve(served, SocketAddr::new(ip(APP), 3000))));
        let credentials = Credentials::make(folder.path()).expect("made");
        let haproxy = balance(&balancer, &haproxy, folder.path());
        let mut site = Self {
            outside,
            balancer,
            servers,
            inside,
            app,
            credentials,
            gateways: [None, None],
            haproxy,
            folder,
            binary,
        };
        (0..2).for_each(|n| site.start(n));
        until("both are in the rotation", || site.in_rotation() == [true, true]);
        site
    }

    pub(super) fn start(&mut self, n: usize) {
        let folder = self.folder.path();
        let (files, own, other) = (&self.credentials.files, GATEWAYS[n], GATEWAYS[1 - n]);
        let text = format!(
            "listen = {{ https = [\"{own}:443\"], balancers = [\"{BALANCER}\"], cores = 1 }}\n\
             tls = {{ cert = {:?}, key = {:?} }}\n\
             edge.keys_file = {:?}\n\
             admin = {{ listen = \"{own}:9180\", token_file = {:?} }}\n\
             state.folder = {:?}\n\
             peer.admin = \"{other}:9180\"\n\
             rate.few = {{ paths = [\"/few\"], burst = 3, every = \"1h\" }}\n\
             [[site]]\nhosts = [\"{HOST}\"]\napp = \"{APP}:3000\"\n",
            files.cert,
            files.key,
            files.edge_keys,
            folder.join("token"),
            folder.join(format!("state-{n}")),
        );
        fs::write(folder.join("token"), TOKEN).expect("written");
        let file = folder.join(format!("origin-{n}.toml"));
        fs::write(&file, text).expect("written");
        let program = self.servers[n].program(&self.binary, folder);
        self.gateways[n] = Some(Gateway::start(&program, &file, None).expect("it serves"));
    }

    pub(super) fn client(&self, from: &str) -> Client {
        let tls = Some(trusting(&self.credentials.ca));
        Client { server: PUBLIC.parse().expect("an address"), from: ip(from), tls }
    }

    /// A visitor's GET, through the balancer.
    pub(super) fn get(&self, from: &str, target: &'static str) -> Result<(u16, String), String> {
        let client = self.client(from);
        self.outside.host(move || async move { client.get(target).await }).join().expect("no panic")
    }

    /// The page, from this gateway's own cache or by it, as the balancer would have it.
    pub(super) fn page_at(&self, n: usize) -> String {
        let client = self.client(APP).at(SocketAddr::new(ip(GATEWAYS[n]), 443));
        let got = self.inside.host(move || async move { client.get("/page").await }).join().expect("no panic");
        let (status, body) = got.expect("an answer");
        if status == 200 { body } else { status.to_string() }
    }

    /// What the operator asks a gateway's private listener.
    pub(super) fn order(&self, n: usize, method: Method, path: &'static str, json: &'static str) -> String {
        let admin = SocketAddr::new(ip(GATEWAYS[n]), 9180);
        let client = Client { server: admin, from: ip(APP), tls: None };
        let request = Request::builder().method(method).uri(path).header("host", admin.to_string());
        let request =
            request.header("authorization", format!("Bearer {TOKEN}")).header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(json))).expect("good");
        let answer = self.inside.host(move || async move { client.ask(request).await }).join().expect("no panic");
        text(answer.expect("an answer").body())
    }

    /// What an edge is told that knows orders up to `after`, by whichever gateway the balancer chooses.
    pub(super) fn exchange(&self, after: u64) -> News {
        let client = self.client(CLIENTS[0]);
        let keys = Keys::parse(&self.credentials.edge_keys).expect("good keys");
        let query = news::query(after);
        let facts = format!("client=\"{}\", id=\"{:032x}\"", CLIENTS[0], after);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let message = Message { method: "GET", authority: HOST, path: news::PATH, query: Some(&query), facts: &facts };
        let signed = keys.signing().sign(&message, now);
        let request = Request::get(format!("{}?{query}", news::PATH)).header("edge-facts", &facts);
        let request = request.header("signature-input", signed.input).header("signature", signed.signature);
        let request = request.body(Full::default()).expect("good");
        let answer = self.outside.host(move || async move { client.ask(request).await }).join().expect("no panic");
        let body = text(answer.expect("an answer").body());
        News::parse(&body).unwrap_or_else(|| panic!("{body}"))
    }

    /// Which gateways HAProxy sends visitors to.
    pub(super) fn in_rotation(&self) -> [bool; 2] {
        let mut said = String::new();
        // Before it is there, nobody is in its rotation.
        if let Ok(mut socket) = UnixStream::connect(self.folder.path().join("haproxy.sock")) {
            socket.write_all(b"show stat\n").expect("written");
            socket.read_to_string(&mut said).expect("read");
        }
        ["gateways,one,", "gateways,two,"]
            .map(|name| said.lines().any(|line| line.starts_with(name) && line.split(',').any(|cell| cell == "UP")))
    }

    /// Visitors who come at even times while `what` happens to the site, for 4 s: how many, and what each that got no answer was told.
    pub(super) fn under_load(&mut self, what: impl FnOnce(&mut Self)) -> (u32, Vec<String>) {
        let client = self.client(CLIENTS[1]);
        let ends = Instant::now() + Duration::from_secs(4);
        let load = self.outside.host(move || client.load("/page", 100, move || Instant::now() < ends));
        std::thread::sleep(Duration::from_secs(1));
        what(self);
        load.join().expect("no panic")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.haproxy.kill();
        let _ = self.haproxy.wait();
    }
}

#[track_caller]
pub(super) fn until(what: &str, mut is: impl FnMut() -> bool) -> Duration {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(20), "not so within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    began.elapsed()
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn haproxy() -> PathBuf {
    let progress = |line: &str| println!("{line}");
    stack::toolchain::haproxy(&progress).expect("HAProxy")
}

/// HAProxy as docs/deploy.md has it, on the balancer. One gateway's health checks bear the header, the other's do not: vendors differ.
fn balance(balancer: &Machine, haproxy: &Path, folder: &Path) -> Child {
    let [one, two] = GATEWAYS;
    let text = format!(
        "global\n  stats socket {} mode 600\ndefaults\n  mode tcp\n  retries 3\n  option redispatch 1\n  timeout connect 1s\n  timeout client 30s\n  timeout server 30s\n\
         frontend site\n  bind {PUBLIC}\n  default_backend gateways\n\
         backend gateways\n  balance roundrobin\n  option httpchk GET /readyz\n  http-check expect status 200\n  default-server check port 9180 inter 200ms fall 2 rise 2\n\
         \x20 server one {one}:443 send-proxy-v2 check-send-proxy\n  server two {two}:443 send-proxy\n",
        folder.join("haproxy.sock").display()
    );
    let file = folder.join("haproxy.cfg");
    fs::write(&file, text).expect("written");
    let log = fs::File::create(folder.join("haproxy.log")).expect("made");
    let mut command = balancer.command(haproxy);
    command.args(["-db", "-f"]).arg(file).stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
    command.spawn().expect("it starts")
}
