//! This machine: a disk that fills up, memory and descriptors that are taken, a clock that is set wrong.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::{BOUND, PACE, all_looked, check, noticed, service, token, until};
use crate::app::Script;
use crate::debian;
use crate::gateway::Gateway;

const BINARY: &str = env!("CARGO_BIN_EXE_origin");
const DOWN: &str = "Issues Detected";

/// A file system of 8 MB that the gateway alone sees, and we through its eyes.
#[tokio::test]
async fn a_disk_that_fills_up() {
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).expect("a folder");
    let mut command = Command::new("unshare");
    if !debian::is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let mount = format!("mount -t tmpfs -o size=8m none {} && exec \"$@\"", disk.display());
    command.args(["--mount", "sh", "-c", &mount, "sh", BINARY]);
    let probe = format!("[probe.disk]\nkind = \"disk\"\nfolder = {disk:?}\n{PACE}");
    let gateway = Gateway::by(command, &app.app(), &format!("{}{probe}", token(&folder)));
    assert_eq!(check(&all_looked(&gateway).await, "disk")["message"], "0 % of the disk in use");
    let seen =
        Path::new("/proc").join(gateway.pid().to_string()).join("root").join(disk.strip_prefix("/").expect("absolute"));
    let write = |name: &str, size: usize| std::fs::write(seen.join(name), vec![b'x'; size]);

    write("most", 7 << 20).expect("there is room");
    assert_eq!(noticed(&gateway, ("disk", "disk"), "Degraded", BOUND).await, "88 % of the disk in use");
    let full = write("all", 2 << 20).expect_err("there is no room");
    assert_eq!(full.raw_os_error(), Some(rustix::io::Errno::NOSPC.raw_os_error()));
    assert_eq!(noticed(&gateway, ("disk", "disk"), DOWN, BOUND).await, "100 % of the disk in use");
    for name in ["most", "all"] {
        std::fs::remove_file(seen.join(name)).expect("it is there");
    }
    assert_eq!(noticed(&gateway, ("disk", "disk"), "Operational", BOUND).await, "0 % of the disk in use");
}

/// Percent of the machine's memory in use, as free(1) counts.
fn in_use() -> f64 {
    let output = Command::new("free").arg("--bytes").output().expect("procps");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("Mem:")).expect("memory");
    let figures: Vec<f64> = line.split_whitespace().skip(1).filter_map(|figure| figure.parse().ok()).collect();
    let (total, available) = (figures[0], figures[5]);
    100.0 * (total - available) / total
}

/// The machine's memory really is taken, a few percent of it, for some seconds.
#[tokio::test]
async fn memory_that_is_taken() {
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let before = in_use();
    // What others do beside us may take and give some.
    let (degraded, down) = (before + 6.0, before + 10.0);
    let probe =
        format!("[probe.memory]\nkind = \"memory\"\ndegraded = \"{degraded:.1}%\"\ndown = \"{down:.1}%\"\n{PACE}");
    let gateway = Gateway::before(&app.app(), &format!("{}{probe}", token(&folder)));
    let well = all_looked(&gateway).await;
    let (figure, known) = (check(&well, "memory")["value"].as_f64().expect("a figure"), in_use());
    assert!((figure - known).abs() < 3.0, "{figure} % where free says {known} %");
    assert_eq!(service(&well, "memory")["status"], "Operational", "{before} % before: {well:#}");
    let mut taken = Vec::new();
    let mut take = |wanted: f64| {
        while in_use() < wanted {
            assert!(taken.len() < 500, "{wanted} % is never reached");
            taken.push(vec![1_u8; 64 << 20]);
        }
    };
    take(f64::midpoint(degraded, down));
    let said = noticed(&gateway, ("memory", "memory"), "Degraded", BOUND).await;
    assert!(said.ends_with(" % of the memory in use"), "{said}");
    take(down + 1.5);
    noticed(&gateway, ("memory", "memory"), DOWN, BOUND).await;
    drop(taken);
    // When it is well again is for all who run on this machine to say.
    until(&gateway, "", |_, health| service(health, "memory")["status"] == "Operational").await;
}

/// A process that may have 400 descriptors, and clients that take them.
#[tokio::test]
async fn descriptors_that_are_taken() {
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let mut command = Command::new("prlimit");
    command.args(["--nofile=400:400", BINARY]);
    let probe = format!("[probe.files]\nkind = \"descriptors\"\ndegraded = \"50%\"\ndown = \"72%\"\n{PACE}");
    let gateway = Gateway::by(command, &app.app(), &format!("{}{probe}", token(&folder)));
    let well = all_looked(&gateway).await;
    assert!(check(&well, "files")["value"].as_f64().is_some_and(|share| (1.0..40.0).contains(&share)), "{well:#}");
    let mut clients = Vec::new();
    let mut come = async |count: usize| {
        while clients.len() < count {
            clients.push(TcpStream::connect(gateway.address()).await.expect("it accepts"));
        }
    };
    come(200).await;
    let said = noticed(&gateway, ("files", "files"), "Degraded", BOUND).await;
    assert!(said.ends_with(" % of the file descriptors in use"), "{said}");
    // No more than limits.connections leaves: three quarters.
    come(285).await;
    noticed(&gateway, ("files", "files"), DOWN, BOUND).await;
    drop(clients);
    noticed(&gateway, ("files", "files"), "Operational", BOUND).await;
}

/// Debian's library that gives a process another clock, whose offset stands in a file.
fn faketime() -> String {
    let find = || {
        let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
        let mut all = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
        all.find(|path| path.exists()).map(|path| path.display().to_string())
    };
    debian::have("libfaketime", "faketime", find)
}

/// A server's clock is right, and ours is set.
#[tokio::test]
async fn a_clock_that_is_wrong() {
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let offset = folder.path().join("offset");
    let set = |seconds: &str| std::fs::write(&offset, format!("{seconds}\n")).expect("written");
    set("+0");
    let server = Gateway::before(&app.app(), "");
    let mut command = Command::new(BINARY);
    // The time that only goes on is left alone.
    command.env("LD_PRELOAD", faketime()).env("FAKETIME_TIMESTAMP_FILE", &offset);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let url = format!("http://{}/api/health", server.address());
    let probe = format!("[probe.clock]\nkind = \"clock\"\nurl = \"{url}\"\n{PACE}");
    let gateway = Gateway::by(command, &app.app(), &format!("{}{probe}", token(&folder)));
    let well = all_looked(&gateway).await;
    assert_eq!(service(&well, "clock")["status"], "Operational", "{well:#}");
    let said = async |level: &str| noticed(&gateway, ("clock", "clock"), level, BOUND + Duration::from_secs(1)).await;
    set("+4");
    let ahead = said("Degraded").await;
    assert!(ahead.starts_with("our clock is at least 3.") && ahead.ends_with(" s ahead of the server's"), "{ahead}");
    set("-9");
    let behind = said(DOWN).await;
    assert!(behind.starts_with("our clock is at least ") && behind.ends_with(" s behind the server's"), "{behind}");
    set("+0");
    said("Operational").await;
}
