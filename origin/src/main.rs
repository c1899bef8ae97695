//! `origin`, the gateway behind the edge.
//!
//! Exit codes: 0 served and drained, or the configuration is good; 1 it could not start; 2 wrong usage; 78 the
//! configuration is wrong (`EX_CONFIG` of sysexits.h), so that a unit can tell it from a crash.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use origin::config::{self, Config};
use origin::handover::Inheritance;
use origin::run::{self, RunError};

/// The gateway behind the edge: TLS, trust, cache, routing to the apps, health and object URLs.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Examples:
  origin check-config /etc/origin/origin.toml    say what is wrong with a configuration, and serve nothing
  origin serve --config /etc/origin/origin.toml  serve until SIGTERM, then drain
  kill -HUP PID                                  have a new process take over, with the file as it is then

docs/configuration.md describes every key."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C, then let requests in flight end
    Serve {
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
    /// Check a configuration and the files it names; exit 78 where something is wrong
    CheckConfig {
        /// The configuration
        #[arg(value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        file: PathBuf,
    },
}

/// What the operator is told, and the exit code.
struct Failure {
    said: String,
    code: u8,
}

fn main() -> ExitCode {
    let (done, file) = match Arguments::parse().command {
        Command::CheckConfig { file } => (check(&file), file),
        Command::Serve { config } => (serve(&config), config),
    };
    match done {
        Ok(said) => {
            if let Some(said) = said {
                println!("{}: {said}", file.display());
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{}", failure.said);
            ExitCode::from(failure.code)
        }
    }
}

fn check(file: &Path) -> Result<Option<String>, Failure> {
    let config = load(file)?;
    Ok(Some(format!("good; {} site(s), {} bucket(s)", config.sites.len(), config.buckets.len())))
}

fn serve(file: &Path) -> Result<Option<String>, Failure> {
    let start = |error: RunError| Failure { said: format!("origin: {error}"), code: 1 };
    let mut inheritance = Inheritance::take().map_err(|error| start(error.into()))?;
    let served = load(file).and_then(|config| run::run(config, file, &mut inheritance).map_err(start));
    if let Err(failure) = &served {
        inheritance.failed(&failure.said);
    }
    served.map(|()| None)
}

fn load(file: &Path) -> Result<Config, Failure> {
    let wrong = |said| Failure { said, code: 78 };
    let config = config::load(file).map_err(|error| wrong(error.to_string()))?;
    run::check_identity(&config).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
    Ok(config)
}
