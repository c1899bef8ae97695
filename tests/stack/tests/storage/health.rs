//! Health at a real storage: well, with a canary that leaves no versions behind, and killed.

use std::time::{Duration, Instant};

use serde_json::Value;
use stack::gateway::{self, Gateway};
use stack::toolchain::Toolchain;

use crate::server::Server;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Takes the server down.
pub(crate) async fn a_storage_that_dies(server: &Server) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let section = server.section(&file("key", &server.credentials()));
    let config = format!(
        "listen.http = [\"127.0.0.1:0\"]\nlisten.cores = 1\nhealth.token_file = {:?}\n[[site]]\nhosts = [\"*\"]\napp = \"{}\"\n{section}\
         [probe.files]\nkind = \"bucket\"\nbucket = \"user-files\"\nservice = \"S3 storage\"\ncanary = \"users/canary\"\nevery = \"1s\"\n",
        file("token", TOKEN),
        server.address(),
    );
    let config = file("origin.toml", &config);
    let binary = tokio::task::block_in_place(|| gateway::build(&Toolchain::workspace(), &|_| {})).expect("it builds");
    let gateway = tokio::task::block_in_place(|| Gateway::start(&binary, &config, None)).expect("it starts");
    let url = format!("{}/api/health", gateway.address("http").expect("an address"));
    let until = async |wanted: &str| {
        let began = Instant::now();
        loop {
            let answer = server.http.get(&url).bearer_auth(TOKEN).send().await.expect("an answer");
            let health: Value = answer.json().await.expect("JSON");
            let services = health["services"].as_array().expect("services");
            let storage = services.iter().find(|service| service["name"] == "S3 storage").expect("the storage");
            if storage["status"] == wanted && !storage["checked_at"].is_null() {
                let checks = health["details"]["checks"].as_array().expect("checks");
                let check = checks.iter().find(|check| check["name"] == "files").expect("the probe").clone();
                return (check, began.elapsed());
            }
            assert!(began.elapsed() < Duration::from_secs(90), "{health:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (well, _) = until("Operational").await;
    assert_eq!(well["message"], "answers, and keeps what is written");
    assert!(well["response_ms"].is_u64(), "{well}");
    server.kill().await;
    let (down, took) = until("Issues Detected").await;
    println!("storage killed: said after {took:?} (every 1 s, fall 2): {}", down["message"]);
    assert!(down["message"].as_str().is_some_and(|why| why.contains("the storage can't be reached")), "{down}");
}
