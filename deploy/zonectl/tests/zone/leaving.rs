//! Leaving Cloudflare, the part of DNS: the zone as it was exported is served by another DNS server, BIND's, and who asks that one comes to the gateway.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use axum::Router;
use deploy::dns::Dns;
use reqwest::{Certificate, Client};
use stack::drill::Drill;
use stack::gateway::Gateway;
use stack::keys::Credentials;
use stack::toolchain::Toolchain;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::world::World;

const ZONE: &str = "deploy/zone/makenot.work.zone";
/// The VPS, here.
const VPS: &str = "127.0.0.1";

#[test]
fn the_exported_zone_at_another_server_leads_to_the_gateway() {
    let progress = |line: &str| println!("{line}");
    let binary = stack::gateway::build(&Toolchain::workspace(), &progress).unwrap();
    let mut drill = Drill::begin("dns", "cargo test -p zonectl --test zone -- leaving --nocapture");
    let world = World::new();
    world.edit(
        ZONE,
        "300\tA\t203.0.113.10\t; cf_tags=cf-proxied:true",
        &format!("300\tA\t{VPS}\t; cf_tags=cf-proxied:true"),
    );
    // What is left is origin pulls, which DNS has nothing to do with.
    world.has(2, &["apply", "--yes"]);
    assert_eq!(world.record("makenot.work", "A")["proxied"], true);
    world.has(0, &["export", "live"]);
    drill.done(
        "cargo zone export live: the zone as it is at Cloudflare, where visitors are given Cloudflare's addresses",
    );

    let folder = TempDir::new().unwrap();
    let dns = Dns::of_zone("makenot.work", &world.path("live/makenot.work.zone"), folder.path());
    drill.done("live/makenot.work.zone in BIND's named, as it is");
    let address = dns.ask("makenot.work", "A");
    assert_eq!(address, [VPS], "{}", fs::read_to_string(folder.path().join("named.log")).unwrap());
    assert_eq!(dns.ask("www.makenot.work", "A"), [VPS, "makenot.work."]);
    drill.done(&format!("dig makenot.work A: {}, the VPS's own", address[0]));
    assert_eq!(dns.ask("makenot.work", "MX"), ["10 in1-smtp.messagingengine.com.", "20 in2-smtp.messagingengine.com."]);
    assert!(dns.ask("makenot.work", "CAA").contains(&"0 issue \"letsencrypt.org\"".to_owned()));
    assert_eq!(dns.ask("makenot.work", "TXT"), ["\"v=spf1 include:spf.messagingengine.com -all\""]);
    drill.done("mail's records and CAA: as they were");

    let runtime = Runtime::new().unwrap();
    let (credentials, gateway) = gateway(&runtime, &binary, folder.path());
    let port = gateway.address("https").and_then(|it| it.rsplit(':').next()?.parse().ok()).unwrap();
    for host in ["makenot.work", "www.makenot.work"] {
        let ip: IpAddr = dns.ask(host, "A")[0].parse().unwrap();
        let client = Client::builder()
            .tls_certs_only([Certificate::from_pem(credentials.ca.as_bytes()).unwrap()])
            .resolve(host, SocketAddr::new(ip, port))
            .no_proxy();
        let text = runtime.block_on(async {
            let asked = client.build().unwrap().get(format!("https://{host}:{port}/")).send().await;
            asked.unwrap().error_for_status().unwrap().text().await.unwrap()
        });
        assert_eq!(text, "hello", "{host}");
    }
    drill.done("a visitor of that address, for both names: the gateway serves");
    drill.end();
}

/// A gateway without Cloudflare and its app. Its certificate is of an authority of ours: the drill without-cloudflare has one by ACME.
fn gateway(runtime: &Runtime, binary: &Path, folder: &Path) -> (Credentials, Gateway) {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let app = listener.local_addr().unwrap();
    let router = Router::new().fallback(async || "hello");
    runtime.spawn(async move { axum::serve(listener, router).await });
    let credentials = Credentials::make(folder).unwrap();
    let text = format!(
        "listen = {{ https = [\"{VPS}:0\"], cores = 1 }}\ntls = {{ cert = {:?}, key = {:?} }}\n\
         [[site]]\nhosts = [\"makenot.work\", \"www.makenot.work\"]\napp = \"{app}\"\ntrust = \"direct\"\n",
        credentials.files.cert, credentials.files.key,
    );
    let file = folder.join("origin.toml");
    fs::write(&file, text).unwrap();
    let gateway = Gateway::start(binary, &file, None).unwrap();
    (credentials, gateway)
}
