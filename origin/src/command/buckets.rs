//! `origin buckets`.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use origin::buckets::{Survey, SurveyError, survey};
use origin::config::Config;
use origin::storage::{StoreError, Transport};

use super::{Failure, load};

/// What to do with buckets.
#[derive(Subcommand)]
pub(crate) enum Buckets {
    /// Say what differs between the buckets and the configuration, and change nothing; exit 1 where something does
    Check {
        /// Which buckets, by their roles; without, all
        #[arg(value_name = "ROLE")]
        roles: Vec<String>,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
    /// Make the buckets as the configuration wants them, after showing what would be done
    Apply {
        /// Which buckets, by their roles; without, all
        #[arg(value_name = "ROLE")]
        roles: Vec<String>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
        /// The configuration
        #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
        config: PathBuf,
    },
}

/// Try later: the storage is in trouble that passes (`EX_TEMPFAIL` of sysexits.h).
const LATER: u8 = 75;

pub(crate) fn buckets(what: &Buckets) -> Result<Option<String>, Failure> {
    match what {
        Buckets::Check { roles, config } => {
            let (config, transport) = open("origin buckets check", config)?;
            let found = wait(survey(&config, roles, &transport))?.map_err(|e| failed("origin buckets check", &e))?;
            print!("{found}");
            finish(&found, "origin buckets check")
        }
        Buckets::Apply { roles, yes, config } => {
            const NAME: &str = "origin buckets apply";
            let (config, transport) = open(NAME, config)?;
            let found = wait(survey(&config, roles, &transport))?.map_err(|e| failed(NAME, &e))?;
            print!("{found}");
            if found.changes() == 0 {
                return finish(&found, NAME);
            }
            agree(NAME, &format!("Make {} change(s)?", found.changes()), *yes)?;
            let made = wait(found.apply(|what| println!("changed      {what}")))?;
            made.map_err(|error| failed(NAME, &error.into()))?;
            // As they are now: a server may take a setting and not keep it.
            let found = wait(survey(&config, roles, &transport))?.map_err(|e| failed(NAME, &e))?;
            if found.changes() > 0 {
                print!("{found}");
            } else {
                found.proofs.iter().for_each(|proof| println!("{proof}"));
            }
            finish(&found, NAME)
        }
    }
}

fn finish(found: &Survey, name: &str) -> Result<Option<String>, Failure> {
    if found.differs() {
        return Err(Failure { said: format!("{name}: not everything is as the configuration wants it"), code: 1 });
    }
    println!("everything is as the configuration wants it");
    Ok(None)
}

/// The configuration, which must have buckets, and the way to them.
pub(super) fn open(name: &str, file: &Path) -> Result<(Config, Transport), Failure> {
    let config = load(file)?;
    if config.buckets.is_empty() {
        return Err(Failure { said: format!("{name}: {} has no [bucket.ROLE]", file.display()), code: 78 });
    }
    let transport = Transport::new(&config.storage);
    let transport = transport.map_err(|error| Failure { said: format!("{name}: {error}"), code: 1 })?;
    Ok((config, transport))
}

/// Runs it to its end.
pub(super) fn wait<T>(work: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure { said: format!("origin: {error}"), code: 1 })?;
    Ok(runtime.block_on(work))
}

/// Asks whether to go on, where somebody is there to be asked.
pub(super) fn agree(name: &str, question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let said = format!("{name}: nothing was done: nobody can be asked here, so say --yes");
        return Err(Failure { said, code: 2 });
    }
    print!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdout().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    match read {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Failure { said: format!("{name}: nothing was done"), code: 1 }),
    }
}

fn failed(name: &str, error: &SurveyError) -> Failure {
    match error {
        SurveyError::Role(..) => Failure { said: format!("{name}: {error}"), code: 2 },
        SurveyError::Store(error) => trouble(name, error),
    }
}

pub(super) fn trouble(name: &str, error: &StoreError) -> Failure {
    Failure { said: format!("{name}: {error}"), code: if error.trouble().passes() { LATER } else { 1 } }
}
