//! Every command of the README does what it says: each line of its `sh` blocks is tried here, in order, as written.
//!
//! [`Reader::try_one`] knows how to try which command. Most are run. What needs a server is run in a folder that stands in for the server's
//! root (`/etc`, `/usr` and `/opt` are put below it). What needs an account, the service manager or an hour is held to the files and
//! flags that it names instead. A command that nobody has thought of fails the test, so the README can't outgrow it. Other
//! fences (three backticks alone) are pictures and not tried.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stack::keys::Credentials;
use stack::toolchain::{Toolchain, Worker};

/// The commands, in the README's order. Each stands on one line.
fn commands(readme: &str) -> Vec<&str> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in readme.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside && !line.trim().is_empty() => commands.push(line),
            _ => {}
        }
    }
    commands
}

/// What earlier commands left for later ones.
struct Reader {
    root: PathBuf,
    /// The newest `cargo dev`.
    running: Option<Running>,
    server: Server,
}

/// A server's root, in a folder.
struct Server {
    folder: tempfile::TempDir,
    /// The build that there is stands in for the release build.
    origin: PathBuf,
}

struct Running {
    child: Child,
    addresses: Value,
    // Kept open, or it would write into a closed pipe.
    _stdout: BufReader<std::process::ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::INT);
        let _ = self.child.wait();
    }
}

#[test]
fn every_command_of_the_readme_works() {
    let root = Toolchain::workspace();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let commands = commands(&readme);
    assert!(commands.len() > 10, "{commands:#?}");
    let mut reader = Reader { root: root.clone(), running: None, server: Server::new(&root) };
    for command in commands {
        eprintln!("README   {command}");
        reader.try_one(command);
    }
}

#[test]
fn every_link_of_the_readme_leads_to_a_file() {
    let root = Toolchain::workspace();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut local = 0;
    for link in links.filter(|link| !link.starts_with("https://")) {
        assert!(root.join(link).exists(), "{link}");
        local += 1;
    }
    assert!(local > 10);
}

impl Reader {
    fn try_one(&mut self, command: &str) {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["cargo", "dev", "--help"] => assert!(self.run(command).contains("Usage: cargo dev")),
            ["cargo", "dev", ..] => {
                self.running = None;
                self.running = Some(self.start(command));
            }
            ["curl", ..] => self.ask(command),
            // This test is part of it.
            ["cargo", "test", ..] => {
                assert!(self.text(".ci/run").lines().any(|line| line == command), "not in .ci/run")
            }
            // And of this.
            [".ci/run"] => assert!(self.run("test -x .ci/run && echo yes").contains("yes")),
            // The stack has built the same, with the profile that the tests have.
            ["cargo", "build", "--release", "-p", "origin"] => assert!(self.server.origin.ends_with("origin")),
            ["scp", files @ .., _server] => {
                for file in files.iter().filter(|file| !file.starts_with("target/")) {
                    fs::copy(self.root.join(file), self.server.home().join(Path::new(file).file_name().unwrap()))
                        .unwrap();
                }
                assert!(files.contains(&"target/release/origin"));
                fs::copy(&self.server.origin, self.server.home().join("origin")).unwrap();
                self.server.receive_secrets();
            }
            ["install" | "(umask" | "sed", ..] => {
                let said = self.server.run(command);
                assert!(words[0] != "sed" || said.contains(": good; "), "{said}");
            }
            ["systemctl", "daemon-reload"] => {}
            ["systemctl", "enable", "--now", unit] => {
                let installed = self.server.path("/etc/systemd/system").join(format!("{unit}.service"));
                let text = fs::read_to_string(installed).unwrap();
                assert!(text.contains("ExecStart=/usr/local/bin/origin serve --config /etc/origin/origin.toml\n"));
                assert!(self.server.path("/usr/local/bin/origin").exists());
            }
            // The toolchain does that itself, from the same lock file.
            ["npm", "ci", "--ignore-scripts"] => drop(self.toolchain()),
            ["npx", "wrangler", "secret", "put", name] => {
                assert!(self.text("edge/src/worker/mod.rs").contains(&format!(".secret(\"{name}\")")));
                let help = self.wrangler(&["secret", "put", "--help"]);
                assert!(help.contains("wrangler secret put <key>"), "{help}");
            }
            ["GATEWAY_CONFIG=/path/to/origin.toml", "STATIC_DIR=/path/to/static", "npx", "wrangler", "deploy"] => {
                assert!(self.text("tests/stack/src/bin/build-worker.rs").contains("\"GATEWAY_CONFIG\""));
                assert!(self.text("tests/stack/src/bin/build-worker.rs").contains("\"STATIC_DIR\""));
                let toolchain = self.toolchain();
                let progress = |line: &str| eprintln!("{line}");
                let bundle = toolchain.build(&Worker::edge(&self.root), &progress).unwrap();
                let rules = origin::config::edge_rules(&self.root.join("deploy/origin.example.toml")).unwrap();
                assert!(rules.as_ref().is_some_and(|rules| rules.contains("filter ")));
                bundle.with_rules(rules.as_deref(), &self.root.join("build/edge")).unwrap();
                stack::toolchain::publish(Some(Path::new(demo::STATIC_DIR)), &self.root.join("build/assets")).unwrap();
                for environment in ["", "staging"] {
                    assert!(toolchain.dry_run(environment, &progress).unwrap().gzipped_kib > 10.0, "{environment}");
                }
            }
            _ => panic!("nobody knows how to try `{command}`: say so in {}", file!()),
        }
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn toolchain(&self) -> Toolchain {
        Toolchain::prepare(&self.root, &|line| eprintln!("{line}")).unwrap()
    }

    fn wrangler(&self, arguments: &[&str]) -> String {
        let toolchain = self.toolchain();
        let mut wrangler = Command::new(self.root.join("node_modules/.bin/wrangler"));
        wrangler.args(arguments).current_dir(&self.root).env("PATH", toolchain.path());
        wrangler.env("WRANGLER_SEND_METRICS", "false").env("NO_COLOR", "1");
        String::from_utf8(wrangler.output().unwrap().stdout).unwrap()
    }

    /// As typed into a shell, in the checkout.
    fn run(&self, command: &str) -> String {
        shell(command, &self.root, &[])
    }

    /// `cargo dev …` until it is ready.
    fn start(&self, command: &str) -> Running {
        let mut child = Command::new("sh")
            .args(["-c", &format!("exec {command}")])
            .current_dir(&self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while stdout.read_line(&mut line).unwrap() > 0 {
            if let Some(addresses) = line.strip_prefix("ready ") {
                return Running { addresses: serde_json::from_str(addresses).unwrap(), child, _stdout: stdout };
            }
            line.clear();
        }
        panic!("`{command}` is not ready: {:?}", child.wait());
    }

    /// `curl …` to what runs, on whatever port it found free.
    fn ask(&self, command: &str) {
        let running = self.running.as_ref().expect("nothing runs that could be asked");
        let address = |part: &str| running.addresses[part].as_str().unwrap();
        assert!(command.contains("127.0.0.1:8787/") || command.contains("127.0.0.1:9180/"), "asks nobody that we know");
        let there = command
            .replace("http://127.0.0.1:8787", address("edge"))
            .replace("http://127.0.0.1:9180", address("admin"));
        let said = shell(&there, &self.root, &[]);
        match command.split('/').next_back().unwrap() {
            "health" => assert!(serde_json::from_str::<Value>(&said).unwrap().is_object(), "{said}"),
            "readyz" => assert!(said.contains("ready"), "{said}"),
            _ => {
                assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains("Makenot.work"), "{said}");
                // “The second answer to the same question has …”
                let again = || shell(&there, &self.root, &[]).to_lowercase();
                let hit = (0..50).map(|_| again()).find(|said| said.contains("; hit"));
                assert!(hit.is_some_and(|said| said.contains("\r\ncache-status: ")));
            }
        }
    }
}

impl Server {
    fn new(root: &Path) -> Self {
        let origin = stack::gateway::build(root, &|line| eprintln!("{line}")).unwrap();
        let server = Self { folder: tempfile::tempdir().unwrap(), origin };
        for folder in ["/root", "/etc/origin", "/etc/systemd/system", "/usr/local/bin", "/opt/makenotwork/static"] {
            fs::create_dir_all(server.path(folder)).unwrap();
        }
        server
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    fn home(&self) -> PathBuf {
        self.path("/root")
    }

    /// Puts the server's folders below ours.
    fn here(&self, text: &str) -> String {
        let root = self.folder.path().display();
        ["/etc/", "/usr/local/", "/opt/"]
            .iter()
            .fold(text.to_owned(), |text, folder| text.replace(folder, &format!("{root}{folder}")))
    }

    /// What the README asks the operator to put into /etc/origin/; and the configuration's own paths lead below our folder.
    fn receive_secrets(&self) {
        let made = tempfile::tempdir().unwrap();
        Credentials::make(made.path()).unwrap().files.install(&self.path("/etc/origin")).unwrap();
        let config = self.home().join("origin.example.toml");
        fs::write(&config, self.here(&fs::read_to_string(&config).unwrap())).unwrap();
    }

    /// As typed into a shell, in root's home.
    fn run(&self, command: &str) -> String {
        let path = format!("{}:{}", self.path("/usr/local/bin").display(), std::env::var("PATH").unwrap());
        shell(&self.here(command), &self.home(), &[("PATH", &path)])
    }
}

/// What it printed; it must succeed.
fn shell(command: &str, folder: &Path, variables: &[(&str, &str)]) -> String {
    let mut shell = Command::new("sh");
    shell.args(["-ec", command]).current_dir(folder).envs(variables.iter().copied()).stdin(Stdio::null());
    let output = shell.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "`{command}`: {}\n{}", output.status, text(&output.stderr));
    text(&output.stdout)
}
