//! What deploy/ ships is right: the gateway takes the example configuration, and systemd takes the unit.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const ORIGIN: &str = env!("CARGO_BIN_EXE_origin");

/// The most that the unit may leave open, in systemd's own measure: 0.0 is nothing, 10.0 everything. What is left is what a
/// public server needs: the network, the host's users (a user namespace could not bind port 443), one capability; and that a new process
/// may say that it takes over.
const EXPOSURE: f64 = 1.6;

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A folder that holds every file that the example names, under the names it has there.
fn placed() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let dir = folder.path();
    let write = |name: &str, text: &str| fs::write(dir.join(name), text).expect("written");
    let own = rcgen::generate_simple_self_signed(vec!["makenot.work".to_owned()]).expect("a certificate");
    write("origin-ca.pem", &own.cert.pem());
    write("origin-ca.key", &own.signing_key.serialize_pem());
    write("zone-ca.pem", &own.cert.pem());
    write("edge.keys", "2026-11:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n");
    write("rules.toml", &shipped("rules.example.toml"));
    write("bucket-user-files", "ACCESSKEY:0123456789abcdef\n");
    write("bucket-ota", "ACCESSKEY:0123456789abcdef\n");
    write("webhook-stripe", "whsec_0123456789abcdef\n");
    write("webhook-postmark", "postmark:0123456789abcdef\n");
    for name in ["static", "well-known"] {
        fs::create_dir(dir.join(name)).expect("a folder");
    }
    let text = ["/etc/origin", "/run/credentials/origin.service", "/opt/makenotwork"]
        .iter()
        .fold(shipped("origin.example.toml"), |text, place| text.replace(place, &dir.display().to_string()));
    let file = dir.join("origin.toml");
    fs::write(&file, text).expect("written");
    (folder, file)
}

fn check(folder: &TempDir, file: &Path) -> (Option<i32>, String) {
    let output = Command::new(ORIGIN)
        .arg("check-config")
        .arg(file)
        .env("CREDENTIALS_DIRECTORY", folder.path())
        .output()
        .expect("the gateway runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

/// Written anew by `UPDATE=1 cargo test -p origin --test example_config`.
#[test]
fn the_zones_rules_are_those_of_the_filter() {
    let (_folder, file) = placed();
    let output = Command::new(ORIGIN).arg("zone-rules").arg(&file).output().expect("the gateway runs");
    let made = String::from_utf8(output.stdout).expect("text");
    let shipped_at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/cloudflare/custom-rules.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&shipped_at, &made).expect("written");
    }
    assert!(
        made == shipped("cloudflare/custom-rules.json"),
        "deploy/cloudflare/custom-rules.json is another: UPDATE=1 writes it"
    );
    let rules: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let expressions = rules["rules"].as_array().expect("a list").iter().map(|rule| rule["expression"].as_str());
    assert!(expressions.clone().count() < 5, "the free plan has five, and one is the operator's");
    assert!(expressions.flatten().all(|text| text.len() <= 4_096 && !text.contains(" matches ")), "{made}");
}

#[test]
fn the_example_of_rules_is_accepted() {
    let (folder, file) = placed();
    let rules = folder.path().join("rules.toml").display().to_string();
    let text = fs::read_to_string(&file).expect("placed").replace("[filter]", &format!("[filter]\nrules = {rules:?}"));
    fs::write(&file, &text).expect("written");
    let (code, said) = check(&folder, &file);
    assert!(code == Some(0) && text.contains(&rules), "{said}");
}

#[test]
fn the_example_is_accepted() {
    let (folder, file) = placed();
    let (code, said) = check(&folder, &file);
    assert_eq!(code, Some(0), "{said}");
    // What it warns of, docs/operations.md explains: creators' own domains stand beside what is behind Cloudflare.
    assert!(said.contains(": good; 4 site(s), 2 bucket(s)\n"), "{said}");
}

/// So that the test above can fail: the files are read, not only named.
#[test]
fn each_file_of_the_example_is_read() {
    for name in ["origin-ca.pem", "origin-ca.key", "zone-ca.pem", "edge.keys", "bucket-user-files", "bucket-ota"] {
        let (folder, file) = placed();
        fs::write(folder.path().join(name), "").expect("written");
        let (code, said) = check(&folder, &file);
        assert_eq!(code, Some(78), "{name}: {said}");
        assert!(said.contains(name), "{name}: {said}");
    }
}

/// What stands there behind a `#` without a space is to be taken in by who wants it.
#[test]
fn what_the_example_offers_is_accepted() {
    let (folder, file) = placed();
    let text = fs::read_to_string(&file).expect("written");
    let offered = |line: &str| {
        line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' ')).map(str::to_owned)
    };
    assert_eq!(text.lines().filter_map(offered).filter(|line| line.starts_with("[webhook.")).count(), 2);
    let taken: String = text.lines().map(|line| offered(line).unwrap_or_else(|| line.to_owned()) + "\n").collect();
    fs::write(&file, taken).expect("written");
    let (code, said) = check(&folder, &file);
    assert_eq!(code, Some(0), "{said}");
    for name in ["webhook-stripe", "webhook-postmark"] {
        fs::write(folder.path().join(name), "too:short\n").expect("written");
        let (code, said) = check(&folder, &file);
        assert!(code == Some(78) && said.contains(name) && !said.contains("too:short"), "{name}: {said}");
    }
}

#[test]
fn the_example_is_short() {
    let text = shipped("origin.example.toml");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).count();
    println!("the example has {lines} lines");
    assert!(lines <= 35, "{lines}");
}

/// Whoever only asks the gateway that runs needs none of the secrets that the configuration names: a shell has none of them.
#[test]
fn a_running_gateway_is_asked_without_its_secrets() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let gateway = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            let mut asked = BufReader::new(&stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert!(asked.read_line(&mut head).expect("a line") > 0, "{head}");
            }
            let head = head.to_lowercase();
            let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
            asked.read_exact(&mut vec![0; length.unwrap_or(0)]).expect("the body");
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").expect("written");
        }
    });
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("origin.toml");
    fs::write(&file, shipped("origin.example.toml").replace("127.0.0.1:9180", &address)).expect("written");
    let origin = |arguments: &[&str]| {
        let mut command = Command::new(ORIGIN);
        command.args(arguments).arg("--config").arg(&file).env_remove("CREDENTIALS_DIRECTORY");
        let output = command.output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, said) = origin(&["purge", "--all"]);
    assert!(code == Some(0) && said.ends_with(": 1 purged\n"), "{said}");
    let (code, said) = origin(&["maintenance", "status"]);
    assert!(code == Some(0) && said.ends_with(": open\n"), "{said}");
    gateway.join().expect("it was asked twice");
    // What is wrong with what it needs is said.
    fs::write(&file, "[admin]\nlisten = \"203.0.113.1:9180\"\n").expect("written");
    let (code, said) = origin(&["purge", "--all"]);
    assert!(
        code == Some(78) && said.contains("admin.listen: `203.0.113.1:9180` can be reached from outside"),
        "{said}"
    );
    fs::write(&file, "nonsense = 1\n").expect("written");
    let (code, said) = origin(&["purge", "--all"]);
    assert!(code == Some(78) && said.contains("nonsense"), "{said}");
}

/// Who comes through Cloudflare is meant for a site that says so: not for the one of any host, which creators' own domains have.
#[test]
fn every_name_that_cloudflare_shelters_is_a_site_of_its_own() {
    let zone: toml::Table = shipped("cloudflare/zone.toml").parse().expect("TOML");
    let (domain, file) = (zone["zone"].as_str().expect("a name"), zone["dns"]["file"].as_str().expect("a path"));
    let records = shipped(&format!("cloudflare/{file}"));
    let sheltered = records.lines().filter(|line| !line.starts_with(';') && line.contains("cf-proxied:true"));
    let names: BTreeSet<String> = sheltered
        .filter_map(|line| line.split_whitespace().next())
        .map(|name| if name == "@" { domain.to_owned() } else { format!("{name}.{domain}") })
        .collect();
    assert!(names.len() >= 5, "{names:?}");
    let example: toml::Table = shipped("origin.example.toml").parse().expect("TOML");
    let site_of = |name: &str| {
        let mut sites = example["site"].as_array().expect("sites").iter();
        sites.find(|site| {
            site["hosts"].as_array().is_some_and(|hosts| hosts.iter().any(|host| host.as_str() == Some(name)))
        })
    };
    for name in &names {
        let site = site_of(name).unwrap_or_else(|| panic!("{name} has no site"));
        assert_eq!(site["trust"].as_str(), Some("cloudflare"), "{name}");
    }
    let app = |name: &str| site_of(name).map(|site| site["app"].clone());
    assert_ne!(app(&format!("staging.{domain}")), app(domain), "staging is not production");
    let policy = site_of(&format!("mta-sts.{domain}")).and_then(|site| site["well_known"].as_str());
    assert_eq!(policy, Some("/etc/origin/well-known"), "where docs/checklist.md puts the policy for mail");
}

/// The unit loads each secret that the example expects, and no other.
#[test]
fn the_unit_loads_the_secrets_of_the_example() {
    let unit = shipped("origin.service");
    let mut loaded: Vec<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("LoadCredential="))
        .map(|line| {
            let (name, from) = line.split_once(':').expect("NAME:FILE");
            assert_eq!(from, format!("/etc/origin/{name}"), "one name on both sides");
            name
        })
        .collect();
    loaded.sort_unstable();
    let example: toml::Table = shipped("origin.example.toml").parse().expect("TOML");
    let roles = example["bucket"].as_table().expect("buckets").keys().map(|role| format!("bucket-{role}"));
    let named = shipped("origin.example.toml");
    let named = named.split("/run/credentials/origin.service/").skip(1).filter_map(|rest| rest.split('"').next());
    let mut wanted: Vec<String> = named.filter(|n| !n.contains('\n')).map(ToOwned::to_owned).chain(roles).collect();
    wanted.sort_unstable();
    assert_eq!(loaded, wanted);
}

#[test]
fn a_drain_ends_before_systemd_kills() {
    let unit = shipped("origin.service");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("TimeoutStopSec");
    let stop = humantime::parse_duration(stop).expect("a duration");
    let config =
        origin::config::parse("listen.http = [\"127.0.0.1:0\"]\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"");
    let drain = config.expect("a good configuration").timeouts.drain.0;
    assert!(stop > drain, "TimeoutStopSec={stop:?}, timeouts.drain {drain:?}");
}

/// The sockets are those of the example, and the service is one that takes them.
#[test]
fn the_socket_unit_holds_the_addresses_of_the_example() {
    let unit = shipped("origin.socket");
    let held: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
    let (_folder, file) = placed();
    let example: toml::Table = fs::read_to_string(file).expect("written").parse().expect("TOML");
    assert_eq!(
        held,
        ["[::]:443", "[::]:80", example["admin"]["listen"].as_str().expect("text")],
        "the default, the redirect, and the private one"
    );
    let listen = example["listen"].as_table().expect("a section");
    assert_eq!(listen["redirect"][0].as_str(), Some("[::]:80"));
    assert_eq!(listen.len(), 1, "and no other");
}

#[test]
fn a_reload_is_a_hangup_that_the_unit_waits_for() {
    let unit = shipped("origin.service");
    for line in ["Type=notify", "NotifyAccess=main", "ExecReload=kill -HUP $MAINPID", "RuntimeDirectory=origin"] {
        assert!(unit.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn systemd_takes_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return println!("not checked: there is no systemd-analyze here (it comes with the package systemd)");
    }
    let folder = TempDir::new().expect("a folder");
    let unit = folder.path().join("origin.service");
    // The program must be there for systemd to accept it; on this machine it is where cargo has put it.
    fs::write(&unit, shipped("origin.service").replace("/usr/local/bin/origin", ORIGIN)).expect("written");
    let run = |arguments: &[&str]| {
        let output = Command::new("systemd-analyze").args(arguments).output().expect("systemd-analyze runs");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let socket = folder.path().join("origin.socket");
    fs::write(&socket, shipped("origin.socket")).expect("written");
    let (unit, socket) = (unit.to_str().expect("text"), socket.to_str().expect("text"));
    let (good, said) = run(&["verify", "--man=no", unit, socket]);
    assert!(good && said.trim().is_empty(), "{said}");

    let (_, said) = run(&["security", "--offline=true", "--no-pager", unit]);
    let Some(level) = said.split_once("Overall exposure level for origin.service: ").map(|(_, rest)| rest) else {
        // Before version 250 it can't judge a file.
        return println!("exposure not measured: {}", said.trim());
    };
    let level: f64 = level.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number");
    println!("exposure {level} of 10");
    assert!(level <= EXPOSURE, "{said}");
}
