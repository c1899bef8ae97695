//! rclone, which moves a bucket to another storage.

use std::path::PathBuf;

use super::{Error, Progress, debian::Program};

const RCLONE: Program = Program {
    variable: "RCLONE",
    names: &["rclone"],
    package: "rclone",
    purpose: "copier",
    remedy: "Install the package `rclone` (on Debian: `apt install rclone`), or name the program in the variable RCLONE.",
};

/// Where rclone is: the variable `RCLONE`, else in `PATH`, else installed by `apt-get` where we are root on a Debian.
///
/// # Errors
/// [`Error::Missing`] names the package; [`Error::Failed`] shows apt-get's last lines.
pub fn rclone(progress: &Progress<'_>) -> Result<PathBuf, Error> {
    RCLONE.get(progress)
}
