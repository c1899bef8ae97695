//! `cargo dev`: the whole site on loopback, until Ctrl-C.
//!
//! Progress goes to standard error; the table, the line `ready {json}` and a line per request go to standard output.
//! Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 something is missing, wrong or has ended by itself; 2 wrong usage.

mod descendants;
mod face;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use stack::{Edge, Listeners, Options, Ports, Stack};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The whole site on loopback: browser → Worker in workerd → gateway over TLS → app, with an object storage.
#[derive(Parser)]
#[command(
    bin_name = "cargo dev",
    max_term_width = 100,
    after_help = "Examples:
  cargo dev                                 the demo site behind the real Worker and the real gateway
  cargo dev --edge native                   the same without Node: the gateway hosts the edge
  cargo dev --app http://127.0.0.1:3000     your own app instead of the demo
  cargo dev --config my.toml                with sections of the gateway's configuration of your own

Progress goes to standard error. Once everything answers, standard output has a table of addresses, then
a line `ready {json}` with the keys edge, gateway, admin, app and s3, then a line for each request.
Ctrl-C ends everything; a second Ctrl-C doesn't wait for what is still in flight."
)]
struct Arguments {
    /// An app to put behind it instead of the demo: http://HOST:PORT or unix:/PATH
    #[arg(long, value_name = "URL", value_parser = app)]
    app: Option<String>,
    /// Where the edge runs: in workerd, as Cloudflare runs it, or in the gateway
    #[arg(long, value_enum, default_value = "worker")]
    edge: EdgeHost,
    /// Gateway configuration that adds to the stack's own: tables are merged key by key, lists are replaced
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File for the gateway's log lines, which are not shown then: for load, of which each request is a line
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Port of the site [default: 8787, or a free one]
    #[arg(long, value_name = "PORT")]
    edge_port: Option<u16>,
    /// Port of the gateway; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value = "0")]
    gateway_port: u16,
    /// Port of the gateway's private listener; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value = "0")]
    admin_port: u16,
    /// Port of the demo app; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value = "0", conflicts_with = "app")]
    app_port: u16,
    /// Port of the object storage; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value = "0")]
    s3_port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EdgeHost {
    Worker,
    Native,
}

/// The address of an app as the gateway's configuration writes it.
fn app(text: &str) -> Result<String, String> {
    if text.starts_with("unix:/") {
        return Ok(text.to_owned());
    }
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let address =
        address.strip_prefix("localhost:").map_or_else(|| address.to_owned(), |port| format!("127.0.0.1:{port}"));
    match address.parse::<std::net::SocketAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err("write http://ADDRESS:PORT, as in http://127.0.0.1:3000, or unix:/PATH".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let mut ends = match Ends::listen() {
        Ok(ends) => ends,
        Err(error) => return fail(&format!("cannot listen to signals: {error}")),
    };
    face::say(&face::opening(arguments.app.as_deref(), arguments.edge == EdgeHost::Worker));
    let log = arguments.log.clone();
    let options = options(arguments);
    let listeners = Listeners { log, ..listeners(options.edge) };
    // On a task of its own, so that Ctrl-C is heard while it builds.
    let starting = tokio::spawn(async move { Stack::start(options, listeners, &|line| face::say(line)).await });
    let mut stack = tokio::select! {
        started = starting => match started {
            Ok(Ok(stack)) => stack,
            Ok(Err(error)) => return fail(&error),
            Err(error) => return fail(&format!("a defect of the stack itself: {error}")),
        },
        () = ends.next() => {
            face::say("\nstopping: it was not ready yet …");
            at_once();
        }
    };
    face::print(&face::table(&stack.addresses, stack.demo.is_some(), began.elapsed()));
    face::print(&format!("ready {}\n", serde_json::to_string(&stack.addresses).unwrap_or_default()));
    let gone = loop {
        tokio::select! {
            () = ends.next() => break None,
            () = tokio::time::sleep(Duration::from_millis(500)) => if let Some(part) = stack.ended() { break Some(part) },
        }
    };
    if gone.is_none() {
        face::say("\nstopping: requests in flight have two seconds …");
    }
    let stopping = tokio::spawn(stack.stop());
    tokio::select! {
        _ = stopping => {}
        () = ends.next() => at_once(),
    }
    match gone {
        None => {
            face::say("stopped");
            ExitCode::SUCCESS
        }
        Some(part) => fail(&format!("{part} has ended by itself, so the rest was stopped")),
    }
}

fn options(arguments: Arguments) -> Options {
    let ports = Ports {
        edge: arguments.edge_port.unwrap_or_else(usual_port),
        gateway: arguments.gateway_port,
        admin: arguments.admin_port,
        app: arguments.app_port,
        s3: arguments.s3_port,
    };
    let edge = match arguments.edge {
        EdgeHost::Worker => Edge::Worker,
        EdgeHost::Native => Edge::Native,
    };
    Options { edge, app: arguments.app, config: arguments.config, limit: None, ports }
}

/// Requests are shown as the edge sees them: by the Worker's lines, or by the gateway's where it is the edge.
fn listeners(edge: Edge) -> Listeners {
    match edge {
        Edge::Worker => Listeners {
            worker: Some(Box::new(|line| face::worker(&line.message))),
            gateway: Some(Box::new(face::complaint)),
            log: None,
        },
        Edge::Native => Listeners { gateway: Some(Box::new(face::line)), ..Listeners::default() },
    }
}

/// The port people are used to, where it is free.
fn usual_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 8787)).map_or(0, |_| 8787)
}

fn fail(error: &str) -> ExitCode {
    face::say(&format!("cargo dev: {error}"));
    ExitCode::FAILURE
}

/// Ends what we started, builds too, without asking for their end nicely first, and then this process: nothing of it runs on.
#[expect(clippy::exit, reason = "the runtime would wait for the thread that waits for a build")]
fn at_once() -> ! {
    descendants::end();
    face::say("stopped");
    std::process::exit(0)
}

/// What tells us to end.
struct Ends([Signal; 3]);

impl Ends {
    fn listen() -> std::io::Result<Self> {
        let [interrupt, terminate, hang_up] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([interrupt?, terminate?, hang_up?]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
