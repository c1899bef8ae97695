//! The Worker's toolchain: makes everything exist that building and running the Worker needs, in exactly the pinned versions, on a
//! machine that has rustup, a C compiler and Node.
//!
//! Nothing is installed into the system: npm's packages go to `node_modules/`, cargo's programs to `.tools/cargo/`, what is built to
//! `build/`; git ignores all three. A second call finds out from stamps that all is there, and runs no program for it. Calls
//! at the same time, of threads or of processes, wait for each other on `.tools/lock`.

mod assets;
mod caddy;
mod cargo_programs;
pub mod ceph;
mod chromium;
mod command;
mod debian;
mod error;
mod haproxy;
mod node;
mod pebble;
mod rclone;
mod rust_target;
pub mod swift;
mod unpacked;
mod versions;
mod worker;
mod wrangler;

use std::{
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
};

pub use assets::{Assets, MAX_FILE_BYTES, MAX_FILES, MAX_RULES, headers_file, publish};
pub use caddy::caddy;
pub use chromium::chromium;
pub use debian::program;
pub use error::Error;
pub use haproxy::haproxy;
pub use pebble::pebble;
pub use rclone::rclone;
pub use worker::{Bundle, MAX_GZIPPED_BYTES, Worker};
pub use wrangler::{DryRun, Wrangler};

/// Takes the lines that say what is being done; each is complete, without a line break.
pub type Progress<'a> = dyn Fn(&str) + Sync + 'a;

/// Everything that builds and runs the Worker, present and in the pinned versions.
#[derive(Clone, Debug)]
pub struct Toolchain {
    root: PathBuf,
    node: PathBuf,
    path: OsString,
    wasm_bindgen: PathBuf,
    worker_build: PathBuf,
}

impl Toolchain {
    /// Installs what is missing into the workspace at `root`, saying what it does. Blocks: minutes the first time, milliseconds after.
    ///
    /// # Errors
    /// One sentence that says what is missing and what would be right, with the last lines of the command that failed.
    pub fn prepare(root: &Path, progress: &Progress<'_>) -> Result<Self, Error> {
        let _lock = lock(root, progress)?;
        rust_target::ensure(root, progress)?;
        let node = node::ensure(root, progress)?;
        let wasm_bindgen = cargo_programs::ensure(root, &cargo_programs::WASM_BINDGEN, progress)?;
        let worker_build = cargo_programs::ensure(root, &cargo_programs::WORKER_BUILD, progress)?;
        Ok(Self { root: root.to_owned(), path: node::search_path(root, &node), node, wasm_bindgen, worker_build })
    }

    /// The workspace that this stack is part of. Fixed when the stack is compiled, as the tests are.
    #[must_use]
    pub fn workspace() -> PathBuf {
        let stack = Path::new(env!("CARGO_MANIFEST_DIR"));
        stack.ancestors().nth(2).unwrap_or(stack).to_owned()
    }

    /// The workspace's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Node that runs wrangler, miniflare and browsers' drivers.
    #[must_use]
    pub fn node(&self) -> &Path {
        &self.node
    }

    /// `PATH` with the pinned Node and npm's programs first.
    #[must_use]
    pub fn path(&self) -> &OsString {
        &self.path
    }
}

/// Waits until no other thread or process installs or builds; the lock ends when the file is dropped.
fn lock(root: &Path, progress: &Progress<'_>) -> Result<File, Error> {
    let folder = root.join(".tools");
    let path = folder.join("lock");
    let failed = |source| Error::file("lock", &path, source);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => progress("worker   waiting: another process is installing or building …"),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.lock().map_err(failed)?;
    Ok(file)
}
