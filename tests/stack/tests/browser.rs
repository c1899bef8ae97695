//! A real browser visits the site, once through the Worker and once through the native host: `browser.mjs` is the visitor and says what is
//! looked at. The pictures that it takes stay in target/screenshots/.

use std::path::Path;
use std::process::Command;

use sha2::{Digest as _, Sha256};
use stack::toolchain::{Toolchain, chromium};
use stack::{Edge, Listeners, Options, Ports, Stack};

/// Works whose files are downloaded, and the names that the files must get: plain, and with what a header can't hold as it is.
const FILES: [(&str, &str, &str); 2] =
    [("tide", "Tide.wav", "users/1/tide.wav"), ("fuenf-fenster", "Fünf Fenster.txt", "users/2/Fünf Fenster.txt")];

#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_sees_the_whole_site_through_both_hosts() {
    let say = |line: &str| eprintln!("{line}");
    let root = Toolchain::workspace();
    let toolchain = tokio::task::block_in_place(|| Toolchain::prepare(&root, &say)).unwrap();
    let chromium = tokio::task::block_in_place(|| chromium(&say)).unwrap();
    let pictures = root.join("target/screenshots");
    // Those of a page that is gone would deceive.
    let _ = std::fs::remove_dir_all(&pictures);
    std::fs::create_dir_all(&pictures).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let overlay = folder.path().join("overlay.toml");
    std::fs::write(&overlay, "[rate.too-often]\npaths = [\"/too-often\"]\nburst = 1\nevery = \"1day\"\n").unwrap();
    for (edge, name) in [(Edge::Worker, "worker"), (Edge::Native, "native")] {
        let options = Options { edge, app: None, config: Some(overlay.clone()), limit: None, ports: Ports::default() };
        let stack = Stack::start(options, Listeners::default(), &say).await.unwrap();
        let wanted = serde_json::json!({
            "site": stack.addresses.edge,
            "secure": (edge == Edge::Native).then_some(&stack.addresses.gateway),
            "admin": stack.addresses.admin,
            "chromium": chromium,
            "root": rustix::process::geteuid().is_root(),
            "pictures": pictures.join(name),
            "files": files(),
        });
        let visited = tokio::task::block_in_place(|| visit(&toolchain, &root, &wanted.to_string()));
        let seen = stack.buckets.seen();
        stack.stop().await;
        visited.unwrap_or_else(|error| panic!("through the {name} host: {error}"));
        // The browser came to the bucket by itself: for each file, and to listen. What signing in led to is one of the files; where its URL was
        // signed in the same second, the browser has it already.
        let browsers = seen.iter().filter(|seen| seen.user_agent.as_ref().is_some_and(|a| a.contains("Chrome")));
        assert!(browsers.count() > FILES.len(), "{name}: {seen:?}");
    }
    let mut taken: Vec<_> = std::fs::read_dir(&pictures).unwrap().map(|entry| entry.unwrap().path()).collect();
    taken.sort();
    for picture in &taken {
        println!("{}", picture.display());
    }
    let native = taken.iter().filter(|path| path.to_string_lossy().contains("/native-")).count();
    assert!(native > 0 && native * 2 == taken.len(), "the hosts' pictures differ in number");
}

/// What the visitor downloads, by the demo's own list of objects.
fn files() -> Vec<serde_json::Value> {
    let objects = demo::objects();
    let describe = |(work, name, key): (&str, &str, &str)| {
        let object = objects.iter().find(|object| object.key == key).unwrap();
        let sha256: String = Sha256::digest(&object.bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        serde_json::json!({ "work": work, "name": name, "sha256": sha256 })
    };
    FILES.map(describe).to_vec()
}

fn visit(toolchain: &Toolchain, root: &Path, wanted: &str) -> Result<(), String> {
    let mut node = Command::new(toolchain.node());
    node.arg("tests/stack/browser.mjs").arg(wanted).current_dir(root).env("PATH", toolchain.path());
    let output = node.output().map_err(|error| format!("{} can't be run: {error}", toolchain.node().display()))?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
