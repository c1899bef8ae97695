//! Certificates of files that end, as the gateway serves them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{BOUND, PACE, all_looked, check, noticed, service, token};
use crate::app::Script;
use crate::gateway::Gateway;
use crate::keys::Authority;

const NAME: &str = "site.example";
/// Files are looked at every 2 s, and taken over once they have stayed the same for as long.
const TAKEN_OVER: Duration = Duration::from_secs(4);

/// The certificate that the gateway shows to who trusts this authority; none where it has ended.
async fn shown(gateway: &Gateway, authority: &Authority) -> Option<Vec<u8>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("a certificate")).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("TLS").with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(gateway.https()).await.expect("it accepts");
    let stream =
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).expect("a name"), tcp).await.ok()?;
    stream.get_ref().1.peer_certificates().and_then(|all| Some(all.first()?.to_vec()))
}

#[tokio::test]
async fn certificates_that_end() {
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let authority = Authority::new("ours");
    let (cert, key) = (folder.path().join("tls.pem"), folder.path().join("tls.key"));
    let write = |days: i64| {
        let pair = authority.issue(&[NAME], days);
        std::fs::write(&key, pair.1).expect("written");
        std::fs::write(&cert, &pair.0).expect("written");
        CertificateDer::from_pem_slice(pair.0.as_bytes()).expect("a certificate").to_vec()
    };
    let ten = write(10);
    let tls =
        |cert: &Path, key: &Path| format!("listen.https = [\"127.0.0.1:0\"]\ntls.cert = {cert:?}\ntls.key = {key:?}\n");
    let probe = format!("[probe.end]\nkind = \"certificates\"\nservice = \"Certificates\"\ndown = \"2d\"\n{PACE}");
    let gateway = Gateway::before(&app.app(), &format!("{}{}{probe}", tls(&cert, &key), token(&folder)));
    let soon = all_looked(&gateway).await;
    assert_eq!(service(&soon, "Certificates")["status"], "Degraded", "{soon:#}");
    let said = check(&soon, "end")["message"].as_str().expect("a message");
    assert!(said.starts_with("tls ends at 20") && said.ends_with("Z, in 10.0 days"), "{said}");
    assert_eq!(soon["status"], "Degraded", "the site serves");
    assert_eq!(shown(&gateway, &authority).await, Some(ten));

    let within = TAKEN_OVER + BOUND;
    let one = write(1);
    let said = noticed(&gateway, ("Certificates", "end"), "Issues Detected", within).await;
    assert!(said.ends_with("Z, in 1.0 days"), "{said}");
    assert_eq!(shown(&gateway, &authority).await, Some(one));
    let renewed = write(90);
    let said = noticed(&gateway, ("Certificates", "end"), "Operational", within).await;
    assert!(said.ends_with("Z, in 90.0 days"), "{said}");
    assert_eq!(shown(&gateway, &authority).await, Some(renewed));
    write(-1);
    let said = noticed(&gateway, ("Certificates", "end"), "Issues Detected", within).await;
    assert!(said.starts_with("tls ended at 20") && said.ends_with("Z, 1.0 days ago"), "{said}");
    assert_eq!(shown(&gateway, &authority).await, None);
}
