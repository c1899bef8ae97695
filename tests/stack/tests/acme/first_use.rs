//! A name's first handshake: a certificate is had while it waits.

use crate::world::{Plan, Visitor, World};

const NAME: &str = "creator.example";

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    let world = World::start(Plan { http: false, ..Plan::default() }).await;
    let visitor = world.visitor(NAME).await;
    let began = std::time::Instant::now();
    let first = visitor.comes().await.unwrap();
    let took = began.elapsed();
    assert_eq!(visitor.comes().await.unwrap(), first, "it is shown again");
    let issued = world.said("a certificate was issued").await;
    assert_eq!((issued["name"].as_str(), issued["renewed"].as_bool()), (Some(NAME), Some(false)));
    println!("the first handshake took {took:?}");
    assert_eq!((world.app.asked().len(), world.ca.orders()), (1, 1));
    assert!(world.kept(NAME).join("identity.pem").is_file());
    assert!(!world.kept(NAME).join("challenge").exists(), "it is taken away");
}
