//! A name's first handshake: a certificate is had while it waits.

use std::time::Instant;

use crate::world::{Plan, World};

const NAME: &str = "creator.example";

#[tokio::test(flavor = "multi_thread")]
async fn over_tls() {
    let world = World::start(Plan { http: false, ..Plan::default() }).await;
    let visitor = world.visitor(NAME).await;
    let began = Instant::now();
    let first = visitor.comes().await.unwrap();
    println!("the first handshake took {:?}", began.elapsed());
    assert_eq!(visitor.comes().await.unwrap(), first, "it is shown again");
    let issued = world.said("a certificate was issued").await;
    assert_eq!((issued["name"].as_str(), issued["renewed"].as_bool()), (Some(NAME), Some(false)));
    assert_eq!((world.app.asked().len(), world.ca.orders()), (1, 1));
    assert!(world.kept(NAME).join("identity.pem").is_file());
    assert!(!world.kept(NAME).join("challenge").exists(), "it is taken away");
}

/// The CA does not find us over TLS, as behind a proxy: the other way is taken.
#[tokio::test(flavor = "multi_thread")]
async fn over_http() {
    let world = World::start(Plan { tls: false, ..Plan::default() }).await;
    let visitor = world.visitor(NAME).await;
    visitor.comes().await.unwrap();
    assert_eq!((world.app.asked().len(), world.ca.orders()), (1, 2));
    assert!(world.ca.log().contains(&format!("Attempting to validate w/ HTTP: http://{NAME}")), "over HTTP");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_share_one_order() {
    let world = World::start(Plan::default()).await;
    let visitor = world.visitor(NAME).await;
    let all: Vec<_> = (0..50)
        .map(|_| {
            let visitor = visitor.clone();
            tokio::spawn(async move { visitor.comes().await })
        })
        .collect();
    let mut shown = Vec::new();
    for one in all {
        shown.push(one.await.unwrap().unwrap());
    }
    shown.dedup();
    assert_eq!((shown.len(), world.app.asked().len(), world.ca.orders()), (1, 1, 1));
}

/// A CA that refuses good nonces and uses authorizations again, as the RFC lets it.
#[tokio::test(flavor = "multi_thread")]
async fn a_moody_ca() {
    let mut world = World::start(Plan { refused_nonces: 20, reused: 100, ..Plan::default() }).await;
    for name in ["a.example", "b.example", "c.example", "d.example"] {
        let visitor = world.visitor(name).await;
        visitor.comes().await.unwrap();
    }
    let refused = world.ca.log().matches("POST").count();
    println!("{refused} POST requests for four orders");
    // Without its certificate a name is ordered again, and the CA has its authorization still.
    let validated = || world.ca.log().matches("Pulled a task").count();
    let (before, name) = (validated(), "a.example");
    assert_eq!(before, 4);
    std::fs::remove_file(world.kept(name).join("identity.pem")).unwrap();
    world.stop();
    world.serve();
    let visitor = world.visitor(name).await;
    visitor.comes().await.unwrap();
    assert_eq!(world.ca.log().matches("Pulled a task").count(), before, "no challenge was asked for");
}

/// Names of other sites show the certificate of `[tls]`, and the CA is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn other_sites_are_not_touched() {
    let world = World::start(Plan::default()).await;
    crate::world::Visitor::trusting("makenot.work", world.https).comes().await.unwrap();
    // No site has this one.
    assert!(world.visitor("elsewhere.test").await.comes().await.is_err());
    assert!(world.visitor("makenot.work").await.comes().await.unwrap_err().contains("UnknownIssuer"));
    assert_eq!((world.app.asked().len(), world.ca.orders()), (0, 0));
}
