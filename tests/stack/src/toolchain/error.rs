//! Why the toolchain is not there, or could not build.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
};

/// Why the Worker can't be built or run on this machine. Each says what was wrong and what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that only the machine's owner can install is not in `PATH`.
    #[error("{what}: there is no `{program}` in PATH. {remedy}")]
    Missing {
        /// What was to be done with it.
        what: String,
        /// The program's name.
        program: String,
        /// How to get it, or how to do without.
        remedy: &'static str,
    },
    /// A program is there but too old.
    #[error("`{program}` is {found}, which is too old. {remedy}")]
    TooOld {
        /// The program's name.
        program: &'static str,
        /// What it says its version is.
        found: String,
        /// How to get a newer one.
        remedy: &'static str,
    },
    /// A command ran and failed.
    #[error("{what}: `{command}` failed ({status}); its last lines:\n{tail}")]
    Failed {
        /// What was to be done with it.
        what: String,
        /// The command, as one would type it.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last lines, both streams.
        tail: String,
    },
    /// A file could not be read, written or locked.
    #[error("can't {action} {}: {source}", path.display())]
    File {
        /// `read`, `write`, …
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file says something that can't be used.
    #[error("{}: {problem}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// What was built breaks a limit.
    #[error("{0}")]
    Limit(String),
    /// The gateway's configuration is wrong.
    #[error("{0}")]
    Config(String),
}

impl Error {
    pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    pub(super) fn content(path: &Path, problem: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), problem: problem.into() }
    }
}
