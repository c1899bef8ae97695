//! What a vendor offers over HTTPS.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::process::Place;

/// A vendor's API over TLS: takes one call up to `end`, says what it is told to, and gives what it was asked. Its authority is in
/// the place's `api.pem`.
pub(crate) async fn api(place: &Place, end: &'static str) -> (String, impl AsyncFn(&str) -> String) {
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(place.path("api.pem"), pair.cert.pem()).expect("written");
    let key = rustls_pki_types::PrivateKeyDer::try_from(pair.signing_key.serialize_der()).expect("a key");
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![pair.cert.der().clone()], key)
        .expect("a pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let call = async move |answer: &str| {
        let (tcp, _) = listener.accept().await.expect("a call");
        let mut tls = acceptor.accept(tcp).await.expect("TLS");
        let mut asked = vec![0; 8192];
        let mut length = 0;
        while !asked[..length].ends_with(end.as_bytes()) {
            length += tls.read(&mut asked[length..]).await.expect("open");
        }
        tls.write_all(answer.as_bytes()).await.expect("open");
        tls.shutdown().await.expect("open");
        String::from_utf8_lossy(&asked[..length]).into_owned()
    };
    (format!("https://localhost:{port}/client/v4"), call)
}
