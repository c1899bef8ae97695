//! Certificates: a site's own, and what happens when the files change under a running gateway.

use std::time::{Duration, Instant};

use reqwest::{Certificate, Client};
use stack::keys::{Authority, ExtendedKeyUsagePurpose};

use crate::answer::send;
use crate::own::{App, Own};
use crate::site::{Site, client};

cases![files_that_change_are_taken_over on Native, a_client_certificate_made_for_servers on Native, the_zones_authority_is_rotated on Native];

const NAME: &str = "direct.makenot.work";

/// A client that trusts these authorities, and makes a connection of its own for each request.
fn trusting(own: &Own, authorities: &[&Authority]) -> Client {
    let all = authorities.iter().map(|a| Certificate::from_pem(a.pem.as_bytes()).expect("a certificate"));
    client().tls_certs_only(all).resolve(NAME, own.https()).pool_max_idle_per_host(0).build().expect("a client")
}

async fn health(client: &Client, own: &Own) -> bool {
    let url = format!("https://{NAME}:{}/api/health", own.https().port());
    client.get(url).send().await.is_ok_and(|answer| answer.status() == 200)
}

async fn files_that_change_are_taken_over(site: &Site) {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = (folder.path().join("own.pem"), folder.path().join("own.key"));
    let write = |pair: &(String, String)| {
        std::fs::write(&cert, &pair.0).expect("a file");
        std::fs::write(&key, &pair.1).expect("a file");
    };
    let (before, after) = (Authority::new("before").expect("made"), Authority::new("after").expect("made"));
    let issue = |by: &Authority| by.issue(&[NAME], ExtendedKeyUsagePurpose::ServerAuth).expect("issued");
    write(&issue(&before));
    let app = App::start().await;
    let own = Own::start(
        site,
        &format!(
            "[[site]]\nhosts = [\"*\"]\napp = \"{0}\"\n[[site]]\nhosts = [\"{NAME}\"]\napp = \"{0}\"\ncert = {cert:?}\nkey = {key:?}",
            app.address()
        ),
    );
    let (old, new, both) = (trusting(&own, &[&before]), trusting(&own, &[&after]), trusting(&own, &[&before, &after]));
    assert!(health(&old, &own).await && !health(&new, &own).await, "the site shows its own certificate");

    let renewed = issue(&after);
    write(&renewed);
    let (changed, mut handshakes) = (Instant::now(), 0);
    while !health(&new, &own).await {
        assert!(changed.elapsed() < Duration::from_secs(20), "never taken over");
        assert!(health(&both, &own).await, "a handshake failed while the certificate changed");
        handshakes += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!(
        "a renewed certificate was shown after {:?}; {handshakes} handshakes meanwhile, none failed",
        changed.elapsed()
    );

    // A key that does not fit: said once, and the old pair stays.
    write(&(renewed.0, issue(&after).1));
    let said = || {
        own.gateway
            .find(|line| line["message"].as_str().is_some_and(|m| m.starts_with("changed certificates are not usable")))
    };
    let broken = Instant::now();
    let line = loop {
        assert!(health(&new, &own).await, "the old pair is in use");
        match said() {
            Some(line) => break line,
            None => assert!(broken.elapsed() < Duration::from_secs(20), "never said"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(line["error"].as_str().is_some_and(|e| e.starts_with("site[1].cert: ")), "{line}");
    assert!(health(&new, &own).await);
}

async fn a_client_certificate_made_for_servers(site: &Site) {
    let zone = Authority::new("zone").expect("made");
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("zone.pem");
    std::fs::write(&ca, &zone.pem).expect("a file");
    let app = site.stack.addresses.app.trim_start_matches("http://");
    let own =
        Own::start_with_zone(site, &ca, &format!("[[site]]\nhosts = [\"*\"]\napp = \"{app}\"\ntrust = \"cloudflare\""));
    let url = format!("https://makenot.work:{}/api/health", own.https().port());
    for (purpose, served) in [(ExtendedKeyUsagePurpose::ClientAuth, true), (ExtendedKeyUsagePurpose::ServerAuth, false)]
    {
        let pair = zone.issue(&["zone.makenot.work"], purpose).expect("issued");
        let asked = own.tls_client(Some(&pair)).get(&url).send().await;
        assert_eq!(asked.is_ok(), served, "{asked:?}");
    }
    // And it is not the certificate alone that counts: this one is of another authority.
    assert!(own.tls_client(Some(&site.stack.credentials.client)).get(&url).send().await.is_err());
    send(own.admin("/readyz")).await;
}

/// As `zonectl ca` does it (docs/cloudflare.md): the file has the new authority and the old one, then only the new one.
async fn the_zones_authority_is_rotated(site: &Site) {
    let (before, after) =
        (Authority::new("origin pulls").expect("made"), Authority::new("origin pulls").expect("made"));
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("zone-ca.pem");
    let put = |text: &str| {
        let new = folder.path().join("new");
        std::fs::write(&new, text).expect("a file");
        std::fs::rename(new, &ca).expect("a file");
    };
    put(&before.pem);
    let app = site.stack.addresses.app.trim_start_matches("http://");
    let own =
        Own::start_with_zone(site, &ca, &format!("[[site]]\nhosts = [\"*\"]\napp = \"{app}\"\ntrust = \"cloudflare\""));
    let url = format!("https://makenot.work:{}/api/health", own.https().port());
    // Without names, as Cloudflare's examples are.
    let issue = |by: &Authority| by.issue(&[], ExtendedKeyUsagePurpose::ClientAuth).expect("issued");
    let (old, new) = (issue(&before), issue(&after));
    let served = async |pair| own.tls_client(Some(pair)).get(&url).send().await.is_ok();
    assert!(served(&old).await && !served(&new).await);
    put(&format!("{}{}", after.pem, before.pem));
    let changed = Instant::now();
    while !served(&new).await {
        assert!(served(&old).await, "what the zone shows is trusted at every moment");
        assert!(changed.elapsed() < Duration::from_secs(20), "never taken over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(served(&old).await, "both are trusted");
    put(&after.pem);
    let changed = Instant::now();
    while served(&old).await {
        assert!(served(&new).await, "what the zone shows is trusted at every moment");
        assert!(changed.elapsed() < Duration::from_secs(20), "never taken over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(served(&new).await);
}
