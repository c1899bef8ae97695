//! Our Worker, without and with the request filter, beside one in plain JavaScript that does the same work without it
//! (tests/peers/worker.js), each in a workerd of its own without miniflare: docs/benchmarks/worker.json, .md and .svg.
//!
//! Before anything is measured, each has to send what the gateway takes for the edge's, and to say in `Cache-Status` what it did.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use contract::signature::Keys;
use http::StatusCode;
use http_body_util::BodyExt as _;
use stack::keys::Credentials;
use stack::load::Load;
use stack::process::{cpu_seconds, memory};
use stack::report::{Case, Report};
use stack::toolchain::{Toolchain, Worker, Wrangler};

use crate::next_hop::{self, Seen};
use crate::serve::Served;

const UNIT: &str = "µs CPU/request";
const OURS: &str = "our Worker (Rust)";
const FILTERS: &str = "our Worker, filter on";
const THEIRS: &str = "JavaScript, the same work";
const FORWARDS: &str = "JavaScript, forwards only";
const ROUNDS: usize = 7;
const REQUESTS: u64 = 6_000;
const CONNECTIONS: usize = 16;

/// What is asked for, and whether it is a hit.
const TASKS: [(&str, &str, bool); 4] = [
    ("passed through, 1 KiB", "/bytes/1024", false),
    ("passed through, 64 KiB", "/bytes/65536", false),
    ("hit, 1 KiB", "/bytes/1024?cache", true),
    ("hit, 64 KiB", "/bytes/65536?cache", true),
];

/// What a browser sends, and some of what a client may not say.
const FIELDS: [(&str, &str); 13] = [
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "de,en-US;q=0.7,en;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://makenot.work/discover"),
    ("sec-fetch-dest", "document"),
    ("sec-fetch-mode", "navigate"),
    ("sec-fetch-site", "same-origin"),
    ("upgrade-insecure-requests", "1"),
    ("priority", "u=0, i"),
    ("cf-connecting-ip", "203.0.113.7"),
    ("x-forwarded-for", "198.51.100.1"),
    ("x-request-id", "mine"),
];

struct Subject {
    name: &'static str,
    served: Served,
}

/// Measures it. A `quick` run shows only that all of it works.
pub(crate) async fn measure(quick: bool) -> Result<Report, String> {
    let (rounds, requests) = if quick { (1, 50) } else { (ROUNDS, REQUESTS) };
    let subjects = subjects().await?;
    let mut report = Report::new(
        "worker",
        "What does a request cost in workerd alone, by our Worker, with the filter on and off, and by one in JavaScript that does the same work?",
        "cargo measure worker",
    );
    report.versions.insert("workerd".into(), version().unwrap_or_default());
    for (name, _, is_hit) in TASKS {
        for subject in subjects.iter().filter(|subject| !is_hit || subject.name != FORWARDS) {
            report.cases.push(case(name, subject.name, UNIT));
        }
    }
    for round in 0..=rounds {
        let mut cases = report.cases.iter_mut();
        for (task, target, is_hit) in TASKS {
            for subject in subjects.iter().filter(|subject| !is_hit || subject.name != FORWARDS) {
                let load = Load {
                    address: subject.served.address,
                    target: target.to_owned(),
                    fields: FIELDS.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
                    connections: CONNECTIONS,
                    requests,
                    status: StatusCode::OK,
                };
                let gone = || format!("workerd is gone:\n{}", subject.served.log());
                let before = cpu_seconds(subject.served.pid()).ok_or_else(gone)?;
                load.run().await.map_err(|e| format!("{task}, {}: {e}", subject.name))?;
                let used = cpu_seconds(subject.served.pid()).ok_or_else(gone)? - before;
                let case = cases.next().ok_or("a case for each subject")?;
                // The first round warms up.
                if round > 0 {
                    #[expect(clippy::cast_precision_loss, reason = "a few thousand requests")]
                    case.samples.push(used * 1e6 / requests as f64);
                }
            }
        }
        eprintln!("measure  round {round} of {rounds}");
    }
    for subject in &subjects {
        #[expect(clippy::cast_precision_loss, reason = "megabytes")]
        let peak = memory(&[subject.served.pid()]).peak as f64 / f64::from(1 << 20);
        report.cases.push(Case { samples: vec![peak], ..case("peak resident memory", subject.name, "MiB") });
    }
    Ok(report)
}

fn case(name: &str, subject: &str, unit: &str) -> Case {
    Case {
        name: name.to_owned(),
        subject: subject.to_owned(),
        unit: unit.to_owned(),
        less_is_better: true,
        samples: Vec::new(),
    }
}

/// The Workers, each in its workerd, seen to do what they are measured for.
async fn subjects() -> Result<Vec<Subject>, String> {
    let progress = |line: &str| eprintln!("{line}");
    let root = Toolchain::workspace();
    let toolchain = Toolchain::prepare(&root, &progress).map_err(|e| e.to_string())?;
    let bundle = toolchain.build(&Worker::edge(&root), &progress).map_err(|e| e.to_string())?;
    let date = Wrangler::read(&root).map_err(|e| e.to_string())?.compatibility_date;
    let folder = tempfile::tempdir().map_err(|e| format!("a folder: {e}"))?;
    let edge_keys = Credentials::make(folder.path()).map_err(|e| format!("keys: {e}"))?.edge_keys;
    let keys = Arc::new(Keys::parse(&edge_keys).map_err(|e| format!("keys: {e}"))?);
    let (signed, seen) = next_hop::next_hop(Some(keys)).await?;
    let (any, _) = next_hop::next_hop(None).await?;
    let mut subjects = Vec::new();
    let rules = rules(&root, folder.path())?;
    for (name, script) in [(OURS, None), (FILTERS, None), (THEIRS, Some("worker.js")), (FORWARDS, Some("forward.js"))] {
        let modules = match script {
            None => {
                let rules = (name == FILTERS).then_some(rules.as_str());
                let own = bundle.with_rules(rules, &folder.path().join(name.replace([' ', ','], "-")));
                own.map_err(|e| e.to_string())?.folder
            }
            Some(script) => {
                let modules = folder.path().join(script);
                let made = fs::create_dir(&modules);
                let copied =
                    made.and_then(|()| fs::copy(root.join("tests/peers").join(script), modules.join("index.js")));
                copied.map_err(|e| format!("{script}: {e}"))?;
                modules
            }
        };
        let next_hop = if name == FORWARDS { any } else { signed };
        let cache = next_hop::cache().await?;
        let served = Served::start(&toolchain, &date, &modules, &edge_keys, next_hop, cache).await?;
        let subject = Subject { name, served };
        if name != FORWARDS {
            check(&subject, &seen).await.map_err(|e| format!("{name}: {e}\n{}", subject.served.log()))?;
        }
        subjects.push(subject);
    }
    Ok(subjects)
}

/// The rules of the example configuration and those of the example file.
fn rules(root: &Path, folder: &Path) -> Result<String, String> {
    let config = folder.join("filter.toml");
    let text = format!(
        "[filter]\nrules = {:?}\nblock = [\"sqli\"]\n[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"\nfilter_off = [\"/git/\"]\n",
        root.join("deploy/rules.example.toml").display().to_string()
    );
    fs::write(&config, text).map_err(|e| format!("{}: {e}", config.display()))?;
    origin::config::edge_rules(&config).map_err(|e| e.to_string())?.ok_or_else(|| "no rules".to_owned())
}

/// What a Worker sends and says is what it should be: the next hop answers 200 to what is well signed only.
async fn check(subject: &Subject, seen: &Seen) -> Result<(), String> {
    for (_, target, is_hit) in TASKS {
        let (status, said, _) = ask(subject, target).await?;
        if status != 200 || said.contains("; hit") {
            return Err(format!("{target}: {status}, Cache-Status {said:?}"));
        }
        let headers = seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let passed = ["x-forwarded-for", "x-request-id", "cf-connecting-ip"].map(|name| headers.contains_key(name));
        if passed != [false; 3] || !headers.contains_key("traceparent") || !headers.contains_key("sec-fetch-dest") {
            return Err(format!("{target}: it sends {headers:?}"));
        }
        if is_hit {
            hits(subject, target).await?;
        }
    }
    Ok(())
}

/// It hits before long: it stores after it has answered.
async fn hits(subject: &Subject, target: &str) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..40 {
        let (_, said, has_age) = ask(subject, target).await?;
        if has_age && said.contains("; hit; ttl=") && !said.contains("detail") {
            return Ok(());
        }
        last = said;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(format!("{target} is no hit: Cache-Status {last:?}"))
}

/// Status, Cache-Status, and whether there is an Age.
async fn ask(subject: &Subject, target: &str) -> Result<(u16, String, bool), String> {
    let fail = |e: &dyn std::fmt::Display| format!("{target}: {e}");
    let stream = tokio::net::TcpStream::connect(subject.served.address).await.map_err(|e| fail(&e))?;
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.map_err(|e| fail(&e))?;
    tokio::spawn(connection);
    let mut request = http::Request::get(target).header("host", subject.served.address.to_string());
    for (name, value) in FIELDS {
        request = request.header(name, value);
    }
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).map_err(|e| fail(&e))?;
    let response = sender.send_request(request).await.map_err(|e| fail(&e))?;
    let (head, body) = response.into_parts();
    body.collect().await.map_err(|e| fail(&e))?;
    let said = head.headers.get("cache-status").and_then(|said| said.to_str().ok()).unwrap_or_default().to_owned();
    Ok((head.status.as_u16(), said, head.headers.contains_key("age")))
}

fn version() -> Option<String> {
    let text = fs::read_to_string(Toolchain::workspace().join("node_modules/workerd/package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}

fn median(report: &Report, task: &str, subject: &str) -> Option<f64> {
    report.cases.iter().find(|c| c.name == task && c.subject == subject).map(Case::median)
}

/// The page beside the figures.
pub(crate) fn page(report: &Report) -> String {
    let mut text = format!(
        "# Our Worker beside one in JavaScript\n\n{}, {} cores of {}, workerd {}, by `{}`. Medians of the rounds in worker.json, with the lowest and the highest.\n{}",
        report.date,
        report.machine.cores,
        report.machine.cpu,
        report.versions.get("workerd").map_or("", String::as_str),
        report.command,
        report.comparison()
    );
    text.push_str("\n## Ours against the same work in JavaScript\n\n| task | ratio |\n| --- | ---: |\n");
    for (task, _, _) in TASKS {
        if let (Some(ours), Some(theirs)) = (median(report, task, OURS), median(report, task, THEIRS)) {
            // Writing to a String does not fail.
            let _ = writeln!(text, "| {task} | {:.2} |", ours / theirs);
        }
    }
    text.push_str("\n## The filter on against off\n\nThe same Worker with the rules of `deploy/rules.example.toml` and all managed ones, for a browser's request that none of them stops. Medians.\n\n| task | off | on | more |\n| --- | ---: | ---: | ---: |\n");
    for (task, _, _) in TASKS {
        if let (Some(off), Some(on)) = (median(report, task, OURS), median(report, task, FILTERS)) {
            let _ = writeln!(text, "| {task} | {off:.0} µs | {on:.0} µs | {:+.0} µs |", on - off);
        }
    }
    text
}

/// CPU per request as bars.
pub(crate) fn chart(report: &Report) -> String {
    let mut bars = String::new();
    let most = report.cases.iter().filter(|c| c.unit == UNIT).map(Case::median).fold(1.0, f64::max);
    let mut y = 54.0;
    for (task, _, _) in TASKS {
        let _ = writeln!(bars, r#"<text x="12" y="{:.0}" font-weight="bold">{task}</text>"#, y + 4.0);
        y += 12.0;
        for (subject, colour) in [(OURS, "#b5442d"), (FILTERS, "#d98a6f"), (THEIRS, "#3d6c9e"), (FORWARDS, "#8a8a8a")] {
            let Some(cost) = median(report, task, subject) else { continue };
            let width = cost / most * 400.0;
            let _ = writeln!(
                bars,
                r#"<text x="172" y="{:.0}" text-anchor="end">{subject}</text><rect x="178" y="{y:.0}" width="{width:.1}" height="12" fill="{colour}"/><text x="{:.1}" y="{:.0}">{cost:.0} µs</text>"#,
                y + 10.0,
                184.0 + width,
                y + 10.0
            );
            y += 15.0;
        }
        y += 16.0;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"{y:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\">CPU per request in workerd (less is better)</text>\n\
         <text x=\"12\" y=\"38\">{}, {} cores of {}</text>\n{bars}</svg>\n",
        report.date, report.machine.cores, report.machine.cpu
    )
}
