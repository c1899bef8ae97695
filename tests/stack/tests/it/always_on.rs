//! The gateway is gone, in every way that it can be: the Worker serves what its data centre holds, and says that it is stale.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::answer::{Answer, send};
use crate::site::{Host, Site};

cases![the_gateway_is_gone on Worker];

fn said(answer: &Answer) -> &str {
    std::str::from_utf8(answer.all("cache-status").last().unwrap_or_default()).expect("ASCII")
}

async fn the_gateway_is_gone(_: &Site) {
    // A stack of its own: the others' gateway lives on.
    let site = Site::start(Host::Worker).await.expect("it starts");
    let stale = "/cache?cc=max-age=1&etag=%22a%22&gone";
    let fresh = "/cache?cc=max-age=600&gone";
    let strict = "/cache?cc=max-age=1,must-revalidate&etag=%22a%22&gone";
    for path in [stale, fresh, strict] {
        let until = Instant::now() + Duration::from_secs(10);
        while !said(&send(site.get(path)).await).contains("hit") {
            assert!(Instant::now() < until, "{path} is not stored");
        }
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let pid = Pid::from_raw(i32::try_from(site.stack.gateway.pid()).expect("a pid")).expect("a pid");
    // A black hole first: it takes connections and says nothing. Then nobody listens.
    for signal in [Signal::STOP, Signal::KILL] {
        kill_process(pid, signal).expect("it runs");
        let began = Instant::now();
        let answer = site.fetch(stale).await;
        let took = began.elapsed();
        assert_eq!((answer.status, answer.text()), (200, "render 1\n"), "{}", answer.head());
        assert!(
            said(&answer).contains("; hit; ttl=-") && said(&answer).ends_with("detail=stale-if-error"),
            "{}",
            answer.head()
        );
        println!("{signal:?}: a stale page after {took:?}");
        // A second of patience where it says nothing; the rest is what a busy machine may add.
        assert!(took < Duration::from_secs(6), "{took:?}");
        assert!(said(&site.fetch(fresh).await).contains("; hit; ttl="));
        let refused = site.fetch(strict).await;
        assert!(matches!(refused.status, 502 | 504), "{}", refused.head());
        assert!(matches!(site.fetch("/cache?cc=max-age=1&never-asked").await.status, 502 | 504));
    }
    site.stack.stop().await;
}
