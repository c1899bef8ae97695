//! Certificates and keys, made on the spot for one run: an authority for the gateway's name, one for the zone's client
//! certificate (what Authenticated Origin Pulls presents), the edge's signing key, and the buckets' access key.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use rcgen::ExtendedKeyUsagePurpose;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use crate::turnstile;

/// What one run's parts know each other by.
pub struct Credentials {
    /// PEM of the authority that vouches for the gateway.
    pub ca: String,
    /// A server's certificate of that authority and its key, in PEM.
    pub server: (String, String),
    /// PEM of the zone's client certificate and of its key.
    pub client: (String, String),
    /// The keys file: one line, `id:base64`.
    pub edge_keys: String,
    /// The buckets' access key: id and secret.
    pub bucket: (String, String),
    /// Their key that only writes.
    pub bucket_writer: (String, String),
    /// What the app shows on the private listener.
    pub app_token: String,
    /// What the operator shows, to be told where the time goes.
    pub timing_token: String,
    /// Files for the gateway's configuration.
    pub files: Files,
}

/// Where the gateway reads them.
pub struct Files {
    /// The gateway's certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authority of the zone's client certificate.
    pub client_ca: PathBuf,
    /// The edge's keys.
    pub edge_keys: PathBuf,
    /// The buckets' access key.
    pub bucket: PathBuf,
    /// The authority of the servers' certificates.
    pub ca: PathBuf,
    /// Turnstile's secret key.
    pub turnstile: PathBuf,
    /// A sender's of webhooks.
    pub webhook: PathBuf,
    /// The one that only writes.
    pub bucket_writer: PathBuf,
    /// The app's token.
    pub app_token: PathBuf,
    /// The operator's, for timing.
    pub timing_token: PathBuf,
}

impl Files {
    /// What the operator puts into `/etc/origin/`: those that deploy/origin.example.toml names, by its names.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn install(&self, folder: &Path) -> io::Result<()> {
        let named = [
            (&self.cert, "origin-ca.pem"),
            (&self.key, "origin-ca.key"),
            (&self.client_ca, "zone-ca.pem"),
            (&self.bucket, "bucket-user-files"),
            (&self.bucket, "bucket-ota"),
        ];
        named.into_iter().try_for_each(|(from, name)| fs::copy(from, folder.join(name)).map(drop))
    }
}

impl Credentials {
    /// Makes all of them and writes what the gateway reads into `folder`.
    ///
    /// # Errors
    /// A file that can't be written, or a key that can't be made.
    pub fn make(folder: &Path) -> io::Result<Self> {
        let server_ca = Authority::new("stack server authority")?;
        let zone_ca = Authority::new("stack zone authority")?;
        let names = ["localhost", "127.0.0.1", "::1", "makenot.work", "*.makenot.work", turnstile::HOST];
        let (cert, key) = server_ca.issue(&names, ExtendedKeyUsagePurpose::ServerAuth)?;
        let client = zone_ca.issue(&["zone.makenot.work"], ExtendedKeyUsagePurpose::ClientAuth)?;
        // Fresh key material is as random as a secret must be, and needs no further crate.
        let secret = |n: usize| -> io::Result<String> {
            let made = KeyPair::generate().map_err(io::Error::other)?.serialize_pem();
            let inner: String = made.lines().filter(|l| !l.starts_with('-')).collect();
            Ok(inner.chars().rev().filter(char::is_ascii_alphanumeric).take(n).collect())
        };
        let edge_keys = format!("dev-1:{}\n", secret(64)?);
        let bucket = ("STACKACCESSKEY000001".to_owned(), secret(40)?);
        let bucket_writer = ("STACKWRITEKEY0000001".to_owned(), secret(40)?);
        let (app_token, timing_token) = (secret(48)?, secret(48)?);
        let write = |name: &str, text: &str| -> io::Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        let files = Files {
            cert: write("origin.pem", &cert)?,
            key: write("origin.key", &key)?,
            client_ca: write("zone-ca.pem", &zone_ca.pem)?,
            edge_keys: write("edge.keys", &edge_keys)?,
            ca: write("ca.pem", &server_ca.pem)?,
            webhook: write("webhook.key", &secret(40)?)?,
            turnstile: write("turnstile.key", turnstile::SECRET)?,
            bucket: write("bucket.key", &format!("{}:{}\n", bucket.0, bucket.1))?,
            bucket_writer: write("bucket-writer.key", &format!("{}:{}\n", bucket_writer.0, bucket_writer.1))?,
            app_token: write("app.token", &format!("{app_token}\n"))?,
            timing_token: write("timing.token", &format!("{timing_token}\n"))?,
        };
        write("client.pem", &client.0)?;
        write("client.key", &client.1)?;
        let (ca, server) = (server_ca.pem, (cert, key));
        Ok(Self { ca, server, client, edge_keys, bucket, bucket_writer, app_token, timing_token, files })
    }
}

/// An authority that lives for one run.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, in PEM.
    pub pem: String,
}

impl Authority {
    /// A new authority of that name.
    ///
    /// # Errors
    /// A key that can't be made.
    pub fn new(name: &str) -> io::Result<Self> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).map_err(io::Error::other)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// A certificate for these names, and its key, both in PEM.
    ///
    /// # Errors
    /// A name that can't stand in a certificate.
    pub fn issue(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose) -> io::Result<(String, String)> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
        params.extended_key_usages = vec![purpose];
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}
