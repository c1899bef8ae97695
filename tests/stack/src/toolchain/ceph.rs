//! Ceph's programs, from Debian's packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::unpacked::{Unpacked, Wanted, unpack};
use super::{Error, Progress};

const PACKAGES: [&str; 4] = ["ceph-mon", "ceph-osd", "radosgw", "ceph-common"];

/// Which Ceph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// 16.2, of Debian 12: what it does with a presigned URL is what the oldest servers in use do.
    Old,
    /// That of Debian's unstable suite, 20.2 or newer: hardened.
    New,
}

impl Generation {
    fn suite(self) -> &'static str {
        match self {
            Self::Old => "bookworm",
            Self::New => "sid",
        }
    }
}

/// Ceph's programs.
#[derive(Clone, Debug)]
pub struct Ceph(Unpacked);

/// Fetches and unpacks what is missing: 115 to 140 MB of packages and lists, half a minute.
///
/// # Errors
/// [`Error::Missing`] where there is no apt; [`Error::Failed`] shows its last lines.
pub fn ceph(root: &Path, generation: Generation, progress: &Progress<'_>) -> Result<Ceph, Error> {
    let suite = generation.suite();
    let folder = format!("ceph-{suite}");
    let wanted = Wanted { folder, name: "Ceph", suite, packages: &PACKAGES, version_of: "radosgw" };
    unpack(root, &wanted, progress).map(Ceph)
}

impl Ceph {
    /// As in `16.2.15`.
    #[must_use]
    pub fn version(&self) -> &str {
        self.0.version()
    }

    /// One of the programs.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.0.command(program)
    }

    /// `ceph`, which is a script.
    #[must_use]
    pub fn admin(&self) -> Command {
        let mut command = self.0.python();
        command.arg(self.0.usr().join("bin/ceph"));
        command
    }

    /// Where Ceph finds what it loads by itself.
    #[must_use]
    pub fn libraries(&self) -> PathBuf {
        self.0.libraries()
    }
}
