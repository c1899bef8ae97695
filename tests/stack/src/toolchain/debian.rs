//! Packages of the distribution, which get its security updates.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, Progress, command::run};

/// A system program that tests need.
pub(super) struct Program {
    /// The variable that names it, if it is set.
    pub(super) variable: &'static str,
    /// What distributions call it.
    pub(super) names: &'static [&'static str],
    /// Debian's package.
    pub(super) package: &'static str,
    /// What it is needed for, as one word.
    pub(super) purpose: &'static str,
    /// How it is had by hand.
    pub(super) remedy: &'static str,
}

impl Program {
    /// Where it is: by its variable, else in `PATH`, else installed by `apt-get` where we are root on a Debian.
    pub(super) fn get(&self, progress: &Progress<'_>) -> Result<PathBuf, Error> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        if let Some(found) = self.find(std::env::var_os(self.variable).map(PathBuf::from).as_deref(), &folders)? {
            return Ok(found);
        }
        if rustix::process::geteuid().is_root() && Path::new("/etc/debian_version").exists() {
            let what = format!("installing the package {} with apt-get", self.package);
            progress(&format!("{}  {what} (once, about 1 min) …", self.purpose));
            let apt = |arguments: &[&str]| {
                let mut apt = Command::new("apt-get");
                run(apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"), &what, self.remedy, progress)
            };
            // A fresh machine has no lists of packages; where that fails, the lists that are there may do.
            let _ = apt(&["update", "--quiet"]);
            apt(&["install", "--yes", "--quiet", "--no-install-recommends", self.package])?;
            if let Some(found) = self.find(None, &folders)? {
                return Ok(found);
            }
        }
        let what = format!("looking for a {}", self.purpose);
        Err(Error::Missing { what, program: self.package.to_owned(), remedy: self.remedy })
    }

    /// The program that was named, which must exist, or the first in these folders.
    pub(super) fn find(&self, named: Option<&Path>, folders: &[PathBuf]) -> Result<Option<PathBuf>, Error> {
        match named.filter(|named| !named.as_os_str().is_empty()) {
            Some(named) if named.is_file() => Ok(Some(named.to_owned())),
            Some(named) => {
                Err(Error::content(named, format!("is no program, but the variable {} names it", self.variable)))
            }
            None => Ok(self
                .names
                .iter()
                .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
                .find(|path| path.is_file())),
        }
    }
}
