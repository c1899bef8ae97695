//! `origin explain` and the journal: a real one, read by Debian's own journalctl.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use deploy::{Needed, have, is_root};
use serde_json::json;

use crate::running::gateway;

const ID: &str = "0af7651916cd43dd8448eb211c80319c";
const WRITER: &str = "/lib/systemd/systemd-journal-remote";

/// An entry as journald keeps it, in systemd's export format.
fn entry(number: u64, unit: &str, message: &str) -> String {
    let zeros = "0".repeat(31);
    format!(
        "__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={number}\n_BOOT_ID={zeros}1\n_MACHINE_ID={zeros}2\n_SYSTEMD_UNIT={unit}\nPRIORITY=6\nMESSAGE={message}\n\n",
        1_796_000_000_000_000 + number
    )
}

#[test]
fn a_request_is_explained_by_the_journal() {
    have(&[
        Needed { program: "journalctl", package: "systemd" },
        Needed { program: WRITER, package: "systemd-journal-remote" },
    ]);
    if !is_root() {
        assert!(std::env::var_os("CI").is_none(), "the journal's place needs root");
        eprintln!("left out: the journal's place needs root");
        return;
    }
    let line = |id: &str, path: &str, reason: &str| {
        json!({
            "timestamp": "2026-11-29T04:30:00.000000Z", "level": "INFO", "message": "request", "request.id": id, "trust": "edge-signed",
            "client.address": "203.0.113.7", "http.request.method": "GET", "url.host": "makenot.work", "url.path": path,
            "network.protocol": "HTTP/1.1", "http.response.status_code": 502, "reason": reason, "cache": "none", "duration.head_ms": 1.5,
        })
        .to_string()
    };
    let folder = tempfile::tempdir().unwrap();
    // journalctl looks where a machine's journal is by that machine's id.
    let machine = "00000000000000000000000000000002";
    fs::create_dir(folder.path().join(machine)).unwrap();
    let journal = folder.path().join(machine).join("system.journal");
    let mut writer = Command::new(WRITER)
        .arg("--output")
        .arg(&journal)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let entries = [
        entry(1, "origin.service", &line("11111111111111111111111111111111", "/other", "")),
        entry(2, "origin.service", &line(ID, "/broken", "app-unreachable")),
        entry(3, "app.service", &line(ID, "/not-ours", "")),
    ];
    writer.stdin.take().unwrap().write_all(entries.concat().as_bytes()).unwrap();
    let written = writer.wait_with_output().unwrap();
    assert!(written.status.success() && journal.exists(), "{}", String::from_utf8_lossy(&written.stderr));
    fs::write(folder.path().join("machine-id"), format!("{machine}\n")).unwrap();

    let origin = gateway();
    let explain = |id: &str| {
        let script = "mkdir -p /var/log/journal && mount --bind \"$1\" /var/log/journal && mount --bind \"$1/machine-id\" /etc/machine-id && exec \"$2\" explain \"$3\"";
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(folder.path())
            .arg(&origin)
            .arg(id)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), said)
    };
    let (code, said) = explain(ID);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("GET makenot.work/broken, asked by 203.0.113.7") && said.contains("Why: app-unreachable."),
        "{said}"
    );
    assert!(!said.contains("/other") && !said.contains("/not-ours"), "{said}");
    let (code, said) = explain("22222222222222222222222222222222");
    assert!(code == Some(1) && said.contains("the log has no line of 2222"), "{said}");
}
