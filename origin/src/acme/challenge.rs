//! What the CA sees when it looks whether a name is ours: over TLS on port 443 (RFC 8737), or over HTTP on port 80 (RFC 8555
//! section 8.3). Both come from the name's challenge file, so that either of two processes can show it.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::PrivateKeyDer;
use sha2::{Digest as _, Sha256};

/// The protocol in which a CA asks over TLS (RFC 8737 section 6.2).
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Where it asks over HTTP.
pub(crate) const PATH: &str = "/.well-known/acme-challenge/";

/// TLS that shows the digest of a key authorization, and does nothing else.
pub(super) fn over_tls(name: &str, key_authorization: &str) -> Result<Arc<ServerConfig>, Box<dyn std::error::Error>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&Sha256::digest(key_authorization))];
    let certificate = params.self_signed(&key)?;
    let provider = aws_lc_rs::default_provider();
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    // Not by way of rustls's checks: they refuse the extension, which has to be critical.
    let shown = CertifiedKey::new(vec![certificate.der().clone()], provider.key_provider.load_private_key(private)?);
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}

/// The answer over HTTP: the key authorization, to whoever knows its token.
pub(super) fn over_http(path: &str, key_authorization: String) -> Option<String> {
    let token = path.strip_prefix(PATH)?;
    let (ours, _) = key_authorization.split_once('.')?;
    (token == ours).then_some(key_authorization)
}

#[cfg(test)]
mod tests {
    use super::over_http;

    #[test]
    fn only_who_knows_the_token_sees_it() {
        let said = |path| over_http(path, "token.thumb".to_owned());
        assert_eq!(said("/.well-known/acme-challenge/token").as_deref(), Some("token.thumb"));
        for path in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/toke", "/token", "/"] {
            assert_eq!(said(path), None, "{path}");
        }
    }
}
