//! `zonectl`: the zone at Cloudflare, its registration, and the certificates between it and the gateway, as files that are reviewed.
//!
//! Exit codes: 0 nothing differs, or what was asked is done; 1 it failed; 2 something differs, or wrong usage.

mod api;
mod authority;
mod certificate;
mod domains;
mod export;
mod file;
mod install;
mod master;
mod parts;
mod plan;
mod record;
mod worker;
mod zone;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use api::{API, Api, Token};
use authority::Folder;
use clap::{Parser, Subcommand};
use domains::{BOOTSTRAP, Sources};
use file::Wanted;
use plan::{How, Plan};
use worker::Switch;
use zone::Zone;

/// The zone at Cloudflare as code: what differs from the file, apply it, export it.
#[derive(Parser)]
#[command(
    version,
    bin_name = called(),
    max_term_width = 100,
    after_help = examples()
)]
struct Arguments {
    /// What the zone is to be
    #[arg(long, global = true, value_name = "FILE", default_value = "deploy/cloudflare/zone.toml")]
    file: PathBuf,
    /// A file with the token; without, it is CLOUDFLARE_API_TOKEN in the environment
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Where the API is
    #[arg(long, global = true, value_name = "URL", default_value = API)]
    api: String,
    #[command(subcommand)]
    command: Command,
}

/// The token, and what is typed.
fn examples() -> String {
    let called = called();
    format!(
        "The token is in the environment, CLOUDFLARE_API_TOKEN, or in a file, --token-file; never an argument.

Examples:
  {called} plan                                   what differs between deploy/cloudflare/zone.toml and the zone; exit 2 where something does
  {called} apply                                  make the zone so, after showing what would be done
  {called} export live/                           the zone as it is, as a zone file and a zone.toml
  {called} ca new ~/zone-ca                       an authority of our own, and the zone's certificate
  ssh admin@VPS cat /etc/origin/zone-ca.pem | {called} ca install ~/zone-ca --trusted -
  {called} worker off                             the switch: no Route runs the Worker, and the gateway serves alone; `on` brings it back
  {called} certificate origin.csr >origin-ca.pem  a certificate for the server by Cloudflare's Origin CA
  {called} domains                                are the registrations as deploy/domains.toml says? No token is needed

docs/cloudflare.md says in which order."
    )
}

/// What the operator types: in a checkout it is cargo's word, of which cargo tells the program; where it was copied to it has its own name.
fn called() -> &'static str {
    if std::env::var_os("CARGO").is_some() { "cargo zone" } else { "zonectl" }
}

#[derive(Subcommand)]
enum Command {
    /// Say what differs, and change nothing; exit 2 where something does
    Plan {
        #[command(flatten)]
        looking: Looking,
    },
    /// Make the zone as the file says, after showing what would be done
    Apply {
        #[command(flatten)]
        looking: Looking,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Write the zone as it is into a folder: NAME.zone and zone.toml
    Export {
        /// The folder
        folder: PathBuf,
    },
    /// Take the Worker's Routes out, or put them back; nothing else is looked at
    Worker {
        /// Whether it is to run
        to: Switch,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// The authority of the certificate that the zone shows to the gateway
    #[command(subcommand)]
    Ca(Ca),
    /// Have Cloudflare's Origin CA sign a request of the server's, and print the certificate
    Certificate {
        /// The request, in PEM
        csr: PathBuf,
    },
    /// Compare the registrations with an inventory: end, registrar, lock, DNSSEC; exit 2 where something differs
    Domains {
        /// The inventory
        #[arg(long, value_name = "FILE", default_value = "deploy/domains.toml")]
        inventory: PathBuf,
        /// The list of registries' RDAP servers
        #[arg(long, value_name = "URL", default_value = BOOTSTRAP)]
        bootstrap: String,
        /// Whom to ask for DS records; without, the machine's own resolver
        #[arg(long, value_name = "SERVER[#PORT]")]
        dns: Option<String>,
    },
}

#[derive(clap::Args)]
struct Looking {
    /// Take out what the file has not, also where it was not made here
    #[arg(long)]
    prune: bool,
    /// What the gateway has as tls.client_ca; `-` is standard input
    #[arg(long, value_name = "FILE")]
    trusted: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Ca {
    /// Make an authority and a certificate of it
    New {
        /// The folder for its files; not on a server
        folder: PathBuf,
    },
    /// Make a new authority, and a certificate of it; the gateway is to trust both for a while
    Rotate {
        /// The folder
        folder: PathBuf,
        /// Only a new certificate, of the authority that there is
        #[arg(long)]
        client_only: bool,
    },
    /// Have the zone show the folder's certificate, and no older one
    Install {
        /// The folder
        folder: PathBuf,
        /// What the gateway has as tls.client_ca; `-` is standard input
        #[arg(long, value_name = "FILE")]
        trusted: PathBuf,
    },
    /// Have the zone show no certificate any more; `install` turns it on again
    Off {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Something differs.
const DIFFERS: u8 = 2;

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(said) => {
            eprintln!("zonectl: {said}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let read = || Wanted::read(&arguments.file);
    let api = || Api::new(&arguments.api, token(arguments.token_file.as_deref())?);
    let connect = |wanted: &Wanted| {
        let api = api()?;
        Zone::find(&api, &wanted.zone).map(|zone| (api, zone))
    };
    match &arguments.command {
        Command::Plan { looking } => {
            let wanted = read()?;
            let (api, zone) = connect(&wanted)?;
            println!("{}", zone.line());
            let plan = Plan::of(&api, &zone, &wanted, &looking.how()?)?;
            println!("{plan}");
            Ok(differs(!plan.is_empty()))
        }
        Command::Apply { looking, yes } => {
            let wanted = read()?;
            let (api, zone) = connect(&wanted)?;
            println!("{}", zone.line());
            let how = looking.how()?;
            let plan = Plan::of(&api, &zone, &wanted, &how)?;
            println!("{plan}");
            if plan.changes.is_empty() {
                return Ok(differs(!plan.is_empty()));
            }
            agree(&format!("Make {} change(s)?", plan.changes.len()), *yes)?;
            plan.apply(&api)?;
            // As it is now: what was taken may still not be kept.
            let left = Plan::of(&api, &zone, &wanted, &how)?;
            println!("{left}");
            Ok(differs(!left.is_empty()))
        }
        Command::Worker { to, yes } => {
            let wanted = read()?;
            let (api, zone) = connect(&wanted)?;
            println!("{}", zone.line());
            worker::turn(&api, &zone, &wanted, *to, |question| agree(question, *yes))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Export { folder } => {
            let wanted = read()?;
            let (api, zone) = connect(&wanted)?;
            export::export(&api, &zone, &wanted, folder).map(|()| ExitCode::SUCCESS)
        }
        Command::Ca(ca) => ca.run(&read()?, connect),
        Command::Certificate { csr } => {
            let wanted = read()?;
            let section = "has no [origin_certificate], which says for which hosts";
            let of = wanted.origin_certificate.ok_or_else(|| format!("{} {section}", arguments.file.display()))?;
            println!("{}", certificate::issue(&api()?, &of, &file::content(csr)?)?.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Command::Domains { inventory, bootstrap, dns } => {
            Ok(differs(!domains::check(inventory, &Sources { bootstrap, dns: dns.as_deref() })?))
        }
    }
}

fn differs(it_does: bool) -> ExitCode {
    if it_does { DIFFERS.into() } else { ExitCode::SUCCESS }
}

impl Looking {
    fn how(&self) -> Result<How, String> {
        Ok(How { prune: self.prune, trusted: self.trusted.as_deref().map(install::trusted).transpose()? })
    }
}

impl Ca {
    fn run(
        &self,
        wanted: &Wanted,
        connect: impl Fn(&Wanted) -> Result<(Api, Zone), String>,
    ) -> Result<ExitCode, String> {
        let next = |folder: &Folder| {
            println!(
                "{}: put it on the gateway as tls.client_ca, then `{} ca install`",
                folder.file("zone-ca.pem").display(),
                called()
            );
        };
        match self {
            Self::New { folder } => {
                let folder = Folder::new(folder);
                folder.create(&wanted.zone)?;
                next(&folder);
            }
            Self::Rotate { folder, client_only: true } => {
                Folder::new(folder).renew(&wanted.zone)?;
                println!("a new certificate, which the gateway trusts already: `{} ca install`", called());
            }
            Self::Rotate { folder, client_only: false } => {
                let folder = Folder::new(folder);
                folder.rotate(&wanted.zone)?;
                next(&folder);
            }
            Self::Install { folder, trusted } => {
                let trusted = install::trusted(trusted)?;
                let (api, zone) = connect(wanted)?;
                install::install(&api, &zone, &Folder::new(folder), &trusted)?;
            }
            Self::Off { yes } => {
                let (api, zone) = connect(wanted)?;
                install::withdraw(&api, &zone, |question| agree(question, *yes))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn token(file: Option<&Path>) -> Result<Token, String> {
    match file {
        Some(path) => Token::new(&file::content(path)?).map_err(|e| format!("{} {e}", path.display())),
        None => match std::env::var("CLOUDFLARE_API_TOKEN") {
            Ok(text) => Token::new(&text).map_err(|e| format!("CLOUDFLARE_API_TOKEN {e}")),
            Err(_) => Err("there is no token: put it into CLOUDFLARE_API_TOKEN, or say --token-file FILE".to_owned()),
        },
    }
}

/// Asks whether to go on, where somebody is there to be asked.
fn agree(question: &str, yes: bool) -> Result<(), String> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err("nothing was done: nobody can be asked here, so say --yes".to_owned());
    }
    print!("{question} [y/N] ");
    let mut answer = String::new();
    match std::io::stdout().flush().and_then(|()| std::io::stdin().read_line(&mut answer)) {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err("nothing was done".to_owned()),
    }
}
