//! A long recording in a real browser, at a real Ceph, through the Worker and through the native host: shared in parts, the tab killed and another
//! going on, played with seeking, played on past the end of its URL, and downloaded. `studio.mjs` is the visitor and says what is looked at.

use std::path::{Path, PathBuf};
use std::process::Command;

use stack::gateway;
use stack::rgw::Rgw;
use stack::toolchain::ceph::{Generation, ceph};
use stack::toolchain::{Toolchain, chromium};
use stack::{Edge, Listeners, Options, Ports, Stack};
use tempfile::TempDir;

const OWNER: (&str, &str) = ("STUDIOOWNER000000001", "studioOwnerSecret00000000000000000000001");
const WRITER: (&str, &str) = ("STUDIOWRITER00000001", "studioWriterSecret0000000000000000000001");

/// Of a recording of so many seconds, which is 210 MB.
const SECONDS: u32 = 1_189;
/// Bytes of a part: the bucket's default.
const PART: u64 = 16 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_recording_is_shared_resumed_heard_and_downloaded() {
    let say = |line: &str| eprintln!("{line}");
    let root = Toolchain::workspace();
    let toolchain = tokio::task::block_in_place(|| Toolchain::prepare(&root, &say)).unwrap();
    let chromium = tokio::task::block_in_place(|| chromium(&say)).unwrap();
    let ceph = match tokio::task::block_in_place(|| ceph(&root, Generation::New, &say)) {
        Ok(ceph) => ceph,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("\n!!! SKIPPED, NOTHING IS TESTED: {error}\n");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let rgw = tokio::task::block_in_place(|| {
        let rgw = Rgw::start(ceph)?;
        rgw.user("app", OWNER)?;
        // By its id, as the provider names a key.
        rgw.key_of("app", WRITER.0, WRITER)?;
        Ok::<_, String>(rgw)
    });
    let rgw = rgw.unwrap_or_else(|error| panic!("{error}"));
    let storage = format!("http://{}/studio", rgw.address());
    let folder = TempDir::new().unwrap();
    let config = configure(&folder, &storage);
    let binary = gateway::build(&root, &say).unwrap();
    tokio::task::block_in_place(|| apply(&binary, &folder, &config));
    for (edge, name) in [(Edge::Worker, "worker"), (Edge::Native, "native")] {
        let options = Options { edge, app: None, config: Some(config.clone()), limit: None, ports: Ports::default() };
        let stack = Stack::start(options, Listeners::default(), &say).await.unwrap();
        let wanted = serde_json::json!({
            "site": stack.addresses.edge,
            "storage": storage,
            "chromium": chromium,
            "root": rustix::process::geteuid().is_root(),
            "folder": folder.path(),
            "name": "Fünf Nächte – 夜.wav",
            "seconds": SECONDS,
            "part": PART,
        });
        let began = std::time::Instant::now();
        let visited = tokio::task::block_in_place(|| visit(&toolchain, &root, &wanted.to_string()));
        println!("through the {name} host in {:?}", began.elapsed());
        stack.stop().await;
        visited.unwrap_or_else(|error| panic!("through the {name} host: {error}"));
    }
}

/// What the stack's gateway is told of this storage.
fn configure(folder: &TempDir, storage: &str) -> PathBuf {
    let file = |name: &str, (id, secret): (&str, &str)| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{id}:{secret}\n")).unwrap();
        path
    };
    let (owner, writer) = (file("owner.key", OWNER), file("writer.key", WRITER));
    let text = format!(
        "[bucket.user-files]\nurl = \"{storage}\"\nregion = \"fsn1\"\ncredentials_file = {owner:?}\nwrite_credentials_file = {writer:?}\n\
         expiry_max = \"4h\"\nparts_from = \"64MiB\"\npart_size = \"16MiB\"\n"
    );
    let path = folder.path().join("studio.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Has the gateway's own command make the bucket: versions, CORS for the stack's sites, and a writing key that reads nothing.
fn apply(binary: &Path, folder: &TempDir, config: &Path) {
    let text = std::fs::read_to_string(config).unwrap();
    let text = format!(
        "listen.http = [\"127.0.0.1:0\"]\n{text}origins = [\"http://127.0.0.1:*\"]\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"\n"
    );
    let file = folder.path().join("buckets.toml");
    std::fs::write(&file, text).unwrap();
    let done = Command::new(binary).args(["buckets", "apply", "--yes", "--config"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{said}");
    println!("{said}");
}

fn visit(toolchain: &Toolchain, root: &Path, wanted: &str) -> Result<(), String> {
    let mut node = Command::new(toolchain.node());
    node.arg("tests/stack/studio.mjs").arg(wanted).current_dir(root).env("PATH", toolchain.path());
    let output = node.output().map_err(|error| format!("{} can't be run: {error}", toolchain.node().display()))?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
