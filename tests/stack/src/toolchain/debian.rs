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
        if install(self.purpose, self.package, self.remedy, progress)?
            && let Some(found) = self.find(None, &folders)?
        {
            return Ok(found);
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

/// Where distributions put programs that a user's `PATH` may lack.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// A program by its name: from `PATH`, else from its Debian package. `who` begins the line of progress.
///
/// # Errors
/// [`Error::Missing`] with `remedy`; [`Error::Failed`] shows apt-get's last lines.
pub fn program(
    who: &str,
    name: &str,
    package: &str,
    remedy: &'static str,
    progress: &Progress<'_>,
) -> Result<PathBuf, Error> {
    let find = || {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
        folders.map(|folder| folder.join(name)).find(|path| path.is_file())
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    let installed = install(who, package, remedy, progress)?;
    installed.then(find).flatten().ok_or_else(|| Error::Missing {
        what: format!("looking for {name}"),
        program: name.to_owned(),
        remedy,
    })
}

/// Installs a package; `false` where that is not for us to do.
fn install(who: &str, package: &str, remedy: &'static str, progress: &Progress<'_>) -> Result<bool, Error> {
    if !rustix::process::geteuid().is_root() || !Path::new("/etc/debian_version").exists() {
        return Ok(false);
    }
    let what = format!("installing the package {package} with apt-get");
    progress(&format!("{who:8} {what} (once, about 1 min) …"));
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        run(apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"), &what, remedy, progress)
    };
    // A fresh machine has no lists of packages; where that fails, the lists that are there may do.
    let _ = apt(&["update", "--quiet"]);
    apt(&["install", "--yes", "--quiet", "--no-install-recommends", package])?;
    Ok(true)
}
