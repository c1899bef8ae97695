//! The two programs that come from cargo: wasm-bindgen's command line and worker-build, each in the version of the crate that it serves.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Error, Progress,
    command::{independent, run},
    versions::locked,
};

/// A program that `cargo install` builds.
pub(super) struct Program {
    /// The package to install.
    package: &'static str,
    /// The executable that we use.
    executable: &'static str,
    /// The crate whose version it must have.
    same_version_as: &'static str,
    /// Whether its own lock file is used.
    locked: bool,
    /// How long it takes, in words.
    takes: &'static str,
}

pub(super) const WASM_BINDGEN: Program = Program {
    package: "wasm-bindgen-cli",
    executable: "wasm-bindgen",
    same_version_as: "wasm-bindgen",
    // Version 0.2.130's lock file does not fit its manifest.
    locked: false,
    takes: "about 2 min",
};

pub(super) const WORKER_BUILD: Program = Program {
    package: "worker-build",
    executable: "worker-build",
    same_version_as: "worker",
    locked: true,
    takes: "about 2 min",
};

const REMEDY: &str = "Install rustup (https://rustup.rs), which brings cargo.";

/// Installs the program where it is missing or of another version; returns its path.
pub(super) fn ensure(root: &Path, program: &Program, progress: &Progress<'_>) -> Result<PathBuf, Error> {
    let folder = root.join(".tools/cargo");
    let executable = folder.join("bin").join(program.executable);
    let version = locked(root, program.same_version_as)?;
    if installed(&folder, program.package, &version) && executable.is_file() {
        return Ok(executable);
    }
    let what = format!("installing {} {version}", program.executable);
    progress(&format!("worker   {what} (once, {}) …", program.takes));
    let target = root.join(".tools/target");
    let mut install = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Unoptimised: these run for seconds, and an optimised build takes 3 to 11 minutes.
    install.args(["install", program.package, "--version", &version, "--debug", "--force", "--root"]).arg(&folder);
    if program.locked {
        install.arg("--locked");
    }
    run(independent(&mut install).current_dir(root).env("CARGO_TARGET_DIR", &target), &what, REMEDY, progress)?;
    std::fs::remove_dir_all(&target).map_err(|error| Error::file("remove", &target, error))?;
    if installed(&folder, program.package, &version) && executable.is_file() {
        return Ok(executable);
    }
    Err(Error::content(&executable, format!("is not there after `cargo install {}` succeeded", program.package)))
}

/// Whether cargo's own record in that folder names the package in that version.
fn installed(folder: &Path, package: &str, version: &str) -> bool {
    let record = std::fs::read_to_string(folder.join(".crates.toml")).unwrap_or_default();
    let wanted = format!("\"{package} {version} (");
    record.lines().any(|line| line.starts_with(&wanted))
}

#[cfg(test)]
mod tests {
    use super::installed;

    #[test]
    fn another_version_does_not_count() {
        let folder = std::env::temp_dir().join(format!("stack-cargo-programs-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let record = "[v1]\n\"worker-build 0.8.7 (registry+https://example.org/index)\" = [\"worker-build\"]\n";
        std::fs::write(folder.join(".crates.toml"), record).unwrap();
        assert!(installed(&folder, "worker-build", "0.8.7"));
        assert!(!installed(&folder, "worker-build", "0.8"));
        assert!(!installed(&folder, "worker-build", "0.8.8"));
        assert!(!installed(&folder, "build", "0.8.7"));
        assert!(!installed(&folder.join("elsewhere"), "worker-build", "0.8.7"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
