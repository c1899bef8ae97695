//! npm's packages: wrangler, miniflare with workerd, wasm-opt, esbuild, a browser's driver, and Node itself.
//!
//! The machine's own Node only runs npm. Node 22, which wrangler wants, is a package too: one for each platform, chosen by npm, with no
//! install script, so it does not matter whether npm runs those (npm 11 asks first).

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Error, Progress, command::run};

const REMEDY: &str = "Install Node 18 or newer with npm (on Debian: `apt install nodejs npm`), or do without the Worker: \
                      `cargo dev --edge native` needs neither.";

/// The oldest Node that wrangler and miniflare accept.
const WRANGLERS_MAJOR: u32 = 22;

/// The oldest Node whose npm reads our lock file.
const NPMS_MAJOR: u32 = 18;

/// Installs the packages that package-lock.json names where they are missing or others; returns the Node to use.
pub(super) fn ensure(root: &Path, progress: &Progress<'_>) -> Result<PathBuf, Error> {
    ensure_packages(root, None, progress)?;
    let pinned = pinned(root);
    if pinned.is_file() {
        return Ok(pinned);
    }
    // No package for this platform: the machine's own will do if it is new enough.
    let node = PathBuf::from("node");
    let (found, major) = version(&node, None, progress)?;
    if major < WRANGLERS_MAJOR {
        return Err(Error::TooOld {
            program: "node",
            found,
            remedy: "This platform has no pinned one: install Node 22 or newer.",
        });
    }
    Ok(node)
}

/// `PATH` with that Node and npm's programs first. They begin with `#!/usr/bin/env node`.
pub(super) fn search_path(root: &Path, node: &Path) -> OsString {
    let mut path = OsString::new();
    for folder in [node.parent(), Some(&root.join("node_modules/.bin"))].into_iter().flatten() {
        if !folder.as_os_str().is_empty() {
            path.push(folder);
            path.push(":");
        }
    }
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

fn pinned(root: &Path) -> PathBuf {
    root.join("node_modules/.bin/node")
}

/// `search` stands in for `PATH` in tests.
fn ensure_packages(root: &Path, search: Option<&str>, progress: &Progress<'_>) -> Result<(), Error> {
    let lock = root.join("package-lock.json");
    // The stamp is a copy of the lock file that the packages were installed from, written last.
    let stamp = root.join("node_modules/.stamp");
    let wanted = std::fs::read(&lock).map_err(|error| Error::file("read", &lock, error))?;
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let (found, major) = version(Path::new("node"), search, progress)?;
    if major < NPMS_MAJOR {
        return Err(Error::TooOld { program: "node", found, remedy: REMEDY });
    }
    let what = "installing wrangler, workerd and Node with npm";
    progress(&format!("worker   {what} (once, about 20 s) …"));
    let mut npm = Command::new("npm");
    // Nothing here needs its install script: each only replaces a small launcher by the program that it launches.
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(root);
    run(with_path(&mut npm, search), what, REMEDY, progress)?;
    let pinned = pinned(root);
    if pinned.exists() && version(&pinned, None, progress).is_err() {
        // A Linux without glibc: the package is there and can't run.
        std::fs::remove_file(&pinned).map_err(|error| Error::file("remove", &pinned, error))?;
    }
    std::fs::write(&stamp, wanted).map_err(|error| Error::file("write", &stamp, error))
}

/// What `node --version` says, and its first number.
fn version(node: &Path, search: Option<&str>, progress: &Progress<'_>) -> Result<(String, u32), Error> {
    let mut command = Command::new(node);
    let lines = run(with_path(command.arg("--version"), search), "looking for Node", REMEDY, progress)?;
    let found = lines.into_iter().find(|line| line.starts_with('v')).unwrap_or_default();
    let major = found.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    Ok((found, major))
}

fn with_path<'c>(command: &'c mut Command, search: Option<&str>) -> &'c mut Command {
    match search {
        Some(search) => command.env("PATH", search),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, process::Command};

    use super::ensure_packages;

    /// A workspace whose machine has the programs given, each a shell script.
    fn workspace(name: &str, programs: &[(&str, &str)]) -> (PathBuf, String) {
        let root = std::env::temp_dir().join(format!("stack-node-{name}-{}", std::process::id()));
        let bin = root.join("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(root.join("package-lock.json"), "{}").unwrap();
        for (program, script) in programs {
            // Written by another process: a file that any thread of ours has open for writing when another forks can't be executed.
            let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod +x \"$0\"";
            let status = Command::new("sh").args(["-c", write]).arg(bin.join(program)).arg(script).status();
            assert!(status.unwrap().success());
        }
        (root, bin.to_string_lossy().into_owned())
    }

    fn ensured(name: &str, programs: &[(&str, &str)]) -> Result<(), String> {
        let (root, path) = workspace(name, programs);
        let result = ensure_packages(&root, Some(&path), &|_| {}).map_err(|error| error.to_string());
        fs::remove_dir_all(root).unwrap();
        result
    }

    #[test]
    fn what_the_machine_lacks_is_said() {
        let error = ensured("none", &[]).unwrap_err();
        assert!(error.contains("no `node` in PATH. Install Node 18 or newer"), "{error}");
        let error = ensured("old", &[("node", "echo v16.20.0"), ("npm", "exit 0")]).unwrap_err();
        assert!(error.contains("`node` is v16.20.0, which is too old. Install Node 18"), "{error}");
        let error = ensured("no-npm", &[("node", "echo v18.0.0")]).unwrap_err();
        assert!(error.contains("no `npm` in PATH"), "{error}");
        let error = ensured("offline", &[("node", "echo v18.0.0"), ("npm", "echo ENOTFOUND; exit 1")]).unwrap_err();
        assert!(error.contains("`npm ci --ignore-scripts") && error.ends_with("ENOTFOUND"), "{error}");
    }

    #[test]
    fn packages_are_installed_once_for_each_lock_file() {
        let count = "mkdir -p node_modules && echo x >> count";
        let path = |bin: &str| format!("{bin}:/usr/bin:/bin");
        let (root, bin) = workspace("stamp", &[("node", "echo v22.0.0"), ("npm", count)]);
        let runs = || fs::read_to_string(root.join("count")).unwrap().lines().count();
        ensure_packages(&root, Some(&path(&bin)), &|_| {}).unwrap();
        ensure_packages(&root, Some("/nowhere"), &|_| {}).unwrap();
        assert_eq!(runs(), 1);
        fs::write(root.join("package-lock.json"), "{ }").unwrap();
        ensure_packages(&root, Some(&path(&bin)), &|_| {}).unwrap();
        assert_eq!(runs(), 2);
        fs::remove_dir_all(root).unwrap();
    }
}
