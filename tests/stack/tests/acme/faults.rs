//! Apps that say no or nothing, and CAs that are down: new names are refused, known ones are served.

use std::time::Duration;

use crate::app::App;
use crate::world::{Plan, World};

const NAME: &str = "creator.example";

/// That the handshake was refused by an alert, not by a lack of patience.
#[track_caller]
fn assert_refused(came: Result<Vec<u8>, String>) {
    let error = came.expect_err("refused");
    assert!(error.contains("AlertReceived(AccessDenied)"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_says_no() {
    let world = World::start(Plan::default()).await;
    world.app.says(404);
    let visitor = world.visitor(NAME).await;
    for _ in 0..5 {
        assert_refused(visitor.comes().await);
    }
    assert_eq!((world.app.asked(), world.ca.orders()), (vec![NAME.to_owned()], 0), "asked once, and nothing ordered");
    assert!(!world.kept(NAME).exists(), "and nothing is left on the disk");
    let said = world.said("no certificate").await;
    assert_eq!((said["name"].as_str(), said["reason"].as_str()), (Some(NAME), Some("app-says-no")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_is_down_and_comes_back() {
    let mut world = World::start(Plan::default()).await;
    let visitor = world.visitor(NAME).await;
    // It fails, closes the connection, and does not listen at all.
    for (status, name) in [(500, "a.example"), (0, "b.example")] {
        world.app.says(status);
        assert_refused(world.visitor(name).await.comes().await);
    }
    world.app.stop().await;
    assert_refused(visitor.comes().await);
    assert_eq!(world.ca.orders(), 0);
    world.app = App::on(world.app.address).await;
    let mut tries = 0;
    while visitor.comes().await.is_err() {
        tries += 1;
        assert!(tries < 200, "it is never asked again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_down_and_comes_back() {
    let mut world = World::start(Plan::default()).await;
    let known = world.visitor(NAME).await;
    let shown = known.comes().await.unwrap();
    let other = world.visitor("other.example").await;
    world.ca.down();
    assert_refused(other.comes().await);
    assert_eq!(world.said("no certificate").await["reason"], "ca-down");
    assert_eq!(known.comes().await.unwrap(), shown, "what is known is served");
    let asked = world.app.asked().len();
    assert_refused(other.comes().await);
    assert_eq!(world.app.asked().len(), asked, "neither the app nor the CA is asked again at once");

    // It comes back without anything that it knew: our account too is gone.
    world.ca.up().await;
    let mut n = 0;
    loop {
        // Orders pause for some seconds after the CA's failure, whatever the name.
        if world.visitor("other.example").await.comes().await.is_ok() {
            break;
        }
        n += 1;
        assert!(n < 60, "never again");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.said("the CA does not know our account; a new one is made").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_ca_does_not_find() {
    let world = World::start(Plan { tls: false, http: false, ..Plan::default() }).await;
    let visitor = world.visitor(NAME).await;
    assert_refused(visitor.comes().await);
    let orders = world.ca.orders();
    assert_eq!(orders, 2, "one for each way");
    for _ in 0..3 {
        assert_refused(visitor.comes().await);
    }
    assert_eq!((world.ca.orders(), world.app.asked().len()), (orders, 1), "and the CA is left alone for a while");
    let said = world.said("a certificate was not issued").await;
    let error = said["error"].as_str().unwrap();
    assert_eq!(world.said("no certificate").await["reason"], "ca-refused");
    assert!(error.contains("http-01") && error.contains("connection refused"), "{error}");
}

/// The handshake gives up before the work does, and the next one finds it done.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_too_short() {
    let world = World::start(Plan { acme: "wait = \"1ms\"", ..Plan::default() }).await;
    let visitor = world.visitor(NAME).await;
    assert_refused(visitor.comes().await);
    world.said("a certificate was issued").await;
    visitor.comes().await.unwrap();
    assert_eq!((world.app.asked().len(), world.ca.orders()), (1, 1));
}
