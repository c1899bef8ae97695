//! The Rust target `wasm32-unknown-unknown`. cargo does not add a target that rust-toolchain.toml names when the toolchain was already
//! installed without it, so we do.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Error, Progress, command::run};

pub(super) const TARGET: &str = "wasm32-unknown-unknown";

const REMEDY: &str = "Install rustup (https://rustup.rs), which fetches what rust-toolchain.toml names.";

/// Adds the target to the toolchain in use where it is missing.
pub(super) fn ensure(root: &Path, progress: &Progress<'_>) -> Result<(), Error> {
    if cargos_sysroot().is_some_and(|sysroot| sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()) {
        return Ok(());
    }
    let what = "looking for the Rust target wasm32-unknown-unknown";
    let mut rustc = Command::new("rustc");
    let printed =
        run(rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(root), what, REMEDY, progress)?;
    if printed.iter().any(|line| Path::new(line).is_dir()) {
        return Ok(());
    }
    progress("worker   adding the Rust target wasm32-unknown-unknown (once) …");
    let what = "adding the Rust target wasm32-unknown-unknown";
    run(Command::new("rustup").args(["target", "add", TARGET]).current_dir(root), what, REMEDY, progress)?;
    Ok(())
}

/// Where the cargo that runs us lives, if it does: `SYSROOT/bin/cargo`. Spares starting rustc to ask it.
fn cargos_sysroot() -> Option<PathBuf> {
    Some(Path::new(&std::env::var_os("CARGO")?).ancestors().nth(2)?.to_owned())
}
