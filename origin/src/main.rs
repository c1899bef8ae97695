//! `origin`, the gateway behind the edge.
//!
//! Exit codes: 0 served and drained, or the configuration is good; 1 it could not start; 2 wrong usage; 78 the
//! configuration is wrong (`EX_CONFIG` of sysexits.h), so that a unit can tell it from a crash.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use origin::acme::{Outcome, import_caddy};
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
  origin import-caddy /var/lib/caddy/.local/share/caddy
                                                 take over Caddy's certificates of creators' domains

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
    /// Take over the certificates that Caddy has had by ACME; exit 1 where one of them is refused
    ImportCaddy {
        /// Caddy's data folder, or the folder `certificates` in it
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
        /// The configuration, whose [acme] says where they go
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
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
        Command::ImportCaddy { folder, config } => match load(&config) {
            Ok(config) => import(&folder, &config),
            Err(code) => code,
        },
    }
}

/// Says what became of each name, one a line.
fn import(folder: &std::path::Path, config: &Config) -> ExitCode {
    let Some(acme) = &config.acme else {
        eprintln!("origin: no site has acme_ask, so nobody would show these certificates");
        return ExitCode::from(78);
    };
    let all = match import_caddy(folder, acme) {
        Ok(all) => all,
        Err(error) => {
            eprintln!("origin: {error}");
            return ExitCode::FAILURE;
        }
    };
    let (mut taken, mut refused) = (0, 0);
    for one in &all {
        let day = |time| humantime::format_rfc3339_seconds(time);
        match &one.outcome {
            Outcome::Taken(until) => {
                taken += 1;
                println!("{}: taken over from {}, good until {}", one.name, one.ca, day(*until));
            }
            Outcome::Kept(until) => println!("{}: kept ours, which is good until {}", one.name, day(*until)),
            Outcome::Refused(why) => {
                refused += 1;
                println!("{}: refused ({}): {why}", one.name, one.ca);
            }
        }
    }
    println!("{taken} taken over, {} kept, {refused} refused", all.len() - taken - refused);
    if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
