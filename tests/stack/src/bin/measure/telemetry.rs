//! What it costs to be watched: docs/benchmarks/telemetry.json. The same gateway with nothing written and nobody asking, and with access log,
//! metrics that are scraped, probes and traces, before an app that answers at once.
//!
//! The gateway runs as it is deployed, in clear text, and counts in any case. All gateways run side by side, and rounds interleave. Bounded: two
//! minutes once it is built.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use stack::gateway::{self, Gateway};
use stack::load::Load;
use stack::process::cpu_seconds;
use stack::report::{Case, Report};
use stack::toolchain::Toolchain;
use tokio::net::TcpListener;

const ROUNDS: usize = 15;
const REQUESTS: u64 = 20_000;
const CONNECTIONS: usize = 16;

/// What is on, and by which share of requests traced.
struct Subject {
    name: &'static str,
    log: bool,
    /// Metrics that are scraped, and probes.
    watched: bool,
    traced: Option<f64>,
}

const SUBJECTS: [Subject; 4] = [
    Subject { name: "nothing", log: false, watched: false, traced: None },
    Subject { name: "access log", log: true, watched: false, traced: None },
    Subject {
        name: "access log, metrics, probes, one request in ten traced",
        log: true,
        watched: true,
        traced: Some(0.1),
    },
    Subject { name: "the same, every request traced", log: true, watched: true, traced: Some(1.0) },
];

const TASKS: [(&str, &str); 2] = [("passed through, 1 KiB", "/plain"), ("hit, 1 KiB", "/cached")];

/// A gateway that runs.
struct Running {
    gateway: Gateway,
    address: SocketAddr,
    /// Where metrics are scraped.
    admin: Option<SocketAddr>,
}

/// Measures it. A `quick` run shows only that all of it works.
pub(crate) async fn measure(quick: bool) -> Result<Report, String> {
    let (rounds, requests) = if quick { (1, 50) } else { (ROUNDS, REQUESTS) };
    let progress = |line: &str| eprintln!("{line}");
    let origin = if quick { gateway::build } else { gateway::build_release }(&Toolchain::workspace(), &progress)?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let taken = Arc::<AtomicU64>::default();
    let (app, collector) = (serve(Arc::default()).await?, serve(Arc::clone(&taken)).await?);
    let mut running = Vec::new();
    for (n, subject) in SUBJECTS.iter().enumerate() {
        running.push(start(subject, &origin, &folder.path().join(n.to_string()), app, collector)?);
    }
    let mut report = Report::new(
        "telemetry",
        "What does it cost the gateway to be watched: CPU per request with nothing written, and with access log, metrics, probes and traces?",
        "cargo measure telemetry",
    );
    report.versions.insert("origin".into(), env!("CARGO_PKG_VERSION").into());
    for (name, _) in TASKS {
        report.cases.extend(SUBJECTS.iter().map(|subject| Case {
            name: name.to_owned(),
            subject: subject.name.to_owned(),
            unit: "µs CPU/request".to_owned(),
            less_is_better: true,
            samples: Vec::new(),
        }));
    }
    for round in 0..=rounds {
        for (t, (name, target)) in TASKS.iter().enumerate() {
            // Each is first in some round.
            for n in 0..SUBJECTS.len() {
                let n = (n + round) % SUBJECTS.len();
                let used = once(&running[n], target, requests).await.map_err(|e| format!("{name}: {e}"))?;
                // The first round warms up.
                if round > 0 {
                    report.cases[t * SUBJECTS.len() + n].samples.push(used);
                }
            }
        }
        eprintln!("measure  round {round} of {rounds}");
    }
    if taken.load(Ordering::Relaxed) == 0 {
        return Err("no span has come to the collector".to_owned());
    }
    Ok(report)
}

/// Microseconds of the gateway's CPU for each request, with what it does for them within the second after.
async fn once(running: &Running, target: &str, requests: u64) -> Result<f64, String> {
    let load = Load {
        address: running.address,
        target: target.to_owned(),
        fields: Vec::new(),
        connections: CONNECTIONS,
        requests,
        status: StatusCode::OK,
    };
    let before = cpu_seconds(running.gateway.pid()).ok_or("the gateway is gone")?;
    let scraped = async {
        let Some(admin) = running.admin else { return Ok(()) };
        // Prometheus comes every 15 s; here once in each run, which is shorter.
        let scrape = Load {
            address: admin,
            target: "/metrics".to_owned(),
            fields: Vec::new(),
            connections: 1,
            requests: 1,
            status: StatusCode::OK,
        };
        scrape.run().await
    };
    let (ran, scraped) = tokio::join!(load.run(), scraped);
    ran.and(scraped)?;
    // Lines are written and spans are sent a moment later.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let used = cpu_seconds(running.gateway.pid()).ok_or("the gateway is gone")? - before;
    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
    Ok(used * 1e6 / requests as f64)
}

fn start(
    subject: &Subject,
    origin: &Path,
    folder: &Path,
    app: SocketAddr,
    collector: SocketAddr,
) -> Result<Running, String> {
    let mut text = String::from("[listen]\nhttp = [\"127.0.0.1:0\"]\ncores = 1\n");
    if subject.watched {
        text += "[admin]\nlisten = \"127.0.0.1:0\"\n";
        for (kind, more) in [("disk", "folder = \"/\"\n"), ("memory", ""), ("descriptors", "")] {
            text += &format!("[probe.{kind}]\nkind = \"{kind}\"\nevery = \"1s\"\n{more}");
        }
    }
    if let Some(share) = subject.traced {
        // All of a run may wait, so that none is lost for being too fast.
        text += &format!("[traces]\nurl = \"http://{collector}/v1/traces\"\nsample = {share:?}\nqueue = 100000\n");
    }
    text += &format!("[[site]]\nhosts = [\"*\"]\napp = \"{app}\"\n");
    fs::create_dir(folder).map_err(|e| e.to_string())?;
    let (config, program) = (folder.join("origin.toml"), folder.join("origin"));
    // The line that says where it listens is needed in any case.
    let log = if subject.log { "info" } else { "info,access=off" };
    let script = format!("#!/bin/sh\nRUST_LOG={log} exec {} \"$@\"\n", origin.display());
    let written = fs::write(&config, text).and_then(|()| fs::write(&program, script));
    written
        .and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o755)))
        .map_err(|e| e.to_string())?;
    let gateway = Gateway::start(&program, &config, None)?;
    let parsed = |url: &str| url.trim_start_matches("http://").parse().ok();
    let address = gateway.address("http").and_then(parsed).ok_or("the gateway has no address")?;
    let admin = gateway.admin().and_then(parsed);
    Ok(Running { gateway, address, admin })
}

/// A server that takes whatever comes, counts its bytes, and answers with a KiB, which may be stored where the path says so.
async fn serve(taken: Arc<AtomicU64>) -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let taken = Arc::clone(&taken);
            let answer = service_fn(move |request: Request<Incoming>| answer(request, Arc::clone(&taken)));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        }
    });
    Ok(address)
}

async fn answer(request: Request<Incoming>, taken: Arc<AtomicU64>) -> Result<Response<Full<Bytes>>, Infallible> {
    let control = if request.uri().path() == "/cached" { "public, max-age=3600" } else { "no-store" };
    if let Ok(body) = request.into_body().collect().await {
        taken.fetch_add(body.to_bytes().len() as u64, Ordering::Relaxed);
    }
    let body = Full::new(Bytes::from_static(&[b'x'; 1024]));
    Ok(Response::builder().header("cache-control", control).body(body).unwrap_or_default())
}
