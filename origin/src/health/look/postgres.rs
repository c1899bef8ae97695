//! PostgreSQL, each time by a connection of its own: whether one more can be had is part of the question.

use std::time::Duration;

use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls, Socket};

use super::cause::innermost;
use super::tls::Tls;
use super::{Found, plain};
use crate::config::{Database, Measure};
use crate::health::level::Level;

/// How long the standby that is furthest behind is behind; on a standby, since when it has replayed nothing though there is something.
/// Whether anybody receives, and whether this user is shown it: others see rows without a state.
const LAG: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN \
     CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 \
     ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END \
     ELSE (SELECT max(extract(epoch FROM coalesce(replay_lag, '0'))) FROM pg_stat_replication WHERE state <> 'backup') END::float8, \
     pg_is_in_recovery(), \
     CASE WHEN pg_is_in_recovery() THEN EXISTS (SELECT FROM pg_stat_wal_receiver) \
     ELSE EXISTS (SELECT FROM pg_stat_replication WHERE state <> 'backup') END, \
     NOT EXISTS (SELECT FROM pg_stat_replication WHERE state IS NULL)";
/// Clients, and whether this user is shown what the others are.
const CONNECTIONS: &str = "SELECT 100.0::float8 * count(*) FILTER (WHERE backend_type = 'client backend') \
     / current_setting('max_connections')::float8, bool_and(backend_type IS NOT NULL) FROM pg_stat_activity";
/// Whether archiving is on, whether the last try failed, and how old the last file is.
const ARCHIVE: &str = "SELECT current_setting('archive_mode') <> 'off', \
     coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false), \
     extract(epoch FROM now() - last_archived_time)::float8 FROM pg_stat_archiver";

pub(super) async fn look(database: &Database, measure: &Measure, within: Duration) -> Result<Found, String> {
    let mut config = database.config.clone();
    // So that a query that nobody waits for any more ends.
    config.options(format!("-c statement_timeout={}", within.as_millis()));
    if database.tls {
        // Made anew for each look: files of authorities change.
        over(Tls::new(database.ca.as_deref())?, &config, measure).await
    } else {
        over(NoTls, &config, measure).await
    }
}

async fn over<T>(tls: T, config: &Config, measure: &Measure) -> Result<Found, String>
where
    T: MakeTlsConnect<Socket, Stream: Send + 'static>,
{
    let (client, connection) = config.connect(tls).await.map_err(|error| said(&error))?;
    let driven = tokio::spawn(connection);
    let found = ask(&client, measure).await.map_err(|error| said(&error));
    drop(client);
    driven.abort();
    found?.ok_or_else(|| "this user is not shown what others do: GRANT pg_monitor TO it".to_owned())
}

/// Nothing where the user is not shown what would answer.
async fn ask(client: &Client, measure: &Measure) -> Result<Option<Found>, tokio_postgres::Error> {
    Ok(Some(match measure {
        Measure::Query(query) => {
            client.simple_query(query.as_deref().unwrap_or("SELECT 1")).await?;
            Found::good("answers")
        }
        Measure::Lag => {
            let row = client.query_one(LAG, &[]).await?;
            let (lag, is_standby): (Option<f64>, bool) = (row.try_get(0)?, row.try_get(1)?);
            let (received, is_shown): (bool, bool) = (row.try_get(2)?, row.try_get(3)?);
            if !is_shown {
                return Ok(None);
            }
            let lag = lag.unwrap_or(0.0);
            match (received, is_standby) {
                (true, _) => Found::figure(lag, "s", format!("{lag:.0} s behind")),
                (false, true) => Found::figure(lag, "s", "this standby receives nothing").at_least(Level::Degraded),
                (false, false) => Found::figure(lag, "s", "no standby is connected").at_least(Level::Degraded),
            }
        }
        Measure::Connections => {
            let row = client.query_one(CONNECTIONS, &[]).await?;
            let (share, is_shown): (f64, bool) = (row.try_get(0)?, row.try_get(1)?);
            if !is_shown {
                return Ok(None);
            }
            Found::figure(share, "percent", format!("{share:.0} % of max_connections in use"))
        }
        Measure::Archive => {
            let row = client.query_one(ARCHIVE, &[]).await?;
            let (on, failed, age): (bool, bool, Option<f64>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            if !on {
                return Ok(Some(Found::figure(0.0, "s", "archive_mode is off").at_least(Level::Down)));
            }
            let says = age.map_or_else(
                || "nothing has been archived yet".to_owned(),
                |age| format!("the last WAL file was archived {age:.0} s ago"),
            );
            let is_well = !failed && age.is_some();
            let says = if failed { format!("archiving fails; {says}") } else { says };
            let level = if is_well { Level::Operational } else { Level::Degraded };
            Found::figure(age.unwrap_or(0.0), "s", says).at_least(level)
        }
    }))
}

/// The server's own words, or why there is no answer. The connection string is in neither.
fn said(error: &tokio_postgres::Error) -> String {
    if let Some(answer) = error.as_db_error() {
        return plain(&format!("{} ({})", answer.message(), answer.code().code()));
    }
    innermost(error)
}
