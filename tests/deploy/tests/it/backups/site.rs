//! A VPS with PostgreSQL, and an offsite machine that reaches it over SSH. Both have the files that `deploy/backups/install` puts in place; what
//! differs from a real machine (paths, ports) is said by variables, which the programs prefer to their files.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use deploy::{Machine, Needed, deploy, have, is_root};
use stack::ports;

const NEEDED: [Needed; 7] = [
    Needed { program: "/usr/share/postgresql-common/pg_wrapper", package: "postgresql" },
    Needed { program: "pgbackrest", package: "pgbackrest" },
    Needed { program: "sshd", package: "openssh-server" },
    Needed { program: "rrsync", package: "rsync" },
    Needed { program: "jq", package: "jq" },
    Needed { program: "age", package: "age" },
    Needed { program: "faketime", package: "faketime" },
];

/// Both machines.
pub(crate) struct Site {
    /// Where the site runs.
    pub(crate) vps: Machine,
    /// Where the second copy lies.
    pub(crate) offsite: Machine,
    sshd: Child,
    _folder: tempfile::TempDir,
}

impl Site {
    /// Two machines with all installed; on the VPS PostgreSQL runs with two databases.
    pub(crate) fn new() -> Self {
        have(&NEEDED);
        let folder = tempfile::Builder::new().prefix("backups-").tempdir_in("/tmp").unwrap();
        open(folder.path());
        let (ssh, database) = (ports::free().unwrap().port(), ports::free().unwrap().port());
        let bin = newest_postgresql();
        let vps = machine(&folder.path().join("vps"), "vps", &bin)
            .with("PGHOST", folder.path().join("vps/run").display().to_string())
            .with("PGPORT", database.to_string())
            .with("PGUSER", "postgres")
            .with("DATABASES", "makenotwork forums")
            .with("DUMP_RECIPIENTS", folder.path().join("vps/etc/backups/dump.recipients").display().to_string());
        let vps = lay_out_vps(vps, database);
        let offsite = machine(&folder.path().join("offsite"), "offsite", &bin);
        let offsite = lay_out_offsite(offsite, ssh);
        let sshd = start_sshd(&vps, &offsite, ssh);
        Self { vps, offsite, sshd, _folder: folder }
    }

    /// What a job reported to the health page.
    pub(crate) fn report(&self, check: &str) -> serde_json::Value {
        let file = self.vps.path("var/lib/backups/reports").join(format!("{check}.json"));
        serde_json::from_slice(&fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))).unwrap()
    }

    /// Writes the time into the database, as the timer does.
    pub(crate) fn beat(&self) {
        self.vps.bash("psql -XqAt -v ON_ERROR_STOP=1 -d postgres -f usr/local/lib/backups/heartbeat.sql");
    }

    /// All WAL so far is in the repository.
    pub(crate) fn archive(&self) {
        // As docs/backups.md has it. Without the level it says nothing where all is well.
        let said = self.vps.try_bash("pgbackrest --stanza=main --log-level-console=info check").said;
        assert!(said.contains("successfully archived to"), "{said}");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.vps.try_bash("pg_ctl -D data -m immediate stop");
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

/// A machine with its half of `deploy/backups`, and pgBackRest's folders below its own.
fn machine(root: &Path, half: &str, bin: &str) -> Machine {
    let machine = Machine::new(root, "postgres");
    let output = Command::new(deploy().join("backups/install")).arg(half).env("DESTDIR", root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // What is the other machine's would have the VPS send reports to itself.
    let environment = fs::read_to_string(root.join("etc/backups/backups.env")).unwrap();
    let set: Vec<_> =
        environment.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    let names: Vec<_> = set.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, if half == "vps" { &["DATABASES"][..] } else { &["SOURCE", "REPORT_TO"] }, "{environment}");
    let secret = root.join("etc/pgbackrest/conf.d/secret.conf");
    fs::write(secret, "[global]\nrepo1-cipher-pass=a long passphrase of this test\n").unwrap();
    if is_root() {
        let status = Command::new("chown").args(["-R", "postgres"]).arg(root).status().unwrap();
        assert!(status.success());
    }
    let text = |path: &str| root.join(path).display().to_string();
    let path = format!("{}:{bin}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", text("usr/local/lib/backups"));
    machine
        .with("PATH", path)
        .with("HOME", text(""))
        .with("PGBACKREST_CONFIG_PATH", text("etc/pgbackrest"))
        .with("PGBACKREST_LOCK_PATH", text("lock"))
        .with("PGBACKREST_SPOOL_PATH", text("spool"))
        .with("REPORTS", text("var/lib/backups/reports"))
}

fn lay_out_vps(vps: Machine, port: u16) -> Machine {
    let vps = vps
        .clone()
        .with("PGBACKREST_REPO1_PATH", vps.text("var/backups/site/pgbackrest"))
        .with("PGBACKREST_PG1_PATH", vps.text("data"))
        .with("PGBACKREST_PG1_SOCKET_PATH", vps.text("run"))
        .with("PGBACKREST_PG1_PORT", port.to_string())
        .with("DUMPS", vps.text("var/backups/site/dumps"));
    vps.bash("mkdir -p run var/backups/site/pgbackrest var/backups/site/dumps var/lib/backups/reports");
    vps.bash("initdb --pgdata=data --username=postgres --auth=trust --data-checksums --no-sync >initdb.log");
    // The configuration of deploy/, and what this machine can't have.
    let ours = fs::read_to_string(deploy().join("postgresql/site.conf")).unwrap();
    let run = vps.text("run");
    fs::write(
        vps.path("data/postgresql.conf"),
        format!("{ours}\nlisten_addresses = ''\nport = {port}\nunix_socket_directories = '{run}'\nshared_buffers = '32MB'\nfsync = off\n"),
    )
    .unwrap();
    vps.bash("pg_ctl -D data -w -s -l postgresql.log start");
    vps.bash(
        "pgbackrest --stanza=main stanza-create
         createdb makenotwork; createdb forums
         psql -Xq -v ON_ERROR_STOP=1 -d makenotwork <<'SQL'
            create table users (id int primary key, name text not null);
            insert into users select n, 'creator ' || n from generate_series(1, 5000) n;
            create table sessions (id int, created_at timestamptz not null default now());
            insert into sessions select generate_series(1, 100);
SQL
         psql -Xq -v ON_ERROR_STOP=1 -d forums -c 'create table posts as select n as id, md5(n::text) as text from generate_series(1, 3000) n'",
    );
    vps
}

fn lay_out_offsite(offsite: Machine, ssh: u16) -> Machine {
    let user = offsite.bash("id -un");
    let user = user.trim();
    let key = |name: &str| {
        format!(
            "ssh -T -o BatchMode=yes -o UserKnownHostsFile={} -p {ssh} -i {}",
            offsite.text("known_hosts"),
            offsite.text(name)
        )
    };
    let offsite = offsite
        .clone()
        .with("PGBACKREST_REPO1_PATH", offsite.text("copy/pgbackrest"))
        .with("PGBACKREST_PG1_PATH", offsite.text("scratch/data"))
        .with("COPY", offsite.text("copy"))
        .with("SCRATCH", offsite.text("scratch"))
        .with("DRILL_STATE", offsite.text("drill"))
        .with("EXPECTATIONS", offsite.text("etc/backups/expectations"))
        .with("SOURCE", format!("{user}@127.0.0.1"))
        .with("RSYNC_RSH", key("pull.key"))
        .with("REPORT_TO", format!("{user}@127.0.0.1"))
        .with("REPORT_SSH", key("report.key"));
    offsite.bash(
        "mkdir -p var/lib/backups/reports; for key in pull report; do ssh-keygen -q -t ed25519 -N '' -f $key.key; done",
    );
    offsite
}

/// The VPS's sshd, on loopback, with the two keys' forced commands of `authorized_keys.example`.
fn start_sshd(vps: &Machine, offsite: &Machine, port: u16) -> Child {
    let example = fs::read_to_string(deploy().join("backups/authorized_keys.example")).unwrap();
    let key = |name: &str| fs::read_to_string(offsite.path(name)).unwrap();
    let reports =
        format!("REPORTS={} {}", vps.text("var/lib/backups/reports"), vps.text("usr/local/lib/backups/receive"));
    let keys = example
        .replace("/var/backups/site", &vps.text("var/backups/site"))
        .replace("/usr/local/lib/backups/receive", &reports)
        .replace("ssh-ed25519 AAAA… pull", key("pull.key.pub").trim())
        .replace("ssh-ed25519 AAAA… report", key("report.key.pub").trim());
    fs::write(vps.path("authorized_keys"), keys).unwrap();
    vps.bash("ssh-keygen -q -t ed25519 -N '' -f host.key");
    let host = fs::read_to_string(vps.path("host.key.pub")).unwrap();
    fs::write(offsite.path("known_hosts"), format!("[127.0.0.1]:{port} {host}")).unwrap();
    open(&offsite.path("known_hosts"));
    // Debian's system users are locked, which PAM does not mind.
    let pam = if is_root() { "yes" } else { "no" };
    let configuration = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM {pam}\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\n",
        vps.text("host.key"),
        vps.text("authorized_keys"),
    );
    fs::write(vps.path("sshd_config"), configuration).unwrap();
    if is_root() {
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let log = fs::File::create(vps.path("sshd.log")).unwrap();
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(vps.path("sshd_config"))
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("sshd can be started");
    let until = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "sshd does not listen: {}", fs::read_to_string(vps.path("sshd.log")).unwrap());
        thread::sleep(Duration::from_millis(50));
    }
    child
}

/// Everybody may pass through this folder, or read this file.
fn open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The folder of the newest PostgreSQL's programs.
fn newest_postgresql() -> String {
    let mut folders: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    folders.sort();
    folders.pop().expect("the package postgresql brings a server").display().to_string()
}
