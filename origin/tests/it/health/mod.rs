//! What the monitor and people read of what is well, is not, and is again: through the real gateway, each probe at the real thing and its
//! failure, with the words and the time that it takes to notice.

mod apps;
mod certificates;
mod elsewhere;
mod machine;
mod page;
mod postgres;

use std::time::{Duration, Instant};

use boon::{Compiler, Schemas};
use serde_json::Value;
use tempfile::TempDir;

use crate::gateway::Gateway;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The pace of the probes here. With `fall` and `rise` as they are left out, two results make a level.
const PACE: &str = "every = \"1s\"\nwithin = \"1s\"\n";
/// How long a change may take by docs/health.md: `every` × `fall`, and `within` where the last look hangs.
const BOUND: Duration = Duration::from_secs(3);
/// What a busy machine may add, and the time between two of our questions.
const BUSY: Duration = Duration::from_secs(2);

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

/// Waits until a service has this level, from the moment that something has happened to it: no longer than `bound`. Says what the operator
/// reads of `probe`; the public reads the level, and nothing else.
async fn noticed(gateway: &Gateway, (name, probe): (&str, &str), level: &str, bound: Duration) -> String {
    let began = Instant::now();
    let is = |health: &Value| service(health, name)["status"] == level && check(health, probe)["status"] == level;
    let health = until(gateway, &bearer(), |_, health| is(health)).await;
    let took = began.elapsed();
    let said = check(&health, probe)["message"].as_str().expect("a message").to_owned();
    println!("{name}: {level} after {took:.2?}, at most {bound:?}: {said}");
    assert!(took <= bound + BUSY, "{name} is {level} after {took:?}: {bound:?} are the most");
    let (_, public) = read(&gateway.say(&request("")).await);
    assert_eq!(service(&public, name)["status"], level);
    assert_eq!(public["details"], Value::Null);
    let page = gateway.get("/health").await;
    let row = page.split_once(&format!("<h3>{name}</h3>")).and_then(|(_, rest)| rest.split_once("</div>"));
    assert!(row.is_some_and(|(row, _)| row.contains(level)), "{name}: {level}: {page}");
    for text in [public.to_string(), page] {
        assert!(!text.contains(&said), "the public reads `{said}`");
    }
    said
}

/// Waits until every probe has looked once; what the operator reads then.
async fn all_looked(gateway: &Gateway) -> Value {
    let looked = |health: &Value| {
        health["details"]["checks"].as_array().is_some_and(|all| all.iter().all(|check| !check["last"].is_null()))
    };
    until(gateway, &bearer(), |_, health| looked(health)).await
}
