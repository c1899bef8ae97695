//! A DNS server on loopback: dnsmasq, which knows what it is told and asks nobody.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Needed, have};

/// It, until it is dropped.
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
        let mut child = Command::new("dnsmasq")
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
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "dnsmasq ended; what it said is above");
            assert!(Instant::now() < until, "dnsmasq does not listen");
            sleep(Duration::from_millis(20));
        }
        Self { child, address: format!("127.0.0.1#{port}") }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
