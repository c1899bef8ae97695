//! `cargo dev` as a developer meets it: what it says, what it refuses, how it ends and what it leaves behind. Runs the binary itself.
//!
//! Whatever a run started, however deep, is known by a variable of the environment that all of it inherits: [`Dev::remains`] looks for
//! it in `/proc`.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use stack::toolchain::{Toolchain, Worker};

/// Long enough for a build from nothing; no test waits that long when all is well.
const PATIENCE: Duration = Duration::from_secs(600);

/// Marks the processes of one run.
const MARK: &str = "STACK_TEST_RUN";

fn dev(arguments: &[&str]) -> (Command, String) {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let mark = format!("{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let mut command = Command::new(env!("CARGO_BIN_EXE_dev"));
    command.args(arguments).env(MARK, &mark).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command, mark)
}

/// Processes that carry the mark and have not ended.
fn marked(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}\0");
    let environment = |path: &Path| fs::read(path.join("environ")).unwrap_or_default();
    let carries = |path: &Path| {
        let environment = environment(path);
        environment.windows(wanted.len()).any(|window| window == wanted.as_bytes())
    };
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let name = |path: &Path| fs::read_to_string(path.join("cmdline")).unwrap_or_default().replace('\0', " ");
    processes.filter(|path| carries(path)).map(|path| name(&path)).collect()
}

/// Runs it to its end, which must come by itself.
fn finished(arguments: &[&str]) -> (Option<i32>, String, String) {
    let (mut command, mark) = dev(arguments);
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!(marked(&mark), [""; 0], "left running");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// What it says when it refuses: exactly one line that starts with `cargo dev: `, and the exit code 1.
fn refusal(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = finished(arguments);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    let said: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix("cargo dev: ")).collect();
    assert_eq!(said.len(), 1, "{stderr}");
    assert!(stderr.ends_with(&format!("{}\n", said[0])), "the reason is not the last line:\n{stderr}");
    assert!(!stderr.contains("panicked") && !stderr.contains('\x1b'), "{stderr}");
    said[0].to_owned()
}

/// A running `cargo dev`; dropping it ends it.
struct Dev {
    child: Child,
    mark: String,
    lines: Receiver<String>,
    before: Vec<String>,
    addresses: Value,
    took: Duration,
    /// Whether the app is none of its parts.
    foreign_app: bool,
}

impl Dev {
    fn start(arguments: &[&str]) -> Self {
        let began = Instant::now();
        let (mut command, mark) = dev(arguments);
        // A process group of its own, as a shell gives it.
        let mut child = command.process_group(0).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let foreign_app = arguments.contains(&"--app");
        let mut dev =
            Self { child, mark, lines, before: vec![], addresses: Value::Null, took: Duration::ZERO, foreign_app };
        loop {
            let Ok(line) = dev.lines.recv_timeout(PATIENCE) else { panic!("not ready; it said:\n{}", dev.stderr()) };
            if let Some(json) = line.strip_prefix("ready ") {
                dev.addresses = serde_json::from_str(json).unwrap();
                dev.took = began.elapsed();
                return dev;
            }
            dev.before.push(line);
        }
    }

    fn edge(&self) -> String {
        self.addresses["edge"].as_str().unwrap().to_owned()
    }

    /// The next line on standard output that contains this.
    fn line(&self, wanted: &str) -> String {
        let until = Instant::now() + Duration::from_secs(10);
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(wanted) {
                return line;
            }
        }
        panic!("no line with {wanted:?}")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its exit code, all that it said on standard error, and its addresses, on which nothing may listen any more.
    fn ended(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        self.nothing_remains(Duration::ZERO);
        (status.code(), self.stderr())
    }

    fn nothing_remains(&self, within: Duration) {
        let until = Instant::now() + within;
        while Instant::now() < until && !marked(&self.mark).is_empty() {
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(marked(&self.mark), [""; 0], "left running");
        for (part, address) in self.addresses.as_object().unwrap() {
            let address = address.as_str().unwrap().split("://").nth(1).unwrap();
            if self.foreign_app && part == "app" {
                continue;
            }
            assert!(TcpStream::connect(address).is_err(), "{part} still listens on {address}");
        }
    }

    fn stderr(&mut self) -> String {
        let mut said = String::new();
        let _ = self.child.stderr.take().map(|mut stderr| stderr.read_to_string(&mut said));
        said
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // The one that was ended is only waited for. The rest ends when this one does.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn get(url: &str) -> (u16, String) {
    let response = reqwest::get(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    (response.status().as_u16(), response.text().await.unwrap())
}

#[test]
fn help_teaches() {
    let (code, stdout, stderr) = finished(&["--help"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    for wanted in [
        "Usage: cargo dev [OPTIONS]",
        "cargo dev --edge native  ",
        "cargo dev --app http://127.0.0.1:3000  ",
        "cargo dev --config my.toml  ",
        "--edge-port <PORT>",
        "--s3-port <PORT>",
        "[possible values: worker, native]",
        "[default: 8787, or a free one]",
        "`ready {json}` with the keys edge, gateway, admin, app and s3",
        "Ctrl-C ends everything",
    ] {
        assert!(stdout.contains(wanted), "{wanted:?} is not in\n{stdout}");
    }
    assert!(stdout.lines().all(|line| line.chars().count() <= 110), "{stdout}");
}

#[test]
fn wrong_usage_is_2_and_says_what_is_right() {
    for (arguments, wanted) in [
        (&["--edgy"][..], "unexpected argument '--edgy'"),
        (&["--edge", "cloud"], "[possible values: worker, native]"),
        (&["--app", "nonsense"], "write http://ADDRESS:PORT, as in http://127.0.0.1:3000, or unix:/PATH"),
        (&["--app", "https://127.0.0.1:3000"], "write http://ADDRESS:PORT"),
        (&["--app", "http://127.0.0.1:3000/path"], "write http://ADDRESS:PORT"),
        (&["--app", "http://127.0.0.1:99999"], "write http://ADDRESS:PORT"),
        (&["--edge-port", "many"], "invalid value 'many' for '--edge-port <PORT>'"),
        (&["--app", "http://127.0.0.1:3000", "--app-port", "3001"], "cannot be used with"),
    ] {
        let (code, stdout, stderr) = finished(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(wanted), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_config_that_is_wrong_is_named_with_key_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("my.toml");
    let name = path.display().to_string();
    let with = |text: &str| {
        fs::write(&path, text).unwrap();
        refusal(&["--edge", "native", "--edge-port", "0", "--config", &name])
    };
    let missing = refusal(&["--edge", "native", "--config", "/nowhere/my.toml"]);
    assert_eq!(missing, "/nowhere/my.toml: cannot be read: No such file or directory (os error 2)");
    let broken = with("[timeouts]\ndrain = \n");
    assert!(broken.starts_with(&format!("{name}: line 2: ")), "{broken}");
    // Known to the gateway only, which reads another file: the developer's must be named all the same.
    let unknown = with("[timeouts]\ndrian = \"1s\"\n");
    assert!(unknown.starts_with(&format!("{name}: timeouts")) && unknown.contains("drian"), "{unknown}");
    assert!(unknown.contains("drain") && !unknown.contains("line "), "{unknown}");
    let value = with("[timeouts]\ndrain = \"soon\"\n");
    assert!(value.starts_with(&format!("{name}: timeouts.drain: ")), "{value}");
}

#[test]
fn a_port_in_use_is_named_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for edge in ["worker", "native"] {
        for part in ["edge", "gateway", "admin", "app", "s3"] {
            let began = Instant::now();
            let option = format!("--{part}-port");
            let said = refusal(&["--edge", edge, &option, &port]);
            let wanted = format!("port {port} is in use: stop what listens there, or choose another with {option}");
            assert_eq!(said, wanted, "{edge}");
            assert!(began.elapsed() < Duration::from_secs(5), "it must not build first");
        }
    }
    drop(taken);
    let twice = refusal(&["--edge", "native", "--admin-port", &port, "--gateway-port", &port]);
    assert_eq!(twice, format!("--gateway-port and --admin-port are both {port}: choose two that differ"));
}

/// Builds whatever has changed, so that a start after it is a warm one.
fn build_all() {
    let (root, say) = (Toolchain::workspace(), |line: &str| eprintln!("{line}"));
    let toolchain = Toolchain::prepare(&root, &say).unwrap();
    toolchain.build(&Worker::edge(&root), &say).unwrap();
    stack::gateway::build(&root, &say).unwrap();
}

/// The whole of a session through one host, ended by one signal.
async fn session(edge: &str, signal: Signal) {
    build_all();
    let dev = Dev::start(&["--edge", edge, "--edge-port", "0"]);
    println!("{edge}: ready after {:.1} s", dev.took.as_secs_f64());
    assert!(dev.took < Duration::from_secs(30), "{edge}: {:?} with everything built", dev.took);
    let keys: Vec<&String> = dev.addresses.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["admin", "app", "edge", "gateway", "s3"], "sorted by serde_json");
    let site = dev.edge();
    for wanted in [format!("site     {site}"), format!("{site}/sign-in"), "Ctrl-C stops everything.".to_owned()] {
        assert!(dev.before.iter().any(|line| line.contains(&wanted)), "{wanted:?} is not in {:#?}", dev.before);
    }
    let (status, body) = get(&site).await;
    assert!(status == 200 && body.contains("Makenot.work"), "{status}");
    let line = dev.line(" /");
    assert!(line.starts_with("200 GET    miss ") && line.contains(" ms  /"), "{line}");
    // Stored after it was answered.
    for _ in 0..50 {
        get(&site).await;
        if dev.line(" /").starts_with("200 GET    hit ") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(get(&format!("{site}/misbehave/close")).await.0, 502);
    let line = dev.line("/misbehave/close");
    assert!(line.starts_with("502 GET ") && !line.contains('\x1b'), "{line}");
    assert!(!dev.before.iter().any(|line| line.contains('\x1b')), "colour in a pipe: {:?}", dev.before);

    match signal {
        // As a terminal does it: to the gateway and to Node as well.
        Signal::INT => kill_process_group(Pid::from_child(&dev.child), signal).unwrap(),
        _ => dev.signal(signal),
    }
    let (code, said) = dev.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("dev      the demo site behind "), "{said}");
    assert!(said.ends_with("stopped\n") && !said.contains('\x1b'), "{said}");
}

#[tokio::test]
async fn a_session_through_the_worker_ends_with_ctrl_c() {
    session("worker", Signal::INT).await;
}

#[tokio::test]
async fn a_session_through_the_native_host_ends_with_sigterm() {
    session("native", Signal::TERM).await;
}

#[test]
fn when_it_is_killed_the_rest_ends_by_itself() {
    for edge in ["worker", "native"] {
        let mut dev = Dev::start(&["--edge", edge, "--edge-port", "0"]);
        let running = marked(&dev.mark);
        for program in if edge == "worker" { &["origin", "workerd.mjs", "workerd serve"][..] } else { &["origin"] } {
            assert!(running.iter().any(|command| command.contains(program)), "{program} is not in {running:#?}");
        }
        dev.child.kill().unwrap();
        dev.child.wait().unwrap();
        dev.nothing_remains(Duration::from_secs(10));
    }
}

#[test]
fn a_signal_during_the_start_ends_the_builds_too() {
    // While the toolchain's lock is held, it waits as for another process's build, for as long as we like.
    let root = Toolchain::workspace();
    let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(root.join(".tools/lock")).unwrap();
    lock.lock().unwrap();
    let (mut command, mark) = dev(&["--edge-port", "0"]);
    let mut child = command.process_group(0).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("waiting") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    drop(lock);
    stderr.read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.ends_with("stopping: it was not ready yet …\nstopped\n"), "{said}");
    assert_eq!(marked(&mark), [""; 0]);
}

#[tokio::test]
async fn the_log_may_go_to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("gateway.log");
    let file = log.to_str().unwrap();
    let dev = Dev::start(&["--edge", "native", "--edge-port", "0", "--log", file]);
    assert_eq!(get(&dev.edge()).await.0, 200);
    let until = Instant::now() + Duration::from_secs(10);
    let request = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|line| line["message"] == "request");
    while !std::fs::read_to_string(&log).unwrap().lines().any(request) {
        assert!(Instant::now() < until, "no request in {}", std::fs::read_to_string(&log).unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(dev.lines.try_recv().is_err(), "a line was shown, too");
    dev.signal(Signal::INT);
    assert_eq!(dev.ended().0, Some(0));
    let nowhere = folder.path().join("no/such/folder");
    let said = refusal(&["--edge", "native", "--edge-port", "0", "--log", nowhere.to_str().unwrap()]);
    assert!(said.contains(&format!("{}: ", nowhere.display())), "{said}");
}

#[tokio::test]
async fn an_app_that_ends_shows_as_502_and_one_that_is_not_there_is_mentioned() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dev = Dev::start(&["--edge", "native", "--edge-port", "0", "--app", &format!("http://{nobody}/")]);
    assert_eq!(dev.addresses["app"], format!("http://{nobody}"));
    assert_eq!(get(&dev.edge()).await.0, 502);
    dev.signal(Signal::INT);
    let (code, said) = dev.ended();
    assert_eq!(code, Some(0));
    assert!(said.contains(&format!("dev      nothing listens at {nobody} yet")), "{said}");
    assert!(said.contains("gateway  warn: "), "the gateway's own complaint is not shown:\n{said}");
}

/// An app that nobody here wrote, and that speaks HTTP/1.0: Python's file server.
#[tokio::test]
async fn any_app_can_stand_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.html"), "<title>Not ours</title>\n").unwrap();
    let mut large = fs::File::create(folder.path().join("large.bin")).unwrap();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    large.write_all(&bytes).unwrap();
    let free = stack::ports::free().unwrap();
    let python = Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", &free.port().to_string(), "--directory"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(python) = python else {
        println!("skipped: there is no python3");
        return;
    };
    let _python = Ended(python);
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(free).is_err() {
        assert!(Instant::now() < until, "python does not listen on {free}");
        thread::sleep(Duration::from_millis(50));
    }
    for edge in ["worker", "native"] {
        let app = format!("http://{free}");
        let dev = Dev::start(&["--edge", edge, "--edge-port", "0", "--app", &app]);
        assert!(!dev.before.iter().any(|line| line.contains("/chat")), "the demo's pages are not this app's");
        let site = dev.edge();
        let client = reqwest::Client::new();
        let page = client.get(format!("{site}/page.html")).send().await.unwrap();
        assert_eq!((page.status().as_u16(), page.headers()["content-type"].to_str().unwrap()), (200, "text/html"));
        assert_eq!(page.text().await.unwrap(), "<title>Not ours</title>\n", "{edge}");

        let large = client.get(format!("{site}/large.bin")).send().await.unwrap();
        assert_eq!(large.bytes().await.unwrap(), bytes, "{edge}");

        let (status, body) = get(&format!("{site}/no-such-file")).await;
        assert!(status == 404 && body.contains("File not found"), "{edge}: {status} {body}");
        // The demo's assets must not shine through.
        let asset = fs::read_dir(demo::STATIC_DIR).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
        assert_eq!(get(&format!("{site}/static/{asset}")).await.0, 404, "{edge}");

        let head = client.head(format!("{site}/large.bin")).send().await.unwrap();
        assert_eq!((head.status().as_u16(), &head.headers()["content-length"]), (200, &"1000000".parse().unwrap()));
        assert_eq!(head.bytes().await.unwrap().len(), 0, "{edge}");

        // Python ignores Range, which it may (RFC 9110, section 14.2); a host that has the whole stored may answer with the part.
        let ranged = client.get(format!("{site}/large.bin")).header("range", "bytes=10-19").send().await.unwrap();
        let status = ranged.status().as_u16();
        let expected = if status == 206 { &bytes[10..20] } else { &bytes[..] };
        assert!(matches!(status, 200 | 206), "{edge}: {status}");
        assert_eq!(ranged.bytes().await.unwrap(), expected, "{edge}");
        dev.signal(Signal::INT);
        assert_eq!(dev.ended().0, Some(0));
    }
}

/// A process that is killed when the test leaves.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `cargo dev` would say on a machine that lacks something: [`prepare_here`] in a process of its own, with that machine's
/// environment, in a folder where nothing is installed yet.
fn on_a_machine(root: &Path, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "prepare_here", "--ignored", "--nocapture"]).env("PREPARE_HERE", root);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
#[ignore = "a part of the tests below, which run it"]
fn prepare_here() {
    let Some(root) = std::env::var_os("PREPARE_HERE") else { return };
    match Toolchain::prepare(Path::new(&root), &|line| eprintln!("{line}")) {
        Ok(_) => eprintln!("prepared"),
        Err(error) => eprintln!("error: {error}"),
    }
}

/// A folder with the workspace's lock files and nothing installed.
fn fresh_root() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["Cargo.lock", "Cargo.toml", "package.json", "package-lock.json", "rust-toolchain.toml"] {
        fs::copy(Toolchain::workspace().join(file), folder.path().join(file)).unwrap();
    }
    folder
}

#[test]
fn without_node_it_says_how_to_get_it_and_how_to_do_without() {
    let root = fresh_root();
    let said = on_a_machine(root.path(), &[("PATH", "/nowhere")]);
    let error = said.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(error.contains("there is no `node` in PATH"), "{error}");
    assert!(error.contains("Install Node 18 or newer") && error.contains("`cargo dev --edge native`"), "{error}");
}

#[test]
fn without_a_network_the_first_build_says_which_step_failed() {
    let root = fresh_root();
    let cache = root.path().join("npm-cache").display().to_string();
    let refused = [
        ("npm_config_registry", "http://127.0.0.1:9"),
        ("npm_config_cache", &cache),
        // npm tries for minutes otherwise.
        ("npm_config_fetch_retries", "0"),
    ];
    let said = on_a_machine(root.path(), &refused);
    assert!(said.contains("error: installing wrangler, workerd and Node with npm: `npm ci "), "{said}");
    assert!(said.contains("ECONNREFUSED"), "npm's own words are missing:\n{said}");

    // With npm's packages there, the next step is cargo's programs.
    let modules = root.path().join("node_modules");
    let _ = fs::remove_dir_all(&modules);
    Toolchain::prepare(&Toolchain::workspace(), &|line| eprintln!("{line}")).unwrap();
    std::os::unix::fs::symlink(Toolchain::workspace().join("node_modules"), &modules).unwrap();
    let home = root.path().join("cargo-home").display().to_string();
    let rustup = std::env::var("RUSTUP_HOME").unwrap_or(format!("{}/.rustup", std::env::var("HOME").unwrap()));
    let unreachable = [
        ("CARGO_HTTP_PROXY", "http://127.0.0.1:9"),
        ("CARGO_NET_RETRY", "0"),
        // What is already downloaded does not help.
        ("CARGO_HOME", &home),
        ("RUSTUP_HOME", &rustup),
    ];
    let said = on_a_machine(root.path(), &unreachable);
    assert!(said.contains("error: installing wasm-bindgen ") && said.contains("wasm-bindgen-cli --version "), "{said}");
    assert!(said.contains("127.0.0.1"), "cargo's own words are missing:\n{said}");
}
