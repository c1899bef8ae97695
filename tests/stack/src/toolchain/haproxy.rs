//! HAProxy, the balancer before two gateways.

use std::path::PathBuf;

use super::{Error, Progress, debian::Program};

const HAPROXY: Program = Program {
    variable: "HAPROXY",
    names: &["haproxy"],
    package: "haproxy",
    purpose: "balancer",
    remedy: "Install the package `haproxy` (on Debian: `apt install haproxy`), or name the program in the variable HAPROXY.",
};

/// Where HAProxy is: the variable `HAPROXY`, else in `PATH`, else installed by `apt-get` where we are root on a Debian.
///
/// # Errors
/// [`Error::Missing`] names the package; [`Error::Failed`] shows apt-get's last lines.
pub fn haproxy(progress: &Progress<'_>) -> Result<PathBuf, Error> {
    HAPROXY.get(progress)
}
