//! The database of a probe: how it is reached, and as whom.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

/// How to reach a database. The password never shows.
#[derive(Clone)]
pub struct Database(pub(crate) tokio_postgres::Config);

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({:?}, {:?})", self.0.get_hosts(), self.0.get_dbname())
    }
}

pub(super) fn database(name: &str, text: &str, password: Option<&Path>) -> Result<Database, (&'static str, String)> {
    // What is wrong with it may be the password in it.
    let wanted = "write it as in \"host=/run/postgresql user=origin dbname=makenotwork\"";
    let mut config: tokio_postgres::Config =
        text.parse().map_err(|_| ("database", format!("is not a connection string: {wanted}")))?;
    if config.get_password().is_some() {
        return Err(("database", format!("holds a password, which goes into password_file: {wanted}")));
    }
    let near = |host: &tokio_postgres::config::Host| match host {
        tokio_postgres::config::Host::Unix(_) => true,
        tokio_postgres::config::Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    };
    if config.get_hosts().is_empty() || !config.get_hosts().iter().all(near) || config.get_user().is_none() {
        let what = format!("needs a host, a Unix socket's folder or on loopback, and a user: {wanted}");
        return Err(("database", what));
    }
    let credential = || {
        Some(Path::new(&std::env::var_os("CREDENTIALS_DIRECTORY")?).join(format!("probe-{name}")))
            .filter(|p| p.exists())
    };
    if let Some(path) = password.map(Path::to_owned).or_else(credential) {
        let read = std::fs::read_to_string(&path);
        let read = read.map_err(|e| ("password_file", format!("`{}` cannot be read: {e}", path.display())))?;
        config.password(read.trim_end_matches(['\r', '\n']));
    }
    config.application_name("origin health");
    Ok(Database(config))
}
