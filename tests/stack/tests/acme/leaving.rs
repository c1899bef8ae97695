//! Leaving Cloudflare: a gateway behind it takes over what `deploy/leave-cloudflare` makes of its configuration, and serves those who come through
//! Cloudflare and those who do not, who get a certificate of an ACME CA's and are asked for no signature.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use stack::drill::Drill;
use stack::keys::Credentials;
use stack::toolchain::Toolchain;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::world::{PATIENCE, Plan, Visitor, World, binary};

const SITE: &str = "[[site]]\nhosts = [\"makenot.work\"]\n";

#[tokio::test(flavor = "multi_thread")]
async fn without_cloudflare() {
    tokio::task::block_in_place(binary);
    let mut drill = Drill::begin("without-cloudflare", "cargo test -p stack --test acme -- leaving --nocapture");
    let mut world = World::still(Plan::default()).await;
    drill.done("a CA that speaks ACME (Pebble), and an app");
    let folder = TempDir::new().unwrap();
    let credentials = Credentials::make(folder.path()).unwrap();
    let file = world.configuration();
    let plain = fs::read_to_string(&file).unwrap();
    let edge = format!("[edge]\nkeys_file = {:?}\n", credentials.files.edge_keys);
    let behind = plain.replace(SITE, &format!("{edge}{SITE}trust = \"cloudflare\"\n"));
    let behind = behind.replace("tls = { ", &format!("tls = {{ client_ca = {:?}, ", credentials.files.client_ca));
    assert_eq!(behind.matches("cloudflare").count() + behind.matches("client_ca").count(), 2, "{behind}");
    fs::write(&file, &behind).unwrap();
    check(&file);
    world.serve_with(&file);

    // Behind Cloudflare nobody else comes in. How a client hears of it differs: the alert may be lost with the connection.
    assert!(Visitor::trusting("makenot.work", world.https).comes().await.is_err());
    until("the handshake is refused", async || strangers(&world).await).await;
    assert_eq!(through_cloudflare(&world, &credentials).await, 200);
    drill.done("a gateway behind Cloudflare: our zone's certificate is served, a stranger's handshake refused");

    let made = leave(&world, &file);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made = String::from_utf8(made.stdout).unwrap();
    assert!(made.contains(&format!("{SITE}trust = \"direct\"\nacme_ask = ")), "{made}");
    fs::write(&file, &made).unwrap();
    check(&file);
    drill.done("leave-cloudflare ASK-URL <origin.toml >new.toml; origin check-config new.toml");
    drill.said(made.split_once(SITE).unwrap().1.lines().take(2));
    world.reload().await;
    drill.done("reload: a new process serves by it, and the old one has ended");

    // Before DNS has changed everywhere some still come through Cloudflare, and some by themselves.
    assert_eq!(through_cloudflare(&world, &credentials).await, 200);
    drill.done("who comes through Cloudflare is served as before");
    let visitor = world.visitor("makenot.work").await;
    until("a certificate that browsers trust", async || visitor.comes().await.is_ok()).await;
    let asked = world.app.asked();
    assert!(!asked.is_empty() && asked.iter().all(|name| name == "makenot.work"), "{asked:?}");
    assert!(world.kept("makenot.work").join("identity.pem").is_file());
    drill.done("a visitor who comes by himself: the app is asked, the CA issues a certificate, 200");
    assert!(visitor.comes().await.is_ok(), "it is shown again");
    drill.done("the next one: 200, by the same certificate");
    drill.end();
}

/// What the script can't change it names, and makes nothing of.
#[tokio::test(flavor = "multi_thread")]
async fn other_forms_are_refused() {
    let world = World::still(Plan::default()).await;
    let file = world.configuration();
    let plain = fs::read_to_string(&file).unwrap();
    let (before, _) = plain.split_once("[[site]]").unwrap();
    let one = format!("hosts = [\"makenot.work\"], app = \"{}\"", world.app.address);
    let forms = [
        (format!("site = [{{ {one}, trust = \"cloudflare\" }}]\n{before}"), "trust = \"cloudflare\" }]"),
        (plain.replace(SITE, &format!("{SITE}\"trust\" = 'edge-only'\n")), "\"trust\" = 'edge-only'"),
        (format!("cloudflare.zone = \"z\"\n{plain}"), "cloudflare.zone"),
    ];
    for (text, named) in forms {
        fs::write(&file, &text).unwrap();
        let said = leave(&world, &file);
        let stderr = String::from_utf8_lossy(&said.stderr);
        assert_eq!((said.status.code(), &*said.stdout), (Some(1), &b""[..]), "{text}\n{stderr}");
        assert!(stderr.contains("not in a form that it knows") && stderr.contains(named), "{stderr}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
}

/// The script, over this configuration.
fn leave(world: &World, file: &Path) -> Output {
    let mut command = Command::new(Toolchain::workspace().join("deploy/leave-cloudflare"));
    command.arg(format!("http://{}/tls-ask", world.app.address));
    command.stdin(fs::File::open(file).unwrap()).stdout(Stdio::piped()).output().unwrap()
}

/// `origin check-config` finds nothing wrong.
fn check(file: &Path) {
    let checked = Command::new(binary()).arg("check-config").arg(file).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// Whether the gateway has counted somebody who showed no certificate of our zone's.
async fn strangers(world: &World) -> bool {
    let url = format!("{}/metrics", world.gateway().admin().unwrap());
    let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
    let refused = metrics.lines().filter(|line| line.starts_with("origin_tls_handshake_failures_total{"));
    refused.filter(|line| line.contains("\"no-certificate\"")).any(|line| !line.ends_with(" 0"))
}

/// The answer to a client that shows our zone's certificate, and takes an origin's, which no browser knows. Each comes on a connection of its own:
/// one that was kept would end with the process that it was opened to.
async fn through_cloudflare(world: &World, credentials: &Credentials) -> u16 {
    let (cert, key) = &credentials.client;
    let identity = reqwest::Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap();
    let client = reqwest::Client::builder().resolve("makenot.work", world.https).no_proxy().identity(identity);
    let client = client.pool_max_idle_per_host(0).timeout(PATIENCE).tls_danger_accept_invalid_certs(true);
    let url = format!("https://makenot.work:{}/", world.https.port());
    client.build().unwrap().get(url).send().await.unwrap().status().as_u16()
}

/// Waits until something is so.
async fn until(what: &str, is: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is().await {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
