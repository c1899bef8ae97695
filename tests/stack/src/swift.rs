//! A real OpenStack Swift with its S3 API on loopback: another vendor's server, which has other limits than Ceph.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::toolchain::swift::SwiftModules;

/// How long it may take to come up.
const PATIENCE: Duration = Duration::from_secs(120);

/// All its servers in one process.
const PROGRAM: &str = include_str!("swift_server.py");

/// The running server; dropped, it is killed.
pub struct Swift {
    address: SocketAddr,
    child: Child,
    _folder: TempDir,
}

impl Swift {
    /// Starts one with these keys, whose ids are `ACCOUNT:USER`. The first may do everything, the others what it grants them.
    ///
    /// # Errors
    /// That it did not come up, with what it said.
    pub fn start(modules: &SwiftModules, keys: &[(&str, &str)]) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|e| format!("no folder for Swift: {e}"))?;
        let (said, port) = (folder.path().join("said"), folder.path().join("port"));
        let mut command = modules.python();
        command.args(["-c", PROGRAM]).arg(folder.path());
        command.args(keys.iter().map(|(id, secret)| format!("{id}={secret}")));
        let out = File::create(&said).map_err(|e| e.to_string())?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out).spawn();
        let child = child.map_err(|e| format!("Swift: {e}"))?;
        let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut swift = Self { address: unknown, child, _folder: folder };
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(port) = fs::read_to_string(&port).ok().and_then(|port| port.parse().ok()) {
                swift.address.set_port(port);
                return Ok(swift);
            }
            if matches!(swift.child.try_wait(), Ok(Some(_))) || Instant::now() > until {
                let said = fs::read_to_string(&said).unwrap_or_default();
                return Err(format!("Swift {} did not come up\n{said}", modules.version()));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where it listens, for HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Swift {
    fn drop(&mut self) {
        // What it holds goes with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
