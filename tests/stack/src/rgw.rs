//! A real Ceph RGW on loopback, of one monitor and one storage daemon that keeps everything in memory: seconds to start, nothing left behind.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::ports;
use crate::toolchain::ceph::Ceph;

/// How long each of its parts may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running server; dropped, it is killed.
pub struct Rgw {
    address: SocketAddr,
    /// Where it listens for HTTPS, with which certificate and key in PEM.
    tls: Option<(SocketAddr, (String, String))>,
    ceph: Ceph,
    children: Vec<Child>,
    folder: TempDir,
}

impl Rgw {
    /// Starts one.
    ///
    /// # Errors
    /// Which part did not come up, with the end of what it said.
    pub fn start(ceph: Ceph) -> Result<Self, String> {
        Self::start_with(ceph, None)
    }

    /// Starts one that also serves HTTPS, with this certificate and key in PEM.
    ///
    /// # Errors
    /// As [`Rgw::start`].
    pub fn start_over_tls(ceph: Ceph, pair: (String, String)) -> Result<Self, String> {
        Self::start_with(ceph, Some((free()?, pair)))
    }

    fn start_with(ceph: Ceph, tls: Option<(SocketAddr, (String, String))>) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|e| format!("no folder for Ceph: {e}"))?;
        let address = free()?;
        let mut rgw = Self { address, tls, ceph, children: Vec::new(), folder };
        rgw.up()?;
        Ok(rgw)
    }

    fn up(&mut self) -> Result<(), String> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        for name in ["mon", "osd", "rgw", "run"] {
            fs::create_dir(path(name)).map_err(|e| format!("{}: {e}", path(name)))?;
        }
        let (cluster, osd, monitor) = (uuid(), uuid(), free()?.port());
        let mut frontend = format!("beast endpoint={} tcp_nodelay=1", self.address);
        if let Some((address, (cert, key))) = &self.tls {
            for (name, text) in [("tls.pem", cert), ("tls.key", key)] {
                fs::write(path(name), text).map_err(|e| format!("{name}: {e}"))?;
            }
            let (cert, key) = (path("tls.pem"), path("tls.key"));
            // Writing to a String does not fail.
            let _ = write!(frontend, " ssl_endpoint={address} ssl_certificate={cert} ssl_private_key={key}");
        }
        let text = configuration(self.folder.path(), &self.ceph.libraries(), &frontend, monitor, &cluster);
        fs::write(path("ceph.conf"), text).map_err(|e| format!("ceph.conf: {e}"))?;
        let monitors = format!("[v2:127.0.0.1:{monitor}]");
        let map = path("monmap");
        self.run("monmaptool", &["--create", "--fsid", &cluster, "--addv", "a", &monitors, &map])?;
        self.run("ceph-mon", &["--mkfs", "-i", "a", "--monmap", &map])?;
        self.spawn("ceph-mon", &["-f", "-i", "a"])?;
        self.wait("the monitor", |rgw| rgw.admin(&["mon", "stat"]).is_ok())?;
        self.admin(&["osd", "new", &osd])?;
        self.run("ceph-osd", &["-i", "0", "--mkfs", "--osd-uuid", &osd])?;
        self.spawn("ceph-osd", &["-f", "-i", "0"])?;
        self.spawn("radosgw", &["-f", "-n", "client.rgw.a"])?;
        self.wait("the gateway", |rgw| TcpStream::connect(rgw.address).is_ok())
    }

    /// Where it listens, for HTTP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for HTTPS, if it does.
    #[must_use]
    pub fn over_tls(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|(address, _)| *address)
    }

    /// Makes a user with one access key.
    ///
    /// # Errors
    /// What `radosgw-admin` said.
    pub fn user(&self, name: &str, (id, secret): (&str, &str)) -> Result<(), String> {
        let arguments = ["-n", "client.rgw.a", "user", "create", "--uid", name, "--display-name", name];
        self.run("radosgw-admin", &[&arguments[..], &["--access-key", id, "--secret-key", secret]].concat())
    }

    /// Gives a user one more key, which a bucket's policy can tell from the first: as `arn:aws:iam:::user/USER:NAME`.
    ///
    /// # Errors
    /// What `radosgw-admin` said.
    pub fn key_of(&self, user: &str, name: &str, (id, secret): (&str, &str)) -> Result<(), String> {
        let subuser = format!("{user}:{name}");
        let arguments =
            ["-n", "client.rgw.a", "subuser", "create", "--uid", user, "--subuser", &subuser, "--access", "full"];
        let key = ["--key-type", "s3", "--access-key", id, "--secret-key", secret];
        self.run("radosgw-admin", &[&arguments[..], &key].concat())
    }

    fn admin(&self, arguments: &[&str]) -> Result<(), String> {
        let mut command = self.ceph.admin();
        self.finish(command.args(["--connect-timeout", "5"]).args(arguments), "ceph")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        self.finish(self.ceph.command(program).args(arguments), program)
    }

    fn finish(&self, command: &mut Command, program: &str) -> Result<(), String> {
        let done = command.env("CEPH_CONF", self.folder.path().join("ceph.conf")).stdin(Stdio::null()).output();
        match done {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("{program}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr))),
            Err(error) => Err(format!("{program}: {error}")),
        }
    }

    fn spawn(&mut self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let said = File::create(self.folder.path().join(format!("{program}.out"))).map_err(|e| e.to_string())?;
        let mut command = self.ceph.command(program);
        command.args(arguments).env("CEPH_CONF", self.folder.path().join("ceph.conf"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        self.children.push(command.spawn().map_err(|e| format!("{program}: {e}"))?);
        Ok(())
    }

    fn wait(&mut self, what: &str, is_up: impl Fn(&Self) -> bool) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while !is_up(self) {
            let ended = self.children.iter_mut().any(|child| matches!(child.try_wait(), Ok(Some(_))));
            if ended || Instant::now() > until {
                return Err(format!("Ceph {}: {what} did not come up{}", self.ceph.version(), self.said()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The ends of all logs.
    fn said(&self) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "out" || end == "log") {
                let said = fs::read(&path).unwrap_or_default();
                let end = String::from_utf8_lossy(said.get(said.len().saturating_sub(600)..).unwrap_or_default())
                    .into_owned();
                // Writing to a String does not fail.
                let _ = write!(text, "\n{}: …{}", path.display(), end.trim());
            }
        }
        text
    }
}

impl Drop for Rgw {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            // What it holds goes with it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free() -> Result<SocketAddr, String> {
    ports::free().map_err(|e| format!("no port for Ceph: {e}"))
}

fn uuid() -> String {
    fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default().trim().to_owned()
}

/// One of everything, no authentication between the parts, nothing signed or compressed on the way, and no waiting where there is nobody to wait for.
fn configuration(folder: &Path, libraries: &Path, frontend: &str, monitor: u16, cluster: &str) -> String {
    let (folder, libraries) = (folder.display(), libraries.display());
    format!(
        "[global]\n\
         fsid = {cluster}\n\
         mon host = [v2:127.0.0.1:{monitor}/0]\n\
         auth cluster required = none\n\
         auth service required = none\n\
         auth client required = none\n\
         auth allow insecure global id reclaim = true\n\
         keyring = /nonexistent\n\
         ms bind msgr1 = false\n\
         ms bind msgr2 = true\n\
         ms cluster mode = crc\n\
         ms service mode = crc\n\
         ms client mode = crc\n\
         ms mon cluster mode = crc\n\
         ms mon service mode = crc\n\
         ms mon client mode = crc\n\
         osd pool default size = 1\n\
         osd pool default min size = 1\n\
         osd pool default pg num = 1\n\
         osd pool default pg autoscale mode = off\n\
         osd crush chooseleaf type = 0\n\
         mon allow pool size one = true\n\
         mon max pg per osd = 1000\n\
         plugin dir = {libraries}/ceph\n\
         osd class dir = {libraries}/rados-classes\n\
         osd class load list = *\n\
         osd class default list = *\n\
         erasure code dir = {libraries}/ceph/erasure-code\n\
         run dir = {folder}/run\n\
         crash dir = {folder}/run\n\
         admin socket = {folder}/run/$name.asok\n\
         log file = {folder}/$name.log\n\
         [mon]\n\
         mon data = {folder}/mon\n\
         mon initial members = a\n\
         mon cluster log file = {folder}/cluster.log\n\
         mon data avail warn = 0\n\
         mon data avail crit = 0\n\
         paxos propose interval = 0.05\n\
         paxos min wait = 0.01\n\
         mon tick interval = 1\n\
         [osd]\n\
         public addr = 127.0.0.1\n\
         cluster addr = 127.0.0.1\n\
         osd data = {folder}/osd\n\
         osd journal = {folder}/osd/journal\n\
         osd objectstore = memstore\n\
         memstore device bytes = 2147483648\n\
         osd op num shards = 1\n\
         osd op num threads per shard = 2\n\
         osd max object name len = 2048\n\
         osd scrub load threshold = 0\n\
         [client.rgw.a]\n\
         rgw frontends = {frontend}\n\
         rgw data = {folder}/rgw\n\
         rgw thread pool size = 32\n\
         rgw enable usage log = false\n\
         rgw run sync thread = false\n"
    )
}
