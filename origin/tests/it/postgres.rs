//! A PostgreSQL of a test's own: Debian's programs, installed where we may and they are missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::debian;
use crate::process::send;

/// A cluster; dropped, it is stopped.
pub(crate) struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    /// What its server is started with, besides where it listens.
    options: String,
    port: u16,
}

/// The user that it runs as where we are root, which it refuses to be.
const USER: &str = "postgres";
/// The port that a socket's name has where nobody listens on a port.
const PORT: u16 = 5432;

impl Postgres {
    /// Starts one on a Unix socket with a database `postgres` and a user of that name.
    pub(crate) fn start() -> Self {
        Self::with(|_| String::new())
    }

    /// The same with more options of its server, such as `-c archive_mode=on`, for its folder.
    pub(crate) fn with(options: impl FnOnce(&Path) -> String) -> Self {
        let mut postgres = Self::empty();
        postgres.options = format!("-c listen_addresses= {}", options(postgres.folder.path()));
        postgres.init();
        postgres.up();
        postgres
    }

    /// One that listens on a port of 127.0.0.1 and speaks TLS, as this certificate with its key, both in PEM. Over TCP it lets users in
    /// by their password, and by TLS alone.
    pub(crate) fn with_tls((certificate, key): &(String, String)) -> Self {
        let mut postgres = Self::empty();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        postgres.port = listener.local_addr().expect("bound").port();
        drop(listener);
        postgres.options = format!("-c listen_addresses=127.0.0.1 -p {}", postgres.port);
        postgres.init();
        postgres.write("data/server.crt", certificate);
        postgres.write("data/server.key", key);
        postgres.write("data/postgresql.auto.conf", "ssl = on\n");
        postgres.write("data/pg_hba.conf", "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
        postgres.up();
        postgres
    }

    /// A standby of this one.
    pub(crate) fn standby(&self) -> Self {
        let mut standby = Self::empty();
        standby.options = "-c listen_addresses=".to_owned();
        let (from, data) = (self.host(), standby.path("data"));
        standby.run("pg_basebackup", &["-h", &from, "-U", USER, "-D", &data, "-R", "-c", "fast", "--no-sync"]);
        standby.up();
        standby
    }

    fn empty() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").expect("a folder");
        debian::give(folder.path(), USER);
        Self { folder, programs, options: String::new(), port: PORT }
    }

    fn init(&self) {
        let data = self.path("data");
        self.run("initdb", &["-D", &data, "-U", USER, "--auth=trust", "--no-sync", "--no-instructions"]);
    }

    /// Starts the cluster that is there.
    pub(crate) fn up(&self) {
        let options = format!(
            "-c unix_socket_directories={} -c fsync=off -c max_connections=50 -c superuser_reserved_connections=2 {}",
            self.host(),
            self.options
        );
        self.run(
            "pg_ctl",
            &["-D", &self.path("data"), "-l", &self.path("log"), "-w", "-t", "60", "-o", &options, "start"],
        );
    }

    /// Stops it at once.
    pub(crate) fn down(&self) {
        self.run("pg_ctl", &["-D", &self.path("data"), "-m", "immediate", "-w", "-t", "60", "stop"]);
    }

    /// Sends its server's first process a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let file = std::fs::read_to_string(self.path("data/postmaster.pid")).expect("it runs");
        send(file.lines().next().and_then(|pid| pid.parse().ok()).expect("a process"), signal);
    }

    /// Makes a folder of the cluster's user beside its data.
    pub(crate) fn folder(&self, name: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir(&path).expect("it is not there");
        debian::give(&path, USER);
    }

    /// Removes it with what is in it.
    pub(crate) fn no_folder(&self, name: &str) {
        std::fs::remove_dir_all(self.folder.path().join(name)).expect("it is there");
    }

    /// How a probe reaches it over its socket.
    pub(crate) fn database(&self) -> String {
        self.database_of(USER)
    }

    /// The same as another user.
    pub(crate) fn database_of(&self, user: &str) -> String {
        format!("host={} port={} user={user} dbname=postgres", self.host(), self.port)
    }

    /// How a probe reaches it over TCP, by a name of this machine.
    pub(crate) fn database_at(&self, host: &str, user: &str) -> String {
        format!("host={host} port={} user={user} dbname=postgres", self.port)
    }

    /// Runs SQL; what it answers.
    #[track_caller]
    pub(crate) fn sql(&self, text: &str) -> String {
        let port = self.port.to_string();
        self.run("psql", &["-h", &self.host(), "-p", &port, "-U", USER, "-qAt", "-c", text]).trim().to_owned()
    }

    fn host(&self) -> String {
        self.folder.path().display().to_string()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
        debian::give(&path, USER);
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let (success, said, complaint) = self.try_run(program, arguments);
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(success, "{program}: {complaint}{log}");
        said
    }

    /// Whether it went well, and what was said on standard output and error.
    fn try_run(&self, program: &str, arguments: &[&str]) -> (bool, String, String) {
        let program = self.programs.join(program);
        let mut command = if debian::is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // What pg_ctl leaves running must not hold a pipe that we wait for.
        let [out, errors] = [(); 2].map(|()| tempfile::tempfile().expect("a file"));
        command.args(arguments).current_dir("/").stdin(Stdio::null());
        command.stdout(out.try_clone().expect("a file")).stderr(errors.try_clone().expect("a file"));
        let status = command.status().expect("it runs");
        (status.success(), said(out), said(errors))
    }
}

fn said(mut file: std::fs::File) -> String {
    let mut bytes = Vec::new();
    let _ = std::io::Seek::rewind(&mut file);
    let _ = std::io::copy(&mut file, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Where a test has frozen it and failed.
        if let Ok(file) = std::fs::read_to_string(self.path("data/postmaster.pid"))
            && let Some(pid) = file.lines().next().and_then(|pid| pid.parse().ok())
        {
            send(pid, Signal::CONT);
        }
        self.try_run("pg_ctl", &["-D", &self.path("data"), "-m", "immediate", "-w", "stop"]);
    }
}

/// Debian's folder of the newest server's programs.
fn find() -> Option<PathBuf> {
    let mut all: Vec<_> =
        std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|e| e.path().join("bin")).collect();
    all.retain(|folder| folder.join("initdb").exists());
    all.sort();
    all.pop()
}

fn programs() -> PathBuf {
    if find().is_none() && debian::is_root() {
        // No cluster of the machine's own is wanted.
        let _ = std::fs::create_dir_all("/etc/postgresql-common");
        let _ = std::fs::write("/etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n");
    }
    debian::have("PostgreSQL's server", "postgresql", find)
}
