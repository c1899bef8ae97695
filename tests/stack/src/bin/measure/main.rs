//! `cargo measure`: what a request costs, in CPU of who carries it. Writes docs/benchmarks/path.json, hand-off.json, telemetry.json, or
//! worker.json, .md and .svg.

mod hand_off;
mod next_hop;
mod path;
mod serve;
mod telemetry;
mod worker;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use stack::toolchain::Toolchain;

/// Measures what a request costs, in CPU of who carries it.
#[derive(Parser)]
#[command(name = "cargo measure", bin_name = "cargo measure", version, max_term_width = 100)]
struct Arguments {
    /// What to measure
    #[arg(value_enum, default_value = "path")]
    what: What,
    /// Where to write
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Only whether it works: the figures mean nothing
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// A request's way through the stack as `cargo dev` runs it (path.json)
    Path,
    /// A hand-off beside a redirect that the app makes itself (hand-off.json)
    HandOff,
    /// The gateway with nothing written, and with log, metrics, probes and traces (telemetry.json)
    Telemetry,
    /// Our Worker beside one in JavaScript, in workerd alone (worker.json, .md, .svg)
    Worker,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { what, out, quick } = Arguments::parse();
    let out = out.unwrap_or_else(|| Toolchain::workspace().join("docs/benchmarks"));
    let measured = match what {
        What::Path => path::measure().await,
        What::HandOff => hand_off::measure(quick).await,
        What::Telemetry => telemetry::measure(quick).await,
        What::Worker => worker::measure(quick).await,
    };
    let written = measured.and_then(|report| {
        println!("{}", report.comparison());
        report.write(&out).map_err(|e| format!("{}: {e}", out.display()))?;
        if let What::Worker = what {
            let write = |name: &str, text: String| {
                fs::write(out.join(name), text).map_err(|e| format!("{}: {e}", out.join(name).display()))
            };
            write("worker.md", worker::page(&report))?;
            write("worker.svg", worker::chart(&report))?;
        }
        Ok(())
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo measure: {error}");
            ExitCode::FAILURE
        }
    }
}
