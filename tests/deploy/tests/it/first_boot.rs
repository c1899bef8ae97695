//! A new machine's first boot by the user data, without a vendor's machine: systemd of Debian 12 and of 13 is PID 1 of namespaces of its own (boot/boot),
//! and that release's own cloud-init, by its own units, makes users and files of it and runs its `runcmd`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use deploy::{Needed, deploy, have, is_root};
use stack::drill::Drill;

use crate::roots::root;
use crate::vps::CARRIED;

/// What a vendor's image has of what is needed here, and of the user data's packages what its `runcmd` calls.
const INCLUDED: &str =
    "systemd,ca-certificates,procps,python3-cffi-backend,cloud-init,openssh-server,sudo,adduser,iproute2,nftables";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKe2DXlPBCqbPGWsOKfyFcVQ8vn8gSpC1lBNYGZcsL7k laptop";
const COMMAND: &str = "cargo test -p deploy --test it -- first_boot --nocapture";

#[test]
fn of_debian_12() {
    boots("bookworm", "Debian 12, systemd 252", Drill::begin("first-boot-12", COMMAND));
}

#[test]
fn of_debian_13() {
    boots("trixie", "Debian 13, systemd 257", Drill::begin("first-boot-13", COMMAND));
}

fn boots(suite: &str, named: &str, mut drill: Drill) {
    if !is_root() {
        assert!(std::env::var_os("CI").is_none(), "systemd as PID 1 needs root");
        eprintln!("left out: systemd as PID 1 needs root");
        return;
    }
    have(&[Needed { program: "debootstrap", package: "debootstrap" }, Needed { program: "jq", package: "jq" }]);
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("boot");
    fs::write(shared.join("key.pub"), format!("{KEY}\n")).unwrap();
    let output = Command::new(deploy().join("vps/user-data")).arg(shared.join("key.pub")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(shared.join("user-data"), &output.stdout).unwrap();
    let mut carried = String::new();
    for (number, (path, ours, permissions)) in CARRIED.iter().enumerate() {
        fs::copy(deploy().join(ours), shared.join(number.to_string())).unwrap();
        writeln!(carried, "{number} {path} {}", permissions.trim_start_matches('0')).unwrap();
    }
    fs::write(shared.join("carried"), carried).unwrap();
    for script in ["prepare", "within"] {
        fs::copy(scripts.join("first").join(script), shared.join(script)).unwrap();
    }
    let root = root(suite, &format!("{suite}-first-boot"), INCLUDED);
    drill.done("a root of it with cloud-init and sshd, and the user data");
    let output = Command::new("timeout")
        .args(["180", "unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .args([&scripts.join("boot"), &root, shared])
        .output()
        .unwrap();
    let aside = String::from_utf8_lossy(&output.stderr);
    let said = fs::read_to_string(shared.join("said")).unwrap_or_else(|_| panic!("it has not booted: {aside}"));
    drill.done("it boots");
    drill.said(said.lines());
    let ssh = "allowusers admin,allowusers offsite,passwordauthentication no,permitrootlogin no\n";
    assert_eq!(
        said,
        format!(
            "{named}\nValid\nstatus: done\n12 files are there as they are here\n\
             admin: adm admin sudo systemd-journal\noffsite: offsite postgres\nmakenotwork: makenotwork\nthe key is admin's\nNOPASSWD: ALL\n{ssh}{ssh}\
             sysctl --system\nthe journal is a new process\n2\nnftables enabled, firewall-ranges.timer enabled\n\
             makenotwork /opt/makenotwork\noffsite /home/offsite\npostgresql active, ssh active\n"
        ),
        "{aside}"
    );
    drill.end();
}
