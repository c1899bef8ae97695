//! `deploy/release`, against a VPS that is a copy of this system: real dpkg, the real gateway under load, a stand-in for systemd and for the line. Two
//! releases go in, a third is taken back because the site does not answer from outside.

use std::{fs, path::Path, process::Command};

use deploy::{Needed, deploy, have, is_root};

use crate::running::{APP, LOAD, SYSTEMCTL, gateway};

/// A clone of this checkout with what is not committed yet, so that there is something clean to release.
pub(crate) fn checkout(folder: &Path) {
    let script = format!(
        "set -eu
         git clone --quiet --no-hardlinks {0} {1}; rm -rf {1}/deploy; cp -a {0}/deploy {1}/deploy
         cp {0}/CHANGELOG.md {0}/Cargo.toml {0}/Cargo.lock {1}/
         cd {1}; git config user.name tests; git config user.email tests@localhost; git add -A; git commit --quiet --allow-empty -m now",
        deploy().join("..").canonicalize().unwrap().display(),
        folder.display()
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_dry_run_shows_every_action_and_does_none() {
    let release = |arguments: &[&str]| {
        let output = Command::new(deploy().join("release")).args(arguments).env("SSH", "false").output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), said)
    };
    let (code, said) = release(&["--dry-run", "admin@vps.example"]);
    assert_eq!(code, Some(0), "{said}");
    let mut rest = &said[..];
    for action in [
        "   .ci/run\n",
        "   cargo build --release --locked --package origin\n",
        "   deploy/package/build target/release/origin build/package\n",
        "check-config",
        "sudo dpkg --install /var/cache/origin/current.deb",
        "http://127.0.0.1:9180/readyz",
        "GET https://makenot.work/api/health",
        "GET https://makenot.work/: does a Worker answer it now?",
        "npx wrangler versions upload --env= --tag ",
        "npx wrangler versions deploy --env= --version-tag ",
        "GET https://makenot.work/ must be 200, by the Worker",
    ] {
        let (_, after) =
            rest.split_once(action).unwrap_or_else(|| panic!("{action} is missing, or too early:\n{said}"));
        rest = after;
    }
    let (_, said) = release(&["--dry-run", "--worker", "--no-tests", "admin@vps.example"]);
    assert!(
        !said.contains("dpkg") && !said.contains(".ci/run") && said.contains("npx wrangler versions deploy"),
        "{said}"
    );
    for wrong in [&[][..], &["--fast", "admin@vps.example"], &["a@b", "c@d"]] {
        let (code, said) = release(wrong);
        assert!(code == Some(2) && said.contains("release [--dry-run]"), "{said}");
    }
}

#[test]
fn a_release_loses_no_request_and_a_bad_one_goes_back() {
    if !is_root() {
        assert!(std::env::var_os("CI").is_none(), "a copy of the system needs root");
        eprintln!("left out: a copy of the system needs root");
        return;
    }
    have(&[
        Needed { program: "curl", package: "curl" },
        Needed { program: "git", package: "git" },
        Needed { program: "jq", package: "jq" },
        Needed { program: "objdump", package: "binutils" },
        Needed { program: "pgrep", package: "procps" },
        Needed { program: "python3", package: "python3" },
    ]);
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    checkout(&here.join("checkout"));
    for (name, text) in [("systemctl", SYSTEMCTL), ("load.py", LOAD), ("app.py", APP)] {
        fs::write(here.join(name), text).unwrap();
    }
    // The debug information would only make a larger package.
    let strip = Command::new("strip").arg("-o").arg(here.join("origin")).arg(gateway()).status().unwrap();
    assert!(strip.success());
    let script = format!(
        r#"set -euo pipefail
        here={here}
        mount -t tmpfs none /mnt
        mkdir /mnt/upper /mnt/work /mnt/vps
        mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/vps
        mount -t proc proc /mnt/vps/proc; mount --bind /dev /mnt/vps/dev
        ip link set lo up
        vps() {{ chroot /mnt/vps "$@"; }}
        install -m 0755 $here/systemctl /mnt/vps/usr/local/bin/systemctl
        printf '#!/bin/sh\nexec "$@"\n' >/mnt/vps/usr/local/bin/sudo; chmod +x /mnt/vps/usr/local/bin/sudo
        mkdir -p /mnt/vps/run/systemd/system /mnt/vps/etc/origin
        printf '#!/bin/sh\nshift\ncd /\nexec chroot /mnt/vps /bin/sh -c "cd /root; $*"\n' >$here/ssh; chmod +x $here/ssh
        cat >/mnt/vps/etc/origin/origin.toml <<'TOML'
listen.http = ["127.0.0.1:8080"]
admin.listen = "127.0.0.1:9180"
timeouts.drain = "5s"
[[site]]
hosts = ["*"]
app = "127.0.0.1:3000"
TOML
        # Packing is not what is tried here.
        export DPKG_DEB_COMPRESSOR_TYPE=none
        export SSH=$here/ssh SITE=http://127.0.0.1:8080
        release() {{
            cd $here/checkout; git commit --quiet --allow-empty -m "$1"; sleep 1
            # Another program each time, as a new version is.
            cp $here/origin $here/program; echo "$1" >>$here/program
            PROGRAM=$here/program deploy/release --gateway --no-tests root@vps >$here/said 2>&1
        }}
        installed() {{ vps dpkg-query --show --showformat '${{Version}}' origin | sed 's/.*\.//'; }}
        commit() {{ git -C $here/checkout log -1 --abbrev=7 --format=%h; }}

        python3 $here/app.py & app=$!
        # The first one is installed by hand, and started.
        cd $here/checkout; cp $here/origin $here/program; deploy/package/build $here/program $here/first >/dev/null
        cp $here/first/*.deb /mnt/vps/root/first.deb; vps dpkg --install /root/first.deb >/dev/null
        vps /usr/bin/origin serve --config /etc/origin/origin.toml >/mnt/log 2>&1 &
        until [ "$(curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:9180/readyz)" = 200 ]; do sleep 0.1; done
        python3 $here/load.py & load=$!
        for n in one two; do
            release $n || {{ cat $here/said; exit 1; }}
            [ "$(installed)" = "$(commit)" ] && echo "release $n is there"
        done
        good=$(commit)

        # A configuration that the new program does not take: nothing changes.
        cp /mnt/vps/etc/origin/origin.toml /mnt/toml; echo 'nonsense = 1' >>/mnt/vps/etc/origin/origin.toml
        if release three; then exit 1; fi
        grep -o 'nothing has changed: the new program does not take the configuration' $here/said
        [ "$(installed)" = "$good" ] && echo 'release two stays'
        cp /mnt/toml /mnt/vps/etc/origin/origin.toml

        # dpkg fails half way, as where a script of the package's does: back.
        cat >/mnt/vps/usr/local/bin/dpkg <<'SH'
#!/bin/sh
[ -e /root/broken ] || exec /usr/bin/dpkg "$@"
rm /root/broken; /usr/bin/dpkg --unpack /var/cache/origin/current.deb; exit 1
SH
        chmod +x /mnt/vps/usr/local/bin/dpkg; touch /mnt/vps/root/broken
        if release half; then exit 1; fi
        [ ! -e /mnt/vps/root/broken ]; grep -o 'the version before is installed again' $here/said
        [ "$(installed)" = "$good" ] && vps dpkg --verify origin && echo 'release two is whole'

        # From outside nobody gets through: back.
        export SITE=http://127.0.0.1:1
        if release four; then exit 1; fi
        grep -o 'the version before is installed again' $here/said
        [ "$(installed)" = "$good" ] && echo 'release two is back'

        # There is a change that is not committed.
        echo >>$here/checkout/README.md
        if release five --allow-nothing; then exit 1; fi
        grep -o 'there are changes that are not committed' $here/said
        sleep 1; touch /mnt/stop; wait $load
        kill $app; kill $(pgrep -f '^/usr/bin/origin serve') || true
        "#,
        here = here.display(),
    );
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", &script])
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let last = fs::read_to_string(here.join("said")).unwrap_or_default();
    assert!(output.status.success(), "{said}\n{last}");
    assert_eq!(
        said,
        "release one is there\nrelease two is there\nnothing has changed: the new program does not take the configuration\nrelease two stays\nthe version before is installed again\nrelease two is whole\n\
         the version before is installed again\nrelease two is back\nthere are changes that are not committed\nvisits lost: 0 [] enough: True\n"
    );
}
