//! What `deploy/vps` puts on a new machine, as far as that machine's programs can judge it here: cloud-init, sshd, apt, the kernel.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use deploy::{Needed, deploy, have};
use stack::drill::Drill;

/// What the user data carries: where it goes, which file of `deploy/` it is, and who may do what with it.
pub(crate) const CARRIED: [(&str, &str, &str); 12] = [
    ("/etc/ssh/sshd_config.d/10-site.conf", "vps/sshd.conf", "0644"),
    ("/etc/sysctl.d/60-site.conf", "vps/sysctl.conf", "0644"),
    ("/etc/systemd/journald.conf.d/site.conf", "vps/journald.conf", "0644"),
    ("/etc/apt/apt.conf.d/52site", "vps/unattended-upgrades.conf", "0644"),
    ("/etc/postgresql-common/createcluster.conf", "vps/createcluster.conf", "0644"),
    ("/etc/nftables.conf", "firewall/nftables.conf", "0755"),
    ("/etc/firewall/site.nft", "firewall/site.example.nft", "0600"),
    ("/etc/firewall/cloudflare-ranges.txt", "cloudflare/ranges.txt", "0600"),
    ("/usr/local/sbin/firewall", "firewall/firewall", "0755"),
    ("/etc/systemd/system/firewall-ranges.service", "firewall/firewall-ranges.service", "0644"),
    ("/etc/systemd/system/firewall-ranges.timer", "firewall/firewall-ranges.timer", "0644"),
    ("/root/site.conf", "postgresql/site.conf", "0644"),
];

fn vps(file: &str) -> PathBuf {
    deploy().join("vps").join(file)
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// A key as an operator has it, and its public half's file.
fn key(folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(name);
    let output =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", said(&output));
    file
}

#[test]
fn cloud_init_takes_the_user_data() {
    have(&[
        Needed { program: "cloud-init", package: "cloud-init" },
        Needed { program: "ssh-keygen", package: "openssh-client" },
        Needed { program: "jq", package: "jq" },
    ]);
    let mut drill = Drill::begin("vps", "cargo test -p deploy --test it -- cloud_init --nocapture");
    let folder = tempfile::tempdir().unwrap();
    let keys = [key(folder.path(), "laptop"), key(folder.path(), "safe \"of\" paper")];
    let public = keys.each_ref().map(|key| PathBuf::from(format!("{}.pub", key.display())));
    let output = Command::new(vps("user-data")).args(&public).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let file = folder.path().join("user-data.yaml");
    fs::write(&file, &output.stdout).unwrap();
    // Vendors take 16 to 64 KiB; Hetzner 32.
    assert!(output.stdout.len() < 32 << 10, "{} bytes", output.stdout.len());

    drill.done(&format!("deploy/vps/user-data with two keys: {} bytes of cloud-init", output.stdout.len()));
    let schema = Command::new("cloud-init").args(["schema", "--config-file"]).arg(&file).output().unwrap();
    assert!(schema.status.success() && said(&schema).contains("Valid"), "{}", said(&schema));

    drill.done("cloud-init's own schema takes it");
    // The files that it carries are those of this checkout, and the keys are there whole.
    let script = "import base64, json, sys, yaml
d = yaml.safe_load(open(sys.argv[1]))
print(json.dumps({'keys': d['users'][0]['ssh_authorized_keys'],
    'files': {f['path']: [base64.b64decode(f['content']).decode(), f['permissions']] for f in d['write_files']}}))";
    let output = Command::new("python3").args(["-c", script]).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    for (key, public) in public.iter().enumerate() {
        assert_eq!(read["keys"][key], fs::read_to_string(public).unwrap().trim());
    }
    for (path, ours, permissions) in CARRIED {
        let ours = fs::read_to_string(deploy().join(ours)).unwrap();
        assert_eq!(read["files"][path], serde_json::json!([ours, permissions]), "{path}");
    }
    assert_eq!(read["files"].as_object().unwrap().len(), CARRIED.len(), "and nothing else");

    drill.done("it carries the keys, and its twelve files are those of this checkout");
    // A private key, no key, and nothing at all.
    let empty = folder.path().join("empty");
    fs::write(&empty, "\n").unwrap();
    for (arguments, code, complaint) in [
        (vec![&keys[0]], 1, "is no file of public keys"),
        (vec![&empty], 1, "there is no public key"),
        (vec![], 2, "usage: user-data PUBLIC_KEY_FILE"),
    ] {
        let output = Command::new(vps("user-data")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert!(String::from_utf8_lossy(&output.stderr).contains(complaint), "{}", said(&output));
    }
    drill.done("a private key, an empty file and no key at all are refused");
    drill.end();
}

/// What a line of settings says, without comments and sections.
fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='))
}

/// A misspelt key would only be a line in a log at boot. Debian's own file has all keys, as comments.
#[test]
fn journald_knows_the_settings() {
    have(&[Needed { program: "systemd-analyze", package: "systemd" }]);
    let own = ["/etc/systemd/journald.conf", "/usr/lib/systemd/journald.conf"];
    let known = own.iter().find_map(|file| fs::read_to_string(file).ok()).expect("Debian's own journald.conf");
    let known: Vec<_> = known.lines().filter_map(|line| Some(line.strip_prefix('#')?.split_once('=')?.0)).collect();
    assert!(known.len() > 20, "{known:?}");
    let text = fs::read_to_string(vps("journald.conf")).unwrap();
    assert!(text.contains("\n[Journal]\n"), "{text}");
    assert_eq!(settings(&text).count(), 5);
    for (key, value) in settings(&text) {
        assert!(known.contains(&key), "{key}: journald knows {known:?}");
        let good = match key {
            "Storage" => ["volatile", "persistent", "auto", "none"].contains(&value),
            _ if key.ends_with("Sec") => {
                let output = Command::new("systemd-analyze").args(["timespan", value]).output().unwrap();
                output.status.success()
            }
            _ => value.strip_suffix(['K', 'M', 'G']).is_some_and(|number| number.parse::<u32>().is_ok()),
        };
        assert!(good, "{key}={value}");
    }
}

/// As sshd itself understands it, for a user and a way in.
#[test]
fn sshd_takes_keys_of_two_users_only() {
    have(&[Needed { program: "sshd", package: "openssh-server" }]);
    let folder = tempfile::tempdir().unwrap();
    let host = key(folder.path(), "host");
    let file = folder.path().join("sshd_config");
    // What Debian's own file says after it has included ours: the first that says something counts.
    let debian = "KbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding yes\nPrintMotd no\nPermitRootLogin yes\nPasswordAuthentication yes\n";
    let ours = vps("sshd.conf").canonicalize().unwrap();
    fs::write(&file, format!("HostKey {}\nInclude {}\n{debian}", host.display(), ours.display())).unwrap();
    let _ = fs::create_dir_all("/run/sshd");
    let effective = |user: &str| {
        let output = Command::new("/usr/sbin/sshd")
            .args(["-T", "-C", &format!("user={user},host=h,addr=203.0.113.7"), "-f"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let admin = effective("admin");
    for line in [
        "permitrootlogin no",
        "passwordauthentication no",
        "kbdinteractiveauthentication no",
        "pubkeyauthentication yes",
        "permitemptypasswords no",
        "allowusers admin",
        "allowusers offsite",
        "x11forwarding no",
        "allowagentforwarding no",
        "allowtcpforwarding local",
        "permittty yes",
        "maxauthtries 3",
    ] {
        assert!(admin.lines().any(|it| it == line), "{line} is missing:\n{admin}");
    }
    let offsite = effective("offsite");
    for line in ["allowtcpforwarding no", "permittty no", "passwordauthentication no"] {
        assert!(offsite.lines().any(|it| it == line), "{line} is missing:\n{offsite}");
    }
}

#[test]
fn apt_reads_the_upgrades() {
    if !Path::new("/usr/bin/apt-config").exists() {
        eprintln!("left out: this is no Debian");
        return;
    }
    let output =
        Command::new("apt-config").arg("-c").arg(vps("unattended-upgrades.conf")).arg("dump").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let dump = said(&output);
    for line in [
        "APT::Periodic::Unattended-Upgrade \"1\";",
        "APT::Periodic::Update-Package-Lists \"1\";",
        "Unattended-Upgrade::Automatic-Reboot-Time \"04:40\";",
    ] {
        assert!(dump.contains(line), "{line} is missing:\n{dump}");
    }
}

/// A misspelt key would only be a line in a log at boot.
#[test]
fn the_kernel_knows_the_settings() {
    let text = fs::read_to_string(vps("sysctl.conf")).unwrap();
    let mut count = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let (key, value) = line.split_once(" = ").unwrap_or_else(|| panic!("`{line}` is not KEY = VALUE"));
        let file = Path::new("/proc/sys").join(key.replace('.', "/"));
        assert!(file.exists(), "{key}: there is no {}", file.display());
        value.parse::<u64>().unwrap_or_else(|_| panic!("{key}: `{value}`"));
        count += 1;
    }
    assert!(count > 10, "{count}");
}

#[test]
fn a_cluster_made_as_said_has_checksums() {
    have(&[Needed { program: "/usr/share/postgresql-common/pg_wrapper", package: "postgresql" }]);
    let text = fs::read_to_string(vps("createcluster.conf")).unwrap();
    let options = text.lines().find_map(|line| line.strip_prefix("initdb_options = '")?.strip_suffix('\''));
    let folder = tempfile::Builder::new().prefix("cluster-").tempdir_in("/tmp").unwrap();
    let machine = deploy::Machine::new(folder.path(), "postgres");
    machine.bash(&format!(
        "bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1); $bin/initdb --no-sync --pgdata=data {} >log; $bin/pg_controldata data | grep -q 'page checksum version: *1'",
        options.unwrap()
    ));
}
