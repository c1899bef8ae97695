//! Caddy, whose store of certificates is taken over by who moves here.

use std::path::PathBuf;

use super::{Error, Progress, debian::Program};

const CADDY: Program = Program {
    variable: "CADDY",
    names: &["caddy"],
    package: "caddy",
    purpose: "server",
    remedy: "Install the package `caddy` (on Debian: `apt install caddy`), or name the program in the variable CADDY.",
};

/// Where Caddy is: the variable `CADDY`, else in `PATH`, else installed by `apt-get` where we are root on a Debian.
///
/// # Errors
/// [`Error::Missing`] names the package; [`Error::Failed`] shows apt-get's last lines.
pub fn caddy(progress: &Progress<'_>) -> Result<PathBuf, Error> {
    CADDY.get(progress)
}
