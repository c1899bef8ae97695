//! The gateway's package on a machine that has booted: the systemd of Debian 12 and of 13 is PID 1 of namespaces of its own (boot/boot), and it is that
//! systemd which starts the shipped unit with the shipped configuration, reloads it in an upgrade under load, brings it back when it is killed, and holds
//! its sockets.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use deploy::{Needed, have, is_root};
use stack::drill::Drill;

use crate::roots::{INCLUDED, package, root};
use crate::running::{APP, LOAD, gateway};

const COMMAND: &str = "cargo test -p deploy --test it -- booted --nocapture";

#[test]
fn by_the_systemd_of_debian_12() {
    starts_reloads_and_comes_back("bookworm", "252", Drill::begin("systemd-12", COMMAND));
}

#[test]
fn by_the_systemd_of_debian_13() {
    starts_reloads_and_comes_back("trixie", "257", Drill::begin("systemd-13", COMMAND));
}

fn starts_reloads_and_comes_back(suite: &str, version: &str, mut drill: Drill) {
    if !is_root() {
        assert!(std::env::var_os("CI").is_none(), "systemd as PID 1 needs root");
        eprintln!("left out: systemd as PID 1 needs root");
        return;
    }
    have(&[
        Needed { program: "debootstrap", package: "debootstrap" },
        Needed { program: "jq", package: "jq" },
        Needed { program: "objdump", package: "binutils" },
        Needed { program: "python3", package: "python3" },
    ]);
    let folder = tempfile::tempdir().unwrap();
    let (here, shared) = (folder.path(), folder.path().join("shared"));
    fs::create_dir(&shared).unwrap();
    let program = std::env::var_os("PROGRAM").map_or_else(gateway, PathBuf::from);
    let strip = Command::new("strip").arg("-o").arg(here.join("program")).arg(&program).status().unwrap();
    assert!(strip.success());
    for (name, n) in [("old.deb", 1), ("new.deb", 2)] {
        fs::rename(package(here, &here.join("program"), n), shared.join(name)).unwrap();
    }
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let visits = LOAD.replace("/mnt/stop", &shared.join("stop").display().to_string());
    let visits = visits.replace("8443", "443").replace("good > 100", "good > 20");
    for (name, text) in [
        ("load.py", &*visits),
        ("app.py", APP),
        ("tls.pem", &pair.cert.pem()),
        ("tls.key", &pair.signing_key.serialize_pem()),
    ] {
        fs::write(shared.join(name), text).unwrap();
    }
    let root = root(suite, suite, INCLUDED);
    let named = program.ancestors().nth(1).and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    drill.done(&format!("a root of it, two packages of the {named} build, an app"));
    let output = Command::new("timeout")
        .args(["180", "unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("boot/package/around"))
        .args([&root, &shared])
        .output()
        .unwrap();
    let (said, aside) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{aside}");
    assert_eq!(
        said,
        format!(
            "systemd {version} is PID 1\nstarted: active, readyz 200\nCapEff: 0000000000000400\nNoNewPrivs: 1\nSeccomp: 2\na user of its own\n\
             upgraded by a reload: active, readyz 200\nkilled: active, restarts 1, readyz 200\nstopped: inactive\n\
             by its sockets: active active, readyz 200\nremoved: inactive\n"
        ),
        "{aside}"
    );
    let visits = fs::read_to_string(shared.join("visits")).unwrap();
    assert_eq!(visits, "visits lost: 0 [] enough: True\n");
    drill.done("it boots, and all of this is done by it");
    drill.said(said.lines().chain(visits.lines()));
    drill.end();
}
