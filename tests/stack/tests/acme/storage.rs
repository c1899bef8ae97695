//! What is kept: across restarts, between processes, and renewed in time.

use std::time::{Duration, Instant};

use crate::world::{Plan, Visitor, World};

const NAME: &str = "creator.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_needs_neither_ca_nor_app() {
    let mut world = World::start(Plan::default()).await;
    let visitor = world.visitor(NAME).await;
    let shown = visitor.comes().await.unwrap();
    world.stop();
    world.ca.down();
    // The app still answers requests; to the question it says no.
    world.app.says(404);
    world.serve();
    assert_eq!(visitor.comes().await.unwrap(), shown);
    assert_eq!(world.app.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_replaced() {
    let mut world = World::start(Plan::default()).await;
    let visitor = world.visitor(NAME).await;
    visitor.comes().await.unwrap();
    world.stop();
    let file = world.kept(NAME).join("identity.pem");
    let pem = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, &pem[..pem.len() - 100]).unwrap();
    world.serve();
    visitor.comes().await.unwrap();
    world.said("a certificate in the storage is not usable").await;
    assert_eq!(world.ca.orders(), 2);
}

/// As during a reload, when an old and a new process run at once.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_order_once() {
    let world = World::start(Plan::default()).await;
    let (other, https) = world.another();
    let root = [world.ca.root().await];
    let mut tasks = Vec::new();
    for at in [world.https, https] {
        for _ in 0..5 {
            let visitor = Visitor::new(&root, NAME, at);
            tasks.push(tokio::spawn(async move { visitor.comes().await }));
        }
    }
    let mut shown = Vec::new();
    for task in tasks {
        shown.push(task.await.unwrap().unwrap());
    }
    shown.dedup();
    assert_eq!((shown.len(), world.ca.orders()), (1, 1));
    drop(other);
}

/// A certificate of 50 s is renewed after two thirds of them; every handshake meanwhile is served.
#[tokio::test(flavor = "multi_thread")]
async fn renewed_in_time() {
    let world = World::start(Plan { life: Some(50), ..Plan::default() }).await;
    let visitor = world.visitor(NAME).await;
    let first = visitor.comes().await.unwrap();
    let began = Instant::now();
    let mut handshakes = 0;
    while visitor.comes().await.unwrap() == first {
        handshakes += 1;
        assert!(began.elapsed() < Duration::from_secs(50), "never renewed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let took = began.elapsed();
    println!("renewed {took:?} after it was issued for 50 s; {handshakes} handshakes before, none failed");
    assert!((Duration::from_secs(25)..Duration::from_secs(50)).contains(&took), "{took:?}");
    let renewed = || world.gateway().find(|line| line["renewed"].as_bool() == Some(true));
    world.until("it says so", renewed).await;
    assert_eq!((world.app.asked().len(), world.ca.orders()), (2, 2));
    // Once the app says that the name is gone it is renewed no more.
    world.app.says(404);
    world.said("not renewed: the app says that the name is none of ours any more").await;
    assert_eq!(world.ca.orders(), 2);
}

/// A reload: the new process has what the old one had, and orders what is new.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_goes_on() {
    let mut world = World::start(Plan::default()).await;
    let visitor = world.visitor(NAME).await;
    let shown = visitor.comes().await.unwrap();
    world.reload().await;
    assert_eq!(visitor.comes().await.unwrap(), shown);
    world.visitor("new.example").await.comes().await.unwrap();
    assert_eq!((world.app.asked().len(), world.ca.orders()), (2, 2));
}
