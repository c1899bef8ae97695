//! The database of a probe: how it is reached, and as whom.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::section::ProbeSection;

/// How to reach a database. The password never shows.
#[derive(Clone)]
pub struct Database {
    /// Where it is, and as whom it is asked. Its `sslmode` is that of `tls`.
    pub(crate) config: Config,
    /// Whether TLS is spoken, and the server's certificate must be for its name.
    pub(crate) tls: bool,
    /// A PEM file of authorities; else the system's.
    pub(crate) ca: Option<PathBuf>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({:?}, {:?}, tls: {})", self.config.get_hosts(), self.config.get_dbname(), self.tls)
    }
}

/// Where a database's server is, seen from here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    Unix,
    Loopback,
    Elsewhere,
}

const WANTED: &str = "write it as in \"host=/run/postgresql user=origin dbname=makenotwork\"";

pub(super) fn database(name: &str, section: &ProbeSection, fault: &mut impl FnMut(&str, String)) -> Option<Database> {
    // What is wrong with it may be the password in it.
    let Ok(mut config) = section.database.as_deref()?.parse::<Config>() else {
        fault("database", format!("is not a connection string: {WANTED}"));
        return None;
    };
    if config.get_password().is_some() {
        fault("database", format!("holds a password, which goes into password_file: {WANTED}"));
    }
    if config.get_ssl_mode() != SslMode::Prefer {
        fault("database", format!("says sslmode, which the key `tls` says here: {WANTED}"));
    }
    let places: Vec<Where> = places(&config).collect();
    let Some(place) = places.first().copied().filter(|_| config.get_user().is_some()) else {
        fault("database", format!("needs a host and a user: {WANTED}"));
        return None;
    };
    if places.contains(&Where::Unix) && places.iter().any(|other| *other != Where::Unix) {
        fault("database", "names Unix sockets and other hosts: write a probe for each".to_owned());
    }
    let is_far = places.contains(&Where::Elsewhere);
    let tls = section.tls.unwrap_or(is_far);
    match section.tls {
        Some(true) if place == Where::Unix => {
            fault("tls", "is true, and a Unix socket has no TLS: take it out".to_owned());
        }
        Some(false) if is_far => {
            fault("tls", "is false, and the database is not on this machine: take it out".to_owned());
        }
        _ => {}
    }
    if let Some(ca) = &section.ca {
        if !tls {
            fault("ca", "is nothing without TLS: write tls = true, or take it out".to_owned());
        } else if let Err(e) = std::fs::File::open(ca) {
            fault("ca", format!("`{}` cannot be read: {e}", ca.display()));
        }
    }
    config.ssl_mode(if tls { SslMode::Require } else { SslMode::Disable });
    let credential = || {
        Some(Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join(format!("probe-{name}")))
            .filter(|p| p.exists())
    };
    if let Some(path) = section.password_file.clone().or_else(credential) {
        match std::fs::read_to_string(&path) {
            Ok(read) => drop(config.password(read.trim_end_matches(['\r', '\n']))),
            Err(e) => fault("password_file", format!("`{}` cannot be read: {e}", path.display())),
        }
    }
    config.application_name("origin health");
    Some(Database { config, tls, ca: section.ca.clone() })
}

/// Whether TLS is spoken where nothing is said.
pub(super) fn needs_tls(database: &str) -> bool {
    database.parse::<Config>().is_ok_and(|config| places(&config).any(|place| place == Where::Elsewhere))
}

/// Where each host is; `hostaddr` says it in place of the name.
fn places(config: &Config) -> impl Iterator<Item = Where> {
    let of_address = |address: IpAddr| if address.is_loopback() { Where::Loopback } else { Where::Elsewhere };
    config.get_hosts().iter().enumerate().map(move |(n, host)| match (host, config.get_hostaddrs().get(n)) {
        (_, Some(address)) => of_address(*address),
        (Host::Unix(_), None) => Where::Unix,
        (Host::Tcp(name), None) if name == "localhost" => Where::Loopback,
        (Host::Tcp(name), None) => name.parse().map_or(Where::Elsewhere, of_address),
    })
}
