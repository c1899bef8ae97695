//! The proxy on Pingora in tests/peers/pingora/: outside of the workspace, and built only when it is to be measured.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stack::toolchain::Progress;

/// Builds it, some minutes the first time.
pub(crate) fn build(root: &Path, progress: &Progress<'_>) -> Result<PathBuf, String> {
    let target = root.join("target/pingora");
    progress("versus   building the proxy on Pingora (some minutes the first time) …");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(root.join("tests/peers/pingora/Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .stdin(Stdio::null())
        .status()
        .map_err(|e| format!("cannot run cargo: {e}"))?;
    let built = target.join("release/peer-pingora");
    if status.success() { Ok(built) } else { Err("it does not build; cargo says above why".to_owned()) }
}

/// The version of Pingora in its lock file.
pub(crate) fn version(root: &Path) -> String {
    let lock = std::fs::read_to_string(root.join("tests/peers/pingora/Cargo.lock")).unwrap_or_default();
    let after = lock.split("name = \"pingora-proxy\"\nversion = \"").nth(1).unwrap_or_default();
    after.split('"').next().unwrap_or_default().to_owned()
}
