//! OpenStack Swift, from Debian's packages.

use std::path::Path;
use std::process::Command;

use super::unpacked::{Unpacked, Wanted, unpack};
use super::{Error, Progress};

/// Python with Swift's modules.
#[derive(Clone, Debug)]
pub struct SwiftModules(Unpacked);

/// Fetches and unpacks what is missing: about 25 MB of packages beside apt's lists.
///
/// # Errors
/// [`Error::Missing`] where there is no apt; [`Error::Failed`] shows its last lines.
pub fn swift(root: &Path, progress: &Progress<'_>) -> Result<SwiftModules, Error> {
    let packages = &["python3-swift", "python3"];
    let (folder, version_of) = ("swift".to_owned(), "python3-swift");
    let wanted = Wanted { folder, name: "Swift", suite: "bookworm", packages, version_of };
    unpack(root, &wanted, progress).map(SwiftModules)
}

impl SwiftModules {
    /// As in `2.30.1`.
    #[must_use]
    pub fn version(&self) -> &str {
        self.0.version()
    }

    /// Python that finds them.
    #[must_use]
    pub fn python(&self) -> Command {
        self.0.python()
    }
}
