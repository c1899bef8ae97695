//! `[probe.NAME]`: what is looked at in the background, how often, and when it is degraded or down.

mod check;
mod database;
mod kind;
mod section;
mod url;

use std::path::PathBuf;
use std::time::Duration;

pub use database::Database;
pub use url::Url;
pub(super) use url::is_loopback;

pub(super) use check::{Around, check_all};
pub(super) use section::{ProbeSection, fill_in};

use super::app::App;
use super::site::HostPattern;
use crate::health::Bounds;

/// A probe.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Its name, in logs, metrics and details.
    pub name: String,
    /// The service that it is a part of, as people and the monitor call it.
    pub service: String,
    /// The hosts whose sites it concerns; none for all.
    pub hosts: Vec<HostPattern>,
    /// How often it looks.
    pub every: Duration,
    /// How long one look may take.
    pub within: Duration,
    /// Results in a row that make it worse.
    pub fall: u32,
    /// Results in a row that make it better.
    pub rise: u32,
    /// Whether the site can't serve while this is down.
    pub vital: bool,
    /// What its figure is worth.
    pub bounds: Bounds,
    /// What it looks at.
    pub what: What,
}

/// What a probe looks at.
#[derive(Clone, Debug)]
pub enum What {
    /// An app: whether it accepts connections and, with a path, answers.
    App {
        /// Where it is.
        app: App,
        /// The `Host` that it is asked for.
        host: String,
        /// The path that is asked for.
        path: Option<String>,
        /// The status of a good answer; else any 2xx.
        expect: Option<u16>,
        /// Whether its answer is health of the shape of ours, to be read.
        health: bool,
    },
    /// PostgreSQL.
    Postgres {
        /// Where it is, and as whom.
        database: Database,
        /// What is asked.
        measure: Measure,
    },
    /// A bucket, by its role.
    Bucket {
        /// The role.
        role: String,
        /// The key of a small object that is written and read.
        canary: Option<String>,
    },
    /// An address that answers.
    Http {
        /// The address.
        url: Url,
        /// The status of a good answer; else any 2xx.
        expect: Option<u16>,
    },
    /// A vendor's document on its own state.
    StatusPage {
        /// The address.
        url: Url,
        /// The part of the vendor's that matters; all, where there is none.
        component: Option<String>,
    },
    /// The monitor that watches us from outside.
    Monitor {
        /// The address.
        url: Url,
    },
    /// A file in which a job says how it went.
    Report {
        /// The file.
        file: PathBuf,
    },
    /// The certificates of files: days until the first ends.
    Certificates,
    /// The file system of a folder: percent of its bytes in use.
    Disk {
        /// The folder.
        folder: PathBuf,
    },
    /// The machine's memory: percent in use.
    Memory,
    /// File descriptors of this process: percent in use.
    Descriptors,
    /// This machine's clock: seconds between it and a server's.
    Clock {
        /// The server's address.
        url: Url,
    },
}

/// What PostgreSQL is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// A query that succeeds; `SELECT 1` where there is none of the app's.
    Query(Option<String>),
    /// Seconds by which the standby that is furthest behind is behind, here or, on a standby, this one.
    Lag,
    /// Percent of `max_connections` in use.
    Connections,
    /// Seconds since a WAL file was archived; PostgreSQL's `archive_timeout` bounds them where all is well.
    Archive,
}

impl What {
    /// The kind's name, as the configuration has it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::App { .. } => "app",
            Self::Postgres { measure: Measure::Query(_), .. } => "postgres",
            Self::Postgres { measure: Measure::Lag, .. } => "postgres-lag",
            Self::Postgres { measure: Measure::Connections, .. } => "postgres-connections",
            Self::Postgres { measure: Measure::Archive, .. } => "postgres-archive",
            Self::Bucket { .. } => "bucket",
            Self::Http { .. } => "http",
            Self::StatusPage { .. } => "status-page",
            Self::Monitor { .. } => "monitor",
            Self::Report { .. } => "report",
            Self::Certificates => "certificates",
            Self::Disk { .. } => "disk",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Clock { .. } => "clock",
        }
    }
}
