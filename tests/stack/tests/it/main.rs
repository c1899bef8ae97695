//! The end-to-end suite: the same cases against the edge on both of its hosts, with real parts only. The Worker runs in workerd, the gateway is
//! a process of its own that speaks TLS, behind it stand the demo app and an object storage.
//!
//! `cargo test -p stack --test it -- worker::cache` runs a part of it; a host whose cases are not selected is never started. A case
//! is one async fn that takes a [`Site`](site::Site), and its name in the module's `cases!`. Where a runtime makes the hosts differ, the case says
//! so in a `match site.host`, with the reason.

#[macro_use]
mod runner;

mod answer;
mod own;
mod raw;
mod site;

mod always_on;
mod assets;
mod audience;
mod bounds;
mod cache;
mod certificates;
mod challenge;
mod conformance;
mod counts;
mod errors;
mod files;
mod filter;
mod headers;
mod health;
mod http1;
mod http2;
mod maintenance;
mod metrics;
mod ota;
mod paths;
mod poisoning;
mod purge;
mod requests;
mod restarts;
mod revoking;
mod secrets;
mod senders;
mod snapshots;
mod streams;
mod tail;
mod timing;
mod trust;
mod upload_routes;
mod uploads;
mod webhooks;

fn main() -> std::process::ExitCode {
    let own: &[&[runner::Case]] = &[
        requests::CASES,
        paths::CASES,
        poisoning::CASES,
        filter::CASES,
        challenge::CASES,
        headers::CASES,
        cache::CASES,
        purge::CASES,
        maintenance::CASES,
        always_on::CASES,
        counts::CASES,
        metrics::CASES,
        assets::CASES,
        audience::CASES,
        streams::CASES,
        bounds::CASES,
        http1::CASES,
        http2::CASES,
        certificates::CASES,
        restarts::CASES,
        errors::CASES,
        trust::CASES,
        files::CASES,
        uploads::CASES,
        revoking::CASES,
        ota::CASES,
        upload_routes::CASES,
        health::CASES,
        webhooks::CASES,
        senders::CASES,
        secrets::CASES,
        timing::CASES,
        tail::CASES,
        snapshots::CASES,
    ];
    runner::run(&[own, conformance::AREAS].concat())
}
