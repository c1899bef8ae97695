//! PostgreSQL, each time by a connection of its own: whether one more can be had is part of the question.

use std::time::Duration;

use tokio_postgres::{Client, NoTls};

use super::{Found, plain};
use crate::config::{Database, Measure};
use crate::health::level::Level;

/// How long the standby that is furthest behind is behind; on a standby, since when it has replayed nothing though there is something.
const LAG: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN \
     CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 \
     ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END \
     ELSE (SELECT max(extract(epoch FROM coalesce(replay_lag, '0'))) FROM pg_stat_replication) END::float8";
const CONNECTIONS: &str = "SELECT 100.0::float8 * (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') \
     / current_setting('max_connections')::float8";
/// Whether archiving is on, whether the last try failed, and how old the last file is.
const ARCHIVE: &str = "SELECT current_setting('archive_mode') <> 'off', \
     coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false), \
     extract(epoch FROM now() - last_archived_time)::float8 FROM pg_stat_archiver";

pub(super) async fn look(database: &Database, measure: &Measure, within: Duration) -> Result<Found, String> {
    let mut config = database.0.clone();
    // So that a query that nobody waits for any more ends.
    config.options(format!("-c statement_timeout={}", within.as_millis()));
    let (client, connection) = config.connect(NoTls).await.map_err(|error| said(&error))?;
    let driven = tokio::spawn(connection);
    let found = ask(&client, measure).await.map_err(|error| said(&error));
    drop(client);
    driven.abort();
    found
}

async fn ask(client: &Client, measure: &Measure) -> Result<Found, tokio_postgres::Error> {
    match measure {
        Measure::Query(query) => {
            client.simple_query(query.as_deref().unwrap_or("SELECT 1")).await?;
            Ok(Found::good("answers"))
        }
        Measure::Lag => match client.query_one(LAG, &[]).await?.try_get::<_, Option<f64>>(0)? {
            Some(lag) => Ok(Found::figure(lag, "s", format!("{lag:.0} s behind"))),
            None => Ok(Found::figure(0.0, "s", "no standby is connected").at_least(Level::Degraded)),
        },
        Measure::Connections => {
            let share: f64 = client.query_one(CONNECTIONS, &[]).await?.try_get(0)?;
            Ok(Found::figure(share, "percent", format!("{share:.0} % of max_connections in use")))
        }
        Measure::Archive => {
            let row = client.query_one(ARCHIVE, &[]).await?;
            let (on, failed, age): (bool, bool, Option<f64>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(match (on, age) {
                (false, _) => Found::figure(0.0, "s", "archive_mode is off").at_least(Level::Down),
                (true, None) => Found::figure(0.0, "s", "nothing has been archived yet").at_least(Level::Degraded),
                (true, Some(age)) => {
                    let says = format!("the last WAL file was archived {age:.0} s ago");
                    let level = if failed { Level::Degraded } else { Level::Operational };
                    let says = if failed { format!("archiving fails; {says}") } else { says };
                    Found::figure(age, "s", says).at_least(level)
                }
            })
        }
    }
}

/// The server's own words, or why there is no answer. The connection string is in neither.
fn said(error: &tokio_postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return plain(&format!("{} ({})", answer.message(), answer.code().code()));
    }
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    plain(&cause)
}
