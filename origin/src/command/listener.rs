//! What commands ask of a gateway that runs: its private listener, as the configuration has it, and its metrics.

use std::path::Path;

use http::Method;
use origin::admin::ask;
use origin::config::{self, Admin};
use origin::metrics::Sample;

use super::Failure;

/// Where the gateway of this configuration is asked, for the command of this name.
pub(super) fn of(command: &str, file: &Path) -> Result<Admin, Failure> {
    let admin = config::admin(file).map_err(|error| Failure { said: error.to_string(), code: 78 })?;
    admin.ok_or_else(|| Failure {
        said: format!("{command}: the configuration has no [admin], so the gateway can't be asked"),
        code: 78,
    })
}

/// What it has counted; or why that can't be said.
pub(super) fn metrics(admin: &Admin) -> Result<Sample, String> {
    match ask(admin, &Method::GET, "/metrics", String::new()) {
        Ok((200, text)) => Ok(Sample::parse(&text)),
        Ok((status, said)) => Err(format!("the gateway says {status}: {}", said.trim())),
        Err(error) => Err(format!("the gateway can't be asked: {error}")),
    }
}
