//! The system's programs, from Debian's packages.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
};

/// A program, and the Debian package that has it.
#[derive(Clone, Copy, Debug)]
pub struct Needed {
    /// Its name, or a path.
    pub program: &'static str,
    /// Debian's package.
    pub package: &'static str,
}

/// Where programs are that a user's `PATH` may lack.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Makes these programs exist: those that are missing are installed with apt-get where we are root on a Debian.
///
/// # Panics
/// Where they can't be had; the message names the packages.
pub fn have(needed: &[Needed]) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let missing = || -> Vec<&str> { needed.iter().filter(|it| !found(it.program)).map(|it| it.package).collect() };
    let packages = missing();
    if packages.is_empty() {
        return;
    }
    let list = packages.join(" ");
    assert!(
        is_root() && Path::new("/etc/debian_version").exists(),
        "missing programs: install the packages {list} (on Debian: `apt install {list}`)"
    );
    eprintln!("deploy   installing {list} with apt-get (once, about 1 min) …");
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        apt.status().is_ok_and(|status| status.success())
    };
    quiet(&packages);
    // Where that fails, the lists that are there may do.
    apt(&["update", "--quiet"]);
    let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
    apt(&[&install[..], &packages].concat());
    let left = missing();
    assert!(left.is_empty(), "apt-get could not install: {}", left.join(" "));
}

/// What a package would start, now or at the next boot, is not wanted for having its programs: no cluster, no sshd, no
/// cloud-init, no DNS server, no Prometheus.
fn quiet(packages: &[&str]) {
    let write = |file: &str, text: &str| {
        let file = Path::new(file);
        if !file.exists() {
            let _ = file.parent().map(std::fs::create_dir_all);
            let _ = std::fs::write(file, text);
        }
    };
    for package in packages {
        match *package {
            "postgresql" => write("/etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n"),
            "cloud-init" => write("/etc/cloud/cloud-init.disabled", ""),
            "openssh-server" if Path::new("/run/systemd/system").exists() => {
                let _ = Command::new("systemctl").args(["mask", "ssh.service", "ssh.socket"]).status();
            }
            "bind9" if Path::new("/run/systemd/system").exists() => {
                let _ = Command::new("systemctl").args(["mask", "named.service"]).status();
            }
            "prometheus" if Path::new("/run/systemd/system").exists() => {
                let _ = Command::new("systemctl").args(["mask", "prometheus.service"]).status();
            }
            _ => {}
        }
    }
}

fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from)).any(|folder| folder.join(program).exists())
}

/// Whether the tests run as root.
#[must_use]
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}
