//! A proxy under test: what it is called, how it is started, and whether it serves.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};
use stack::process::family;

/// How long a proxy may take to start, and to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Proxy {
    /// The gateway, asked by anyone: the edge's pipeline runs in it
    Origin,
    /// The gateway, asked with our Worker's signature
    OriginSigned,
    Nginx,
    Haproxy,
    Caddy,
    Pingora,
    /// Only as a cache, and only in clear text
    Varnish,
}

impl Proxy {
    /// As reports call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Origin => "gateway",
            Self::OriginSigned => "gateway, signed",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Caddy => "Caddy",
            Self::Pingora => "Pingora",
            Self::Varnish => "Varnish",
        }
    }

    /// Its configuration in tests/peers/, where it has one.
    pub(crate) const fn template(self) -> Option<&'static str> {
        match self {
            Self::Origin | Self::OriginSigned => Some(include_str!("../../../../peers/origin.toml")),
            Self::Nginx => Some(include_str!("../../../../peers/nginx.conf")),
            Self::Haproxy => Some(include_str!("../../../../peers/haproxy.cfg")),
            Self::Caddy => Some(include_str!("../../../../peers/Caddyfile")),
            Self::Varnish => Some(include_str!("../../../../peers/varnish.vcl")),
            Self::Pingora => None,
        }
    }

    /// Whether it has a cache in memory.
    pub(crate) const fn has_cache(self) -> bool {
        !matches!(self, Self::Caddy | Self::Pingora | Self::OriginSigned)
    }

    /// Whether it is asked to be a proxy, too.
    pub(crate) const fn is_proxy(self) -> bool {
        !matches!(self, Self::Varnish)
    }

    /// Whether it speaks TLS.
    pub(crate) const fn has_tls(self) -> bool {
        self.is_proxy()
    }
}

/// A program that ends with us even when we are killed, where the system can do it. The death signal is tied to the thread that
/// starts it: that is the main thread.
pub(crate) fn mortal(program: &Path) -> Command {
    match Command::new("setpriv").arg("--version").output() {
        Ok(output) if output.status.success() => {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "TERM"]).arg(program);
            command
        }
        _ => Command::new(program),
    }
}

/// A program that was started; dropping it ends it.
pub(crate) struct Running {
    child: Child,
    errors: PathBuf,
}

impl Running {
    /// Starts it with its output going to files.
    pub(crate) fn start(command: &mut Command, output: &Path, errors: PathBuf) -> io::Result<Self> {
        command.stdin(Stdio::null()).stdout(File::create(output)?).stderr(File::create(&errors)?);
        Ok(Self { child: command.spawn()?, errors })
    }

    /// Waits until it accepts connections on all of these.
    pub(crate) fn listens(&mut self, addresses: &[SocketAddr]) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        for address in addresses {
            while TcpStream::connect(address).is_err() {
                let ended = !matches!(self.child.try_wait(), Ok(None));
                if ended || Instant::now() > until {
                    let said = fs::read_to_string(&self.errors).unwrap_or_default();
                    return Err(format!("does not listen on {address}; it says:\n{}", said.trim_end()));
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// It and its descendants.
    pub(crate) fn family(&self) -> Vec<u32> {
        family(self.child.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let until = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A proxy that serves.
pub(crate) struct Peer {
    pub(crate) proxy: Proxy,
    pub(crate) running: Running,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    /// Its access log.
    pub(crate) log: PathBuf,
}

impl Peer {
    pub(crate) const fn address(&self, tls: bool) -> SocketAddr {
        if tls { self.https } else { self.http }
    }

    pub(crate) fn url(&self, tls: bool, path: &str) -> String {
        format!("{}://{}{path}", if tls { "https" } else { "http" }, self.address(tls))
    }
}

/// Addresses on loopback that are free now.
pub(crate) fn free_addresses<const N: usize>() -> io::Result<[SocketAddr; N]> {
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        *address = stack::ports::free()?;
    }
    Ok(addresses)
}
