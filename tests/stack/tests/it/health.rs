//! Health: the monitor asks `/api/health` through everything and learns which way it came; systemd and load balancers ask the private
//! listener. The answer is never from a cache. Going down, the gateway finishes what it has begun.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stack::gateway::Gateway;

use crate::answer::send;
use crate::own::{App, Own};
use crate::site::{Host, Site};

cases![
    the_monitor_is_told_the_way,
    the_answer_is_never_stored,
    the_private_listener,
    the_metrics_know_the_way,
    an_app_that_is_down_is_said on Native,
    draining_finishes_what_has_begun on Native,
];

async fn the_monitor_is_told_the_way(site: &Site) {
    let answer = site.fetch("/api/health").await;
    assert_eq!((answer.status, answer.field("content-type")), (200, "application/json"));
    let mut health: Value = answer.json();
    assert!(health["uptime_seconds"].take().as_u64().is_some_and(|up| up < 3600), "{}", answer.text());
    // What the clock has a part in. The gateway may not have looked yet.
    let masked = |value: &mut Value| {
        let known = value.is_null() || value.is_string() || value.as_f64() == Some(100.0) || value.is_u64();
        assert!(known, "{value}");
        *value = Value::Null;
    };
    for at in ["/checked_at", "/services/0/checked_at", "/services/0/response_ms"] {
        masked(health.pointer_mut(at).unwrap_or_else(|| panic!("{at}")));
    }
    for at in ["/uptime", "/services/0/uptime"] {
        let uptime = health.pointer_mut(at).and_then(Value::as_object_mut).unwrap_or_else(|| panic!("{at}"));
        uptime.values_mut().for_each(masked);
    }
    let via = match site.host {
        Host::Native => "direct",
        Host::Worker => "edge-signed",
    };
    let uptime = json!({ "24h": null, "7d": null, "90d": null });
    assert_eq!(
        health,
        json!({
            "status": "Operational",
            "via": via,
            "uptime_seconds": null,
            "checked_at": null,
            "uptime": uptime,
            "services": [
                { "name": "app", "status": "Operational", "checked_at": null, "response_ms": null, "uptime": uptime },
            ],
            "incidents": [],
            "external_monitoring": null,
        })
    );
    let standard = send(site.get("/api/health").header("accept", "application/health+json")).await;
    assert_eq!((standard.status, standard.field("content-type")), (200, "application/health+json"));
    assert_eq!(standard.json::<Value>()["notes"], json!([format!("via {via}")]));
}

async fn the_answer_is_never_stored(site: &Site) {
    for _ in 0..2 {
        let answer = site.fetch("/api/health").await;
        assert_eq!(answer.field("cache-control"), "no-store");
        assert!(!answer.head().contains("hit") && !answer.head().contains("stored"), "{}", answer.head());
    }
}

async fn the_private_listener(site: &Site) {
    let http = crate::site::client().build().expect("a client");
    for (path, status, said) in [("/livez", 200, "alive\n"), ("/readyz", 200, "ready\n")] {
        let answer = send(http.get(format!("{}{path}", site.stack.addresses.admin))).await;
        assert_eq!((answer.status, answer.text()), (status, said), "{path}");
    }
    // And there only: on the site these are paths of the app.
    assert_eq!(site.fetch("/readyz").await.status, 404);
}

async fn the_metrics_know_the_way(site: &Site) {
    let via = match site.host {
        Host::Native => "direct",
        Host::Worker => "edge-signed",
    };
    let http = crate::site::client().build().expect("a client");
    let counted = format!("origin_requests_total{{site=\"*\",trust=\"{via}\",status_class=\"2xx\"}} ");
    let until = Instant::now() + Duration::from_secs(20);
    let metrics = loop {
        site.fetch("/api/health").await;
        let metrics = send(http.get(format!("{}/metrics", site.stack.addresses.admin))).await.text().to_owned();
        if metrics.contains(&counted) {
            break metrics;
        }
        assert!(Instant::now() < until, "{metrics}");
    };
    let handshakes = metrics.lines().find_map(|line| line.strip_prefix("origin_tls_handshakes_total "));
    // The Worker comes over TLS.
    assert!(handshakes.is_some_and(|count| site.host == Host::Native || count != "0"), "{metrics}");
}

async fn an_app_that_is_down_is_said(site: &Site) {
    let own = Own::start(site, "[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"");
    let answer = loop {
        let answer = send(own.get("/api/health")).await;
        if answer.status != 200 {
            break answer;
        }
    };
    let health: Value = answer.json();
    assert_eq!((answer.status, &health["status"]), (503, &"Issues Detected".into()));
    assert_eq!(health["services"][0]["name"], "app");
    assert_eq!(health["services"][0]["status"], "Issues Detected");
    // The gateway itself is alive, and ready to say so.
    assert_eq!(send(own.admin("/livez")).await.status, 200);
}

async fn draining_finishes_what_has_begun(site: &Site) {
    let app = App::start().await;
    let mut own =
        Own::start(site, &format!("timeouts.drain = \"10s\"\n[[site]]\nhosts = [\"*\"]\napp = \"{}\"", app.address()));
    assert_eq!(send(own.admin("/readyz")).await.status, 200);
    let slow = tokio::spawn(send(own.get("/slow")));
    let mut got = app.request().await;
    assert!(got.head.starts_with("GET /slow HTTP/1.1\r\n"), "{}", got.head);

    own.gateway.signal(rustix::process::Signal::TERM);
    while send(own.admin("/readyz")).await.status != 503 {}
    // Whoever is in the queue when a core hears of it is still let in.
    let address = own.gateway.address("http").expect("an address").trim_start_matches("http://").to_owned();
    while tokio::net::TcpStream::connect(&address).await.is_ok() {}
    // Nobody new gets in; who was in is answered.
    let late = own.get("/late").send().await;
    assert!(late.is_err(), "{late:?}");
    got.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone").await;
    let answer = slow.await.expect("no panic");
    assert_eq!((answer.status, answer.text()), (200, "done"));
    assert_eq!(tokio::task::block_in_place(|| Gateway::stop(&mut own.gateway)), Some(0));
}
