//! `deploy/release` and the Worker, as the site shows it from outside. ssh, npm and npx are programs that write down how they were called; the site is a
//! server that says what Cloudflare would, before and after the new Worker is deployed.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use deploy::{Needed, have};

use crate::release::checkout;

/// Stands for each of them: a line for each call. Of the server's files ssh gives the configuration.
const STAND_IN: &str = r#"#!/bin/sh
printf '%s %s\n' "${0##*/}" "$(printf %s "$*" | tr '\n' ' ')" >>"$CALLS"
case "${0##*/} $*" in
    ssh*'sudo cat /etc/origin/origin.toml') echo 'of = "the server"' ;;
    ssh*'cat >release/'*) cat >/dev/null ;;
    npx*' upload '*) sed 's/^/its configuration: /' "$GATEWAY_CONFIG" >>"$CALLS" ;;
    npx*' rollback '*) [ ! -e "$CALLS.first" ] || exit 1 ;;
esac
"#;

/// What the site answers: a status, and the values of Cache-Status.
type Answer = (u16, &'static [&'static str]);

const BY_WORKER: Answer = (200, &["gateway; fwd=uri-miss", "edge; fwd=uri-miss; stored"]);
/// A list may stand in one line.
const BY_WORKER_IN_ONE_LINE: Answer = (200, &["gateway; hit; ttl=3, edge; fwd=uri-miss"]);
const BY_GATEWAY: Answer = (200, &["gateway; hit; ttl=7"]);
/// A cache of that name is another's where it is but a part of one.
const BY_NOBODY_OF_OURS: Answer = (200, &["sledge; hit", "edgecast; hit", "gateway; fwd=miss; detail=edge"]);
const BROKEN: Answer = (500, &["edge; fwd=uri-miss"]);

/// What Cloudflare does, until the next change.
#[derive(Clone, Copy)]
struct World {
    before: Answer,
    after: Answer,
    health: u16,
}

/// Where somebody releases.
struct Desk {
    folder: tempfile::TempDir,
    site: SocketAddr,
    world: Arc<Mutex<World>>,
}

impl Desk {
    fn new() -> Self {
        have(&[
            Needed { program: "curl", package: "curl" },
            Needed { program: "git", package: "git" },
            Needed { program: "jq", package: "jq" },
            Needed { program: "objdump", package: "binutils" },
        ]);
        let folder = tempfile::tempdir().unwrap();
        checkout(&folder.path().join("checkout"));
        fs::create_dir(folder.path().join("bin")).unwrap();
        for name in ["ssh", "npm", "npx", "sleep"] {
            let file = folder.path().join("bin").join(name);
            fs::write(&file, if name == "sleep" { "#!/bin/sh\n" } else { STAND_IN }).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let site = listener.local_addr().unwrap();
        let world = Arc::new(Mutex::new(World { before: BY_WORKER, after: BY_WORKER, health: 200 }));
        let (calls, shared) = (folder.path().join("calls"), Arc::clone(&world));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let world = *shared.lock().unwrap_or_else(PoisonError::into_inner);
                answer(&stream, &calls, world);
            }
        });
        Self { folder, site, world }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A release in such a world: its exit code, what it said, and what was called.
    fn release(&self, world: World, arguments: &[&str]) -> (Option<i32>, String, String) {
        *self.world.lock().unwrap_or_else(PoisonError::into_inner) = world;
        let calls = self.path("calls");
        fs::write(&calls, "").unwrap();
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut release = Command::new("deploy/release");
        release.args(arguments).args(["--no-tests", "admin@vps.example"]).current_dir(self.path("checkout"));
        release.env("PATH", path).env("CALLS", &calls).env("SSH", "ssh").env("SITE", format!("http://{}", self.site));
        // Packing is not what is tried here; any program of this system can be packed.
        release.env("DPKG_DEB_COMPRESSOR_TYPE", "none").env("PROGRAM", "/usr/bin/dpkg").env_remove("PAGE");
        let output = release.output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), said, fs::read_to_string(calls).unwrap())
    }
}

/// Answers one request, and writes it down. The new Worker serves from `versions deploy` until `rollback`.
fn answer(mut stream: &TcpStream, calls: &Path, world: World) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let Some(first) = lines.next() else { return };
    lines.for_each(drop);
    let so_far = fs::read_to_string(calls).unwrap();
    let (status, caches) = if first.contains(" /api/health ") {
        // As zone.toml has it, no Worker runs there.
        (world.health, BY_GATEWAY.1)
    } else if so_far.contains("npx wrangler versions deploy") && !so_far.contains("npx wrangler rollback") {
        world.after
    } else {
        world.before
    };
    let mut file = OpenOptions::new().append(true).open(calls).unwrap();
    writeln!(file, "{first}").unwrap();
    let caches: String = caches.iter().map(|value| format!("Cache-Status: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status} said\r\n{caches}Content-Length: 2\r\nConnection: close\r\n\r\nhi");
    // Who asked may have gone.
    let _ = stream.write_all(head.as_bytes());
}

/// What was done, in order, a word each; the same again is not said again.
fn steps(calls: &str) -> Vec<&'static str> {
    let words = [
        ("ssh", "dpkg --install", "install"),
        ("GET /api/health ", "", "health"),
        ("GET /?release=", "", "page"),
        ("npm ci --ignore-scripts", "", "npm"),
        ("npx wrangler versions upload ", "", "upload"),
        ("npx wrangler versions deploy ", "", "deploy"),
        ("npx wrangler rollback ", "", "rollback"),
    ];
    let word = |line: &str| {
        words.iter().find(|(begins, has, _)| line.starts_with(begins) && line.contains(has)).map(|(.., word)| *word)
    };
    let mut steps: Vec<_> = calls.lines().filter_map(word).collect();
    steps.dedup();
    steps
}

const WORKER: [&str; 5] = ["npm", "page", "upload", "deploy", "page"];

#[test]
fn a_worker_that_does_not_serve_goes_back() {
    let desk = Desk::new();
    let world = World { before: BY_WORKER, after: BY_WORKER, health: 200 };
    let rolled_back = [&WORKER[..], &["rollback"]].concat();

    let (code, said, calls) = desk.release(world, &["--worker"]);
    assert!(code == Some(0) && said.contains("== the Worker is released"), "{said}");
    assert_eq!(steps(&calls), WORKER, "{calls}");
    assert_eq!(calls.matches("GET /?release=").count(), 1 + 6, "once before, six times after");
    let targets: std::collections::BTreeSet<_> = calls.lines().filter(|line| line.starts_with("GET /?")).collect();
    assert_eq!(targets.len(), 7, "each with a query of its own: {calls}");
    // The first environment of wrangler.toml, which is production, is the one without a name; staging is never touched.
    let wrangler: Vec<_> = calls.lines().filter(|line| line.starts_with("npx wrangler ")).collect();
    assert!(wrangler.iter().all(|line| line.contains(" --env= ")) && !calls.contains("staging"), "{calls}");
    let tag = wrangler[0].split_once("--tag ").unwrap().1.split(' ').next().unwrap();
    assert!(wrangler[1].contains(&format!(" --version-tag {tag}@100 --yes")), "what was uploaded is deployed: {calls}");
    assert!(calls.contains("its configuration: of = \"the server\"\n"), "{calls}");

    let (code, said, _) = desk.release(World { after: BY_WORKER_IN_ONE_LINE, ..world }, &["--worker"]);
    assert_eq!(code, Some(0), "{said}");
    // One that mends a Worker that threw.
    let (code, said, _) = desk.release(World { before: BY_GATEWAY, ..world }, &["--worker"]);
    assert_eq!(code, Some(0), "{said}");

    let (code, said, calls) = desk.release(World { after: BROKEN, ..world }, &["--worker"]);
    assert!(code == Some(1) && said.contains("/ is answered with 500. The Worker before is deployed again"), "{said}");
    assert_eq!(steps(&calls), rolled_back, "{calls}");
    assert!(calls.lines().any(|line| line.starts_with("npx wrangler rollback --env= --yes --message ")), "{calls}");
    for after in [BY_GATEWAY, BY_NOBODY_OF_OURS] {
        let (code, said, calls) = desk.release(World { after, ..world }, &["--worker"]);
        assert!(code == Some(1) && said.contains("is answered without the Worker, and was not before"), "{said}");
        assert_eq!(steps(&calls), rolled_back, "{calls}");
    }
    // The quota is spent.
    let (code, said, calls) = desk.release(World { before: BY_GATEWAY, after: BY_GATEWAY, ..world }, &["--worker"]);
    assert_eq!(code, Some(1), "{said}");
    for word in
        ["can't be told", "The day's quota is spent", "after 00:00 UTC, deploy/release --worker admin@vps.example"]
    {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(steps(&calls), rolled_back, "{calls}");
    // And the first Worker of all.
    fs::write(desk.path("calls.first"), "").unwrap();
    let (code, said, _) = desk.release(World { after: BROKEN, ..world }, &["--worker"]);
    assert!(code == Some(1) && said.contains("is answered with 500. The new Worker is still deployed"), "{said}");
}

#[test]
fn the_gateway_comes_first_and_then_the_worker() {
    let desk = Desk::new();
    let world = World { before: BY_WORKER, after: BY_WORKER, health: 200 };
    let (code, said, calls) = desk.release(world, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(steps(&calls), [&["install", "health"][..], &WORKER[..]].concat(), "{calls}");
    assert_eq!(calls.matches("GET /api/health ").count(), 6, "the gateway's own gate: {calls}");

    // A gateway that does not serve takes no Worker along.
    let (code, said, calls) = desk.release(World { health: 502, ..world }, &[]);
    assert!(code == Some(1) && said.contains("the version before is installed again"), "{said}");
    assert_eq!(steps(&calls), ["install", "health", "install"], "{calls}");
    assert!(!calls.contains("npx"), "{calls}");
}
