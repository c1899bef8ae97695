//! What wrangler.toml's build command runs: the toolchain, the Worker's modules, and the folder of static assets.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use stack::toolchain::{Error, MAX_GZIPPED_BYTES, Toolchain, Worker, publish};

/// Builds the Worker into build/edge/ and its assets into build/assets/.
#[derive(Parser)]
struct Arguments {
    /// The folder to publish under /static/; else the one that the variable STATIC_DIR names; else there are no assets, and /static/
    /// falls through to the app.
    #[arg(long = "static", value_name = "DIR")]
    assets: Option<PathBuf>,
    /// The gateway's configuration, whose filter the Worker gets; else the one that the variable GATEWAY_CONFIG names; else the Worker has no
    /// filter. The file of rules that it names may lie beside it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    match build(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("build-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build(arguments: &Arguments) -> Result<(), Error> {
    let root = Toolchain::workspace();
    let progress = |line: &str| eprintln!("{line}");
    let toolchain = Toolchain::prepare(&root, &progress)?;
    let bundle = toolchain.build(&Worker::edge(&root), &progress)?;
    let kib = |bytes: u64| bytes.div_ceil(1024);
    println!(
        "worker   {} KiB wasm, {} KiB JavaScript, together {} KiB gzipped (limit {} KiB)",
        kib(bundle.wasm_bytes),
        kib(bundle.javascript_bytes),
        kib(bundle.gzipped_bytes),
        kib(MAX_GZIPPED_BYTES)
    );
    bundle.check_size()?;
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = arguments.config.clone().or_else(|| variable("GATEWAY_CONFIG"));
    let rules = match &config {
        Some(file) => origin::config::edge_rules(file).map_err(|error| Error::Config(error.to_string()))?,
        None => None,
    };
    bundle.with_rules(rules.as_deref(), &root.join("build/edge"))?;
    match (&rules, &config) {
        (Some(rules), Some(file)) => {
            println!("filter   {} lines of rules, from {}", rules.lines().count(), file.display())
        }
        (None, Some(file)) => println!("filter   none: {} has no [filter] section", file.display()),
        _ => println!("filter   none: neither --config nor GATEWAY_CONFIG names the gateway's configuration"),
    }
    let from = arguments.assets.clone().or_else(|| variable("STATIC_DIR"));
    let assets = publish(from.as_deref(), &root.join("build/assets"))?;
    match from {
        Some(from) => println!("assets   {} files, {} KiB, from {}", assets.files, kib(assets.bytes), from.display()),
        None => println!(
            "assets   none: neither --static nor STATIC_DIR names a folder, so /static/ falls through to the app"
        ),
    }
    Ok(())
}
