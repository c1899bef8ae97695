//! Runs a command that may take minutes: says how long it has been running, and keeps its last lines for the error.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, ErrorKind, Read},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{Error, Progress};

/// How many lines an error shows: rustc's longest usual message fits.
const TAIL_LINES: usize = 60;

/// How often a slow step says that it is still running.
const EVERY: Duration = Duration::from_secs(10);

/// What is meant for the build that we are part of and would steer another one wrongly: flags for coverage or sanitizers, say, which
/// `wasm32-unknown-unknown` does not have.
const FOR_US_ALONE: [&str; 5] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER"];

/// Frees a command that builds with cargo from what is meant for the build that we are part of.
pub(super) fn independent(command: &mut Command) -> &mut Command {
    for variable in FOR_US_ALONE {
        command.env_remove(variable);
    }
    command
}

/// Runs `command` to its end and returns what it wrote, both streams' lines as they came. `what` is the step in a few words; `remedy` tells
/// how to get the program if there is none.
///
/// # Errors
/// [`Error::Missing`] without the program, [`Error::Failed`] when it did not succeed.
pub(super) fn run(
    command: &mut Command,
    what: &str,
    remedy: &'static str,
    progress: &Progress<'_>,
) -> Result<Vec<String>, Error> {
    run_saying(command, what, remedy, progress, EVERY)
}

fn run_saying(
    command: &mut Command,
    what: &str,
    remedy: &'static str,
    progress: &Progress<'_>,
    every: Duration,
) -> Result<Vec<String>, Error> {
    let shown = shown(command);
    let failed = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => {
            Error::Missing { what: what.to_owned(), program: command_name(&shown).to_owned(), remedy }
        }
        _ => Error::Content { path: command_name(&shown).into(), problem: format!("can't be run: {source}") },
    };
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let lines = Mutex::new(VecDeque::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let status = thread::scope(|scope| {
        if let Some(stdout) = stdout {
            scope.spawn(|| collect(stdout, &lines));
        }
        if let Some(stderr) = stderr {
            scope.spawn(|| collect(stderr, &lines));
        }
        let started = Instant::now();
        let mut next = every;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() >= next {
                progress(&format!("worker   {what} … {} s", started.elapsed().as_secs()));
                next += every;
            }
            thread::sleep(Duration::from_millis(10));
        }
    })
    .map_err(failed)?;
    let lines: Vec<String> = lines.into_inner().unwrap_or_else(PoisonError::into_inner).into();
    if status.success() {
        return Ok(lines);
    }
    let tail = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
    Err(Error::Failed { what: what.to_owned(), command: shown, status, tail })
}

/// Reads lines until the stream ends; what is not UTF-8 is shown as U+FFFD.
fn collect(stream: impl Read, lines: &Mutex<VecDeque<String>>) {
    /// A build of this size writes hundreds; a runaway program must not fill the memory.
    const KEPT: usize = 4_096;
    for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn command_name(shown: &str) -> &str {
    shown.split(' ').next().unwrap_or(shown)
}

#[cfg(test)]
mod tests {
    use std::{process::Command, sync::Mutex, time::Duration};

    use super::{super::Error, run, run_saying};

    fn shell(script: &str) -> Result<Vec<String>, Error> {
        run(Command::new("sh").args(["-c", script]), "trying", "Get a shell.", &|_| {})
    }

    #[test]
    fn both_streams_are_returned() {
        let mut lines = shell("echo out; echo err >&2").unwrap();
        lines.sort();
        assert_eq!(lines, ["err", "out"]);
    }

    #[test]
    fn the_error_shows_only_the_last_lines() {
        let error = shell("for i in $(seq 1 200); do echo line-$i; done; exit 3").unwrap_err().to_string();
        assert!(error.starts_with("trying: `sh -c"), "{error}");
        assert!(error.contains("exit status: 3") && error.ends_with("line-200"), "{error}");
        assert!(error.contains("line-141\n") && !error.contains("line-140\n"), "{error}");
    }

    #[test]
    fn a_missing_program_comes_with_its_remedy() {
        let error = run(&mut Command::new("no-such-program"), "trying", "Install it.", &|_| {}).unwrap_err();
        assert_eq!(error.to_string(), "trying: there is no `no-such-program` in PATH. Install it.");
    }

    #[test]
    fn a_slow_step_says_so() {
        let said = Mutex::new(Vec::new());
        let progress = |line: &str| said.lock().unwrap().push(line.to_owned());
        let every = Duration::from_millis(1_050);
        run_saying(Command::new("sleep").arg("1.5"), "sleeping", "", &progress, every).unwrap();
        assert_eq!(*said.lock().unwrap(), ["worker   sleeping … 1 s"]);
    }
}
