//! Machines that are network namespaces, with cables between them. They need root.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// One machine: it is gone, with its end of every cable, when this is dropped.
pub(crate) struct Machine(Child);

/// Whether machines can be had; where this is no CI it need not be so.
pub(crate) fn can_be_had() -> bool {
    let root = rustix::process::geteuid().is_root();
    assert!(root || std::env::var_os("CI").is_none(), "network namespaces need root");
    if !root {
        eprintln!("left out: network namespaces need root");
    }
    root
}

impl Machine {
    /// A machine with nothing but a loopback.
    pub(crate) fn new() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "ip link set lo up && echo in && exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, "in\n");
        Self(child)
    }

    /// The process that holds it.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// A cable to another machine. Both ends bear the same name.
    pub(crate) fn cable(&self, other: &Self, name: &str) {
        self.run(&format!("ip link add {name} type veth peer name {name} netns {}", other.0.id()));
        for end in [self, other] {
            end.run(&format!("ip link set {name} up"));
        }
    }

    /// Runs lines of shell, which must succeed.
    pub(crate) fn run(&self, lines: &str) -> String {
        let output = self.command("sh").args(["-ec", lines]).output().expect("sh");
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{lines}\n{said}");
        said
    }

    /// A command of it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.0.id().to_string()).arg("--net").arg(program);
        command
    }

    /// A program that does what another does, on this machine; it lies in `folder`.
    pub(crate) fn program(&self, program: &Path, folder: &Path) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = folder.join(format!("on-{}", self.0.id()));
        let line = format!("#!/bin/sh\nexec nsenter --target {} --net {} \"$@\"\n", self.0.id(), program.display());
        std::fs::write(&path, line).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("set");
        path
    }

    /// Runs something of ours on it, on a thread and in a runtime of its own, to its end.
    pub(crate) fn host<T: Send + 'static, F: Future<Output = T>>(
        &self,
        what: impl FnOnce() -> F + Send + 'static,
    ) -> std::thread::JoinHandle<T> {
        let namespace = File::open(format!("/proc/{}/ns/net", self.0.id())).expect("it lives");
        std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(what())
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Loads deploy's firewall on a machine, with these lines as its `site.nft`, and no addresses of Cloudflare's.
pub(crate) fn firewall(machine: &Machine, folder: &Path, site: &str) {
    let rules = stack::toolchain::Toolchain::workspace().join("deploy/firewall/nftables.conf");
    let rules = std::fs::read_to_string(rules).expect("read");
    let folder = folder.join(format!("firewall-{}", machine.pid()));
    std::fs::create_dir(&folder).expect("made");
    for (file, text) in [
        ("nftables.conf", &*rules.replace("/etc/firewall", &folder.display().to_string())),
        ("cloudflare.nft", ""),
        ("site.nft", site),
    ] {
        std::fs::write(folder.join(file), text).expect("written");
    }
    machine.run(&format!("PATH=$PATH:/usr/sbin nft -f {}", folder.join("nftables.conf").display()));
}
