//! Our certificates: read from PEM files, chosen by the name a client asks for, replaced while handshakes go on.

use std::path::Path;
use std::sync::Arc;
use std::{fmt, iter};

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::acme::{Acme, Validity};
use crate::config::{Config, Tls};
use crate::expiry::{Expiry, Source};
use crate::sites::Sites;

/// Files that do not make an identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file can't be read as PEM.
    #[error("{key}: `{path}` is not a PEM file with {what}: {error}")]
    Pem {
        /// The key in the configuration.
        key: String,
        /// The file.
        path: String,
        /// What it should hold.
        what: &'static str,
        /// What the parser says.
        error: rustls_pki_types::pem::Error,
    },
    /// The certificate and the key, or the authority, are not usable.
    #[error("{key}: {error}")]
    Unusable {
        /// The key in the configuration.
        key: String,
        /// What rustls says.
        error: String,
    },
}

impl IdentityError {
    pub(super) fn unusable(key: &str, error: &dyn std::fmt::Display) -> Self {
        Self::Unusable { key: key.to_owned(), error: error.to_string() }
    }
}

/// A certificate with its key, ready to be shown. `section` is the configuration's, of the two files.
fn load(section: &str, cert: &Path, key: &Path) -> Result<Arc<CertifiedKey>, IdentityError> {
    let cert_key = format!("{section}.cert");
    let chain = authorities(&cert_key, cert)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| IdentityError::Pem {
        key: format!("{section}.key"),
        path: key.display().to_string(),
        what: "a private key",
        error,
    })?;
    let shown = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider())
        .map_err(|e| IdentityError::unusable(&cert_key, &format!("certificate and key do not fit: {e}")))?;
    Ok(Arc::new(shown))
}

/// Reads a file of certificates, of which there must be one.
pub(super) fn authorities(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let bad = |error| IdentityError::Pem {
        key: key.to_owned(),
        path: path.display().to_string(),
        what: "certificates",
        error,
    };
    let all = CertificateDer::pem_file_iter(path).map_err(bad)?.collect::<Result<Vec<_>, _>>().map_err(bad)?;
    if all.is_empty() {
        return Err(bad(rustls_pki_types::pem::Error::NoItemsFound));
    }
    Ok(all)
}

/// All certificates of a configuration: that of `[tls]`, and sites' own.
#[derive(Debug)]
pub(super) struct Loaded {
    default: Arc<CertifiedKey>,
    /// By the site's number.
    own: Vec<Option<Arc<CertifiedKey>>>,
}

impl Loaded {
    pub(super) fn read(tls: &Tls, sites: &Sites) -> Result<Self, IdentityError> {
        let own = sites.all().iter().enumerate().map(|(n, site)| {
            let own = site.identity.as_ref();
            own.map(|pair| load(&format!("site[{n}]"), &pair.cert, &pair.key)).transpose()
        });
        Ok(Self { default: load("tls", &tls.cert, &tls.key)?, own: own.collect::<Result<_, _>>()? })
    }
}

/// Chooses the certificate of a handshake: the site's own, the name's own where the site uses ACME, else that of `[tls]`.
pub(super) struct Certificates {
    sites: Sites,
    loaded: ArcSwap<Loaded>,
    acme: Option<Arc<Acme>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("sites", &self.sites).finish_non_exhaustive()
    }
}

impl Certificates {
    pub(super) fn load(tls: &Tls, config: &Config, acme: Option<Arc<Acme>>) -> Result<Self, IdentityError> {
        let sites = Sites::new(config.sites.clone());
        let loaded = ArcSwap::from_pointee(Loaded::read(tls, &sites)?);
        Ok(Self { sites, loaded, acme })
    }

    pub(super) const fn sites(&self) -> &Sites {
        &self.sites
    }

    /// Those of files: that of `[tls]` by this name, others by the first host of their site.
    pub(super) fn expiries(&self) -> Vec<Expiry> {
        let loaded = self.loaded.load();
        let sites = self.sites.all().iter().zip(&loaded.own);
        let own = sites.filter_map(|(site, own)| Some((site.hosts.first()?.to_string(), own.as_ref()?)));
        iter::once(("tls".to_owned(), &loaded.default))
            .chain(own)
            .filter_map(|(name, shown)| {
                let validity = Validity::of(shown.end_entity_cert().ok()?).ok()?;
                Some(Expiry { name, source: Source::File, validity })
            })
            .collect()
    }

    /// From the next handshake on.
    pub(super) fn replace(&self, loaded: Loaded) {
        self.loaded.store(Arc::new(loaded));
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let loaded = self.loaded.load();
        let name = hello.server_name();
        if let (Some(acme), Some(name)) = (&self.acme, name)
            && acme.asks(name).is_some()
        {
            // Without one the handshake is refused: that of `[tls]` is for other names.
            return acme.find(name);
        }
        let site = name.and_then(|name| self.sites.find(name));
        let own = site.and_then(|n| loaded.own.get(n)).and_then(Option::as_ref);
        Some(Arc::clone(own.unwrap_or(&loaded.default)))
    }
}
