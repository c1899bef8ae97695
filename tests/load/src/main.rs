//! `cargo load`. Exit codes: 0 all objectives kept, 1 one broken, 2 wrong usage, scenario or target, 3 it could not run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, Parser, Subcommand};
use load::compare::{Verdict, compare, rounds_that_tell};
use load::face::{self, Progress};
use load::knee::Search;
use load::local::Local;
use load::outcome::Outcome;
use load::peer::Kind;
use load::report::Report;
use load::scenario::{SHIPPED, Scenario};
use load::target::Target;
use load::{Session, is_interrupted};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Mutex;

/// Load tests: requests leave when they are due, whether or not earlier ones were answered, and are timed from then.
#[derive(Parser)]
#[command(
    name = "cargo load",
    bin_name = "cargo load",
    version,
    max_term_width = 100,
    after_help = "Examples:
  cargo load scenarios                              what there is, and what each asks
  cargo load run steady-week --stack                on this machine, with everything started for it
  cargo load run launch-day --stack --scale 0.2     with a fifth of the rates
  cargo load run launch-day --against staging.toml --yes-load staging.example
  cargo load knee launch-day --stack                the highest rate that keeps the objectives, and what had no more to give
  cargo load soak steady-week --stack --rate 200 --lasts 30m
  cargo load compare before.json after.json

A run writes a report (HTML) and its figures (JSON) into target/load/. docs/load.md says how to read them.
Exit codes: 0 objectives kept, 1 one broken, 2 wrong usage, 3 could not run."
)]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Run a scenario: one of those that come with the tool, or a file
    Run {
        #[command(flatten)]
        whom: Whom,
        /// How often, for `compare`: five to seven tell noise from difference, more where there are many routes
        #[arg(long, default_value_t = 1)]
        rounds: usize,
        /// Multiplies all rates
        #[arg(long, default_value_t = 1.0)]
        scale: f64,
        /// Divides all times of phases and faults
        #[arg(long, default_value_t = 1.0)]
        faster: f64,
    },
    /// Search for the highest rate that keeps a scenario's objectives, its faults included
    Knee {
        #[command(flatten)]
        whom: Whom,
        /// The first rate, in requests a second
        #[arg(long, default_value_t = 50.0)]
        from: f64,
        /// The highest that is tried
        #[arg(long, default_value_t = 20_000.0)]
        to: f64,
        /// How long each rate is held; four times as long where the scenario has faults
        #[arg(long, default_value = "20s")]
        each: humantime::Duration,
        /// How close to come, as in 0.05
        #[arg(long, default_value_t = 0.05)]
        within: f64,
    },
    /// Hold a rate for long, and look for growth of memory, descriptors, threads and tasks
    Soak {
        #[command(flatten)]
        whom: Whom,
        /// In requests a second: seven tenths of the knee are usual
        #[arg(long)]
        rate: f64,
        /// For how long
        #[arg(long, default_value = "30m")]
        lasts: humantime::Duration,
    },
    /// Whether B differs from A by more than their rounds differ among themselves; exit code 1 where B is worse
    Compare {
        /// The JSON of a run
        a: PathBuf,
        /// The JSON of another
        b: PathBuf,
    },
    /// What scenarios there are, and what each asks
    Scenarios,
    /// Whether a request costs more, the more the gateway keeps; writes docs/benchmarks/growth.json
    Growth {
        /// Only whether it works: the least of each, and figures that mean nothing
        #[arg(long)]
        quick: bool,
        /// Where to write
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// How many requests reach gateway and app for audiences of many sizes, by the real engine; writes docs/benchmarks/audience.json
    Audience {
        /// Only whether it works: the smallest audiences
        #[arg(long)]
        quick: bool,
        /// Where to write
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// The knee of each scenario, through the gateway, nginx and HAProxy; writes docs/benchmarks/limits.json, in over an hour
    Limits {
        /// Scenarios [default: all that come with the tool]
        scenarios: Vec<String>,
        /// Only whether it works: one scenario at one rate, and figures that mean nothing
        #[arg(long)]
        quick: bool,
        /// Where to write
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
    /// Make the pages of docs/benchmarks anew, from its figures
    Site,
}

#[derive(Args)]
struct Whom {
    /// A scenario's name or file
    scenario: String,
    /// Start the whole site on this machine, built as it is deployed
    #[arg(long, conflicts_with = "against")]
    stack: bool,
    /// The same, built without optimising: whether it works, not how fast it is
    // clap leaves out what is required where it conflicts with what is there.
    #[arg(long, requires = "stack", conflicts_with = "against")]
    quick: bool,
    /// Come as Cloudflare's edge does: by TLS with the zone's certificate and the edge's signature
    #[arg(long, requires = "stack", conflicts_with = "against")]
    as_edge: bool,
    /// Put nginx or HAProxy before the stack's app, in the gateway's place
    #[arg(long, value_name = "PEER", requires = "stack", conflicts_with_all = ["as_edge", "against"])]
    through: Option<Kind>,
    /// A server on this machine, or a file that describes one and says that it may be loaded
    #[arg(long, value_name = "URL|FILE", required_unless_present = "stack")]
    against: Option<String>,
    /// A host that may be loaded; its file must say so too
    #[arg(long, value_name = "HOST")]
    yes_load: Vec<String>,
    /// A process of this machine to watch
    #[arg(long, value_name = "NAME=PID", value_parser = process)]
    pid: Vec<(String, u32)>,
    /// HTTP/2 instead of what the target's file says
    #[arg(long)]
    http2: bool,
    /// Where report and figures go, without an extension [default: target/load/SCENARIO]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
}

/// As many open files as may be: each connection is one.
fn raise_file_limit() {
    let now = getrlimit(Resource::Nofile);
    // What the system refuses shows as connections that can't be opened.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
}

fn process(text: &str) -> Result<(String, u32), String> {
    let parts = text.split_once('=').and_then(|(name, pid)| Some((name.to_owned(), pid.parse().ok()?)));
    parts.ok_or_else(|| "write NAME=PID, as in gateway=1234".to_owned())
}

/// Why there is no outcome.
enum Failure {
    Usage(String),
    Run(String),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match act(arguments.command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(Failure::Usage(error)) => {
            eprintln!("cargo load: {error}");
            ExitCode::from(2)
        }
        Err(Failure::Run(error)) => {
            eprintln!("cargo load: {error}");
            ExitCode::from(3)
        }
    }
}

async fn act(command: What) -> Result<bool, Failure> {
    let progress = Progress::default();
    let on_second = |second: &load::outcome::Second| progress.second(second);
    let (whom, outcome) = match command {
        What::Scenarios => {
            for (name, text) in SHIPPED {
                let scenario = Scenario::parse(name, text).map_err(Failure::Run)?;
                let seconds = scenario.lasts().as_secs();
                println!("{name} ({} min {} s)\n    {}\n", seconds / 60, seconds % 60, scenario.asks);
            }
            return Ok(true);
        }
        What::Growth { quick, out } => {
            raise_file_limit();
            let report = unless_interrupted(load::growth::measure(quick)).await;
            report.iter().for_each(|report| println!("\n{}", load::growth::table(report)));
            return written(report, quick, out);
        }
        What::Limits { scenarios, quick, out } => {
            scenarios.iter().try_for_each(|name| Scenario::open(name).map(drop)).map_err(Failure::Usage)?;
            raise_file_limit();
            return written(unless_interrupted(load::limits::measure(&scenarios, quick)).await, quick, out);
        }
        What::Audience { quick, out } => {
            let report = load::audience::measure(quick);
            report.iter().for_each(|report| println!("{}", load::audience::tables::tables(report).join("\n")));
            return written(report, quick, out);
        }
        What::Site => {
            let folder = load::local::workspace().join("docs/benchmarks");
            let pages = load::site::pages(&folder).map_err(Failure::Run)?;
            let written = std::fs::create_dir_all(folder.join("site")).and_then(|()| {
                pages.iter().try_for_each(|(name, page)| std::fs::write(folder.join("site").join(name), page))
            });
            written.map_err(|e| Failure::Run(format!("{}: {e}", folder.display())))?;
            println!("{} pages in {}", pages.len(), folder.join("site").display());
            return Ok(true);
        }
        What::Compare { a, b } => return compared(&a, &b),
        What::Run { whom, rounds, scale, faster } => {
            let positive = [scale, faster].iter().all(|factor| factor.is_finite() && *factor > 0.0);
            if rounds == 0 || !positive {
                return Err(Failure::Usage("--rounds is 1 or more, --scale and --faster are above 0".to_owned()));
            }
            let session = whom.session(|scenario| scenario.scaled(scale, faster)).await?;
            let outcome = session.run(rounds, &on_second).await;
            (whom, end(session, outcome).await?)
        }
        What::Knee { whom, from, to, each, within } => {
            if !(from > 0.0 && to >= from && within > 0.0) || each.as_secs() < 4 {
                let right = "--from is above 0, --to not below it, --within above 0 and --each 4s or more";
                return Err(Failure::Usage(right.to_owned()));
            }
            let search = Search { from, to, each: *each, within };
            let within_bounds = |scenario: Scenario| {
                let held = search.may_try(&scenario);
                held.map_err(|what| {
                    format!(
                        "--to {to} with --each {each}, four times that with faults, and a quarter to warm up: {what}"
                    )
                })?;
                Ok(scenario)
            };
            let session = whom.session(within_bounds).await?;
            let outcome = session.knee(search, &on_second, &|tried| progress.step(tried)).await;
            (whom, end(session, outcome).await?)
        }
        What::Soak { whom, rate, lasts } => {
            if !(rate.is_finite() && rate > 0.0) || lasts.as_secs() < 20 {
                return Err(Failure::Usage("--rate is above 0, --lasts is 20s or more".to_owned()));
            }
            let within = |scenario: Scenario| {
                let held = scenario.may_hold(rate, *lasts);
                held.map_err(|what| format!("--rate {rate} with --lasts {lasts}: {what}"))?;
                Ok(scenario)
            };
            let session = whom.session(within).await?;
            if let Some(missing) = load::soak_is_missing(&session.target) {
                return Err(Failure::Usage(missing));
            }
            let outcome = session.soak(rate, *lasts, &on_second).await;
            (whom, end(session, outcome).await?)
        }
    };
    progress.rest();
    println!("{}", face::summary(&outcome));
    let out = whom.out();
    let figures = with_extension(&out, "json");
    outcome.write(&figures).map_err(Failure::Run)?;
    let report = with_extension(&out, "html");
    load::page::write(&outcome, &report).map_err(Failure::Run)?;
    println!("report:  {}\nfigures: {}", report.display(), figures.display());
    Ok(outcome.kept())
}

/// Added, and not in place of what comes after a dot: `v1.2` and `v1.3` are two runs.
fn with_extension(path: &std::path::Path, extension: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".");
    path.push(extension);
    path.into()
}

/// Waits for Ctrl-C, or SIGTERM, as a CI sends it to what takes too long.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        result = tokio::signal::ctrl_c() => if result.is_err() { std::future::pending::<()>().await },
        _ = term.recv() => {}
    }
}

/// What a measurement has started goes with it.
async fn unless_interrupted(measured: impl Future<Output = Result<Report, String>>) -> Result<Report, String> {
    tokio::select! {
        report = measured => report,
        () = interrupted() => Err("interrupted: nothing is written".to_owned()),
    }
}

/// Writes a benchmark's figures to docs/benchmarks, where they are meant.
fn written(report: Result<Report, String>, quick: bool, out: Option<PathBuf>) -> Result<bool, Failure> {
    let report = report.map_err(Failure::Run)?;
    println!("{}", report.comparison());
    let usual = || load::local::workspace().join(if quick { "target/load" } else { "docs/benchmarks" });
    let out = out.unwrap_or_else(usual);
    report.write(&out).map_err(|e| Failure::Run(format!("{}: {e}", out.display())))?;
    Ok(true)
}

fn compared(a: &std::path::Path, b: &std::path::Path) -> Result<bool, Failure> {
    let read = |path| Outcome::read(path).map_err(Failure::Usage);
    let (first, second) = (read(a)?, read(b)?);
    if first.title != second.title {
        let titles = format!("A is `{}`, B is `{}`", first.title, second.title);
        return Err(Failure::Usage(format!("{titles}: only runs of one scenario can be compared")));
    }
    if !first.asks_like(&second) {
        let differ = format!("A is a {}, B is a {}", first.asked(), second.asked());
        return Err(Failure::Usage(format!("{differ}: only what was asked alike can be compared")));
    }
    if let Some(ended) = [a, b].into_iter().zip([&first, &second]).find(|(_, outcome)| outcome.ended_early) {
        return Err(Failure::Usage(format!("{} ended early: run it again", ended.0.display())));
    }
    let found = compare(&first, &second);
    println!("A {}\nB {}\n\n{}", a.display(), b.display(), face::comparison(&found));
    let has = |verdict| found.iter().any(|one| one.verdict == verdict);
    if has(Verdict::TooFew) {
        let (figures, rounds) = (found.len(), rounds_that_tell(found.len()));
        let right = format!("of {figures} figures, run each with --rounds {rounds} or more");
        return Err(Failure::Usage(format!("too few rounds to tell: {right}")));
    }
    Ok(!has(Verdict::Worse))
}

/// Takes the stack down, whatever came of it.
async fn end(session: Session, outcome: Result<Outcome, String>) -> Result<Outcome, Failure> {
    if let Some(stack) = session.stack.and_then(Arc::into_inner) {
        stack.into_inner().stop().await;
    }
    outcome.map_err(Failure::Run)
}

impl Whom {
    async fn session(&self, change: impl FnOnce(Scenario) -> Result<Scenario, String>) -> Result<Session, Failure> {
        let mut scenario = Scenario::open(&self.scenario).and_then(change).map_err(Failure::Usage)?;
        if let Some(peer) = self.through {
            if scenario.purges() {
                let what = format!("{}: purges the cache, which {} has no request for", self.scenario, peer.as_str());
                return Err(Failure::Usage(format!("{what}: leave out --through, or take another scenario")));
            }
            scenario = scenario.unverified();
        }
        raise_file_limit();
        let mut stack = None;
        let mut target = match &self.against {
            Some(against) => Target::open(against, &self.yes_load).map_err(Failure::Usage)?,
            None => {
                let local = async {
                    let mut local = Local::start(self.quick, "").await?;
                    if let Some(peer) = self.through {
                        local.through(peer).await?;
                    }
                    Ok(local)
                };
                let local = tokio::select! {
                    local = local => local,
                    () = interrupted() => Err("interrupted: nothing was measured".to_owned()),
                };
                let local = local.map_err(Failure::Run)?;
                let target = local.target(self.as_edge).map_err(Failure::Run)?;
                stack = Some(Arc::new(Mutex::new(local)));
                target
            }
        };
        target.processes.extend(self.pid.iter().cloned());
        if self.http2 {
            target.http = Some(2);
        }
        if let Some(missing) = load::is_missing(&scenario, &target, stack.is_some()) {
            return Err(Failure::Usage(missing));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        tokio::spawn(async move {
            loop {
                interrupted().await;
                // The second one does not wait for what is under way.
                if is_interrupted(&asked) {
                    eprintln!(
                        "cargo load: ended at once. What faults have begun, and what --stack has started, may still be there"
                    );
                    std::process::exit(3);
                }
                eprintln!("cargo load: ending, and undoing what faults have begun; once more ends at once");
                asked.store(true, Ordering::Relaxed);
            }
        });
        Ok(Session { scenario, target, yes: self.yes_load.clone(), stack, stop })
    }

    fn out(&self) -> PathBuf {
        let name = std::path::Path::new(&self.scenario).file_stem().unwrap_or_default();
        self.out.clone().unwrap_or_else(|| load::local::workspace().join("target/load").join(name))
    }
}
