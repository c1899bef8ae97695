//! Why the toolchain is not there, or could not build.

use std::{fmt, io, path::Path, path::PathBuf, process::ExitStatus};

/// Why the Worker can't be built or run on this machine. Each says what was wrong and what would be right.
#[derive(Debug)]
pub enum Error {
    /// A program that only the machine's owner can install is not in `PATH`.
    Missing {
        /// What was to be done with it.
        what: String,
        /// The program's name.
        program: String,
        /// How to get it, or how to do without.
        remedy: &'static str,
    },
    /// A program is there but too old.
    TooOld {
        /// The program's name.
        program: &'static str,
        /// What it says its version is.
        found: String,
        /// How to get a newer one.
        remedy: &'static str,
    },
    /// A command ran and failed.
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
    File {
        /// `read`, `write`, …
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file says something that can't be used.
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// What was built breaks a limit.
    Limit(String),
}

impl Error {
    pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    pub(super) fn content(path: &Path, problem: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), problem: problem.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what, program, remedy } => write!(f, "{what}: there is no `{program}` in PATH. {remedy}"),
            Self::TooOld { program, found, remedy } => write!(f, "`{program}` is {found}, which is too old. {remedy}"),
            Self::Failed { what, command, status, tail } if tail.is_empty() => {
                write!(f, "{what}: `{command}` failed ({status}) and said nothing")
            }
            Self::Failed { what, command, status, tail } => {
                write!(f, "{what}: `{command}` failed ({status}); its last lines:\n{tail}")
            }
            Self::File { action, path, source } => write!(f, "can't {action} {}: {source}", path.display()),
            Self::Content { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Limit(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Missing { .. }
            | Self::TooOld { .. }
            | Self::Failed { .. }
            | Self::Content { .. }
            | Self::Limit(_) => None,
        }
    }
}
