//! DNS servers on loopback, which ask nobody: dnsmasq, which knows what it is told, and BIND's, which knows a zone file.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Needed, have};

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Dns {
    child: Child,
    /// Where it answers: `SERVER#PORT`.
    pub address: String,
}

impl Dns {
    /// With these records, as dnsmasq's arguments.
    ///
    /// # Panics
    /// Where it can't be started.
    #[must_use]
    pub fn start(records: &[String]) -> Self {
        have(&[
            Needed { program: "dig", package: "bind9-dnsutils" },
            Needed { program: "dnsmasq", package: "dnsmasq-base" },
        ]);
        let address = stack::ports::free().expect("a free port");
        let port = address.port();
        let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
        let child = Command::new("dnsmasq")
            .env("PATH", path)
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--local=/#/",
                "--pid-file=",
            ])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces", &format!("--port={port}")])
            .args(records)
            .stdin(Stdio::null())
            .spawn()
            .expect("dnsmasq can be started");
        Self::when_it_listens(child, address)
    }

    /// BIND's, with this zone file as it is; what it needs besides is written into `folder`.
    ///
    /// # Panics
    /// Where it can't be started, or does not take the file.
    #[must_use]
    pub fn of_zone(zone: &str, file: &Path, folder: &Path) -> Self {
        have(&[Needed { program: "dig", package: "bind9-dnsutils" }, Needed { program: "named", package: "bind9" }]);
        let address = stack::ports::free().expect("a free port");
        let text = format!(
            "options {{\n  directory {folder:?};\n  session-keyfile {key:?};\n  pid-file none;\n  listen-on port {port} {{ 127.0.0.1; }};\n  \
             listen-on-v6 {{ none; }};\n  recursion no;\n  notify no;\n  dnssec-validation no;\n}};\ncontrols {{ }};\nzone {zone:?} {{\n  type primary;\n  file {file:?};\n}};\n",
            key = folder.join("session.key"),
            port = address.port(),
        );
        let configuration = folder.join("named.conf");
        fs::write(&configuration, text).expect("written");
        let log = fs::File::create(folder.join("named.log")).expect("made");
        let child = Command::new("named")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["-g", "-c"])
            .arg(configuration)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("named can be started");
        let dns = Self::when_it_listens(child, address);
        // It listens before it knows the zone.
        let until = Instant::now() + Duration::from_secs(60);
        while !fs::read_to_string(folder.join("named.log")).is_ok_and(|log| log.contains(" all zones loaded")) {
            assert!(Instant::now() < until, "named does not load the zone; it says why in named.log");
            sleep(Duration::from_millis(20));
        }
        dns
    }

    fn when_it_listens(mut child: Child, address: SocketAddr) -> Self {
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the DNS server ended; it says why above, or in named.log");
            assert!(Instant::now() < until, "the DNS server does not listen");
            sleep(Duration::from_millis(20));
        }
        Self { child, address: format!("127.0.0.1#{}", address.port()) }
    }

    /// What `dig` is answered for a name and a type, a line for each record, in order.
    ///
    /// # Panics
    /// Where nobody answers.
    #[must_use]
    pub fn ask(&self, name: &str, kind: &str) -> Vec<String> {
        let (server, port) = self.address.split_once('#').expect("as it was written");
        let output = Command::new("dig")
            .args(["+short", "+norecurse", "+tries=3", "+timeout=5", "-p", port, &format!("@{server}"), name, kind])
            .output()
            .expect("dig can be run");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        let mut lines: Vec<String> = said.lines().map(ToOwned::to_owned).collect();
        lines.sort();
        lines
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
