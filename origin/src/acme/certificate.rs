//! A certificate that was issued for one name: its chain and private key in one PEM text, so that the pair is whole whenever a
//! file with it is.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use instant_acme::CertificateIdentifier;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why a text is no certificate that can be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// No PEM, or no certificate in it.
    #[error("holds no certificate in PEM: {0}")]
    Chain(String),
    /// No private key in it, or one under a password.
    #[error("holds no private key in PEM that is not encrypted: {0}")]
    Key(String),
    /// Not X.509.
    #[error("holds a certificate that can't be read: {0}")]
    Parse(String),
    /// Of different pairs.
    #[error("the certificate and the private key are not of one pair: {0}")]
    Pair(String),
    /// For somebody else.
    #[error("the certificate is not for {0}")]
    Name(String),
}

/// When a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

/// A certificate that can be shown.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) shown: Arc<CertifiedKey>,
    pub(crate) validity: Validity,
}

impl Validity {
    /// Of a certificate in DER.
    pub(crate) fn of(der: &[u8]) -> Result<Self, Unusable> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|e| Unusable::Parse(e.to_string()))?;
        let time = |t: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(t).unwrap_or(0));
        let validity = parsed.validity();
        Ok(Self { not_before: time(validity.not_before.timestamp()), not_after: time(validity.not_after.timestamp()) })
    }

    /// The time from begin to end.
    pub(crate) fn life(&self) -> Duration {
        self.not_after.duration_since(self.not_before).unwrap_or_default()
    }
}

/// The parser's own words show bytes as numbers.
fn said(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "it is cut off".to_owned(),
        pem::Error::NoItemsFound => "there is none".to_owned(),
        other => other.to_string(),
    }
}

impl Certificate {
    /// Reads chain and key; the certificate must be for `name`. It may have ended.
    pub(crate) fn read(pem: &[u8], name: &str) -> Result<Self, Unusable> {
        let chain = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| Unusable::Chain(said(&e)))?;
        let leaf = chain.first().ok_or_else(|| Unusable::Chain(said(&pem::Error::NoItemsFound)))?;
        let validity = Validity::of(leaf)?;
        let server = ServerName::try_from(name).map_err(|_| Unusable::Name(name.to_owned()))?;
        let entity = rustls::server::ParsedCertificate::try_from(leaf).map_err(|e| Unusable::Parse(e.to_string()))?;
        rustls::client::verify_server_name(&entity, &server).map_err(|_| Unusable::Name(name.to_owned()))?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|e| Unusable::Key(said(&e)))?;
        let shown = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(|e| Unusable::Pair(e.to_string()))?;
        Ok(Self { shown: Arc::new(shown), validity })
    }

    /// Whether it is still good.
    pub(crate) fn lives(&self, now: SystemTime) -> bool {
        now < self.validity.not_after
    }

    /// What the CA calls it (RFC 9773 section 4.1), where it names its authority's key.
    pub(super) fn identifier(&self) -> Option<CertificateIdentifier<'static>> {
        CertificateIdentifier::try_from(self.shown.end_entity_cert().ok()?).ok().map(CertificateIdentifier::into_owned)
    }

    /// A fraction from 0 up to 1 that differs from certificate to certificate and stays the same for each: the jitter of its
    /// renewal, which two processes agree on.
    pub(super) fn fraction(&self) -> f64 {
        let digest = Sha256::digest(self.shown.cert.first().map_or(&[][..], |c| c.as_ref()));
        let first = digest.iter().take(4).fold(0u32, |all, byte| all << 8 | u32::from(*byte));
        f64::from(first) / (f64::from(u32::MAX) + 1.0)
    }
}
