//! The kinds of probes: what each takes and needs, how often it looks, and what its figure is worth where nothing is said.

use serde::{Deserialize, Serialize};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    App,
    Postgres,
    PostgresLag,
    PostgresConnections,
    PostgresArchive,
    Bucket,
    Http,
    StatusPage,
    Monitor,
    Report,
    Certificates,
    Disk,
    Memory,
    Descriptors,
    Clock,
}

/// What a kind does where nothing is said.
pub(super) struct Defaults {
    pub(super) unit: Unit,
    pub(super) degraded: Option<&'static str>,
    pub(super) down: Option<&'static str>,
    pub(super) every: u64,
    pub(super) within: u64,
    pub(super) vital: bool,
}

/// What a kind's figure is counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Seconds,
    DaysLeft,
    Percent,
}

impl Kind {
    pub(super) const fn defaults(self) -> Defaults {
        let (unit, degraded, down, every, within, vital) = match self {
            Self::App => (Unit::Millis, None, None, 5, 2, true),
            Self::Postgres => (Unit::Millis, None, None, 10, 5, true),
            Self::PostgresLag => (Unit::Seconds, Some("30s"), Some("5m"), 30, 5, false),
            Self::PostgresConnections => (Unit::Percent, Some("80%"), Some("95%"), 30, 5, false),
            Self::PostgresArchive => (Unit::Seconds, Some("15m"), Some("1h"), 60, 5, false),
            Self::Bucket => (Unit::Millis, None, None, 60, 10, false),
            Self::Http | Self::StatusPage | Self::Monitor => (Unit::Millis, None, None, 60, 10, false),
            Self::Report => (Unit::Millis, None, None, 60, 5, false),
            Self::Certificates => (Unit::DaysLeft, Some("14d"), Some("0s"), 60, 5, false),
            Self::Disk => (Unit::Percent, Some("85%"), Some("95%"), 60, 5, false),
            Self::Memory => (Unit::Percent, Some("90%"), Some("97%"), 30, 5, false),
            Self::Descriptors => (Unit::Percent, Some("80%"), Some("95%"), 30, 5, false),
            Self::Clock => (Unit::Seconds, Some("2s"), Some("5s"), 300, 10, false),
        };
        Defaults { unit, degraded, down, every, within, vital }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Postgres => "postgres",
            Self::PostgresLag => "postgres-lag",
            Self::PostgresConnections => "postgres-connections",
            Self::PostgresArchive => "postgres-archive",
            Self::Bucket => "bucket",
            Self::Http => "http",
            Self::StatusPage => "status-page",
            Self::Monitor => "monitor",
            Self::Report => "report",
            Self::Certificates => "certificates",
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Clock => "clock",
        }
    }

    /// The keys of its own that it takes, and whether it needs them.
    pub(super) const fn keys(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::App => &[("host", true), ("path", false), ("expect", false)],
            Self::Postgres => {
                &[("database", true), ("tls", false), ("ca", false), ("password_file", false), ("query", false)]
            }
            Self::PostgresLag | Self::PostgresConnections | Self::PostgresArchive => {
                &[("database", true), ("tls", false), ("ca", false), ("password_file", false)]
            }
            Self::Bucket => &[("bucket", true), ("canary", false)],
            Self::Http => &[("url", true), ("token_file", false), ("ca", false), ("expect", false)],
            Self::StatusPage => &[("url", true), ("token_file", false), ("ca", false), ("component", false)],
            Self::Monitor => &[("url", true), ("token_file", false), ("ca", false)],
            Self::Clock => &[("url", true), ("ca", false)],
            Self::Report => &[("file", true)],
            Self::Disk => &[("folder", true)],
            Self::Certificates | Self::Memory | Self::Descriptors => &[],
        }
    }
}

impl Unit {
    /// A bound as written, in what figures are counted in.
    pub(super) fn read(self, text: &str) -> Result<f64, String> {
        if self == Unit::Percent {
            let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
            return percent.filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(|| {
                format!("`{text}` is not a share: write 0 to 100 percent, as in \"85%\", or \"never\"")
            });
        }
        let span = humantime::parse_duration(text).map_err(|_| {
            format!("`{text}` is not a duration: write a number and its unit, as in \"500ms\" or \"14d\", or \"never\"")
        })?;
        let seconds = span.as_secs_f64();
        Ok(match self {
            Self::Millis => seconds * 1_000.0,
            Self::DaysLeft => seconds / 86_400.0,
            Self::Seconds | Self::Percent => seconds,
        })
    }
}
