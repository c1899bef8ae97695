//! A real browser visits the site, once through the Worker and once through the native host: `browser.mjs` is the visitor and says what is
//! looked at. The pictures that it takes stay in target/screenshots/, those of the status page (`status.mjs`) in target/status-pictures/.

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

/// Probes of the page: name, what people call it, whether the site can't do without.
const SERVICES: [(&str, &str, bool); 6] = [
    ("database", "Database", true),
    ("sessions", "Sessions", false),
    ("files", "S3 storage", false),
    ("stripe", "Stripe payments", false),
    ("email", "Email", false),
    ("synckit", "SyncKit", false),
];

/// The status page in four states, the last of which the edge makes: with a past of 90 days in a real history, and reports of jobs that go well or
/// do not.
#[tokio::test(flavor = "multi_thread")]
async fn people_see_how_the_site_is() {
    let say = |line: &str| eprintln!("{line}");
    let root = Toolchain::workspace();
    let toolchain = tokio::task::block_in_place(|| Toolchain::prepare(&root, &say)).unwrap();
    let chromium = tokio::task::block_in_place(|| chromium(&say)).unwrap();
    let folder = tempfile::TempDir::new().unwrap();
    past(&folder.path().join("health.redb"));
    let report = |name: &str, ok: bool| {
        let at = time_now();
        let report = serde_json::json!({ "check": name, "ok": ok, "at": at, "good_for_seconds": 86_400, "detail": "" });
        std::fs::write(folder.path().join(name), report.to_string()).unwrap();
    };
    let mut config = format!("[health]\n[state]\nfolder = {:?}\n", folder.path());
    for (name, service, vital) in SERVICES {
        report(name, true);
        let file = folder.path().join(name);
        config += &format!(
            "[probe.{name}]\nkind = \"report\"\nservice = \"{service}\"\nfile = {file:?}\nvital = {vital}\nevery = \"1s\"\n"
        );
    }
    let overlay = folder.path().join("overlay.toml");
    std::fs::write(&overlay, config).unwrap();
    let options =
        Options { edge: Edge::Worker, app: None, config: Some(overlay), limit: None, ports: Ports::default() };
    let mut stack = Stack::start(options, Listeners::default(), &say).await.unwrap();
    let pictures = root.join("target/status-pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    let url = format!("{}/health", stack.addresses.edge);
    let until = async |wanted: &str| {
        let began = std::time::Instant::now();
        loop {
            let page = reqwest::get(&url).await.unwrap().text().await.unwrap();
            if page.contains(&format!("<h1>{wanted}</h1>")) {
                return;
            }
            assert!(began.elapsed().as_secs() < 60, "{wanted}: {page}");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    };
    let look = |state: &str, status: u16, headline: &str, then: Option<&str>, change: &dyn Fn()| {
        let wanted = serde_json::json!({
            "site": stack.addresses.edge,
            "chromium": chromium,
            "root": rustix::process::geteuid().is_root(),
            "axe": root.join("node_modules/axe-core/axe.min.js"),
            "pictures": pictures.join(format!("status-{state}")),
            "status": status,
            "headline": headline,
            "then": then,
            "gone": state == "gone",
        });
        let looked = tokio::task::block_in_place(|| watch(&toolchain, &root, &wanted.to_string(), change));
        looked.unwrap_or_else(|error| panic!("{state}: {error}"));
    };
    let [works, limited, trouble] = ["Everything works", "It works, with limits", "The site has trouble"];
    until(works).await;
    look("operational", 200, works, Some(limited), &|| report("email", false));
    until(limited).await;
    look("degraded", 200, limited, None, &|| ());
    report("database", false);
    until(trouble).await;
    look("down", 503, trouble, None, &|| ());
    tokio::task::block_in_place(|| stack.gateway.stop());
    let health = reqwest::get(format!("{}/api/health", stack.addresses.edge)).await.unwrap();
    let health: serde_json::Value = health.json().await.unwrap();
    assert_eq!(health["code"], "gateway-unreachable", "a program is told which part it is");
    look("gone", 503, "Our server does not answer", None, &|| ());
    stack.stop().await;
}

/// 90 days with three incidents, and response times of a day, kept as the gateway keeps them.
fn past(file: &Path) {
    use origin::health::{All, History, Kept, Level, POINT, Point, Span};
    const DAY: u64 = 86_400;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let ago = |days: u64, seconds: u64| now - days * DAY + seconds;
    let mut all = All::new();
    for (n, (name, ..)) in (0..).zip([("app:*", "", true)].into_iter().chain(SERVICES)) {
        // Each is known for longer than the next one; what is known has no holes.
        let mut edges = vec![(ago(89 - n * 6, 0), Level::Operational)];
        if matches!(name, "files" | "stripe") {
            edges.extend([(ago(23, 0), Level::Degraded), (ago(23, 5_400), Level::Operational)]);
        }
        if name == "files" {
            edges.extend([(ago(4, 0), Level::Down), (ago(4, 1_260), Level::Operational)]);
        }
        let ends = edges.iter().skip(1).map(|(at, _)| *at).chain([now]).collect::<Vec<_>>();
        let spans = edges.iter().zip(ends).map(|(&(from, level), to)| Span { from, to, level }).collect();
        let points = (1..=144).map(|back: u64| Point {
            from: now - now % POINT - back * POINT,
            count: 4,
            sum: 4 * (4 + n * 9 + back * 7919 % 11),
        });
        all.insert(name.to_owned(), Kept { spans, points: points.collect() });
    }
    History::in_file(file.to_owned()).write(&all, now).unwrap();
}

fn time_now() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Has the page looked at; once the browser is live, `change` changes something.
fn watch(toolchain: &Toolchain, root: &Path, wanted: &str, change: &dyn Fn()) -> Result<(), String> {
    use std::io::{BufRead as _, Read as _};
    let mut node = Command::new(toolchain.node());
    node.arg("tests/stack/status.mjs").arg(wanted).current_dir(root).env("PATH", toolchain.path());
    node.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut node = node.spawn().map_err(|error| format!("{} can't be run: {error}", toolchain.node().display()))?;
    let stderr = node.stderr.take().unwrap();
    let complaints = std::thread::spawn(move || {
        let mut said = String::new();
        let _ = std::io::BufReader::new(stderr).read_to_string(&mut said);
        said
    });
    for line in std::io::BufReader::new(node.stdout.take().unwrap()).lines().map_while(Result::ok) {
        match line.as_str() {
            "live" => change(),
            said => println!("{said}"),
        }
    }
    let complaints = complaints.join().unwrap_or_default();
    if node.wait().is_ok_and(|status| status.success()) { Ok(()) } else { Err(complaints) }
}
