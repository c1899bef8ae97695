//! What answers over HTTP: vendors, the monitor, clocks; and what jobs report.

use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::{BOUND, PACE, TOKEN, all_looked, bearer, check, noticed, service, token, until};
use crate::app::Script;
use crate::gateway::Gateway;
use crate::keys::Authority;

/// What the machine, a job and a vendor say, each past its bound.
#[tokio::test]
async fn what_is_past_its_bound() {
    let (app, vendor, folder) = (Script::new().await, Script::new().await, TempDir::new().expect("a folder"));
    let file = folder.path().join("restore-drill.json");
    let report = |ok: bool, at: &str| {
        let text = json!({ "check": "restore-drill", "ok": ok, "at": at, "seconds": 1, "good_for_seconds": 60, "detail": "a row is missing" });
        std::fs::write(&file, text.to_string()).expect("written");
    };
    report(false, "2026-01-01T00:00:00Z");
    let url = format!("http://{}/summary.json", vendor.address());
    let probes = format!(
        "[probe.disk]\nkind = \"disk\"\nfolder = \"/\"\ndegraded = \"0%\"\nevery = \"1s\"\n\
         [probe.fds]\nkind = \"descriptors\"\nevery = \"1s\"\n\
         [probe.drill]\nkind = \"report\"\nservice = \"restore drill\"\nfile = {file:?}\nevery = \"1s\"\n\
         [probe.stripe]\nkind = \"status-page\"\nservice = \"Stripe payments\"\nurl = \"{url}\"\nevery = \"1s\"\n\
         [probe.pom]\nkind = \"monitor\"\nurl = \"{url}\"\nevery = \"1s\"\n\
         [probe.clock]\nkind = \"clock\"\nurl = \"{url}\"\nevery = \"1s\"\n"
    );
    let gateway = Gateway::before(&app.app(), &format!("{}{probes}", token(&folder)));
    let vendors = tokio::spawn(async move {
        loop {
            let mut line = vendor.accept().await;
            line.head().await;
            let body = r#"{"status":{"indicator":"critical"},"overall":"all \u0007well"}"#;
            let date = "date: Sat, 01 Nov 2025 00:00:00 GMT";
            line.say(format!("HTTP/1.1 200 OK\r\n{date}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        }
    });
    let health = all_looked(&gateway).await;
    assert_eq!(health["status"], "Degraded", "none of it is vital");
    let words: Vec<_> = ["disk", "fds", "restore drill", "Stripe payments", "clock"]
        .map(|name| service(&health, name)["status"].clone())
        .into();
    assert_eq!(words, ["Degraded", "Operational", "Issues Detected", "Issues Detected", "Issues Detected"]);
    assert!(
        check(&health, "disk")["message"].as_str().is_some_and(|said| said.ends_with(" % of the disk in use")),
        "{health:#}"
    );
    assert!(
        check(&health, "drill")["message"].as_str().is_some_and(|said| said.ends_with(": a row is missing")),
        "{health:#}"
    );
    assert!(check(&health, "clock")["message"].as_str().is_some_and(|said| said.contains("ahead of")), "{health:#}");
    assert_eq!(service(&health, "pom"), &Value::Null, "the monitor is no service");
    assert_eq!(health["external_monitoring"]["status"], "all well");
    assert_eq!(health["external_monitoring"]["answer"]["status"]["indicator"], "critical");

    let now = humantime_now();
    report(true, &now);
    vendors.abort();
    let later = until(&gateway, "", |_, health| {
        service(health, "restore drill")["status"] == "Operational" && health["external_monitoring"].is_null()
    });
    later.await;
}

fn humantime_now() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().expect("date");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A vendor's document over TLS, for who shows the token: what `says` says, as the certificate of `localhost`.
async fn vendor(pair: (String, String), says: watch::Receiver<&'static str>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let certificate = CertificateDer::from_pem_slice(pair.0.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(pair.1.as_bytes()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("TLS").with_no_client_auth().with_single_cert(vec![certificate], key).expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.expect("a connection");
            let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0) {}
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let is_admitted = head.contains(&format!("authorization: bearer {TOKEN}\r\n"));
            let (status, body) = if is_admitted { ("200 OK", *says.borrow()) } else { ("401 Unauthorized", "") };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn a_vendors_document_over_tls_for_who_shows_a_token() {
    const WELL: &str = r#"{"status":{"indicator":"none"},"components":[{"name":"API","status":"operational"}]}"#;
    const ILL: &str = r#"{"status":{"indicator":"minor"},"components":[{"name":"API","status":"major_outage"}]}"#;
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let (ca, other) = (Authority::new("vendors"), Authority::new("others"));
    let (says, said) = watch::channel(WELL);
    let port = vendor(ca.issue(&["localhost"], 90), said).await;
    let (shown, wrong) = (file("vendor.token", TOKEN), file("wrong.token", "another"));
    let (ours, others) = (file("ca.pem", &ca.pem), file("other.pem", &other.pem));
    let probe = |name: &str, host: &str, token: &std::path::Path, ca: &std::path::Path, more: &str| {
        format!(
            "[probe.{name}]\nkind = \"status-page\"\nurl = \"https://{host}:{port}/summary.json\"\ntoken_file = {token:?}\nca = {ca:?}\n{more}{PACE}"
        )
    };
    let probes = [
        probe("vendor", "localhost", &shown, &ours, "service = \"Stripe payments\"\ncomponent = \"API\"\n"),
        probe("token", "localhost", &wrong, &ours, ""),
        probe("authority", "localhost", &shown, &others, ""),
        probe("name", "127.0.0.1", &shown, &ours, ""),
    ];
    let gateway = Gateway::before(&app.app(), &format!("{}{}", token(&folder), probes.concat()));
    let health = all_looked(&gateway).await;
    let read = |name: &str| (service(&health, name)["status"].clone(), check(&health, name)["message"].clone());
    assert_eq!(service(&health, "Stripe payments")["status"], "Operational", "{health:#}");
    assert_eq!(check(&health, "vendor")["message"], "says operational");
    assert_eq!(read("token"), (json!("Issues Detected"), json!("answers 401")));
    let unknown = "the server's certificate is from an authority that is not trusted here: name its file in `ca`";
    assert_eq!(read("authority"), (json!("Issues Detected"), json!(unknown)));
    let elsewhere = "the server's certificate is not for `127.0.0.1`: it is for localhost";
    assert_eq!(read("name"), (json!("Issues Detected"), json!(elsewhere)));
    assert!(!health.to_string().contains(TOKEN), "the token shows");

    says.send_replace(ILL);
    let down = noticed(&gateway, ("Stripe payments", "vendor"), "Issues Detected", BOUND).await;
    assert_eq!(down, "says major_outage");
    says.send_replace("<html>");
    until(&gateway, &bearer(), |_, health| check(health, "vendor")["message"] == "answers what is not JSON").await;
    says.send_replace(WELL);
    assert_eq!(noticed(&gateway, ("Stripe payments", "vendor"), "Operational", BOUND).await, "says operational");
}
