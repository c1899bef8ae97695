//! `cargo faults`: what faults cost, of the gateway beside nginx and HAProxy where they are installed. Writes docs/benchmarks/faults.json and the
//! table of docs/faults.md. Bounded: about eight minutes.
//!
//! One experiment after the other, each with one subject after the other; everything is on loopback and ends with this process. Words
//! that are given select experiments by their names, and then nothing is written.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use stack::faults::app::App;
use stack::faults::attack::Attack;
use stack::faults::pace::{Outcome, Pace};
use stack::faults::proxy::{Kind, Proxy, Setup};
use stack::faults::streams::Over;
use stack::faults::{self, Hole, Slow, SlowHeads};
use stack::report::{Case, Report};
use stack::toolchain::Toolchain;

const KINDS: [Kind; 3] = [Kind::Gateway, Kind::Nginx, Kind::Haproxy];
/// How the experiments' names begin. Each is done with all subjects before the next, so that the machine's moods meet them alike.
const ROWS: [&str; 13] =
    ["4 ", "5 ", "6 ", "9 4000", "9 10000", "11 ", "12 ", "13 ", "18 ", "19 ", "20 ", "21 ", "24 "];
/// What the table in docs/faults.md stands between.
const MARKS: (&str, &str) = ("<!-- cargo faults writes from here -->\n", "<!-- to here -->\n");

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match Run::new(words).all().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo faults: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Run {
    words: Vec<String>,
    /// The one whose turn it is.
    row: &'static str,
    report: Report,
    began: Instant,
    kinds: Vec<Kind>,
    descriptors: usize,
}

impl Run {
    fn new(words: Vec<String>) -> Self {
        let mut report = Report::new(
            "faults",
            "What do faults of clients and apps cost those who do nothing wrong?",
            "cargo faults",
        );
        let mut kinds = Vec::new();
        for kind in KINDS {
            match kind.version() {
                Some(version) => {
                    report.versions.insert(kind.as_str().to_owned(), version);
                    kinds.push(kind);
                }
                None => eprintln!("faults   {} is not installed: left out", kind.as_str()),
            }
        }
        Self { words, row: "", report, began: Instant::now(), kinds, descriptors: faults::raise_descriptors() }
    }

    /// Whether an experiment is wanted; says that it begins.
    fn wants(&self, row: &str) -> bool {
        let wanted = self.words.is_empty() || self.words.iter().any(|word| row.contains(word.as_str()));
        let wanted = wanted && row.starts_with(self.row);
        if wanted {
            eprintln!("faults   {:>4.0} s  {row}", self.began.elapsed().as_secs_f64());
        }
        wanted
    }

    fn note(&mut self, name: &str, kind: Kind, unit: &str, less_is_better: bool, figure: f64) {
        eprintln!("faults            {name}, {}: {figure:.3} {unit}", kind.as_str());
        let subject = kind.as_str().to_owned();
        let same = |case: &&mut Case| case.name == name && case.subject == subject && case.unit == unit;
        if let Some(case) = self.report.cases.iter_mut().find(same) {
            return case.samples.push(figure);
        }
        let (name, unit) = (name.to_owned(), unit.to_owned());
        self.report.cases.push(Case { name, subject, unit, less_is_better, samples: vec![figure] });
    }

    async fn all(mut self) -> Result<(), String> {
        for row in ROWS {
            self.row = row;
            for kind in self.kinds.clone() {
                self.one(kind).await?;
            }
        }
        if self.words.is_empty() {
            let root = Toolchain::workspace();
            self.report.write(&root.join("docs/benchmarks")).map_err(|e| format!("docs/benchmarks: {e}"))?;
            let page = root.join("docs/faults.md");
            let text = std::fs::read_to_string(&page).map_err(|e| format!("{}: {e}", page.display()))?;
            std::fs::write(&page, put(&text, &table(&self.report)).ok_or("docs/faults.md has lost its marks")?)
                .map_err(|e| format!("{}: {e}", page.display()))?;
        }
        println!("{}", table(&self.report));
        Ok(())
    }

    async fn one(&mut self, kind: Kind) -> Result<(), String> {
        let app = App::start().await.map_err(|e| e.to_string())?;
        let setup = Setup::before(app.address);
        let fresh = || tokio::task::block_in_place(|| Proxy::start(kind, &setup));
        let name = kind.as_str();
        if self.wants(&format!("4 killed and started again: {name}")) {
            let mut proxy = fresh()?;
            for _ in 0..5 {
                let seconds = faults::killed(&mut proxy).await?;
                self.note("4 killed and started again: until the first good answer", kind, "ms", true, seconds * 1e3);
            }
        }
        if self.wants(&format!("6 an app that is a black hole: {name}")) {
            let hole = Hole::new().await.map_err(|e| e.to_string())?;
            let setup = Setup { hole: hole.address, ..setup.clone() };
            let proxy = tokio::task::block_in_place(|| Proxy::start(kind, &setup))?;
            let (lost, before, during) = faults::hole(&proxy, 5).await;
            let status = lost.by_status.keys().copied().max().unwrap_or_default();
            let row = "6 black hole, with 3 s to connect";
            self.note(&format!("{row}: until its answer, the slowest"), kind, "ms", true, lost.quantile(status, 1.0));
            self.note(&format!("{row}: its status"), kind, "status", true, f64::from(status));
            self.note(&format!("{row}: p99 of another site before"), kind, "ms", true, before.p99());
            self.note(&format!("{row}: p99 of another site meanwhile"), kind, "ms", true, during.p99());
            self.failures(row, kind, &during);
        }
        for count in [4_000, 10_000] {
            // One each for us, and one of a proxy's.
            if count * 2 > self.descriptors * 2 - 4_000 || !self.wants(&format!("9 {count} slow heads: {name}")) {
                continue;
            }
            let proxy = fresh()?;
            let row = format!("9 {count} slow heads, with 10 s for a head");
            let before = Pace::good(proxy.http1, 3).run().await;
            self.note(&format!("{row}: p99 of good traffic before"), kind, "ms", true, before.p99());
            let slow = SlowHeads::open(proxy.http1, count).await;
            self.note(&format!("{row}: connections held"), kind, "connections", false, float(slow.len()));
            let (good, ()) = tokio::join!(Pace::good(proxy.http1, 4).run(), async {
                for _ in 0..4 {
                    slow.drip(Duration::from_secs(1)).await;
                }
            });
            self.note(&format!("{row}: p99 of good traffic meanwhile"), kind, "ms", true, good.p99());
            self.failures(&row, kind, &good);
            let closed = slow.closed(Duration::from_secs(40)).await.unwrap_or(f64::INFINITY);
            self.note(&format!("{row}: until nine of ten are closed"), kind, "s", true, closed);
        }
        let slow = [
            (Slow::Download, 1, "50 MB read by 1 client that stops"),
            (Slow::Download, 50, "50 MB read by 50 clients that stop"),
            (Slow::Download2, 50, "the same over HTTP/2"),
            (Slow::Upload, 50, "50 MB sent by 50 clients to an app that takes nothing"),
            (Slow::Upload2, 50, "the same over HTTP/2, 48 KiB each"),
        ];
        for (how, count, what) in slow {
            if self.wants(&format!("11 {what}: {name}")) {
                let proxy = fresh()?;
                let grown = faults::slow(&proxy, how, count, 3).await;
                self.note(&format!("11 {what}: memory grown by"), kind, "MiB", true, grown);
            }
        }
        for attack in Attack::ALL {
            if self.wants(&format!("12 {}: {name}", attack.as_str())) {
                let proxy = fresh()?;
                let cost = faults::attacked(&proxy, attack, 3).await;
                let row = format!("12 {}", attack.as_str());
                self.note(&format!("{row}: CPU seconds a second"), kind, "s/s", true, cost.cpu);
                self.note(&format!("{row}: memory grown by"), kind, "MiB", true, cost.memory);
                self.note(&format!("{row}: p99 of good traffic meanwhile"), kind, "ms", true, cost.p99);
                self.note(&format!("{row}: good requests that failed"), kind, "of 300", true, float(cost.good.1));
                self.note(
                    &format!("{row}: connections that it took"),
                    kind,
                    "in 3 s",
                    true,
                    float64(cost.defence.connections),
                );
            }
        }
        if self.wants(&format!("13 five times the load that the app can carry: {name}")) {
            let proxy = fresh()?;
            let (peak, over) = faults::overload(&proxy, "/work/10", 1000, 6).await;
            let row = "13 five times what the app can carry";
            self.note(
                &format!("{row}: answered at a fifth of it"),
                kind,
                "% in 1 s",
                false,
                share(peak.count(200), peak.sent),
            );
            self.note(
                &format!("{row}: goodput of all, of the peak"),
                kind,
                "%",
                false,
                share(over.count(200), peak.count(200)),
            );
            self.note(&format!("{row}: refused with 503"), kind, "%", false, share(over.count(503), over.sent));
            self.note(&format!("{row}: p99 until 503"), kind, "ms", true, over.quantile(503, 0.99));
            self.note(&format!("{row}: median until 503"), kind, "ms", true, over.quantile(503, 0.5));
            self.note(&format!("{row}: p99 until 200"), kind, "ms", true, over.p99());
        }
        if kind == Kind::Gateway && self.wants("18 256 file descriptors: gateway") {
            let setup = Setup { descriptors: Some(256), head: Duration::from_secs(30), ..setup.clone() };
            let proxy = tokio::task::block_in_place(|| Proxy::start(kind, &setup))?;
            let (cpu, lines) = (proxy.cpu(), proxy.lines());
            let held = SlowHeads::open(proxy.http1, 400).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.note(
                "18 400 connections with 256 descriptors: CPU seconds a second",
                kind,
                "s/s",
                true,
                (proxy.cpu() - cpu) / 3.0,
            );
            self.note(
                "18 400 connections with 256 descriptors: log lines a second",
                kind,
                "lines/s",
                true,
                float(proxy.lines() - lines) / 3.0,
            );
            drop(held);
            let began = Instant::now();
            let once = Pace { per_second: 100, time: Duration::from_millis(50), ..Pace::good(proxy.http1, 1) };
            while once.run().await.failed() > 0 && began.elapsed() < Duration::from_secs(20) {}
            self.note(
                "18 400 connections with 256 descriptors: until it serves again",
                kind,
                "ms",
                true,
                began.elapsed().as_secs_f64() * 1e3,
            );
        }
        self.streams_and_slow_answers(kind, &app, &setup).await?;
        if self.wants(&format!("24 slow database: {name}")) {
            let proxy = fresh()?;
            let [before, slow] = faults::slow_database(&proxy, 200, 15).await;
            let row = "24 database 400 ms slower, 200 requests/s";
            self.note(&format!("{row}: p99 before"), kind, "ms", true, before.p99());
            self.note(&format!("{row}: p99 meanwhile"), kind, "ms", true, slow.p99());
            self.note(&format!("{row}: refused"), kind, "%", true, float(slow.failed()) * 100.0 / float(slow.sent));
        }
        if self.wants(&format!("21 app gone for 5 s: {name}")) {
            let mut own = App::start().await.map_err(|e| e.to_string())?;
            let setup = Setup::before(own.address);
            let proxy = tokio::task::block_in_place(|| Proxy::start(kind, &setup))?;
            for _ in 0..3 {
                let seconds;
                (seconds, own) = faults::recovered(&proxy, own, Duration::from_secs(5)).await?;
                self.note("21 app gone for 5 s: until an answer, once it listens", kind, "ms", true, seconds * 1e3);
            }
        }
        if self.wants(&format!("5 app killed for 1 s: {name}")) {
            let proxy = fresh()?;
            let (outcome, _app) = faults::app_killed(&proxy, app).await?;
            self.note("5 app killed for 1 s of 4: failed of 800", kind, "requests", true, float(outcome.failed()));
        }
        Ok(())
    }

    async fn streams_and_slow_answers(&mut self, kind: Kind, app: &App, setup: &Setup) -> Result<(), String> {
        // We are app and subscribers: with a connection each that is two descriptors here, and two of a proxy's.
        let free = self.descriptors.saturating_sub(1_000);
        let (name, kinds) = (kind.as_str(), [(Over::Http1, free / 2, ""), (Over::Http2, free, " over HTTP/2")]);
        let fresh = || tokio::task::block_in_place(|| Proxy::start(kind, setup));
        for (over, most, how) in kinds {
            let count = most.min(10_000);
            let row = format!("19 {count} event streams{how}");
            if !self.wants(&format!("{row}: {name}")) {
                continue;
            }
            let proxy = fresh()?;
            let cost = faults::streams::subscribed(&proxy, app, over, count).await?;
            self.note(&format!("{row}: memory for each"), kind, "KiB", true, cost.memory);
            self.note(&format!("{row}: an event to one of them"), kind, "µs CPU", true, cost.event);
            for last in cost.last {
                self.note(&format!("{row}: until the last has an event"), kind, "ms", true, last);
            }
            let [before, meanwhile] = cost.good;
            self.note(&format!("{row}: p99 of good traffic before"), kind, "ms", true, before.p99());
            self.note(&format!("{row}: p99 of good traffic meanwhile"), kind, "ms", true, meanwhile.p99());
            self.failures(&row, kind, &meanwhile);
        }
        if self.wants(&format!("20 2000 requests/s, of which 1 % take 2 s: {name}")) {
            let proxy = fresh()?;
            let row = "20 2000 requests/s, of which 1 % take 2 s";
            for _ in 0..3 {
                let [before, meanwhile] = faults::one_of_a_hundred_slow(&proxy, 2_000, 5).await;
                self.note(&format!("{row}: p99 of the others before"), kind, "ms", true, before.p99());
                self.note(&format!("{row}: p99 of the others meanwhile"), kind, "ms", true, meanwhile.p99());
                self.failures(row, kind, &meanwhile);
            }
        }
        Ok(())
    }

    fn failures(&mut self, row: &str, kind: Kind, good: &Outcome) {
        self.note(&format!("{row}: good requests that failed"), kind, "%", true, share(good.failed(), good.sent));
    }
}

fn share(part: usize, of: usize) -> f64 {
    100.0 * float(part) / float(of)
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn float(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn float64(n: u64) -> f64 {
    n as f64
}

/// A row a figure, a column a subject.
fn table(report: &Report) -> String {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for case in &report.cases {
        if !rows.contains(&(case.name.as_str(), case.unit.as_str())) {
            rows.push((&case.name, &case.unit));
        }
    }
    rows.sort_by_key(|(name, _)| name.split(' ').next().and_then(|n| n.parse::<u32>().ok()));
    let mut table = format!(
        "{}, {} cores, {}; {}.\n\n| row | figure | unit | gateway | nginx | HAProxy |\n| --- | --- | --- | ---: | ---: | ---: |\n",
        report.date,
        report.machine.cores,
        report.machine.kernel,
        KINDS
            .map(|kind| format!("{} {}", kind.as_str(), report.versions.get(kind.as_str()).map_or("–", String::as_str)))
            .join(", "),
    );
    for (name, unit) in rows {
        let figures = KINDS.map(|kind| {
            let found = report.cases.iter().find(|c| c.name == name && c.unit == unit && c.subject == kind.as_str());
            found.map_or_else(|| "–".to_owned(), |case| shown(case.median()))
        });
        let (row, figure) = name.split_once(' ').unwrap_or(("", name));
        table.push_str(&format!("| {row} | {figure} | {unit} | {} |\n", figures.join(" | ")));
    }
    table
}

/// Three digits, or more before the point.
fn shown(figure: f64) -> String {
    match figure {
        f if f.is_nan() => "–".to_owned(),
        f if f.is_infinite() => "never".to_owned(),
        f if f.abs() >= 100.0 || f.fract() == 0.0 => format!("{f:.0}"),
        f if f.abs() >= 10.0 => format!("{f:.1}"),
        f => format!("{f:.2}"),
    }
}

/// The page with another table.
fn put(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(MARKS.0)?;
    let (_, after) = rest.split_once(MARKS.1)?;
    Some(format!("{before}{}\n{table}\n{}{after}", MARKS.0, MARKS.1))
}
