//! What a request costs on its way, in CPU of gateway and workerd: docs/benchmarks/path.json.
//!
//! workerd runs under miniflare here, whose simulators of the cache, the assets and the router work in the same process: its
//! figures bound what the Worker costs from above, and the gateway's are its own.
//!
//! Rounds of all cases interleave, so that the machine's moods meet each alike. Bounded: about a minute.

use std::net::SocketAddr;

use http::StatusCode;
use stack::load::Load;
use stack::process::{cpu_seconds, memory};
use stack::report::{Case, Report};
use stack::{Edge, Listeners, Options, Ports, Stack};

const ROUNDS: usize = 5;
const REQUESTS: u64 = 10_000;
const CONNECTIONS: usize = 16;

struct Subject {
    name: &'static str,
    pid: u32,
    address: SocketAddr,
}

/// Measures it.
pub(crate) async fn measure() -> Result<Report, String> {
    let start = |edge| {
        let options = Options { edge, app: None, config: None, limit: None, ports: Ports::default() };
        async move { Stack::start(options, Listeners::default(), &|line| eprintln!("{line}")).await }
    };
    let native = start(Edge::Native).await?;
    let worker = start(Edge::Worker).await?;
    let address =
        |url: &str| url.trim_start_matches("http://").parse::<SocketAddr>().map_err(|e| format!("{url}: {e}"));
    let workerd = worker.workerd.as_ref().and_then(stack::workerd::Workerd::pid).ok_or("no process of workerd")?;
    let subjects = [
        Subject { name: "gateway, native edge", pid: native.gateway.pid(), address: address(&native.addresses.edge)? },
        Subject {
            name: "workerd, with miniflare's simulators",
            pid: workerd,
            address: address(&worker.addresses.edge)?,
        },
    ];
    // The asset never reaches our Worker: in workerd it shows what miniflare's router, assets and cache cost by themselves.
    let tasks = [
        ("static asset", "/static/favicon.svg"),
        ("passed through, 1 KiB", "/bytes/1024"),
        ("passed through, 64 KiB", "/bytes/65536"),
        ("hit, 1 KiB", "/bytes/1024?cache"),
        ("hit, 64 KiB", "/bytes/65536?cache"),
    ];
    let mut report = Report::new(
        "path",
        "What does a request cost on its way, in CPU of who carries it, in clear text with an access log?",
        "cargo measure",
    );
    report.versions.insert("origin".into(), env!("CARGO_PKG_VERSION").into());
    for (name, _) in tasks {
        for subject in &subjects {
            report.cases.push(Case {
                name: name.to_owned(),
                subject: subject.name.to_owned(),
                unit: "µs CPU/request".to_owned(),
                less_is_better: true,
                samples: Vec::new(),
            });
        }
    }
    for round in 0..=ROUNDS {
        let mut cases = report.cases.iter_mut();
        for (name, target) in tasks {
            for (subject, case) in subjects.iter().zip(&mut cases) {
                let requests = if subject.name.starts_with("workerd") { REQUESTS / 5 } else { REQUESTS };
                let load = Load {
                    address: subject.address,
                    target: target.to_owned(),
                    fields: Vec::new(),
                    connections: CONNECTIONS,
                    requests,
                    status: StatusCode::OK,
                };
                let before = cpu_seconds(subject.pid).ok_or("the process is gone")?;
                load.run().await.map_err(|e| format!("{name}, {}: {e}", subject.name))?;
                let used = cpu_seconds(subject.pid).ok_or("the process is gone")? - before;
                // The first round warms up.
                if round > 0 {
                    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
                    case.samples.push(used * 1e6 / requests as f64);
                }
            }
        }
        eprintln!("measure  round {round} of {ROUNDS}");
    }
    for subject in &subjects {
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        report.cases.push(Case {
            name: "peak resident memory".to_owned(),
            subject: subject.name.to_owned(),
            unit: "MiB".to_owned(),
            less_is_better: true,
            samples: vec![memory(&[subject.pid]).peak as f64 / f64::from(1 << 20)],
        });
    }
    native.stop().await;
    worker.stop().await;
    Ok(report)
}
