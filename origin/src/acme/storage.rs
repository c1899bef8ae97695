//! Keys and certificates on disk, in a form that a person can read and two processes can share.
//!
//! ```text
//! STORAGE/CA/account.json            our account with the CA
//! STORAGE/CA/names/NAME/identity.pem private key and chain, in one file, so that the pair is always whole
//! STORAGE/CA/names/NAME/challenge    what the CA asks to see, while it does
//! STORAGE/CA/names/NAME/lock         held while somebody orders for the name
//! ```
//!
//! Folders have mode 0700, files 0600. A file is written beside its place and renamed. During a reload two processes run on one
//! storage: who orders for a name holds its lock, and the challenge is there for both, because the CA may reach either.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use http::Uri;

use super::certificate::{Certificate, Unusable};
use super::name::issuable;

/// The folder of one CA.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    folder: PathBuf,
}

/// A name's lock. The system frees it when it is dropped, or when its process ends, however that may be.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why a name's file can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Content(#[from] Unusable),
}

impl Storage {
    /// `storage` holds a folder for each CA, called as its directory's host.
    pub(crate) fn new(storage: &Path, directory: &Uri) -> Self {
        let authority = directory.authority().map_or("ca", |a| a.as_str());
        let called: String = authority
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '_' })
            .collect();
        Self { folder: storage.join(called) }
    }

    /// Makes the folder, and finds out whether it can be written to.
    pub(crate) fn open(&self) -> io::Result<()> {
        make_folder(&self.folder.join("names"))?;
        let probe = self.folder.join(format!(".probe.{}", std::process::id()));
        write(&probe, b"")?;
        fs::remove_file(probe)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The names for which there is a folder.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.folder.join("names"))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| issuable(name).as_deref() == Some(name)).collect())
    }

    /// A name's certificate, if there is one.
    pub(crate) fn certificate(&self, name: &str) -> Result<Option<Certificate>, Unreadable> {
        match fs::read(self.of(name, "identity.pem")) {
            Ok(pem) => Ok(Some(Certificate::read(&pem, name)?)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Keeps a name's private key and chain.
    pub(crate) fn keep(&self, name: &str, pem: &str) -> io::Result<()> {
        make_folder(&self.folder.join("names").join(name))?;
        write(&self.of(name, "identity.pem"), pem.as_bytes())
    }

    /// The lock of a name; nothing where somebody else has it.
    pub(super) fn lock(&self, name: &str) -> io::Result<Option<Lock>> {
        make_folder(&self.folder.join("names").join(name))?;
        let path = self.of(name, "lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        adopt(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }

    /// What the CA is to see (RFC 8555 section 8.1), if it asks for the name now. Never blocks for long: it is a small file.
    pub(super) fn challenge(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.of(name, "challenge")).ok()
    }

    pub(super) fn set_challenge(&self, name: &str, key_authorization: &str) -> io::Result<()> {
        write(&self.of(name, "challenge"), key_authorization.as_bytes())
    }

    pub(super) fn clear_challenge(&self, name: &str) {
        // It is no secret, and the next one replaces it.
        let _ = fs::remove_file(self.of(name, "challenge"));
    }

    /// Our account's credentials, as JSON.
    pub(super) fn account(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.folder.join("account.json")) {
            Ok(text) => Ok(Some(text)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(super) fn set_account(&self, credentials: &str) -> io::Result<()> {
        write(&self.folder.join("account.json"), credentials.as_bytes())
    }

    /// Puts an account aside that the CA does not know any more.
    pub(super) fn retire_account(&self) -> io::Result<()> {
        fs::rename(self.folder.join("account.json"), self.folder.join("account.old.json"))
    }

    fn of(&self, name: &str, file: &str) -> PathBuf {
        self.folder.join("names").join(name).join(file)
    }
}

/// Makes a folder and those above it that are missing.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_folder(above)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => adopt(path),
        // Somebody else was quicker.
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(e) => Err(e),
    }
}

/// Replaces a file at once.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    adopt(&beside)?;
    fs::rename(&beside, path)?;
    // The new name is on the disk when the folder is.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Gives what root has made (as `import-caddy` does) to the owner of the folder that it is in.
fn adopt(path: &Path) -> io::Result<()> {
    let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) else { return Ok(()) };
    let (wanted, is) = (fs::metadata(folder)?, fs::metadata(path)?);
    if (wanted.uid(), wanted.gid()) != (is.uid(), is.gid()) && is.uid() == 0 {
        std::os::unix::fs::chown(path, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Storage;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn storage(at: &Path) -> Storage {
        let storage = Storage::new(&at.join("a/b"), &"https://ca.example:14000/dir".parse().expect("a URL"));
        storage.open().expect("opened");
        storage
    }

    #[test]
    fn nobody_else_can_read_it_and_nothing_is_left_over() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let storage = storage(folder.path());
        assert_eq!(storage.folder(), folder.path().join("a/b/ca.example_14000"));
        let pair = rcgen::generate_simple_self_signed(vec!["c.example".to_owned()]).expect("a certificate");
        let pem = format!("{}{}", pair.signing_key.serialize_pem(), pair.cert.pem());
        storage.keep("c.example", &pem).expect("kept");
        storage.set_account("{}").expect("kept");
        let lock = storage.lock("c.example").expect("a lock");
        storage.set_challenge("c.example", "token.thumb").expect("kept");
        assert_eq!(storage.challenge("c.example").as_deref(), Some("token.thumb"));
        storage.clear_challenge("c.example");
        assert_eq!(storage.challenge("c.example"), None);
        assert!(storage.certificate("c.example").expect("readable").is_some());
        assert!(storage.certificate("d.example").expect("no fault").is_none());
        assert_eq!(storage.names().expect("readable"), ["c.example"]);

        let mut files = Vec::new();
        let mut folders = vec![folder.path().join("a")];
        while let Some(next) = folders.pop() {
            let mode = |path: &Path| path.metadata().expect("there").permissions().mode() & 0o777;
            assert_eq!(mode(&next), 0o700, "{}", next.display());
            for entry in std::fs::read_dir(&next).expect("readable") {
                let path = entry.expect("readable").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    assert_eq!(mode(&path), 0o600, "{}", path.display());
                    files.push(path.file_name().expect("a name").to_owned());
                }
            }
        }
        files.sort();
        assert_eq!(files, ["account.json", "identity.pem", "lock"]);
        drop(lock);
    }

    #[test]
    fn a_lock_has_one_holder() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let storage = storage(folder.path());
        let held = storage.lock("c.example").expect("a lock");
        assert!(held.is_some());
        assert!(storage.lock("c.example").expect("no fault").is_none());
        assert!(storage.lock("d.example").expect("no fault").is_some(), "each name has its own");
        drop(held);
        assert!(storage.lock("c.example").expect("no fault").is_some());
    }

    #[test]
    fn a_file_for_another_name_is_none() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let storage = storage(folder.path());
        let pair = rcgen::generate_simple_self_signed(vec!["c.example".to_owned()]).expect("a certificate");
        let other = rcgen::generate_simple_self_signed(vec!["c.example".to_owned()]).expect("a certificate");
        let good = format!("{}{}", pair.signing_key.serialize_pem(), pair.cert.pem());
        for (name, pem, said) in [
            ("d.example", good.clone(), "the certificate is not for d.example"),
            ("c.example", pair.cert.pem(), "holds no private key"),
            ("c.example", pair.signing_key.serialize_pem(), "holds no certificate"),
            ("c.example", format!("{}{}", other.signing_key.serialize_pem(), pair.cert.pem()), "not of one pair"),
            ("c.example", good[..good.len() - 80].to_owned(), "holds no certificate"),
        ] {
            storage.keep(name, &pem).expect("kept");
            let error = storage.certificate(name).expect_err(said).to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
