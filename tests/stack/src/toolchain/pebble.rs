//! Pebble, the small ACME server that the tests of certificates order from.

use std::path::PathBuf;

use super::{Error, Progress, debian::Program};

const PEBBLE: Program = Program {
    variable: "PEBBLE",
    names: &["pebble"],
    package: "pebble",
    purpose: "CA",
    remedy: "Install the package `pebble` (on Debian: `apt install pebble`), or name the program in the variable PEBBLE.",
};

/// Where Pebble is: the variable `PEBBLE`, else in `PATH`, else installed by `apt-get` where we are root on a Debian.
///
/// # Errors
/// [`Error::Missing`] names the package; [`Error::Failed`] shows apt-get's last lines.
pub fn pebble(progress: &Progress<'_>) -> Result<PathBuf, Error> {
    PEBBLE.get(progress)
}
