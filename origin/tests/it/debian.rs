//! Programs of the system that a test needs: Debian's packages, installed where we may and they are missing.

use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives a file to a user, where we are root and others need it.
#[track_caller]
pub(crate) fn give(path: &Path, user: &str) {
    if is_root() {
        let owned = Command::new("chown").arg(user).arg(path).status();
        assert!(owned.is_ok_and(|status| status.success()), "chown");
    }
}

/// What `find` finds, if need be once this package is installed.
pub(crate) fn have<T>(what: &str, package: &str, find: impl Fn() -> Option<T>) -> T {
    if let Some(found) = find() {
        return found;
    }
    assert!(
        is_root() && Path::new("/etc/debian_version").exists(),
        "missing: {what} (on Debian: `apt install {package}`)"
    );
    let apt = |arguments: &[&str]| {
        Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null()).status()
    };
    let _ = apt(&["update", "--quiet"]);
    let _ = apt(&["install", "--yes", "--quiet", "--no-install-recommends", package]);
    find().unwrap_or_else(|| panic!("apt-get could not install {package}"))
}
