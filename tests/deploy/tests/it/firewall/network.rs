//! A server and its clients, each in a network namespace: two cables between them, one of a private network.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use deploy::{Needed, deploy, have, is_root};

const NEEDED: [Needed; 4] = [
    Needed { program: "nft", package: "nftables" },
    Needed { program: "ip", package: "iproute2" },
    Needed { program: "ping", package: "iputils-ping" },
    Needed { program: "python3", package: "python3-minimal" },
];

/// What the server listens on: what the firewall may open, the app, PostgreSQL and the private listener.
const PORTS: &str = "22 80 443 3000 5432 9180";

/// How long a client waits for an answer, in seconds, before it takes the packet for dropped.
const PATIENCE: u8 = 3;

/// Both namespaces, for as long as this lives.
pub(crate) struct Network {
    server: Child,
    client: Child,
    listener: Child,
    folder: tempfile::TempDir,
}

impl Network {
    /// Makes it, or says why it can't be made where we are not root.
    pub(crate) fn new() -> Option<Self> {
        if !is_root() {
            assert!(std::env::var_os("CI").is_none(), "network namespaces need root");
            eprintln!("left out: network namespaces need root");
            return None;
        }
        have(&NEEDED);
        let folder = tempfile::tempdir().unwrap();
        // The configuration as it is, but for where it lies.
        let path = folder.path().display().to_string();
        let rules = fs::read_to_string(deploy().join("firewall/nftables.conf")).unwrap();
        fs::write(folder.path().join("nftables.conf"), rules.replace("/etc/firewall", &path)).unwrap();
        fs::copy(deploy().join("firewall/site.example.nft"), folder.path().join("site.nft")).unwrap();
        fs::copy(deploy().join("cloudflare/ranges.txt"), folder.path().join("cloudflare-ranges.txt")).unwrap();

        let (server, client) = (namespace(), namespace());
        let listener = Command::new("true").spawn().unwrap();
        let mut network = Self { server, client, listener, folder };
        let (s, c) = (network.server.id(), network.client.id());
        for command in [
            format!("ip link add wan0 netns {s} type veth peer name wan0 netns {c}"),
            format!("ip link add priv0 netns {s} type veth peer name priv0 netns {c}"),
        ] {
            assert!(network.server(&command).0, "{command}");
        }
        let up =
            "for device in lo wan0 priv0; do ip link set $device up; done; sysctl -qw net.ipv6.conf.all.accept_dad=0;";
        let (ok, said) = network.server(&format!(
            "{up} ip addr add 198.51.100.1/24 dev wan0; ip addr add 2001:db8::1/64 dev wan0 nodad; ip addr add 100.64.0.1/24 dev priv0
             ip route add default via 198.51.100.2; ip -6 route add default via 2001:db8::2"
        ));
        assert!(ok, "{said}");
        let (ok, said) = network.client(&format!(
            "{up} ip addr add 198.51.100.2/24 dev wan0; ip addr add 2001:db8::2/64 dev wan0 nodad; ip addr add 100.64.0.7/24 dev priv0
             ip addr add 104.16.0.5/32 dev lo; ip addr add 203.0.113.7/32 dev lo
             ip addr add 2606:4700::5/128 dev lo nodad; ip addr add 2001:db8:f::7/128 dev lo nodad"
        ));
        assert!(ok, "{said}");
        network.listener = network.listen();
        network
            .server("for n in $(seq 100); do [ $(ss -Hltn | wc -l) = 6 ] && exit; sleep 0.1; done; exit 1")
            .0
            .then_some(network)
    }

    /// The folder that stands for `/etc/firewall`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write_site(&self, text: &str) {
        fs::write(self.folder.path().join("site.nft"), text).unwrap();
    }

    /// Runs `firewall`, and gives what it said; where it failed, as the error.
    pub(crate) fn load(&self) -> Result<String, String> {
        self.firewall("", "")
    }

    /// Runs `firewall refresh` with these lines of shell in place of `origin ranges refresh FILE`.
    pub(crate) fn refresh(&self, origin: &str) -> Result<String, String> {
        let program: PathBuf = self.folder.path().join("origin");
        fs::write(&program, format!("#!/bin/sh\n{origin}\n")).unwrap();
        self.firewall(&format!("chmod +x {0}; export ORIGIN={0};", program.display()), "refresh")
    }

    fn firewall(&self, before: &str, argument: &str) -> Result<String, String> {
        let folder = self.folder.path().display();
        let script = deploy().join("firewall/firewall");
        let lines = format!("{before} FIREWALL={folder} RULES={folder}/nftables.conf {} {argument}", script.display());
        let (ok, said) = self.server(&lines);
        if ok { Ok(said) } else { Err(said) }
    }

    /// Runs lines of bash on the server; both streams.
    pub(crate) fn server(&self, lines: &str) -> (bool, String) {
        inside(&self.server, lines)
    }

    /// Runs lines of bash on the clients' side; both streams.
    pub(crate) fn client(&self, lines: &str) -> (bool, String) {
        inside(&self.client, lines)
    }

    /// The ports that clients at these addresses reach. All are tried at once.
    pub(crate) fn open(&self, addresses: &[&str]) -> Vec<Vec<u16>> {
        let pairs: Vec<_> =
            addresses.iter().map(|address| format!("('{}', '{address}')", server_for(address))).collect();
        let python = format!(
            "import socket
from concurrent.futures import ThreadPoolExecutor
def tries(server, address, port):
    try:
        with socket.create_connection((server, port), timeout={PATIENCE}, source_address=(address, 0)) as s:
            return s.recv(5) == b'hello'
    except TimeoutError:
        return False
ports = [int(p) for p in '{PORTS}'.split()]
with ThreadPoolExecutor(64) as pool:
    found = [[(p, pool.submit(tries, *pair, p)) for p in ports] for pair in [{}]]
    for one in found: print(*[p for p, it in one if it.result()])",
            pairs.join(", ")
        );
        let (ok, said) = self.client(&format!("python3 - <<'PY'\n{python}\nPY"));
        // Refused, and not dropped, ends with an exception.
        assert!(ok, "{said}");
        said.lines().map(|line| line.split_whitespace().map(|port| port.parse().unwrap()).collect()).collect()
    }

    /// Whether a connection that is open before `change` carries bytes after it.
    pub(crate) fn stays_open_over(
        &self,
        address: &str,
        port: u16,
        change: impl FnOnce() -> Result<(), String>,
    ) -> bool {
        let server = server_for(address);
        let python = format!(
            "import socket
s = socket.create_connection(('{server}', {port}), timeout=10, source_address=('{address}', 0))
assert s.recv(5) == b'hello'
print('open', flush=True)
input()
s.sendall(b'again')
assert s.recv(5) == b'again'
print('still', flush=True)"
        );
        let mut child = enter(&self.client, "python3")
            .args(["-c", &python])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let opened = lines.next().is_some_and(|line| line.is_ok_and(|line| line == "open"));
        change().unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"\n");
        let still = lines.next().is_some_and(|line| line.is_ok_and(|line| line == "still"));
        let _ = child.wait();
        opened && still
    }

    /// A program that listens on all ports, says hello, and repeats what it hears.
    fn listen(&self) -> Child {
        let python = format!(
            "import socket, threading
def serve(connection):
    connection.sendall(b'hello')
    while said := connection.recv(100): connection.sendall(said)
def accept(listener):
    while True: threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
for port in [int(p) for p in '{PORTS}'.split()]:
    listener = socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True)
    threading.Thread(target=accept, args=[listener]).start()"
        );
        enter(&self.server, "python3").args(["-c", &python]).spawn().unwrap()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // With its last process a namespace goes, and with it the cables.
        for child in [&mut self.listener, &mut self.server, &mut self.client] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The server's address for a client at this one.
fn server_for(address: &str) -> &'static str {
    match address {
        _ if address.contains(':') => "2001:db8::1",
        _ if address.starts_with("100.64.") => "100.64.0.1",
        _ => "198.51.100.1",
    }
}

/// A process that does nothing but hold a network namespace. It says when it is in it.
fn namespace() -> Child {
    let mut child = Command::new("unshare")
        .args(["--net", "sh", "-c", "echo in; exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "in\n");
    child
}

/// A command in the namespace of this process.
fn enter(holder: &Child, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg("--target").arg(holder.id().to_string()).args(["--net", program]);
    command
}

fn inside(holder: &Child, lines: &str) -> (bool, String) {
    let output = enter(holder, "bash").args(["-c", lines]).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.success(), said)
}
