//! `origin`, the gateway behind the edge.
//!
//! Exit codes: 0 served and drained, or the configuration is good; 1 it could not start; 2 wrong usage; 78 the
//! configuration is wrong (`EX_CONFIG` of sysexits.h), so that a unit can tell it from a crash.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use http::Method;
use origin::acme::{Outcome, import_caddy};
use origin::admin::{Closing, Wish, ask};
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
  origin import-caddy /var/lib/caddy/.local/share/caddy
                                                 take over Caddy's certificates of creators' domains
  origin purge --tag creator-17                  serve no more what bears a tag
  origin maintenance on                          tell visitors to come back later
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
    /// Have a running gateway serve no more what it has stored; it is fetched anew when somebody asks
    #[command(
        max_term_width = 100,
        after_help = "Examples:
  origin purge --url https://makenot.work/c/mira   one page, in all its variants
  origin purge --prefix https://makenot.work/blog/
  origin purge --tag creator-17 --soft             mark stale what bears the tag: answers stay fast
  origin purge --all"
    )]
    Purge {
        /// A URL, with scheme and host
        #[arg(long, value_name = "URL")]
        url: Vec<String>,
        /// What URLs begin with
        #[arg(long, value_name = "URL")]
        prefix: Vec<String>,
        /// A tag, as in Cache-Tag
        #[arg(long, value_name = "TAG")]
        tag: Vec<String>,
        /// Everything
        #[arg(long)]
        all: bool,
        /// Only mark it stale: whoever asks next is answered at once, and it is asked for anew
        #[arg(long)]
        soft: bool,
        /// The configuration, whose [admin] says where the gateway listens
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
    /// Tell visitors to come back later, at once here and within 5 s at every edge; health says how it is all the same
    #[command(
        max_term_width = 100,
        after_help = "Examples:
  origin maintenance on --allow 203.0.113.7       all sites are closed but to this address
  origin maintenance on --host forums.makenot.work --retry 10m
  origin maintenance status
  origin maintenance off"
    )]
    Maintenance {
        /// What to do
        #[arg(value_enum)]
        what: Switch,
        /// An address or range that is let in, as in 203.0.113.7 or 2001:db8::/64
        #[arg(long, value_name = "RANGE")]
        allow: Vec<String>,
        /// A host that is closed, where it is not all of them
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
        /// After which time visitors may try again
        #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
        retry: Duration,
        /// The configuration, whose [admin] says where the gateway listens
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
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

/// A position of a switch.
#[derive(Clone, Copy, ValueEnum)]
enum Switch {
    /// From now on
    On,
    /// No more
    Off,
    /// How it is
    Status,
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
        Command::ImportCaddy { folder, config } => (import(&folder, &config), folder),
        Command::Maintenance { what, allow, host, retry, config } => {
            let retry = u32::try_from(retry.as_secs()).unwrap_or(u32::MAX);
            (maintenance(what, &Closing { retry, allow, host }, &config), config)
        }
        Command::Purge { url, prefix, tag, all, soft, config } => {
            (purge(&Wish { url, prefix, tag, all, soft }, &config), config)
        }
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

fn purge(wish: &Wish, file: &Path) -> Result<Option<String>, Failure> {
    let failed = |said: String, code| Failure { said: format!("origin purge: {said}"), code };
    let scopes = wish.scopes().map_err(|error| failed(error, 2))?;
    let said = order("origin purge", file, &Method::POST, "/purge", wish)?;
    let done = format!("{} purged{}", scopes.len(), if wish.soft { ", softly" } else { "" });
    match said["zone"].as_str() {
        None => Ok(Some(done)),
        Some(why) => Err(failed(format!("{done}, but not in Cloudflare's own cache of the zone: {why}"), 1)),
    }
}

fn maintenance(what: Switch, closing: &Closing, file: &Path) -> Result<Option<String>, Failure> {
    const NAME: &str = "origin maintenance";
    let failed = |error| Failure { said: format!("{NAME}: {error}"), code: 2 };
    closing.order().map_err(failed)?;
    let method = match what {
        Switch::On => Method::POST,
        Switch::Off => Method::DELETE,
        Switch::Status => Method::GET,
    };
    let said = order(NAME, file, &method, "/maintenance", closing)?;
    let closed: Vec<Closing> = serde_json::from_value(said["closed"].clone()).unwrap_or_default();
    let list = |list: &[String], none: &str| if list.is_empty() { none.to_owned() } else { list.join(", ") };
    let told = closed.iter().map(|closing| {
        let (hosts, allow) = (list(&closing.host, "all sites"), list(&closing.allow, "nobody"));
        format!("closed: {hosts}; let in: {allow}; visitors come back after {} s", closing.retry)
    });
    Ok(Some(if closed.is_empty() { "open".to_owned() } else { told.collect::<Vec<_>>().join("; ") }))
}

/// Has the running gateway do something; gives what it says, which is JSON.
fn order(
    name: &str,
    file: &Path,
    method: &Method,
    path: &str,
    wish: &impl serde::Serialize,
) -> Result<serde_json::Value, Failure> {
    let failed = |said: String, code| Failure { said: format!("{name}: {said}"), code };
    let config = config::load(file).map_err(|error| Failure { said: error.to_string(), code: 78 })?;
    let nobody = || failed("the configuration has no [admin], so the gateway can't be asked".to_owned(), 78);
    let admin = config.admin.as_ref().ok_or_else(nobody)?;
    let json = serde_json::to_string(wish).map_err(|error| failed(error.to_string(), 1))?;
    let asked = ask(admin, method, path, json);
    match asked.map_err(|error| failed(format!("the gateway can't be asked: {error}"), 1))? {
        (200, said) => Ok(serde_json::from_str(&said).unwrap_or_default()),
        (status, said) => Err(failed(format!("the gateway says {status}: {}", said.trim()), 1)),
    }
}

/// Says what became of each name, one a line.
fn import(folder: &Path, file: &Path) -> Result<Option<String>, Failure> {
    let failed = |said: String, code| Failure { said: format!("origin: {said}"), code };
    let nobody = "no site has acme_ask, so nobody would show these certificates";
    let acme = load(file)?.acme.ok_or_else(|| failed(nobody.to_owned(), 78))?;
    let all = import_caddy(folder, &acme).map_err(|error| failed(error.to_string(), 1))?;
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
    let said = format!("{taken} taken over, {} kept, {refused} refused", all.len() - taken - refused);
    if refused == 0 { Ok(Some(said)) } else { Err(Failure { said, code: 1 }) }
}

fn load(file: &Path) -> Result<Config, Failure> {
    let wrong = |said| Failure { said, code: 78 };
    let config = config::load(file).map_err(|error| wrong(error.to_string()))?;
    run::check_identity(&config).map_err(|error| wrong(format!("{}: {error}", file.display())))?;
    Ok(config)
}
