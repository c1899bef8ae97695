//! Programs of the system, installed by `apt-get` where we are root on a Debian; elsewhere their absence is an error with the package's name.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, Progress, command::run};

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
    if let Some(found) = find(name) {
        return Ok(found);
    }
    let installed = install(who, package, remedy, progress)?;
    installed.then(|| find(name)).flatten().ok_or_else(|| Error::Missing {
        what: format!("looking for {name}"),
        program: name.to_owned(),
        remedy,
    })
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Installs a package; `false` where that is not for us to do.
pub(super) fn install(who: &str, package: &str, remedy: &'static str, progress: &Progress<'_>) -> Result<bool, Error> {
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
