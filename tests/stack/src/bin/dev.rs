//! `cargo dev`: the whole site on loopback, until Ctrl-C.
//!
//! Progress goes to standard error; the table, the line `ready {json}` and a line per request go to standard output.
//! Exit codes: 0 ended by Ctrl-C or SIGTERM; 1 something is missing, wrong or has ended by itself; 2 wrong usage.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::Value;
use stack::{Addresses, Edge, Listeners, Options, Ports, Stack, workerd};
use tokio::signal::unix::{SignalKind, signal};

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

The last line of the start is `ready {json}` with the keys edge, gateway, admin, app and s3."
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

#[derive(Clone, Copy, ValueEnum)]
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
    let options = Options { edge, app: arguments.app, config: arguments.config, ports };
    // Requests are shown as the edge sees them: by the Worker's lines, or by the gateway's where it is the edge.
    let listeners = match edge {
        Edge::Worker => Listeners { worker: Some(Box::new(show_line)), gateway: None },
        Edge::Native => Listeners { gateway: Some(Box::new(show)), worker: None },
    };
    let (Ok(mut terminate), Ok(mut hang_up)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
        return fail("cannot listen to signals");
    };
    let ended = async {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    };
    tokio::pin!(ended);
    // On a task of its own, so that Ctrl-C is heard while it builds.
    let starting = tokio::spawn(async move { Stack::start(options, listeners, &|line| eprintln!("{line}")).await });
    let mut stack = tokio::select! {
        started = starting => match started {
            Ok(Ok(stack)) => stack,
            Ok(Err(error)) => return fail(&error),
            Err(error) => return fail(&error.to_string()),
        },
        () = &mut ended => {
            // What was being built stops with us; nothing of the stack runs yet that does not end with this process.
            eprintln!("stopped before it was ready");
            std::process::exit(0)
        }
    };
    print(&table(&stack.addresses, stack.demo.is_some()));
    print(&format!("ready {}\n", serde_json::to_string(&stack.addresses).unwrap_or_default()));
    let gone = loop {
        tokio::select! {
            () = &mut ended => break None,
            () = tokio::time::sleep(Duration::from_millis(500)) => if let Some(part) = stack.ended() { break Some(part) },
        }
    };
    stack.stop().await;
    match gone {
        None => {
            eprintln!("\nstopped");
            ExitCode::SUCCESS
        }
        Some(part) => fail(&format!("{part} has ended by itself")),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("cargo dev: {error}");
    ExitCode::FAILURE
}

/// Standard output may be a pipe whose reader has gone: that is no reason to panic.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The port people are used to, where it is free.
fn usual_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 8787)).map_or(0, |_| 8787)
}

fn table(addresses: &Addresses, demo: bool) -> String {
    let bold =
        |text: &str| if std::io::stdout().is_terminal() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let Addresses { edge, gateway, admin, app, s3 } = addresses;
    let mut table = format!(
        "\n  site     {}\n  gateway  {gateway}\n  admin    {admin}/readyz\n  app      {app}\n  storage  {s3}\n",
        bold(edge)
    );
    let tries: &[(&str, &str)] = if demo {
        &[
            ("/", "reload it: the second answer is a hit"),
            ("/sign-in", "any name, passphrase demo"),
            ("/download/tide", "handed off to the storage, once signed in"),
            ("/chat", "a WebSocket through everything"),
            ("/api/health", "what the monitor reads"),
            ("/misbehave/close", "an app that hangs up"),
        ]
    } else {
        &[("/", "your app"), ("/api/health", "what the monitor reads")]
    };
    table.push_str("\n  try\n");
    for (path, what) in tries {
        table.push_str(&format!("    {edge}{path:<18} {what}\n"));
    }
    table.push_str("\n  Ctrl-C stops everything.\n\n");
    table
}

fn show_line(line: &workerd::Line) {
    match serde_json::from_str::<Value>(&line.message) {
        Ok(value) => show(&value),
        Err(_) => eprintln!("worker   {}", line.message),
    }
}

/// One line a request: status, method, cache, duration, path.
fn show(line: &Value) {
    if line["message"] != "request" {
        if matches!(line["level"].as_str(), Some("WARN" | "ERROR")) {
            eprintln!("gateway  {line}");
        }
        return;
    }
    let text = |key: &str| line[key].as_str().unwrap_or("-").to_owned();
    let millis = line["duration.total_ms"].as_f64().or(line["duration.ms"].as_f64()).unwrap_or_default();
    print(&format!(
        "{} {:<6} {:<7} {millis:>8.1} ms  {}\n",
        line["http.response.status_code"],
        text("http.request.method"),
        text("cache"),
        text("url.path")
    ));
}
