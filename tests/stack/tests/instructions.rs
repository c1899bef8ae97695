//! How many instructions the gateway spends on a request in user space, counted by valgrind's callgrind: a figure that does not depend on
//! who else uses the machine. It must not grow by more than a twentieth without anyone saying so.
//!
//! Counted are runs of two lengths against the same app, over one connection, on one core; their difference has no start and no end in it.
//! After a change that is worth its price (or saves something):
//!
//! ```sh
//! UPDATE_INSTRUCTIONS=1 cargo test -p stack --test instructions
//! ```
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use contract::signature::{Keys, Message};
use contract::{EdgeFacts, RequestId};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use stack::gateway::{self, Gateway};
use stack::keys::Credentials;
use stack::load::Load;
use stack::report::{Case, Report};
use stack::toolchain::{Toolchain, program};

const REMEDY: &str = "Install the package `valgrind` (on Debian: `apt install valgrind`).";
/// Requests of the short and the long run.
const RUNS: [u64; 2] = [300, 1_800];
/// How much may be added, or saved, before it is to be noticed.
const TOLERANCE: f64 = 0.05;
const BODY: [u8; 1024] = [b'x'; 1024];
const UNIT: &str = "instructions/request";

struct Bench {
    folder: tempfile::TempDir,
    /// Starts the gateway under callgrind.
    counted: PathBuf,
    credentials: Credentials,
    app: SocketAddr,
}

#[test]
fn a_request_costs_what_it_did() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let bench = Bench::prepare(&runtime);
    let mut report = Report::new(
        "instructions",
        "How many instructions in user space does a request cost the gateway, in clear text with an access log?",
        "UPDATE_INSTRUCTIONS=1 cargo test -p stack --test instructions",
    );
    for (name, path, signed) in [
        ("passed through, 1 KiB", "/plain", false),
        ("passed through, 1 KiB, signed by the edge", "/plain", true),
        ("hit, 1 KiB", "/cached", false),
    ] {
        let [short, long] = RUNS.map(|requests| bench.count(&runtime, path, signed, requests));
        #[expect(clippy::cast_precision_loss, reason = "millions")]
        let each = (long - short) as f64 / (RUNS[1] - RUNS[0]) as f64;
        eprintln!("{name}: {each:.0} {UNIT}");
        report.cases.push(Case {
            name: name.to_owned(),
            subject: "gateway".to_owned(),
            unit: UNIT.to_owned(),
            less_is_better: true,
            samples: vec![each.round()],
        });
    }
    let folder = Toolchain::workspace().join("docs/benchmarks");
    if std::env::var_os("UPDATE_INSTRUCTIONS").is_some() {
        return report.write(&folder).unwrap();
    }
    let known: Report = serde_json::from_str(&fs::read_to_string(folder.join("instructions.json")).unwrap()).unwrap();
    let mut grown = String::new();
    for now in &report.cases {
        let then = known.cases.iter().find(|case| case.name == now.name).map(Case::median);
        let then = then.unwrap_or_else(|| panic!("instructions.json does not have: {}", now.name));
        let ratio = now.median() / then;
        let line =
            format!("{}: {:.0} {UNIT}, {ratio:.3} of the {then:.0} in instructions.json", now.name, now.median());
        if ratio > 1.0 + TOLERANCE {
            grown.push_str(&format!("\n  {line}"));
        } else if ratio < 1.0 - TOLERANCE {
            eprintln!("saved: {line}. Keep it: {}", report.command);
        }
    }
    assert!(
        grown.is_empty(),
        "a request costs more than it did:{grown}\nFind out why (valgrind --tool=callgrind, callgrind_annotate --inclusive=yes); if it is \
         worth it, say so in the commit and run:\n  {}",
        report.command
    );
}

impl Bench {
    fn prepare(runtime: &tokio::runtime::Runtime) -> Self {
        let progress = |line: &str| eprintln!("{line}");
        let valgrind = program("counts", "valgrind", "valgrind", REMEDY, &progress).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let origin = gateway::build_optimised(&Toolchain::workspace(), folder.path(), &progress).unwrap();
        let counted = folder.path().join("counted");
        let script = format!(
            "#!/bin/sh\nexec {} --tool=callgrind --callgrind-out-file={}/counts {} \"$@\"\n",
            valgrind.display(),
            folder.path().display(),
            origin.display()
        );
        fs::write(&counted, script).unwrap();
        fs::set_permissions(&counted, fs::Permissions::from_mode(0o755)).unwrap();
        let credentials = Credentials::make(folder.path()).unwrap();
        let app = runtime.block_on(app());
        Self { folder, counted, credentials, app }
    }

    /// Instructions of a gateway's whole life, in which it answers so many requests.
    fn count(&self, runtime: &tokio::runtime::Runtime, path: &str, signed: bool, requests: u64) -> u64 {
        let config = self.folder.path().join("origin.toml");
        let keys = self.credentials.files.edge_keys.display();
        let text = format!(
            "[listen]\nhttp = [\"127.0.0.1:0\"]\ncores = 1\n[edge]\nkeys_file = \"{keys}\"\nwindow = \"5m\"\n\
             [[site]]\nhosts = [\"*\"]\napp = \"{}\"\n",
            self.app
        );
        fs::write(&config, text).unwrap();
        let mut gateway = Gateway::start(&self.counted, &config, None).unwrap();
        let address = gateway.address("http").unwrap().trim_start_matches("http://").parse().unwrap();
        let fields = if signed { self.signature(address, path) } else { Vec::new() };
        let load = Load { address, target: path.to_owned(), fields, connections: 1, requests, status: StatusCode::OK };
        runtime.block_on(load.run()).unwrap();
        assert_eq!(gateway.stop(), Some(0));
        total(&self.folder.path().join("counts"))
    }

    fn signature(&self, address: SocketAddr, path: &str) -> Vec<(String, String)> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let client = "203.0.113.7".parse().unwrap();
        let id = RequestId::from_random([7; 16]);
        let facts = EdgeFacts { client, id, country: None, asn: None, ruleset: None, cleared: false }.to_string();
        let authority = address.to_string();
        let message = Message { method: "GET", authority: &authority, path, query: None, facts: &facts };
        let keys = Keys::parse(&self.credentials.edge_keys).unwrap();
        let signed = keys.signing().sign(&message, now);
        let fields =
            [("edge-facts", facts.clone()), ("signature-input", signed.input), ("signature", signed.signature)];
        fields.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// An app whose answers are always the same.
async fn app() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = |request: Request<hyper::body::Incoming>| async move {
        let control = if request.uri().path() == "/cached" { "public, max-age=86400" } else { "no-store" };
        let answer = Response::builder().header("cache-control", control).header("content-type", "text/plain");
        Ok::<_, Infallible>(answer.body(Full::new(Bytes::from_static(&BODY))).unwrap())
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let connection = hyper::server::conn::http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    address
}

/// The sum that callgrind writes at the end of its file.
fn total(counts: &Path) -> u64 {
    let text = fs::read_to_string(counts).unwrap();
    let line =
        text.lines().rev().find_map(|line| line.strip_prefix("totals: ")).expect("callgrind has written its sum");
    line.trim().parse().unwrap()
}
