//! An authority of our own, and the certificate of it that the zone shows to the gateway (Authenticated Origin Pulls): made, and rotated, as files of one
//! folder. The authority's key is needed for nothing else, so the folder lies where no server is.
//!
//! | file | what |
//! | --- | --- |
//! | `authority.pem`, `authority.key` | the authority |
//! | `client.pem`, `client.key` | what the zone shows; RSA, as in Cloudflare's own examples |
//! | `zone-ca.pem` | what the gateway has as `tls.client_ca`: the authority, and while it is rotated the one before |

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, RsaKeySize,
};
use time::OffsetDateTime;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::file::content;

/// Days that an authority is good for.
const AUTHORITY_DAYS: i64 = 3_650;
/// Days that the zone's certificate is good for.
const CLIENT_DAYS: i64 = 400;
/// Clocks differ.
const EARLIER: time::Duration = time::Duration::hours(1);

/// The folder.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// A file of it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes an authority and a certificate of it. What is there already is not written over.
    pub(crate) fn create(&self, zone: &str) -> Result<(), String> {
        if self.file("authority.pem").exists() {
            return Err(format!("{} has an authority already: `ca rotate` makes a new one", self.0.display()));
        }
        fs::create_dir_all(&self.0).map_err(|e| format!("{} cannot be made: {e}", self.0.display()))?;
        let authority = self.authority(zone)?;
        self.write("zone-ca.pem", &authority, 0o644)?;
        self.client(zone)
    }

    /// Makes a new authority beside the old one: both are in `zone-ca.pem` until the zone shows a certificate of the new one.
    pub(crate) fn rotate(&self, zone: &str) -> Result<(), String> {
        let old = content(&self.file("authority.pem"))?;
        let trusted = content(&self.file("zone-ca.pem"))?;
        if certificates(&trusted).map_err(self.of("zone-ca.pem"))?.len() > 1 {
            return Err(format!(
                "{} has two authorities: a rotation is under way. `ca install` ends it",
                self.file("zone-ca.pem").display()
            ));
        }
        // First what is trusted: whatever stops here, the old one stays in it.
        let new = self.authority(zone)?;
        self.write("zone-ca.pem", &format!("{new}{old}"), 0o644)?;
        self.client(zone)
    }

    /// Makes a new certificate of the authority that there is: the gateway needs no other file.
    pub(crate) fn renew(&self, zone: &str) -> Result<(), String> {
        self.client(zone)
    }

    /// The rotation is over: the gateway need trust the new authority only. Whether there was another.
    pub(crate) fn forget(&self) -> Result<bool, String> {
        let trusted = content(&self.file("zone-ca.pem"))?;
        if certificates(&trusted).map_err(self.of("zone-ca.pem"))?.len() < 2 {
            return Ok(false);
        }
        self.write("zone-ca.pem", &content(&self.file("authority.pem"))?, 0o644)?;
        Ok(true)
    }

    fn authority(&self, zone: &str) -> Result<String, String> {
        let said = |e: rcgen::Error| format!("an authority can't be made: {e}");
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(said)?;
        let now = OffsetDateTime::now_utc();
        let mut params = params(&format!("{zone} origin pulls {}", now.date()), AUTHORITY_DAYS)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(said)?.pem();
        self.write("authority.key", &key.serialize_pem(), 0o600)?;
        self.write("authority.pem", &certificate, 0o644)?;
        Ok(certificate)
    }

    fn client(&self, zone: &str) -> Result<(), String> {
        let no = |file: &str, what: &str| {
            let file = self.file(file).display().to_string();
            let what = what.to_owned();
            move |e: rcgen::Error| format!("{file} {what}: {e}")
        };
        let said = no("authority.pem", "can't sign a certificate");
        let issuer = KeyPair::from_pem(&content(&self.file("authority.key"))?)
            .map_err(no("authority.key", "is no key in PEM"))?;
        let issuer = Issuer::from_ca_cert_pem(&content(&self.file("authority.pem"))?, issuer)
            .map_err(no("authority.pem", "is no authority's certificate in PEM"))?;
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
            .map_err(no("client.key", "can't be made"))?;
        let mut params = params(&format!("{zone} zone"), CLIENT_DAYS)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &issuer).map_err(said)?.pem();
        self.write("client.key", &key.serialize_pem(), 0o600)?;
        self.write("client.pem", &certificate, 0o644)
    }

    /// Puts a file's name before what is wrong with it.
    pub(crate) fn of(&self, name: &str) -> impl FnOnce(String) -> String + use<> {
        let file = self.file(name).display().to_string();
        move |what| format!("{file} {what}")
    }

    /// Whole or not at all.
    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), String> {
        let path = self.file(name);
        let new = self.file(&format!(".{name}.new"));
        let written = || -> io::Result<()> {
            let _ = fs::remove_file(&new);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        written().map_err(|e| format!("{} cannot be written: {e}", path.display()))
    }
}

fn params(name: &str, days: i64) -> Result<CertificateParams, String> {
    let mut params = CertificateParams::new(Vec::new()).map_err(|e| e.to_string())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::now_utc() - EARLIER;
    params.not_after = OffsetDateTime::now_utc() + time::Duration::days(days);
    Ok(params)
}

/// The certificates of a PEM text, in DER.
pub(crate) fn certificates(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let all: Result<Vec<_>, _> = Pem::iter_from_buffer(text.as_bytes()).collect();
    let all = all.map_err(|e| format!("is not PEM: {e}"))?;
    let all: Vec<_> = all.into_iter().filter(|pem| pem.label == "CERTIFICATE").map(|pem| pem.contents).collect();
    if all.is_empty() { Err("holds no certificate in PEM".to_owned()) } else { Ok(all) }
}

/// What of a text of authorities can't be used; the caller says where it is from.
pub(crate) fn check(trusted: &str) -> Result<(), String> {
    certificates(trusted)?.iter().try_for_each(|authority| parse(authority).map(|_| ()))
}

/// Whether a certificate is of one of these authorities, by its signature. They have been checked: what can't be used is the certificate.
pub(crate) fn is_of(certificate: &str, trusted: &str) -> Result<bool, String> {
    let certificate = certificates(certificate)?;
    let Some(leaf) = certificate.first() else { return Ok(false) };
    let leaf = parse(leaf)?;
    for authority in certificates(trusted)? {
        let authority = parse(&authority)?;
        if leaf.issuer() == authority.subject() && leaf.verify_signature(Some(authority.public_key())).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// When a certificate ends.
pub(crate) fn ends(certificate: &str) -> Result<SystemTime, String> {
    let all = certificates(certificate)?;
    let seconds = parse(all.first().map_or(&[][..], Vec::as_slice))?.validity().not_after.timestamp();
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, String> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|e| format!("is no certificate: {e}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use super::{Folder, certificates, is_of};

    #[test]
    fn while_an_authority_is_rotated_both_are_trusted() {
        let at = std::env::temp_dir().join(format!("zonectl-authority-{}", std::process::id()));
        let folder = Folder::new(&at);
        folder.create("example.com").unwrap();
        assert!(folder.create("example.com").unwrap_err().contains("`ca rotate`"));
        let read = |name: &str| fs::read_to_string(folder.file(name)).unwrap();
        let (old, old_client) = (read("authority.pem"), read("client.pem"));
        for (name, mode) in [("authority.key", 0o600), ("client.key", 0o600), ("zone-ca.pem", 0o644)] {
            assert_eq!(fs::metadata(folder.file(name)).unwrap().mode() & 0o777, mode, "{name}");
        }
        folder.renew("example.com").unwrap();
        assert!(read("client.pem") != old_client && is_of(&read("client.pem"), &old).unwrap());

        folder.rotate("example.com").unwrap();
        assert_eq!(certificates(&read("zone-ca.pem")).unwrap().len(), 2);
        assert!(
            is_of(&old_client, &read("zone-ca.pem")).unwrap()
                && is_of(&read("client.pem"), &read("zone-ca.pem")).unwrap()
        );
        assert!(!is_of(&read("client.pem"), &old).unwrap(), "another authority of the same name is another");
        assert!(folder.rotate("example.com").unwrap_err().contains("a rotation is under way"));
        assert!(folder.forget().unwrap() && !folder.forget().unwrap());
        assert!(!is_of(&old_client, &read("zone-ca.pem")).unwrap());
        fs::remove_dir_all(at).unwrap();
    }
}
