//! Certificates that end are said to: in the log, and to the monitor.

use reqwest::Client;
use serde_json::Value;

use crate::world::{Plan, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_a_file_ends() {
    let mut world = World::still(Plan::default()).await;
    let config = world.configuration();
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut ended = rcgen::CertificateParams::new(["makenot.work".to_owned()]).unwrap();
    ended.not_before = rcgen::date_time_ymd(2020, 1, 1);
    ended.not_after = rcgen::date_time_ymd(2021, 1, 1);
    std::fs::write(config.with_file_name("tls.pem"), ended.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(config.with_file_name("tls.key"), pair.serialize_pem()).unwrap();
    world.serve();
    let said = world.said("a certificate ends soon").await;
    assert_eq!(
        [&said["name"], &said["source"], &said["until"], &said["ended"]],
        [&Value::from("tls"), &"file".into(), &"2021-01-01T00:00:00Z".into(), &true.into()]
    );
    let health = health(&world).await;
    assert_eq!(health["status"], "Degraded");
    let certificates = &health["services"][1];
    assert_eq!([&certificates["name"], &certificates["status"]], ["certificates", "Degraded"]);
}

/// One that is good for long is not mentioned, and the answer is as it always was.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_ends() {
    let world = World::start(Plan::default()).await;
    let visitor = world.visitor("creator.example").await;
    visitor.comes().await.unwrap();
    let health = health(&world).await;
    assert_eq!((&health["status"], health["services"].as_array().map(Vec::len)), (&"Operational".into(), Some(1)));
    assert!(world.gateway().find(|line| line["message"] == "a certificate ends soon").is_none());
}

async fn health(world: &World) -> Value {
    let client = Client::builder().resolve("makenot.work", world.https).tls_danger_accept_invalid_certs(true);
    let url = format!("https://makenot.work:{}/api/health", world.https.port());
    let answer = client.build().unwrap().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}
