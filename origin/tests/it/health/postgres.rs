//! PostgreSQL: stopped, frozen, behind, not archiving, over TLS, and for a user who may not see.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::{BOUND, PACE, TOKEN, all_looked, bearer, check, noticed, service, token, until};
use crate::app::Script;
use crate::gateway::Gateway;
use crate::keys::Authority;
use crate::postgres::Postgres;
use crate::process::send;

const DOWN: &str = "Issues Detected";

/// A probe of this kind.
fn probe(name: &str, kind: &str, database: &str, more: &str) -> String {
    format!("[probe.{name}]\nkind = \"{kind}\"\ndatabase = \"{database}\"\n{more}\n{PACE}")
}

async fn cluster(start: impl FnOnce() -> Postgres + Send + 'static) -> Postgres {
    tokio::task::spawn_blocking(start).await.expect("a cluster")
}

#[tokio::test]
async fn postgresql_stops() {
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let postgres = cluster(Postgres::start).await;
    let probe = |name: &str, kind: &str, more: &str| probe(name, kind, &postgres.database(), more);
    postgres.sql("CREATE TABLE session (id int)");
    let probes = [
        probe("database", "postgres", ""),
        probe("sessions", "postgres", "query = \"SELECT id FROM session LIMIT 1\"\nvital = false"),
        probe("connections", "postgres-connections", "service = \"database\"\ndegraded = \"50%\"\nfall = 1\nrise = 1"),
        probe("lag", "postgres-lag", "service = \"standby\""),
        probe("wal", "postgres-archive", "service = \"archive\""),
    ];
    let gateway = Gateway::before(&app.app(), &format!("{}{}", token(&folder), probes.concat()));
    let well = all_looked(&gateway).await;
    assert_eq!(service(&well, "database")["status"], "Operational");
    assert!(service(&well, "database")["response_ms"].is_u64());
    assert_eq!(
        (check(&well, "lag")["message"].as_str(), &check(&well, "lag")["status"]),
        (Some("no standby is connected"), &json!("Degraded"))
    );
    assert_eq!(check(&well, "wal")["message"], "archive_mode is off");
    assert!(
        check(&well, "connections")["value"].as_f64().is_some_and(|share| (1.0..50.0).contains(&share)),
        "{well:#}"
    );

    // Only the sessions are gone: the site serves.
    postgres.sql("DROP TABLE session");
    let why = noticed(&gateway, ("sessions", "sessions"), DOWN, BOUND).await;
    assert_eq!(why, "relation \"session\" does not exist (42P01)");
    let less = until(&gateway, &bearer(), |_, health| service(health, "sessions")["status"] == DOWN).await;
    assert_eq!((&less["status"], &service(&less, "database")["status"]), (&json!("Degraded"), &json!("Operational")));

    // Clients take what there is, from the half of it on.
    let clients = Clients::new(&postgres, 30);
    let share = noticed(&gateway, ("database", "connections"), "Degraded", BOUND).await;
    assert!(share.ends_with(" % of max_connections in use"), "{share}");
    drop(clients);
    noticed(&gateway, ("database", "connections"), "Operational", BOUND).await;

    postgres.down();
    let why = noticed(&gateway, ("database", "database"), DOWN, BOUND).await;
    assert_eq!(why, "No such file or directory (os error 2)");
    until(&gateway, "", |status, health| status == 503 && health["status"] == DOWN).await;
    postgres.up();
    noticed(&gateway, ("database", "database"), "Operational", BOUND).await;

    // It accepts connections, and says nothing.
    postgres.signal(Signal::STOP);
    let why = noticed(&gateway, ("database", "database"), DOWN, BOUND).await;
    assert_eq!(why, "no answer within 1s");
    postgres.signal(Signal::CONT);
    noticed(&gateway, ("database", "database"), "Operational", BOUND).await;
}

/// Clients of a cluster; dropped, they leave.
struct Clients(Vec<tokio::task::JoinHandle<()>>);

impl Clients {
    fn new(postgres: &Postgres, count: usize) -> Self {
        let config: tokio_postgres::Config = postgres.database().parse().expect("a connection string");
        let clients = (0..count).map(|_| {
            let config = config.clone();
            tokio::spawn(async move {
                let (_client, connection) = config.connect(tokio_postgres::NoTls).await.expect("a connection");
                connection.await.expect("no error");
            })
        });
        Self(clients.collect())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// A primary whose standby replays nothing, is not heard of any more, and is gone; and the standby, which then receives nothing.
#[tokio::test]
async fn a_standby_that_falls_behind_and_is_gone() {
    // A standby that says nothing for as long is given up by PostgreSQL.
    const GIVEN_UP: Duration = Duration::from_secs(2);
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let options = |_: &std::path::Path| {
        format!("-c wal_sender_timeout={}ms -c wal_receiver_status_interval=1s", GIVEN_UP.as_millis())
    };
    let (primary, standby) = tokio::task::spawn_blocking(move || {
        let primary = Postgres::with(options);
        let standby = primary.standby();
        (primary, standby)
    })
    .await
    .expect("two clusters");
    primary.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    let bounds = "degraded = \"2s\"\ndown = \"6s\"\n";
    let probes = [
        probe("behind", "postgres-lag", &primary.database(), bounds),
        probe("standby", "postgres-lag", &standby.database(), bounds),
    ];
    let gateway = Gateway::before(&app.app(), &format!("{}{}", token(&folder), probes.concat()));
    let well = all_looked(&gateway).await;
    assert_eq!(
        (&check(&well, "behind")["message"], &check(&well, "standby")["message"]),
        (&json!("0 s behind"), &json!("0 s behind"))
    );

    // It receives, and replays nothing: the primary knows by what it is told, the standby by itself.
    standby.sql("SELECT pg_wal_replay_pause()");
    primary.sql("INSERT INTO t VALUES (2)");
    let behind = noticed(&gateway, ("standby", "standby"), "Degraded", Duration::from_secs(2) + BOUND).await;
    assert!(behind.ends_with(" s behind"), "{behind}");
    noticed(&gateway, ("behind", "behind"), "Degraded", Duration::from_secs(2) + BOUND).await;
    let behind = noticed(&gateway, ("standby", "standby"), DOWN, Duration::from_secs(6) + BOUND).await;
    assert!(behind.ends_with(" s behind"), "{behind}");
    standby.sql("SELECT pg_wal_replay_resume()");
    noticed(&gateway, ("standby", "standby"), "Operational", BOUND).await;
    noticed(&gateway, ("behind", "behind"), "Operational", BOUND).await;

    // Its receiver is frozen: nothing ends, until the primary gives it up.
    let receiver = standby.sql("SELECT pid FROM pg_stat_wal_receiver").parse().expect("a process");
    send(receiver, Signal::STOP);
    let alone = noticed(&gateway, ("behind", "behind"), "Degraded", GIVEN_UP + BOUND).await;
    assert_eq!(alone, "no standby is connected");
    send(receiver, Signal::CONT);
    noticed(&gateway, ("behind", "behind"), "Operational", Duration::from_secs(10) + BOUND).await;

    // The primary is gone: what the standby has, it has replayed, and it gets nothing more.
    primary.down();
    let alone = noticed(&gateway, ("standby", "standby"), "Degraded", BOUND).await;
    assert_eq!(alone, "this standby receives nothing");
    assert!(!noticed(&gateway, ("behind", "behind"), DOWN, BOUND).await.is_empty());
}

/// An `archive_command` that fails, and works again.
#[tokio::test]
async fn wal_that_is_not_archived() {
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let postgres = cluster(|| {
        Postgres::with(|place| {
            let place = place.display();
            format!(
                "-c archive_mode=on -c archive_command='test -d {place}/archive && cp %p {place}/archive/%f' -c archive_timeout=0"
            )
        })
    })
    .await;
    let wal = probe("wal", "postgres-archive", &postgres.database(), "service = \"archive\"");
    let gateway = Gateway::before(&app.app(), &format!("{}{wal}", token(&folder)));
    assert_eq!(check(&all_looked(&gateway).await, "wal")["message"], "nothing has been archived yet");
    let write =
        || postgres.sql("CREATE TABLE IF NOT EXISTS t (n int); INSERT INTO t VALUES (1); SELECT pg_switch_wal()");
    // The folder is not there.
    write();
    let failing = "archiving fails; nothing has been archived yet";
    until(&gateway, &bearer(), |_, health| check(health, "wal")["message"] == failing).await;
    postgres.folder("archive");
    // After three tries it waits for a minute, or for the next file.
    write();
    let well = noticed(&gateway, ("archive", "wal"), "Operational", Duration::from_secs(3) + BOUND).await;
    assert!(well.starts_with("the last WAL file was archived ") && well.ends_with(" s ago"), "{well}");

    postgres.no_folder("archive");
    write();
    let failing = noticed(&gateway, ("archive", "wal"), "Degraded", BOUND).await;
    assert!(failing.starts_with("archiving fails; the last WAL file was archived "), "{failing}");
    postgres.folder("archive");
    write();
    noticed(&gateway, ("archive", "wal"), "Operational", Duration::from_secs(3) + BOUND).await;
}

/// With TLS: the right authority and name, the wrong ones, and a server without.
#[tokio::test]
async fn postgresql_over_tls() {
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let (ca, other) = (Authority::new("databases"), Authority::new("others"));
    let (good, over) = (ca.issue(&["localhost"], 90), ca.issue(&["localhost"], -1));
    let (postgres, old) = tokio::task::spawn_blocking(move || (Postgres::with_tls(&good), Postgres::with_tls(&over)))
        .await
        .expect("two clusters");
    postgres.sql(&format!("CREATE ROLE watcher LOGIN PASSWORD '{TOKEN}'; GRANT pg_monitor TO watcher"));
    let (ours, others) = (file("ca.pem", &ca.pem), file("other.pem", &other.pem));
    let (secret, wrong) = (file("password", TOKEN), file("wrong", "another"));
    let over_tls = |name: &str, postgres: &Postgres, host: &str, ca: &std::path::Path, password: &std::path::Path| {
        let more = format!("tls = true\nca = {ca:?}\npassword_file = {password:?}\nvital = false");
        probe(name, "postgres", &postgres.database_at(host, "watcher"), &more)
    };
    let shown = format!("tls = true\nca = {ours:?}\npassword_file = {secret:?}");
    let probes = [
        over_tls("right", &postgres, "localhost", &ours, &secret),
        over_tls("authority", &postgres, "localhost", &others, &secret),
        over_tls("name", &postgres, "127.0.0.1", &ours, &secret),
        over_tls("over", &old, "localhost", &ours, &secret),
        over_tls("password", &postgres, "localhost", &ours, &wrong),
        probe("clear", "postgres", &postgres.database_at("localhost", "watcher"), "vital = false"),
        probe("share", "postgres-connections", &postgres.database_at("localhost", "watcher"), &shown),
        // Known to no authority of this system's.
        probe("system", "postgres", &postgres.database_at("localhost", "watcher"), "tls = true\nvital = false"),
    ];
    let gateway = Gateway::before(&app.app(), &format!("{}{}", token(&folder), probes.concat()));
    let health = all_looked(&gateway).await;
    let read = |name: &str| check(&health, name)["message"].as_str().expect("a message").to_owned();
    assert_eq!(read("right"), "answers", "{health:#}");
    assert!(read("share").ends_with(" % of max_connections in use"), "{}", read("share"));
    let unknown = "the server's certificate is from an authority that is not trusted here: name its file in `ca`";
    assert_eq!((read("authority").as_str(), read("system").as_str()), (unknown, unknown));
    assert_eq!(read("name"), "the server's certificate is not for `127.0.0.1`: it is for localhost");
    assert_eq!(read("over"), "the server's certificate has ended");
    assert_eq!(read("password"), "password authentication failed for user \"watcher\" (28P01)");
    assert!(read("clear").starts_with("no pg_hba.conf entry for host \"127.0.0.1\""), "{}", read("clear"));
    assert!(!health.to_string().contains(TOKEN), "the password shows");

    // It is the same server, which has no TLS any more.
    postgres.sql("ALTER SYSTEM SET ssl = off");
    postgres.down();
    postgres.up();
    let without = noticed(&gateway, ("right", "right"), DOWN, BOUND).await;
    assert_eq!(without, "server does not support TLS");
}

/// Figures that a user is not shown are not taken for good ones.
#[tokio::test]
async fn a_user_who_may_not_see() {
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let (postgres, _standby) = tokio::task::spawn_blocking(|| {
        let postgres = Postgres::start();
        let standby = postgres.standby();
        (postgres, standby)
    })
    .await
    .expect("two clusters");
    postgres.sql("CREATE ROLE nobody_much LOGIN");
    let as_them = postgres.database_of("nobody_much");
    let kinds = ["postgres-lag", "postgres-connections", "postgres-archive"];
    let probes = kinds.map(|kind| probe(kind, kind, &as_them, ""));
    let gateway = Gateway::before(&app.app(), &format!("{}{}", token(&folder), probes.concat()));
    let health = all_looked(&gateway).await;
    let hidden = "this user is not shown what others do: GRANT pg_monitor TO it";
    let read = |name: &str| check(&health, name)["message"].clone();
    assert_eq!([read(kinds[0]), read(kinds[1])], [json!(hidden), json!(hidden)]);
    assert_eq!(read(kinds[2]), "archive_mode is off", "that everybody may see");
    postgres.sql("GRANT pg_monitor TO nobody_much");
    noticed(&gateway, (kinds[0], kinds[0]), "Operational", BOUND).await;
    noticed(&gateway, (kinds[1], kinds[1]), "Operational", BOUND).await;
}
