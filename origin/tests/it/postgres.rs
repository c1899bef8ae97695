//! A PostgreSQL of a test's own on a Unix socket: Debian's programs, installed where we may and they are missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A running cluster; dropped, it is stopped.
pub(crate) struct Postgres {
    folder: TempDir,
    programs: PathBuf,
}

/// The user that it runs as where we are root, which it refuses to be.
const USER: &str = "postgres";

impl Postgres {
    /// Starts one with a database `postgres` and a user of that name.
    pub(crate) fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp").expect("a folder");
        if is_root() {
            let owned = Command::new("chown").arg(USER).arg(folder.path()).status();
            assert!(owned.is_ok_and(|status| status.success()), "chown");
        }
        let postgres = Self { folder, programs };
        let data = postgres.path("data");
        postgres.run("initdb", &["-D", &data, "-U", USER, "--auth=trust", "--no-sync", "--no-instructions"]);
        postgres.up();
        postgres
    }

    /// Starts the cluster that is there.
    pub(crate) fn up(&self) {
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync=off -c max_connections=50 -c superuser_reserved_connections=2",
            self.folder.path().display()
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

    /// How a probe reaches it.
    pub(crate) fn database(&self) -> String {
        format!("host={} user={USER} dbname=postgres", self.folder.path().display())
    }

    /// Runs SQL.
    pub(crate) fn sql(&self, text: &str) {
        self.run("psql", &["-h", &self.folder.path().display().to_string(), "-U", USER, "-q", "-c", text]);
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.try_run(program, arguments);
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert!(output.status.success(), "{program}: {}{log}", String::from_utf8_lossy(&output.stderr));
    }

    fn try_run(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // What pg_ctl leaves running must not hold a pipe that we wait for.
        let errors = tempfile::tempfile().expect("a file");
        command.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(errors.try_clone().expect("a file"));
        let status = command.status().expect("it runs");
        Output { status, stdout: Vec::new(), stderr: said(errors) }
    }
}

fn said(mut file: std::fs::File) -> Vec<u8> {
    let _ = std::io::Seek::rewind(&mut file);
    std::io::read_to_string(file).unwrap_or_default().into_bytes()
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.try_run("pg_ctl", &["-D", &self.path("data"), "-m", "immediate", "-w", "stop"]);
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
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
    if let Some(found) = find() {
        return found;
    }
    assert!(
        is_root() && Path::new("/etc/debian_version").exists(),
        "missing: PostgreSQL's server (on Debian: `apt install postgresql`)"
    );
    // No cluster of the machine's own is wanted.
    let _ = std::fs::create_dir_all("/etc/postgresql-common");
    let _ = std::fs::write("/etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n");
    let apt = |arguments: &[&str]| {
        Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()).status()
    };
    let _ = apt(&["update", "--quiet"]);
    let _ = apt(&["install", "--yes", "--quiet", "--no-install-recommends", "postgresql"]);
    find().expect("apt-get could not install postgresql")
}
