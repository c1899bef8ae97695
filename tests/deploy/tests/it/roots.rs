//! The package in roots of Debian 12 and 13, which debootstrap makes once from the mirror that this machine's apt uses: it installs, systemd takes its
//! units, the configuration is checked, the gateway serves over TLS, an upgrade by a reload loses nothing, and it goes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use deploy::{Needed, deploy, have, is_root};
use stack::drill::Drill;

use crate::running::{APP, LOAD, SYSTEMCTL, gateway};

/// What a VPS's image has at least, besides what the package depends on.
pub(crate) const INCLUDED: &str = "systemd,ca-certificates,procps";
/// What runs it.
const COMMAND: &str = "PROGRAM=$PWD/target/release/origin cargo test -p deploy --test it -- roots --nocapture";
/// `MemoryMax` of the unit, in MiB.
const MEMORY_MAX: u64 = 768;

/// A root of this release of Debian's with these packages, called so in `.tools/debian`; made there the first time, in one to two minutes.
pub(crate) fn root(suite: &str, called: &str, included: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let folder = deploy().join("../.tools/debian");
    fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    let root = folder.join(called);
    if root.exists() {
        return root;
    }
    let targets = Command::new("apt-get")
        .args(["indextargets", "--format", "$(SITE)", "Created-By: Packages", "Label: Debian"])
        .output()
        .unwrap();
    let mirror = String::from_utf8(targets.stdout).unwrap().lines().next().unwrap_or_default().to_owned();
    assert!(!mirror.is_empty(), "this machine's apt has no mirror of Debian's: run `apt-get update`");
    eprintln!("deploy   making a root of Debian {suite} with debootstrap (once, about 90 s) …");
    let part = folder.join(format!("{called}.part"));
    let _ = fs::remove_dir_all(&part);
    let output = Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={included}"), suite])
        .arg(&part)
        .arg(&mirror)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let last: Vec<_> = said.lines().rev().take(5).collect();
    assert!(output.status.success(), "debootstrap {suite}: {last:?}");
    fs::rename(&part, &root).unwrap();
    root
}

/// Another program each time, as a new version is.
pub(crate) fn package(folder: &Path, program: &Path, n: u64) -> PathBuf {
    let mut bytes = fs::read(program).unwrap();
    bytes.extend(format!("version {n}").bytes());
    let own = folder.join("origin");
    fs::write(&own, bytes).unwrap();
    let output = Command::new(deploy().join("package/build"))
        .arg(&own)
        .arg(folder.join("package"))
        .env("SOURCE_DATE_EPOCH", (1_796_000_000 + n).to_string())
        .env("COMMIT", format!("{n}{n}{n}{n}{n}{n}{n}"))
        // Packing is not what is tried here.
        .env("DPKG_DEB_COMPRESSOR_TYPE", "none")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().into()
}

#[test]
fn debian_12() {
    installs_serves_upgrades_and_goes("bookworm", "12", Drill::begin("debian-12", COMMAND));
}

#[test]
fn debian_13() {
    installs_serves_upgrades_and_goes("trixie", "13", Drill::begin("debian-13", COMMAND));
}

fn installs_serves_upgrades_and_goes(suite: &str, release: &str, mut drill: Drill) {
    if !is_root() {
        assert!(std::env::var_os("CI").is_none(), "a root of Debian's needs root");
        eprintln!("left out: a root of Debian's needs root");
        return;
    }
    have(&[
        Needed { program: "curl", package: "curl" },
        Needed { program: "debootstrap", package: "debootstrap" },
        Needed { program: "jq", package: "jq" },
        Needed { program: "objdump", package: "binutils" },
        Needed { program: "pgrep", package: "procps" },
        Needed { program: "python3", package: "python3" },
    ]);
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    // As it is deployed, where that is named; else as the tests have it.
    let program = std::env::var_os("PROGRAM").map_or_else(gateway, PathBuf::from);
    let strip = Command::new("strip").arg("-o").arg(here.join("program")).arg(&program).status().unwrap();
    assert!(strip.success());
    let (old, new) = (package(here, &here.join("program"), 1), package(here, &here.join("program"), 2));
    let of = |file: &Path| fs::metadata(file).unwrap().len() >> 20;
    let named = program.ancestors().nth(1).and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    drill.done(&format!("two packages of the {named} build: {} MiB of program", of(&here.join("program"))));
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    for (name, text) in [
        ("systemctl", SYSTEMCTL),
        ("load.py", LOAD),
        ("app.py", APP),
        ("tls.pem", &pair.cert.pem()),
        ("tls.key", &pair.signing_key.serialize_pem()),
    ] {
        fs::write(here.join(name), text).unwrap();
    }
    let script = format!(
        r#"set -euo pipefail
        here={here}
        mount -t tmpfs none /mnt
        mkdir /mnt/upper /mnt/work /mnt/vps
        mount -t overlay overlay -o lowerdir={root},upperdir=/mnt/upper,workdir=/mnt/work /mnt/vps
        mount -t proc proc /mnt/vps/proc; mount --bind /dev /mnt/vps/dev; mount -t tmpfs none /mnt/vps/run
        ip link set lo up
        export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
        vps() {{ chroot /mnt/vps "$@"; }}
        echo "Debian $(cut -d. -f1 /mnt/vps/etc/debian_version)"
        install -m 0755 $here/systemctl /mnt/vps/usr/local/bin/systemctl
        mkdir -p /mnt/vps/run/systemd/system
        cp {old} /mnt/vps/root/old.deb; cp {new} /mnt/vps/root/new.deb

        vps dpkg --install /root/old.deb >/mnt/log 2>&1 || {{ cat /mnt/log; exit 1; }}
        vps dpkg --verify origin && echo 'as it was packed'
        # The kernel of a container may have no IPv6.
        vps systemd-analyze verify --man=no /usr/lib/systemd/system/origin.service /usr/lib/systemd/system/origin.socket 2>&1 | grep -v IPv6 || echo 'systemd takes the units'

        install -d /mnt/vps/etc/origin; install -m 0644 $here/tls.pem /mnt/vps/etc/origin/; install -m 0600 $here/tls.key /mnt/vps/etc/origin/
        cat >/mnt/vps/etc/origin/origin.toml <<'TOML'
listen.https = ["127.0.0.1:8443"]
tls = {{ cert = "/etc/origin/tls.pem", key = "/etc/origin/tls.key" }}
admin.listen = "127.0.0.1:9180"
timeouts.drain = "5s"
[[site]]
hosts = ["localhost"]
trust = "direct"
app = "127.0.0.1:3000"
TOML
        vps origin check-config /etc/origin/origin.toml >/mnt/log 2>&1 || {{ cat /mnt/log; exit 1; }}
        {{ echo 'nonsense = 1'; cat /mnt/vps/etc/origin/origin.toml; }} >/mnt/vps/root/wrong.toml
        vps origin check-config /root/wrong.toml >/mnt/log 2>&1 && exit 1; echo "wrong: $?, $(grep -o 'there is no key `nonsense`' /mnt/log)"

        python3 $here/app.py & app=$!
        vps /usr/bin/origin serve --config /etc/origin/origin.toml >/mnt/served 2>&1 &
        until [ "$(curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:9180/readyz)" = 200 ]; do sleep 0.1; done
        curl -s --cacert $here/tls.pem -w ', %{{http_code}}, TLS %{{ssl_verify_result}}\n' https://localhost:8443/
        newest() {{ pgrep -n -f '^/usr/bin/origin serve'; }}
        before=$(newest)
        CA=$here/tls.pem python3 $here/load.py & load=$!
        sleep 1
        vps dpkg --install /root/new.deb >/mnt/log 2>&1 || {{ cat /mnt/log; exit 1; }}
        until [ "$(newest)" != "$before" ] && ! kill -0 $before 2>/dev/null; do sleep 0.2; done
        [ "$(tail -c 9 /proc/$(newest)/exe)" = 'version 2' ] && echo 'the new program serves'
        sleep 1
        awk '/VmHWM/ {{ print "memory: " int($2 / 1024) " MiB" }}' /proc/$(newest)/status >&2
        touch /mnt/stop; wait $load

        kill $(newest); while newest >/dev/null; do sleep 0.1; done; kill $app
        vps dpkg --remove origin >/mnt/log 2>&1 || {{ cat /mnt/log; exit 1; }}
        vps dpkg --purge origin >/mnt/log 2>&1 || {{ cat /mnt/log; exit 1; }}
        grep '/etc/origin stays' /mnt/log
        find /mnt/vps/usr /mnt/vps/etc -name '*origin*' ! -name origins | sed 's,/mnt/vps,,' | sort
        "#,
        here = here.display(),
        root = root(suite, suite, INCLUDED).display(),
        old = old.display(),
        new = new.display(),
    );
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", &script])
        .output()
        .unwrap();
    let (said, aside) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{aside}");
    let peak: u64 = aside.split("memory: ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect(&aside);
    drill.done(&format!(
        "a root of Debian {release}: all of it; the gateway's peak is {peak} MiB of the unit's {MEMORY_MAX}"
    ));
    drill.said(said.lines());
    assert!(peak < MEMORY_MAX / 2, "two of them live during a reload");
    assert_eq!(
        said,
        format!(
            "Debian {release}\nas it was packed\nsystemd takes the units\nwrong: 78, there is no key `nonsense`\nhello, 200, TLS 0\nthe new program serves\n\
             visits lost: 0 [] enough: True\norigin: /etc/origin stays; delete it if nothing needs it\n/etc/origin\n/etc/origin/origin.toml\n"
        )
    );
    drill.end();
}
