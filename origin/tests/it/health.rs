//! What the monitor reads of apps, databases and files that are well, are not, and are again: through the real gateway.

use std::time::{Duration, Instant};

use boon::{Compiler, Schemas};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{OK, Script};
use crate::gateway::Gateway;
use crate::postgres::Postgres;
use crate::process::{Place, send};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A head of a request for health, and more of it.
fn request(more: &str) -> String {
    format!("GET /api/health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{more}\r\n")
}

fn bearer() -> String {
    format!("authorization: Bearer {TOKEN}\r\n")
}

/// An answer's status and JSON, which is of the published shape.
#[track_caller]
fn read(answer: &str) -> (u16, Value) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}"));
    assert!(head.contains("\r\ncache-control: no-store"), "{head}");
    let health: Value = serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"));
    if head.contains("content-type: application/json") {
        assert_shape(&health);
    }
    (head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status"), health)
}

#[track_caller]
fn assert_shape(health: &Value) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/health.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).expect("the schema")).expect("JSON");
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("health.json", schema).expect("a schema");
    let index = compiler.compile("health.json", &mut schemas).expect("a schema");
    if let Err(error) = schemas.validate(health, index) {
        panic!("{error:#}\n{health:#}");
    }
}

/// Asks until the answer is as wanted; the last one shows where it never is.
async fn until(gateway: &Gateway, more: &str, wanted: impl Fn(u16, &Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let (status, health) = read(&gateway.say(&request(more)).await);
        if wanted(status, &health) {
            return health;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{status} {health:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn service<'a>(health: &'a Value, name: &str) -> &'a Value {
    let all = health["services"].as_array().expect("services");
    all.iter().find(|service| service["name"] == name).unwrap_or(&Value::Null)
}

fn check<'a>(health: &'a Value, name: &str) -> &'a Value {
    let all = health["details"]["checks"].as_array().expect("checks");
    all.iter().find(|check| check["name"] == name).unwrap_or(&Value::Null)
}

fn token(folder: &TempDir) -> String {
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).expect("written");
    format!("health.token_file = {file:?}\n")
}

/// Accepts connections, and answers where `says`.
fn app(script: Script, says: tokio::sync::watch::Receiver<bool>) {
    tokio::spawn(async move {
        loop {
            let mut line = script.accept().await;
            let says = says.clone();
            tokio::spawn(async move {
                line.head().await;
                if *says.borrow() {
                    line.say(OK).await;
                } else {
                    tokio::time::sleep(Duration::from_secs(60)).await;
                }
            });
        }
    });
}

#[tokio::test]
async fn an_app_that_is_wedged() {
    let (script, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let (says, said) = tokio::sync::watch::channel(true);
    let address = script.app();
    app(script, said);
    let probe = "[probe.app]\nkind = \"app\"\nhost = \"*\"\npath = \"/healthz\"\nevery = \"1s\"\nwithin = \"300ms\"\n";
    let gateway = Gateway::before(&address, &format!("{}{probe}", token(&folder)));
    let well = until(&gateway, "", |status, health| status == 200 && !health["checked_at"].is_null()).await;
    assert_eq!((&well["status"], &well["details"]), (&json!("Operational"), &Value::Null));
    assert_eq!(well["incidents"], json!([]));

    // It accepts connections, and says nothing.
    says.send_replace(false);
    let began = Instant::now();
    let down = until(&gateway, &bearer(), |status, _| status == 503).await;
    println!("app wedged: said after {:?} (every 1 s, within 0.3 s, fall 2)", began.elapsed());
    assert_eq!(
        (&down["status"], &service(&down, "app")["status"]),
        (&json!("Issues Detected"), &json!("Issues Detected"))
    );
    assert_eq!((&down["incidents"][0]["service"], &down["incidents"][0]["to"]), (&json!("app"), &Value::Null));
    assert_eq!(check(&down, "app")["message"], "no answer within 300ms");
    let logged = gateway.logged("a probe has changed its level").await;
    assert_eq!((&logged["probe"], &logged["level"]), (&json!("app"), &json!("Issues Detected")));

    says.send_replace(true);
    let again = until(&gateway, "", |status, _| status == 200).await;
    assert!(again["incidents"][0]["to"].is_string(), "{again:#}");
    assert!(again["uptime"]["24h"].as_f64().is_some_and(|percent| percent < 100.0), "{again:#}");
}

#[tokio::test]
async fn details_are_for_who_shows_the_token() {
    let (script, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let gateway = Gateway::before(&script.app(), &token(&folder));
    for offered in ["", "authorization: Bearer wrong\r\n", "authorization: Basic MDEyMw==\r\n"] {
        let (_, health) = read(&gateway.say(&request(offered)).await);
        assert_eq!(health["details"], Value::Null, "{offered}");
        let text = health.to_string();
        assert!(!text.contains("127.0.0.1") && !text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    }
    let (_, health) = read(&gateway.say(&request(&bearer())).await);
    assert_eq!(health["details"]["version"], env!("CARGO_PKG_VERSION"));

    let accept = "accept: text/html, application/health+json\r\n";
    let answer = gateway.say(&request(accept)).await;
    assert!(answer.contains("content-type: application/health+json\r\n"), "{answer}");
    let (status, standard) = read(&answer);
    assert_eq!((status, &standard["status"], &standard["description"]), (200, &json!("pass"), &json!("Operational")));
    assert_eq!(standard["checks"]["app"][0]["status"], "pass");
    assert_eq!(standard["releaseId"], Value::Null);
}

/// Each site tells of its own app; and one that asks its app tells what that says.
#[tokio::test]
async fn sites_have_their_own_health() {
    let app = Script::new().await;
    let forums = "[[site]]\nhosts = [\"forums.test\"]\napp = \"127.0.0.1:1\"\n[[site]]\nhosts = [\"both.test\"]\nhealth = \"both\"";
    let gateway = Gateway::before(&app.app(), &format!("{forums}\napp = {}\n", app.app()));
    tokio::spawn(async move {
        let body = r#"{"status":"Degraded","services":[{"name":"email","status":"Issues Detected"}]}"#;
        loop {
            let mut line = app.accept().await;
            let head = line.head().await;
            assert!(head.starts_with("GET /api/health ") && head.contains("both.test"), "{head}");
            line.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        }
    });
    let ask = async |host: &str| {
        let head = format!("GET /api/health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        read(&gateway.say(&head).await)
    };
    let began = Instant::now();
    while ask("forums.test").await.0 != 503 || ask("both.test").await.1["status"] != "Degraded" {
        assert!(began.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (status, own) = ask("a").await;
    assert_eq!((status, &own["status"]), (200, &json!("Operational")), "the forums are not its affair");
    let (status, both) = ask("both.test").await;
    assert_eq!((status, &service(&both, "email")["status"]), (200, &json!("Issues Detected")));
}

#[tokio::test]
async fn postgresql_stops() {
    let (app, folder) = (Script::new().await, TempDir::new().expect("a folder"));
    let postgres = tokio::task::spawn_blocking(Postgres::start).await.expect("a cluster");
    let probe = |name: &str, kind: &str, more: &str| {
        let pace = "every = \"1s\"\nwithin = \"2s\"";
        format!("[probe.{name}]\nkind = \"{kind}\"\ndatabase = \"{}\"\n{pace}\n{more}\n", postgres.database())
    };
    postgres.sql("CREATE TABLE session (id int)");
    let probes = [
        probe("database", "postgres", ""),
        probe("sessions", "postgres", "query = \"SELECT id FROM session LIMIT 1\"\nvital = false"),
        probe("connections", "postgres-connections", "service = \"database\"\ndegraded = \"50%\"\nfall = 1\nrise = 1"),
        probe("lag", "postgres-lag", "service = \"standby\""),
        probe("wal", "postgres-archive", "service = \"archive\""),
    ];
    let gateway = Gateway::before(&app.app(), &format!("{}{}", token(&folder), probes.concat()));
    let seen = |health: &Value| {
        health["details"]["checks"].as_array().is_some_and(|all| all.iter().all(|c| !c["last"].is_null()))
    };
    let well = until(&gateway, &bearer(), |status, health| status == 200 && seen(health)).await;
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
    let less = until(&gateway, &bearer(), |_, health| service(health, "sessions")["status"] == "Issues Detected").await;
    assert_eq!((&less["status"], &service(&less, "database")["status"]), (&json!("Degraded"), &json!("Operational")));
    assert_eq!(check(&less, "sessions")["message"], "relation \"session\" does not exist (42P01)");

    postgres.down();
    let began = Instant::now();
    let down = until(&gateway, &bearer(), |status, _| status == 503).await;
    println!("PostgreSQL stopped: said after {:?} (every 1 s, fall 2)", began.elapsed());
    assert_eq!(down["status"], "Issues Detected");
    assert_eq!(service(&down, "database")["status"], "Issues Detected");
    assert!(check(&down, "database")["message"].as_str().is_some_and(|why| !why.is_empty()), "{down:#}");

    postgres.up();
    until(&gateway, "", |status, health| status == 200 && service(health, "database")["status"] == "Operational").await;
}

/// What the machine, a job and a vendor say, each past its bound.
#[tokio::test]
async fn what_is_past_its_bound() {
    let (app, vendor, folder) = (Script::new().await, Script::new().await, TempDir::new().expect("a folder"));
    let file = folder.path().join("restore-drill.json");
    let report = |ok: bool, at: &str| {
        let text = json!({ "check": "restore-drill", "ok": ok, "at": at, "seconds": 1, "good_for_seconds": 60, "detail": "a row is missing" });
        std::fs::write(&file, text.to_string()).expect("written");
    };
    report(false, "2026-01-01T00:00:00Z");
    let url = format!("http://{}/summary.json", vendor.address());
    let probes = format!(
        "[probe.disk]\nkind = \"disk\"\nfolder = \"/\"\ndegraded = \"0%\"\nevery = \"1s\"\n\
         [probe.fds]\nkind = \"descriptors\"\nevery = \"1s\"\n\
         [probe.drill]\nkind = \"report\"\nservice = \"restore drill\"\nfile = {file:?}\nevery = \"1s\"\n\
         [probe.stripe]\nkind = \"status-page\"\nservice = \"Stripe payments\"\nurl = \"{url}\"\nevery = \"1s\"\n\
         [probe.pom]\nkind = \"monitor\"\nurl = \"{url}\"\nevery = \"1s\"\n\
         [probe.clock]\nkind = \"clock\"\nurl = \"{url}\"\nevery = \"1s\"\n"
    );
    let gateway = Gateway::before(&app.app(), &format!("{}{probes}", token(&folder)));
    let vendors = tokio::spawn(async move {
        loop {
            let mut line = vendor.accept().await;
            line.head().await;
            let body = r#"{"status":{"indicator":"critical"},"overall":"all \u0007well"}"#;
            let date = "date: Sat, 01 Nov 2025 00:00:00 GMT";
            line.say(format!("HTTP/1.1 200 OK\r\n{date}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
        }
    });
    let all = |health: &Value| {
        health["details"]["checks"].as_array().is_some_and(|all| all.iter().all(|c| !c["last"].is_null()))
    };
    let health = until(&gateway, &bearer(), |_, health| all(health)).await;
    assert_eq!(health["status"], "Degraded", "none of it is vital");
    let words: Vec<_> = ["disk", "fds", "restore drill", "Stripe payments", "clock"]
        .map(|name| service(&health, name)["status"].clone())
        .into();
    assert_eq!(words, ["Degraded", "Operational", "Issues Detected", "Issues Detected", "Issues Detected"]);
    assert!(
        check(&health, "disk")["message"].as_str().is_some_and(|said| said.ends_with(" % of the disk in use")),
        "{health:#}"
    );
    assert!(
        check(&health, "drill")["message"].as_str().is_some_and(|said| said.ends_with(": a row is missing")),
        "{health:#}"
    );
    assert!(check(&health, "clock")["message"].as_str().is_some_and(|said| said.contains("ahead of")), "{health:#}");
    assert_eq!(service(&health, "pom"), &Value::Null, "the monitor is no service");
    assert_eq!(health["external_monitoring"]["status"], "all well");
    assert_eq!(health["external_monitoring"]["answer"]["status"]["indicator"], "critical");

    let now = humantime_now();
    report(true, &now);
    vendors.abort();
    let later = until(&gateway, "", |_, health| {
        service(health, "restore drill")["status"] == "Operational" && health["external_monitoring"].is_null()
    });
    later.await;
}

fn humantime_now() -> String {
    let output = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output().expect("date");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// What has been outlives a restart and a reload; a broken file does not keep the gateway from starting.
#[tokio::test]
async fn the_past_is_kept() {
    let (place, state) = (Place::new(), TempDir::new().expect("a folder"));
    let config = format!(
        "listen.http = [\"127.0.0.1:0\"]\nlisten.cores = 1\nhealth = {{}}\n[state]\nfolder = {:?}\n[probe.app]\nkind = \"app\"\nhost = \"*\"\nevery = \"1s\"\n",
        state.path()
    );
    // Nobody listens there.
    place.configure(&config, "127.0.0.1:1".parse().expect("an address"));
    let history = state.path().join("health.redb");
    let ask = async |address: std::net::SocketAddr| {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        tokio::io::AsyncWriteExt::write_all(&mut stream, request("").as_bytes()).await.expect("written");
        read(&crate::gateway::rest(&mut stream).await).1
    };
    let first_seen = async |address: std::net::SocketAddr| {
        let began = Instant::now();
        loop {
            let health = ask(address).await;
            if let Some(from) = health["incidents"][0]["from"].as_str() {
                return from.to_owned();
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{health:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let gateway = place.start();
    let serving = gateway.serving(0).await;
    let from = first_seen(serving.at("http")).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    send(serving.pid(), rustix::process::Signal::HUP);
    let next = gateway.serving(1).await;
    let began = Instant::now();
    // The process before has kept what it saw when it drained; the new one reads that with its first writing.
    while first_seen(next.at("http")).await != from {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    send(next.pid(), rustix::process::Signal::TERM);
    let began = Instant::now();
    while !crate::process::command_line(next.pid()).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(gateway);

    let gateway = place.start();
    let serving = gateway.serving(0).await;
    let began = Instant::now();
    while first_seen(serving.at("http")).await != from {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(gateway);

    std::fs::write(&history, "no database").expect("written");
    let gateway = place.start();
    let serving = gateway.serving(0).await;
    assert_ne!(first_seen(serving.at("http")).await, from, "the past is gone");
    assert_eq!(std::fs::read_to_string(state.path().join("health.broken")).expect("moved aside"), "no database");
}

/// The page for people: only where it is wanted; it loads nothing, and as many as may have it kept up to date.
#[tokio::test]
async fn people_have_a_page() {
    let (script, without) = (Script::new().await, Script::new().await);
    let (says, said) = tokio::sync::watch::channel(true);
    let address = script.app();
    app(script, said);
    let probe = "[probe.app]\nkind = \"app\"\nhost = \"*\"\npath = \"/healthz\"\nservice = \"The <app>\"\nevery = \"1s\"\nwithin = \"300ms\"\n";
    let gateway = Gateway::before(&address, &format!("health.subscribers = 1\n{probe}"));
    until(&gateway, "", |_, health| !health["checked_at"].is_null()).await;
    let page = gateway.get("/health").await;
    let (head, body) = page.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("\r\ncache-control: no-store"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'; style-src 'sha256-"), "{head}");
    assert!(body.contains("<h1>Everything works</h1>") && body.contains("The &#60;app&#62;"), "{body}");
    for outside in ["src=", "@import", "url(", "http://", "https://", " style=", "onload="] {
        assert!(!body.contains(outside), "{outside}: {body}");
    }

    let ask = "GET /health/events HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut stream = gateway.connect().await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, ask.as_bytes()).await.expect("written");
    let mut heard = Heard { stream, all: String::new() };
    heard.until("<h1>Everything works</h1>").await;
    assert!(
        heard.all.contains("content-type: text/event-stream") && heard.all.contains("event: status\n"),
        "{}",
        heard.all
    );
    let second = gateway.say(ask).await;
    assert!(second.starts_with("HTTP/1.1 503 ") && second.contains("retry-after: 60"), "{second}");
    says.send_replace(false);
    heard.until("<h1>The site has trouble</h1>").await;
    assert!(gateway.get("/health").await.starts_with("HTTP/1.1 503 "));
    drop(heard);
    // The place is free again.
    let began = Instant::now();
    loop {
        let mut stream = gateway.connect().await;
        tokio::io::AsyncWriteExt::write_all(&mut stream, ask.as_bytes()).await.expect("written");
        let mut first = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first).await.expect("an answer");
        if &first == b"HTTP/1.1 200" {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    // Without the section it is a path of the app.
    let plain = Gateway::before(&without.app(), "");
    let app = async {
        let mut line = without.accept().await;
        assert!(line.head().await.starts_with("GET /health "));
        line.say(OK).await;
    };
    let (answer, ()) = tokio::join!(plain.get("/health"), app);
    assert!(answer.ends_with("ok"), "{answer}");
}

/// What a stream has said so far.
struct Heard {
    stream: tokio::net::TcpStream,
    all: String,
}

impl Heard {
    async fn until(&mut self, wanted: &str) {
        let mut bytes = vec![0; 64 << 10];
        while !self.all.contains(wanted) {
            let read = tokio::io::AsyncReadExt::read(&mut self.stream, &mut bytes);
            let read =
                tokio::time::timeout(Duration::from_secs(30), read).await.unwrap_or_else(|_| panic!("{}", self.all));
            let read = read.expect("a stream");
            assert!(read > 0, "{}", self.all);
            self.all.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }
}
