//! A machine that is a folder: programs run in it as one user and with its own environment.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::is_root;

/// What PostgreSQL and programs of administrators need to be found.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A machine that is a folder.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
    user: Option<String>,
    environment: BTreeMap<String, String>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; 255 where a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// Both streams, one after the other.
    pub said: String,
}

impl Machine {
    /// A machine below this folder, which is made. Where we are root its programs run as `user`, who owns the folder; else as ourselves.
    ///
    /// # Panics
    /// Where the folder can't be made.
    #[must_use]
    pub fn new(root: &Path, user: &str) -> Self {
        std::fs::create_dir_all(root).expect("the folder can be made");
        let user = is_root().then(|| user.to_owned());
        if let Some(user) = &user {
            let status = Command::new("chown").arg(user).arg(root).status();
            assert!(status.is_ok_and(|status| status.success()), "chown {user} {}", root.display());
        }
        let environment = BTreeMap::from([("PATH".to_owned(), PATH.to_owned()), ("LC_ALL".to_owned(), "C".to_owned())]);
        Self { root: root.to_owned(), user, environment }
    }

    /// The same with one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.environment.insert(name.to_owned(), value.as_ref().to_owned());
        self
    }

    /// A path on this machine.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The same as text, for command lines.
    #[must_use]
    pub fn text(&self, path: &str) -> String {
        self.path(path).display().to_string()
    }

    /// A command, ready to run.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match &self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.env_clear().envs(&self.environment).current_dir(&self.root).stdin(Stdio::null());
        command
    }

    /// Runs lines of bash to their end. The first that fails ends them.
    ///
    /// # Panics
    /// Where bash can't be run.
    #[must_use]
    pub fn try_bash(&self, lines: &str) -> Outcome {
        let output = self.command("bash").args(["-euo", "pipefail", "-c", lines]).output().expect("bash can be run");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        Outcome { code: output.status.code().unwrap_or(255), stdout, said }
    }

    /// Runs lines of bash, which must succeed, and returns what they wrote to standard output.
    ///
    /// # Panics
    /// Where they do not succeed, with what they said.
    pub fn bash(&self, lines: &str) -> String {
        let outcome = self.try_bash(lines);
        assert_eq!(outcome.code, 0, "{lines}\n{}", outcome.said);
        outcome.stdout
    }
}
