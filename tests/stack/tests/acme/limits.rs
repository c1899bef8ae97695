//! Floods: neither the app nor the CA nor our memory is at the mercy of who connects.

use crate::world::{Plan, Visitor, World};

#[tokio::test(flavor = "multi_thread")]
async fn orders_have_a_limit() {
    let world = World::start(Plan { acme: "orders = 2", ..Plan::default() }).await;
    for (name, had) in [("a.example", true), ("b.example", true), ("c.example", false), ("d.example", false)] {
        assert_eq!(world.visitor(name).await.comes().await.is_ok(), had, "{name}");
    }
    assert_eq!(world.ca.orders(), 2);
    world.visitor("a.example").await.comes().await.unwrap();
    world.said("acme.orders are used up: the name has to wait").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_names() {
    const NAMES: usize = 3_000;
    let world = World::start(Plan { acme: "asks = 20", ..Plan::default() }).await;
    let known = world.visitor("creator.example").await;
    known.comes().await.unwrap();
    world.app.says(404);
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", world.gateway().pid())).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap()
    };
    let began = std::time::Instant::now();
    let flood = |from: usize| {
        let https = world.https;
        let workers = (0..20).map(move |worker| {
            tokio::spawn(async move {
                for n in (from + worker..from + NAMES).step_by(20) {
                    Visitor::trusting(&format!("n{n}.example"), https).comes().await.expect_err("refused");
                }
            })
        });
        workers.collect::<Vec<_>>()
    };
    // What the first thousands need of buffers and caches is there afterwards.
    for worker in flood(0) {
        worker.await.unwrap();
    }
    let before = memory();
    for worker in flood(NAMES) {
        worker.await.unwrap();
    }
    let (after, took) = (memory(), began.elapsed());
    known.comes().await.unwrap();
    let asked = world.app.asked().len();
    println!("{} names in {took:?}: {asked} asks, {before} kB before, {after} kB after", 2 * NAMES);
    // 20 at once, and one every three seconds.
    assert!(asked <= 21 + took.as_secs() as usize / 3, "{asked} asks in {took:?}");
    assert_eq!(world.ca.orders(), 1);
    assert!(after < before + 4_096, "{before} kB, then {after} kB");
}
