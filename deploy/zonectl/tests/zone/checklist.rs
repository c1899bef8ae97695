//! docs/checklist.md is what a new operator types. Each command of it is tried here as far as one machine goes, and what it prints is compared with what
//! the page says that it does. What needs a vendor, a server or the service manager is held to the programs, flags, files and names in it.
//!
//! [`Operator::try_one`] knows how to try which command, as the README's test does; one that nobody has thought of fails.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deploy::dns::Dns;
use deploy::{Needed, have};
use stack::keys::Credentials;
use stack::toolchain::Toolchain;
use tempfile::TempDir;

/// What a command begins with. Other code on the page names files and values.
const PROGRAMS: [&str; 12] = [
    "GATEWAY_CONFIG=/path/to/origin.toml",
    "cargo",
    "cloud-init",
    "curl",
    "deploy/vps/user-data",
    "deploy/zone/lint",
    "npm",
    "npx",
    "origin",
    "rsync",
    "ssh",
    "systemctl",
];
/// And what is run by others' leave, or reads a file first.
const BEFORE: [&str; 2] = ["sed", "sudo"];
/// What has a space and is none.
const NO_COMMANDS: [&str; 2] = ["--env staging", "apply --yes"];
/// Who asks for SPF records of others is told these.
const SPF: &str = "--txt-record=spf.messagingengine.com,v=spf1 ip4:66.111.4.0/24 ~all";

/// A row of the page.
struct Step {
    number: usize,
    commands: Vec<String>,
    /// What is printed, where the page has it as code.
    printed: Vec<String>,
    answers: String,
}

fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(|text| text.replace("\\|", "|")).collect()
}

fn steps(page: &str) -> Vec<Step> {
    let list = page.split("\n## ").next().unwrap();
    let rows = list.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.filter_map(|row| {
        let cells: Vec<_> = row.split(" | ").collect();
        let number = cells[0].parse().ok()?;
        let mut commands = code(cells[1]);
        commands.retain(|text| {
            let first = text.split(' ').next().unwrap();
            let is_one = text.contains(' ') && (PROGRAMS.contains(&first) || BEFORE.contains(&first));
            assert!(is_one || !text.contains(' ') || NO_COMMANDS.contains(&&**text), "is `{text}` a command?");
            is_one
        });
        Some(Step { number, commands, printed: code(cells[2]), answers: cells[2].to_owned() })
    })
    .collect()
}

/// Somebody with a checkout, and a folder that stands for the server's root.
struct Operator {
    root: PathBuf,
    folder: TempDir,
    dns: Dns,
}

#[test]
fn every_command_of_the_checklist_works_or_is_known() {
    have(&[
        Needed { program: "cloud-init", package: "cloud-init" },
        Needed { program: "jq", package: "jq" },
        Needed { program: "named-compilezone", package: "bind9-utils" },
        Needed { program: "objdump", package: "binutils" },
        Needed { program: "rsync", package: "rsync" },
        Needed { program: "ssh-keygen", package: "openssh-client" },
    ]);
    let operator = Operator::new();
    let steps = steps(&operator.text("docs/checklist.md"));
    assert!((10..=20).contains(&steps.len()), "{}", steps.len());
    for (n, step) in steps.iter().enumerate() {
        assert!(step.number == n + 1 && !step.commands.is_empty() && !step.answers.trim().is_empty(), "step {}", n + 1);
        for command in &step.commands {
            println!("step {:2}  {command}", step.number);
            operator.try_one(command, step);
        }
    }
}

impl Operator {
    fn new() -> Self {
        let root = Toolchain::workspace().canonicalize().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in
            ["bin", ".ssh", "vps/home/admin", "vps/etc/origin", "vps/etc/systemd/system", "vps/opt/makenotwork/static"]
        {
            fs::create_dir_all(path(name)).unwrap();
        }
        symlink(root.join("deploy"), path("deploy")).unwrap();
        // Who runs this may do all that is done here.
        fs::write(path("bin/sudo"), "#!/bin/sh\nexec env \"$@\"\n").unwrap();
        fs::set_permissions(path("bin/sudo"), fs::Permissions::from_mode(0o755)).unwrap();
        let gateway = stack::gateway::build(&root, &|line| println!("{line}")).unwrap();
        symlink(gateway, path("bin/origin")).unwrap();
        Self { root, folder, dns: Dns::start(&[SPF.to_owned()]) }
    }

    fn try_one(&self, command: &str, step: &Step) {
        let words: Vec<&str> = command.split(' ').collect();
        let prints = |said: &str| {
            let all = step.printed.iter().all(|text| said.contains(&**text));
            assert!(
                all && !step.printed.is_empty(),
                "`{command}` prints:\n{said}\nand the page has: {:?}",
                step.printed
            );
        };
        match words.as_slice() {
            ["cargo", "dev"] => assert!(self.text(".cargo/config.toml").lines().any(|line| line.starts_with("dev = "))),
            ["deploy/vps/user-data", ..] => {
                self.here("ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519");
                self.here(&command.replace('~', "."));
            }
            ["cloud-init", ..] => prints(&self.here(command)),
            ["ssh", "admin@VPS", "cloud-init" | "pg_lsclusters", ..] => {
                let user_data = fs::read_to_string(self.folder.path().join("user-data.yaml")).unwrap();
                assert!(user_data.contains("  - name: admin\n") && user_data.contains(" postgresql,"));
            }
            ["ssh", "admin@VPS", "sudo", "firewall"] => prints(&self.firewall()),
            ["rsync", "-a", "deploy", "admin@VPS:"] => {
                let home = self.folder.path().join("vps/home/admin");
                shell(&format!("rsync -a --exclude __pycache__ deploy {}/", home.display()), &self.root, &[]);
            }
            ["sudo", "-u", "postgres", "pgbackrest", rest @ ..] => {
                let check = format!("pgbackrest {}", rest.join(" "));
                assert!(self.text("docs/backups.md").contains(&format!("sudo -u postgres {check}   # \"success")));
                let tried = self.text("tests/deploy/tests/it/backups/site.rs");
                assert!(
                    tried.contains(&check) && tried.contains(&format!("{:?}", step.printed[step.printed.len() - 1]))
                );
            }
            ["sudo", "install", ..] => {
                self.there(command);
                self.adapt();
            }
            ["sudo", "systemctl", "enable", "--now", units @ ..] | ["systemctl", "start", units @ ..] => {
                units.iter().for_each(|unit| self.has_unit(unit));
            }
            ["curl", .., url] => self.knows(url, step),
            ["cargo", "build", "--release", "--locked", "-p", "origin", "&&", ..] => self.packs(command, step),
            ["rsync", "build/package/origin_*.deb", "admin@VPS:"] => {
                assert!(self.here("ls build/package/origin_*.deb").contains(".deb"));
            }
            ["sudo", "dpkg", ..] => prints(&self.text("deploy/package/postinst")),
            ["sudo", "sh", "-c", ..] => prints(&self.there(command)),
            ["sed", .., "origin", "check-config", "/dev/stdin"] => prints(&self.there(command)),
            ["sed", .., "origin", "buckets", "apply", "--yes", "--config", "/dev/stdin"] => {
                self.program(&self.folder.path().join("bin/origin"), &words[words.len() - 5..]);
                assert!(
                    self.text("origin/src/command/buckets.rs").contains(&format!("println!({:?})", step.printed[0]))
                );
            }
            ["sudo", "origin", rest @ ..] | ["origin", rest @ ..] => {
                self.program(&self.folder.path().join("bin/origin"), rest)
            }
            ["cargo", "zone", rest @ ..] => self.program(Path::new(env!("CARGO_BIN_EXE_zonectl")), rest),
            ["ssh", "admin@VPS", "cat", file, "|", "cargo", "zone", rest @ ..] => {
                assert!(self.text("deploy/origin.example.toml").contains(&format!("client_ca = {file:?}")));
                self.program(Path::new(env!("CARGO_BIN_EXE_zonectl")), rest);
            }
            ["deploy/zone/lint", ..] => {
                let lint = format!("deploy/zone/lint --dns {}", self.dns.address);
                prints(&self.here(&command.replace("deploy/zone/lint", &lint)));
            }
            ["npm", "ci", "--ignore-scripts"] => drop(self.text("package-lock.json")),
            ["npx", "wrangler", "secret", "put", key, "--env", "\"\""] => {
                assert!(self.text("edge/src/worker/mod.rs").contains(&format!(".secret({key:?})")));
            }
            [_, folder, "npx", "wrangler", "deploy", "--env", "\"\""] => {
                let build = self.text("tests/stack/src/bin/build-worker.rs");
                assert!(
                    folder.starts_with("STATIC_DIR=")
                        && ["\"GATEWAY_CONFIG\"", "\"STATIC_DIR\""].iter().all(|it| build.contains(it))
                );
                let workers = self.text("wrangler.toml");
                for name in ["makenotwork-edge", "makenotwork-edge-staging"] {
                    assert!(workers.contains(&format!("\nname = {name:?}\n")) && step.answers.contains(name));
                }
                assert!(workers.contains("\n[env.staging]\n"));
            }
            _ => panic!("nobody knows how to try `{command}` of step {}: say so in {}", step.number, file!()),
        }
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// As typed on the operator's own machine, in a checkout.
    fn here(&self, command: &str) -> String {
        shell(command, self.folder.path(), &self.variables())
    }

    /// As typed on the server, whose folders lie below ours.
    fn there(&self, command: &str) -> String {
        let vps = self.folder.path().join("vps");
        let command = ["/etc/", "/opt/"]
            .iter()
            .fold(command.to_owned(), |text, folder| text.replace(folder, &format!("{}{folder}", vps.display())));
        shell(&command, &vps.join("home/admin"), &self.variables())
    }

    fn variables(&self) -> [(&'static str, String); 2] {
        let path = std::env::var("PATH").unwrap();
        [
            ("PATH", format!("{}:{path}:/usr/sbin:/sbin", self.folder.path().join("bin").display())),
            ("DPKG_DEB_COMPRESSOR_TYPE", "none".to_owned()),
        ]
    }

    /// What the operator does with the configuration once it is there: the secrets that it names, and its paths, which lie below our folder.
    fn adapt(&self) {
        let vps = self.folder.path().join("vps");
        let file = vps.join("etc/origin/origin.toml");
        let Ok(text) = fs::read_to_string(&file) else { return };
        let below = ["\"/etc/", "\"/opt/"].iter().fold(text, |text, from| {
            text.replace(from, &format!("\"{}{}", vps.display(), from.trim_start_matches('"')))
        });
        fs::write(&file, below).unwrap();
        let made = tempfile::tempdir().unwrap();
        Credentials::make(made.path()).unwrap().files.install(&vps.join("etc/origin")).unwrap();
    }

    /// What `firewall` says of the list and the rules that are shipped; tests/deploy loads them.
    fn firewall(&self) -> String {
        let ranges = self.text("deploy/cloudflare/ranges.txt");
        let count = ranges.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        let day = ranges.lines().find_map(|line| line.strip_prefix("# as of ")).unwrap();
        let everyone = self.text("deploy/firewall/site.example.nft");
        let open = everyone.lines().find_map(|line| line.strip_prefix("add element inet site everyone ")).unwrap();
        format!("{count} ranges of {day}; open to everyone: {open}")
    }

    /// A unit that is shipped, or was put in place by a step before.
    fn has_unit(&self, unit: &str) {
        let file = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
        let folders = ["deploy", "deploy/firewall", "deploy/backups/units"].map(|folder| self.root.join(folder));
        let placed = self.folder.path().join("vps/etc/systemd/system");
        assert!(folders.iter().chain([&placed]).any(|folder| folder.join(&file).exists()), "there is no unit {file}");
    }

    /// Addresses that are asked, and what is said there, are those of our files.
    fn knows(&self, url: &str, step: &Step) {
        let example = self.text("deploy/origin.example.toml");
        match url {
            "http://127.0.0.1:3000/" => assert!(example.contains("\napp = \"127.0.0.1:3000\"\n")),
            "http://127.0.0.1:9180/readyz" => {
                assert!(example.contains("\nlisten = \"127.0.0.1:9180\"") && step.printed == ["ready"])
            }
            "https://makenot.work/" => {
                assert!(self.text("wrangler.toml").contains("\npattern = \"makenot.work/*\"\n"));
                assert!(step.printed.iter().any(|text| text == "edge"), "as moving.rs looks for it: {}", step.answers);
            }
            "https://makenot.work/api/health" => {
                // No Worker signs what is asked there.
                assert!(self.text("deploy/cloudflare/zone.toml").contains("    \"makenot.work/api/health*\",\n"));
                assert!(step.printed.iter().any(|text| text == "\"via\":\"cloudflare\""), "{}", step.answers);
            }
            _ => panic!("nobody knows {url}"),
        }
    }

    /// The package, of the build that there is.
    fn packs(&self, command: &str, step: &Step) {
        let (_, build) = command.split_once(" && ").unwrap();
        self.here("mkdir -p target/release; strip -o target/release/origin bin/origin");
        // By its own path: it asks cargo about the workspace that it lies in.
        let own = self.root.join("deploy/package/build").display().to_string();
        let said = self.here(&build.replace("deploy/package/build", &own));
        let (before, after) = step.printed[0].split_once("VERSION").unwrap();
        let end = if cfg!(target_arch = "x86_64") { after } else { ".deb" };
        assert!(said.trim_end().starts_with(before) && said.trim_end().ends_with(end), "{said}");
    }

    /// A program of ours has this subcommand, with these flags.
    fn program(&self, program: &Path, words: &[&str]) {
        let is_word = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
        let subcommand: Vec<_> = words.iter().take_while(is_word).collect();
        let output = Command::new(program).args(&subcommand).arg("--help").current_dir(&self.folder).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && !subcommand.is_empty(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            assert!(help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")), "{words:?}: {help}");
        }
    }
}

/// Both streams; it must succeed.
fn shell(command: &str, folder: &Path, variables: &[(&str, String)]) -> String {
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", command]).current_dir(folder).stdin(Stdio::null());
    let output = shell.envs(variables.iter().map(|(name, value)| (name, value))).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "`{command}`: {}\n{said}", output.status);
    said
}
