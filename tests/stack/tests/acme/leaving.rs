//! Leaving Cloudflare: the configuration that the script makes of one behind Cloudflare serves those who come through it and those who do
//! not, with a certificate of an ACME CA's.

use std::fs;
use std::process::{Command, Stdio};

use stack::gateway::Gateway;
use stack::keys::Credentials;
use stack::toolchain::Toolchain;
use tempfile::TempDir;

use crate::world::{Plan, Visitor, World, binary};

#[tokio::test(flavor = "multi_thread")]
async fn without_cloudflare() {
    let world = World::still(Plan::default()).await;
    let folder = TempDir::new().unwrap();
    let credentials = Credentials::make(folder.path()).unwrap();
    let behind = fs::read_to_string(world.configuration()).unwrap();
    let site = "[[site]]\nhosts = [\"makenot.work\"]\n";
    assert!(behind.contains(site));
    let behind = behind.replace(site, &format!("{site}trust = \"cloudflare\"\n"));
    let behind = behind.replace("tls = { ", &format!("tls = {{ client_ca = {:?}, ", credentials.files.client_ca));
    let file = folder.path().join("origin.toml");
    fs::write(&file, &behind).unwrap();

    // Behind Cloudflare nobody else comes in.
    let gateway = tokio::task::block_in_place(|| Gateway::start(binary(), &file, None)).unwrap();
    let refused = Visitor::trusting("makenot.work", world.https).comes().await;
    let refused = refused.expect_err("a visitor without our zone's certificate");
    assert!(refused.contains("CertificateRequired"), "{refused}");
    let through = through_cloudflare(&world, &credentials);
    assert_eq!(through.get(url(&world)).send().await.unwrap().status(), 200);
    drop(gateway);

    let script = Toolchain::workspace().join("deploy/leave-cloudflare");
    let ask = format!("http://{}/tls-ask", world.app.address);
    let mut command = Command::new(script);
    command.arg(&ask).stdin(fs::File::open(&file).unwrap()).stdout(Stdio::piped());
    let output = command.output().unwrap();
    assert!(output.status.success());
    fs::write(&file, &output.stdout).unwrap();
    let checked = Command::new(binary()).arg("check-config").arg(&file).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let _gateway = tokio::task::block_in_place(|| Gateway::start(binary(), &file, None)).unwrap();
    // Before DNS has changed everywhere some still come through Cloudflare, and some by themselves.
    assert_eq!(through.get(url(&world)).send().await.unwrap().status(), 200);
    let visitor = world.visitor("makenot.work").await;
    let shown = visitor.comes().await.expect("a certificate that browsers trust");
    assert_eq!(visitor.comes().await.unwrap(), shown);
    assert_eq!(world.app.asked(), ["makenot.work"]);
}

fn url(world: &World) -> String {
    format!("https://makenot.work:{}/", world.https.port())
}

/// A client that shows our zone's certificate, and takes an origin's, which no browser knows.
fn through_cloudflare(world: &World, credentials: &Credentials) -> reqwest::Client {
    let (cert, key) = &credentials.client;
    let identity = reqwest::Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap();
    let client = reqwest::Client::builder().resolve("makenot.work", world.https).no_proxy().identity(identity);
    // The gateway is another one in between, and its connections end with it.
    client.pool_max_idle_per_host(0).tls_danger_accept_invalid_certs(true).build().unwrap()
}
