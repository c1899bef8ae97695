//! Takes over the store of Caddy, so that a site which moves has its certificates from the first handshake on.
//!
//! Caddy keeps `certificates/CA/NAME/NAME.crt`, `.key` and `.json` in its data folder. We read certificate and key; what the
//! `.json` says (the names, the CA's answer) the certificate says better.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::certificate::{Certificate, Unusable};
use super::name::issuable;
use super::storage::{Storage, Unreadable};
use crate::config;

/// What became of one of Caddy's certificates.
#[derive(Debug)]
pub struct Imported {
    /// The name, as its folder is called.
    pub name: String,
    /// The CA's folder.
    pub ca: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a certificate.
#[derive(Debug)]
pub enum Outcome {
    /// It is ours now, and good until then.
    Taken(SystemTime),
    /// We had one already that is good for as long or longer.
    Kept(SystemTime),
    /// It is not usable, or not for us.
    Refused(String),
}

/// Imports all that is in `folder`, which is Caddy's data folder or the `certificates` in it. Ordered by name.
///
/// # Errors
/// A folder that can't be read, or a storage that can't be written to.
pub fn import_caddy(folder: &Path, acme: &config::Acme) -> io::Result<Vec<Imported>> {
    let storage = Storage::new(&acme.storage, &acme.directory);
    let inner = folder.join("certificates");
    let found = found(if inner.is_dir() { &inner } else { folder })?;
    storage.open().map_err(|e| said(&acme.storage, &e))?;
    let mut all = Vec::with_capacity(found.len());
    for (ca, name, at) in found {
        let outcome = match take(&storage, &name, &at) {
            Ok(outcome) => outcome,
            Err(Refused::Certificate(why)) => Outcome::Refused(why),
            Err(Refused::Storage(e)) => return Err(said(&acme.storage, &e)),
        };
        all.push(Imported { name, ca, outcome });
    }
    all.sort_by(|a, b| (&a.name, &a.ca).cmp(&(&b.name, &b.ca)));
    Ok(all)
}

enum Refused {
    Certificate(String),
    Storage(io::Error),
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self::Certificate(why)
    }
}

/// CA, name and folder of each certificate.
fn found(certificates: &Path) -> io::Result<Vec<(String, String, PathBuf)>> {
    let folders = |path: &Path| -> io::Result<Vec<(String, PathBuf)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(path).map_err(|e| said(path, &e))? {
            let entry = entry.map_err(|e| said(path, &e))?;
            if entry.path().is_dir() {
                all.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
            }
        }
        Ok(all)
    };
    let mut all = Vec::new();
    for (ca, path) in folders(certificates)? {
        all.extend(folders(&path)?.into_iter().map(|(name, path)| (ca.clone(), name, path)));
    }
    Ok(all)
}

fn take(storage: &Storage, folder: &str, at: &Path) -> Result<Outcome, Refused> {
    let name =
        issuable(folder).filter(|name| name == folder).ok_or_else(|| match folder.strip_prefix("wildcard_") {
            Some(name) => format!("*{name} is a wildcard, which is not had on first use: name it as a site's cert"),
            None => "it is not a name that a CA could know".to_owned(),
        })?;
    let read = |ending: &str| {
        let path = at.join(format!("{name}.{ending}"));
        fs::read_to_string(&path).map_err(|e| format!("`{}` cannot be read: {e}", path.display()))
    };
    let pem = format!("{}\n{}", read("key")?.trim_end(), read("crt")?);
    let certificate = Certificate::read(pem.as_bytes(), &name).map_err(|e: Unusable| e.to_string())?;
    let until = certificate.validity.not_after;
    if !certificate.lives(SystemTime::now()) {
        return Err(format!("it ended on {}", humantime::format_rfc3339_seconds(until)).into());
    }
    match storage.certificate(&name) {
        Ok(Some(ours)) if ours.validity.not_after >= until => return Ok(Outcome::Kept(ours.validity.not_after)),
        // What is broken is replaced.
        Ok(_) | Err(Unreadable::Content(_)) => {}
        Err(Unreadable::File(e)) => return Err(Refused::Storage(e)),
    }
    storage.keep(&name, &pem).map_err(Refused::Storage)?;
    Ok(Outcome::Taken(until))
}

fn said(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("`{}`: {e}", path.display()))
}
