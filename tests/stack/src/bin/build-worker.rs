//! What wrangler.toml's build command runs: the toolchain, the Worker's modules, and the folder of static assets.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use stack::toolchain::{Error, MAX_GZIPPED_BYTES, Toolchain, Worker, publish};

/// Builds the Worker into build/worker/ and its assets into build/assets/.
#[derive(Parser)]
struct Arguments {
    /// The folder to publish under /static/; else the one that the variable STATIC_DIR names; else there are no assets, and /static/
    /// falls through to the app.
    #[arg(long = "static", value_name = "DIR")]
    assets: Option<PathBuf>,
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
    let variable = std::env::var_os("STATIC_DIR").filter(|value| !value.is_empty()).map(PathBuf::from);
    let from = arguments.assets.clone().or(variable);
    let assets = publish(from.as_deref(), &root.join("build/assets"))?;
    match from {
        Some(from) => println!("assets   {} files, {} KiB, from {}", assets.files, kib(assets.bytes), from.display()),
        None => println!(
            "assets   none: neither --static nor STATIC_DIR names a folder, so /static/ falls through to the app"
        ),
    }
    Ok(())
}
