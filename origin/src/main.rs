//! `origin`, the gateway behind the edge.
//!
//! Exit codes: 0 served and drained, or the configuration is good; 1 it could not start; 2 wrong usage; 78 the
//! configuration is wrong (`EX_CONFIG` of sysexits.h), so that a unit can tell it from a crash.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use origin::config::{self, Config};
use origin::run;

/// The gateway behind the edge: TLS, trust, cache, routing to the apps, health and object URLs.
#[derive(Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Examples:
  origin check-config /etc/origin/origin.toml    say what is wrong with a configuration, and serve nothing
  origin serve --config /etc/origin/origin.toml  serve until SIGTERM, then drain

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

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::CheckConfig { file } => match load(&file) {
            Ok(config) => {
                println!(
                    "{}: good; {} site(s), {} bucket(s)",
                    file.display(),
                    config.sites.len(),
                    config.buckets.len()
                );
                ExitCode::SUCCESS
            }
            Err(code) => code,
        },
        Command::Serve { config } => match load(&config).map(run::run) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(error)) => {
                eprintln!("origin: {error}");
                ExitCode::FAILURE
            }
            Err(code) => code,
        },
    }
}

fn load(file: &std::path::Path) -> Result<Config, ExitCode> {
    let config_error = ExitCode::from(78);
    let config = config::load(file).map_err(|error| {
        eprintln!("{error}");
        config_error
    })?;
    run::check_identity(&config).map_err(|error| {
        eprintln!("{}: {error}", file.display());
        config_error
    })?;
    Ok(config)
}
