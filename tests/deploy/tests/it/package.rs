//! The Debian package: made twice, installed, upgraded, removed and purged by dpkg, in a copy of this system that goes with the test.

use std::{fs, path::Path, process::Command};

use deploy::{Needed, deploy, have, is_root};

/// What stands for systemctl: it writes down what it is asked, and says that the gateway runs where `runs` exists.
const SYSTEMCTL: &str = "#!/bin/sh\necho \"$*\" >>/asked\ncase \"$*\" in *is-active*) test -e /runs ;; esac\n";

/// Makes a package of a small program, as of this second.
fn build(folder: &Path, when: &str, commit: &str) -> std::path::PathBuf {
    let output = Command::new(deploy().join("package/build"))
        .arg("/bin/true")
        .arg(folder)
        .env("SOURCE_DATE_EPOCH", when)
        .env("COMMIT", commit)
        // This system's own programs are made for this system.
        .env("LIBC", "9")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().into()
}

#[test]
fn a_program_for_newer_systems_is_no_package() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        Command::new(deploy().join("package/build")).arg("/bin/true").arg(folder.path()).env("LIBC", "2.2").output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.starts_with("build: /bin/true needs version 2.") && said.contains("Debian 12 has 2.2: build it"),
        "{said}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn it_is_the_same_each_time_and_installs_upgrades_and_goes() {
    have(&[
        Needed { program: "dpkg-deb", package: "dpkg" },
        Needed { program: "jq", package: "jq" },
        Needed { program: "objdump", package: "binutils" },
    ]);
    let folder = tempfile::tempdir().unwrap();
    let old = build(&folder.path().join("a"), "1796000000", "1111111");
    let new = build(&folder.path().join("a"), "1796000100", "2222222");
    let again = build(&folder.path().join("b"), "1796000000", "1111111");
    assert!(fs::read(&old).unwrap() == fs::read(&again).unwrap(), "the same program, another package");
    let checked =
        Command::new("sh").args(["-c", "sha256sum --check *.sha256"]).current_dir(folder.path().join("a")).output();
    assert!(checked.unwrap().status.success());

    if !is_root() {
        assert!(std::env::var_os("CI").is_none(), "dpkg needs root");
        eprintln!("left out: dpkg needs root");
        return;
    }
    fs::write(folder.path().join("systemctl"), SYSTEMCTL).unwrap();
    let script = format!(
        r#"set -eu
        mount -t tmpfs none /mnt
        mkdir /mnt/upper /mnt/work /mnt/root
        mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
        root=/mnt/root
        cp {old} $root/old.deb; cp {new} $root/new.deb
        install -m 0755 {systemctl} $root/usr/local/bin/systemctl
        mkdir -p $root/run/systemd/system
        rm -f $root/asked
        did() {{ echo "== $1"; cat $root/asked 2>/dev/null || true; rm -f $root/asked; }}
        dpkg="chroot $root dpkg"
        $dpkg --install /old.deb >$root/log 2>&1 || {{ cat $root/log; exit 1; }}
        grep -q 'write /etc/origin/origin.toml' $root/log
        did installed
        test -x $root/usr/bin/origin
        grep -q '^ExecStart=/usr/bin/origin serve' $root/usr/lib/systemd/system/origin.service
        chroot $root dpkg --verify origin
        mkdir -p $root/etc/origin; echo secret >$root/etc/origin/edge.keys
        touch $root/runs
        $dpkg --install /new.deb >$root/log 2>&1 || {{ cat $root/log; exit 1; }}
        did upgraded
        chroot $root dpkg-query --show --showformat '${{Version}}\n' origin
        rm $root/runs
        $dpkg --install /new.deb >$root/log 2>&1
        did 'upgraded while it does not run'
        $dpkg --purge origin >$root/log 2>&1 || {{ cat $root/log; exit 1; }}
        grep -q '/etc/origin stays' $root/log
        did purged
        test ! -e $root/usr/bin/origin; test ! -e $root/usr/lib/systemd/system/origin.service; test ! -e $root/usr/share/doc/origin
        cat $root/etc/origin/edge.keys
        "#,
        old = old.display(),
        new = new.display(),
        systemctl = folder.path().join("systemctl").display(),
    );
    let output = Command::new("unshare").args(["--mount", "bash", "-c", &script]).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    // An upgrade reloads, and neither stops nor starts anything.
    assert_eq!(
        said,
        "== installed\n\
         --quiet is-active origin.service\n\
         daemon-reload\n\
         == upgraded\n\
         --quiet is-active origin.service\n\
         reload origin.service\n\
         daemon-reload\n\
         0.1.0+20261130005500.2222222\n\
         == upgraded while it does not run\n\
         --quiet is-active origin.service\n\
         daemon-reload\n\
         == purged\n\
         --quiet disable --now origin.socket origin.service\n\
         daemon-reload\n\
         daemon-reload\n\
         secret\n"
    );
}
