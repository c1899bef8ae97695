//! What a hand-off costs the gateway: docs/benchmarks/hand-off.json. An app answers with 302 by itself, or hands off and the gateway makes the 302: the
//! difference of the two is the price of reading the field, of checking it and of signing the URL.
//!
//! The gateway runs as it is deployed, in clear text with an access log. Rounds interleave. Bounded: half a minute once it is built.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;

use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use stack::gateway::{self, Gateway};
use stack::load::Load;
use stack::process::cpu_seconds;
use stack::report::{Case, Report};
use stack::toolchain::Toolchain;
use tokio::net::TcpListener;

const ROUNDS: usize = 9;
const REQUESTS: u64 = 20_000;
const CONNECTIONS: usize = 16;

/// What is asked for, and what the app says: a URL as long as one that is presigned, or a hand-off.
const TASKS: [(&str, &str, &str, &str); 5] = [
    ("302 by the app itself", "/redirect", "location", URL),
    ("hand-off", "/plain", "handoff", "user-files;key=\"users/1048576/works/01J9ZQ4T9Y/tide.wav\""),
    (
        "hand-off with a file name",
        "/named",
        "handoff",
        "user-files;key=\"users/1048576/works/01J9ZQ4T9Y/tide.wav\";filename=\"Tide.wav\";disposition=attachment",
    ),
    (
        "hand-off with a name that is not ASCII",
        "/unicode",
        "handoff",
        "user-files;key=%\"users/1048576/f%c3%bcnf.wav\";filename=%\"F%c3%bcnf N%c3%a4chte.wav\"",
    ),
    (
        "stable hand-off, everyone's",
        "/stable",
        "handoff",
        "user-files;key=\"users/1048576/works/01J9ZQ4T9Y/tide.wav\";stable;public",
    ),
];

/// As long as a presigned one.
const URL: &str = "https://makenotwork-files.fsn1.your-objectstorage.com/users/1048576/works/01J9ZQ4T9Y/tide.wav?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=STACKACCESSKEY000001%2F20261128%2Ffsn1%2Fs3%2Faws4_request&X-Amz-Date=20261128T200000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature=5d4145b2c7e1c3c4c2ad22f1bd45e1b0a3d02f1f47b0a9c7ce5ad7c3b1c5f0ee";

/// Measures it. A `quick` run shows only that all of it works.
pub(crate) async fn measure(quick: bool) -> Result<Report, String> {
    let (rounds, requests) = if quick { (1, 50) } else { (ROUNDS, REQUESTS) };
    let progress = |line: &str| eprintln!("{line}");
    let origin = if quick { gateway::build } else { gateway::build_release }(&Toolchain::workspace(), &progress)?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let (config, key) = (folder.path().join("origin.toml"), folder.path().join("key"));
    let text = format!(
        "[listen]\nhttp = [\"127.0.0.1:0\"]\n[[site]]\nhosts = [\"*\"]\napp = \"{}\"\n[bucket.user-files]\n\
         url = \"https://makenotwork-files.fsn1.your-objectstorage.com\"\ncredentials_file = \"{}\"\n",
        app().await?,
        key.display()
    );
    let written = fs::write(&key, "STACKACCESSKEY000001:wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
    written.and_then(|()| fs::write(&config, text)).map_err(|e| e.to_string())?;
    let gateway = Gateway::start(&origin, &config, None)?;
    let address = gateway.address("http").ok_or("the gateway has no address")?;
    let address: SocketAddr = address.trim_start_matches("http://").parse().map_err(|e| format!("{e}"))?;
    let mut report = Report::new(
        "hand-off",
        "What does a hand-off cost the gateway, beside a redirect that the app makes itself, in clear text with an access log?",
        "cargo measure hand-off",
    );
    report.versions.insert("origin".into(), env!("CARGO_PKG_VERSION").into());
    report.cases.extend(TASKS.map(|(name, ..)| Case {
        name: name.to_owned(),
        subject: "gateway".to_owned(),
        unit: "µs CPU/request".to_owned(),
        less_is_better: true,
        samples: Vec::new(),
    }));
    for round in 0..=rounds {
        for ((name, target, ..), case) in TASKS.iter().zip(&mut report.cases) {
            let load = Load {
                address,
                target: (*target).to_owned(),
                fields: Vec::new(),
                connections: CONNECTIONS,
                requests,
                status: StatusCode::FOUND,
            };
            let before = cpu_seconds(gateway.pid()).ok_or("the gateway is gone")?;
            load.run().await.map_err(|e| format!("{name}: {e}"))?;
            let used = cpu_seconds(gateway.pid()).ok_or("the gateway is gone")? - before;
            // The first round warms up.
            if round > 0 {
                #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
                case.samples.push(used * 1e6 / requests as f64);
            }
        }
        eprintln!("measure  round {round} of {rounds}");
    }
    Ok(report)
}

/// An app that says what the task has it say.
async fn app() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let answer = |request: Request<Incoming>| async move {
        let said = TASKS.iter().find(|(_, target, ..)| *target == request.uri().path());
        let answer = match said {
            Some((_, _, name, value)) => Response::builder().status(302).header(*name, *value),
            None => Response::builder().status(404),
        };
        let answer = answer.header("cache-control", "private, no-store").body(Empty::<Bytes>::new());
        Ok::<_, Infallible>(answer.unwrap_or_default())
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    Ok(address)
}
