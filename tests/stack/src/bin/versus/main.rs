//! `cargo versus`: the gateway beside nginx, HAProxy, Caddy and Pingora, each doing the same work on this machine, in turns.
//!
//! Load comes from the same cores, so what is compared is CPU per request and memory; wall time says more about the load generator
//! than about who serves. docs/benchmarks/README.md says what is measured and how; the proxies' configurations are in tests/peers/.

mod chart;
mod ground;
mod h2load;
mod parts;
mod peer;
mod pingora;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stack::report::Report;
use stack::toolchain::Toolchain;

use ground::Ground;
use parts::{Bench, Part, Size};
use peer::Proxy;

/// Idle connections of a quick run.
const QUICK_IDLE: usize = 50;

/// Measures the gateway beside other proxies, and writes docs/benchmarks/versus.json, .md and .svg.
#[derive(Parser)]
#[command(
    name = "cargo versus",
    bin_name = "cargo versus",
    version,
    max_term_width = 100,
    after_help = "Examples:
  cargo versus                                     everything, about 10 minutes on a quiet machine
  cargo versus --only origin,nginx --sizes 1k --parts cpu
  cargo versus --quick                             only whether it works: figures mean nothing"
)]
struct Arguments {
    /// Whom to measure
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PROXY,…")]
    only: Vec<Proxy>,
    /// Sizes of the app's answers
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SIZE,…", default_value = "1k,64k,1m")]
    sizes: Vec<Size>,
    /// What to measure
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "PART,…",
        default_value = "cpu,memory,latency,idle,http2,hits"
    )]
    parts: Vec<Part>,
    /// Rounds of each, after one to warm up
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Idle connections to hold
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Where to write; without it only a run of everything writes, to docs/benchmarks
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// One short round of everything, without Pingora
    #[arg(long)]
    quick: bool,
}

impl Arguments {
    /// Whether its figures may stand for the whole comparison.
    fn is_everything(&self) -> bool {
        let (sizes, parts) = (Size::value_variants(), Part::value_variants());
        !self.quick
            && self.only.is_empty()
            && sizes.iter().all(|size| self.sizes.contains(size))
            && parts.iter().all(|part| self.parts.contains(part))
    }
}

fn main() -> ExitCode {
    let began = Instant::now();
    match versus(&Arguments::parse()) {
        Ok(failures) => {
            eprintln!("versus   done in {} s", began.elapsed().as_secs());
            for failure in &failures {
                eprintln!("versus   left out: {failure}");
            }
            if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("cargo versus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn versus(arguments: &Arguments) -> Result<Vec<String>, String> {
    let progress = |line: &str| eprintln!("{line}");
    let files = raise_file_limit();
    let proxies = match arguments.only.as_slice() {
        [] if arguments.quick => Proxy::value_variants().iter().copied().filter(|p| *p != Proxy::Pingora).collect(),
        [] => Proxy::value_variants().to_vec(),
        only => only.to_vec(),
    };
    let (ground, mut failures) = Ground::prepare(&proxies, arguments.quick, &progress)?;
    let mut report = Report::new(
        "versus",
        "What do the gateway and other proxies need for the same work?",
        &format!("cargo versus{}", shown_arguments()),
    );
    report.versions.extend(ground.versions());
    // Room for what else a process has open.
    let room = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(500);
    let wanted = if arguments.quick { QUICK_IDLE } else { arguments.idle };
    if room < wanted {
        failures.push(format!("{} of {wanted} idle connections: the limit of open files is {files}", wanted - room));
    }
    let usual = arguments.is_everything().then(|| Toolchain::workspace().join("docs/benchmarks"));
    let out = arguments.out.clone().or(usual);
    let mut bench = Bench {
        proxies: ground.ready(&proxies),
        sizes: arguments.sizes.clone(),
        rounds: if arguments.quick { 1 } else { arguments.rounds.max(1) },
        idle: wanted.min(room),
        quick: arguments.quick,
        ground: &ground,
        report,
        failures,
    };
    bench.check()?;
    for part in Part::value_variants().iter().filter(|part| arguments.parts.contains(part)) {
        bench.run(*part)?;
        if let Some(out) = &out {
            write(&bench.report, out).map_err(|e| format!("{}: {e}", out.display()))?;
            eprintln!("versus   written to {}", out.display());
        }
    }
    println!("{}", bench.report.comparison());
    Ok(bench.failures)
}

fn shown_arguments() -> String {
    std::env::args().skip(1).fold(String::new(), |all, one| all + " " + &one)
}

fn write(report: &Report, folder: &std::path::Path) -> std::io::Result<()> {
    report.write(folder)?;
    let head = format!(
        "# {}\n\nWritten by `{}` on {}, {} cores of {}, {}. Medians, with the lowest and highest round; raw figures in \
         [versus.json](versus.json), what they mean in [README.md](README.md).\n\n![CPU per request, nginx = 1](versus.svg)\n",
        report.question, report.command, report.date, report.machine.cores, report.machine.cpu, report.machine.kernel
    );
    let versions: String = report.versions.iter().map(|(name, version)| format!("- {name}: {version}\n")).collect();
    std::fs::write(folder.join("versus.md"), format!("{head}\n{}\n## Versions\n\n{versions}", report.comparison()))?;
    std::fs::write(folder.join("versus.svg"), chart::relative_cpu(report))
}

/// As many open files as may be, for us and all that we start; says how many.
fn raise_file_limit() -> u64 {
    const WANTED: u64 = 65_536;
    let now = getrlimit(Resource::Nofile);
    let (soft, hard) = (now.current.unwrap_or(WANTED), now.maximum.unwrap_or(WANTED));
    for limit in [WANTED, hard] {
        let raised = Rlimit { current: Some(limit), maximum: Some(limit.max(hard)) };
        if limit >= soft && setrlimit(Resource::Nofile, raised).is_ok() {
            return limit;
        }
    }
    soft
}
