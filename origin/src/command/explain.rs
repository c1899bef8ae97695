//! `origin explain`: why a request was answered as it was, by the log; or what would become of one, by the gateway that runs.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use contract::RequestId;
use http::Method;
use origin::explain::Lines;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Failure, order};

const NAME: &str = "origin explain";

/// What to explain.
#[derive(clap::Args)]
pub(crate) struct Explain {
    /// A request's id, as its answer has it in X-Request-Id; or a URL, as in https://makenot.work/c/mira
    #[arg(value_name = "ID|URL")]
    what: String,
    /// Of an id: the log, as a file or - for standard input [default: the journal of the unit `origin`]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Of a URL: the address of whoever would ask
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// The configuration, whose [admin] says where the gateway listens
    #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
    pub(crate) config: PathBuf,
}

pub(crate) fn explain(explain: &Explain) -> Result<Option<String>, Failure> {
    let failed = |said: String, code| Failure { said: format!("{NAME}: {said}"), code };
    let what = &*explain.what;
    if RequestId::parse(what).is_some() {
        let told = by_the_log(what, explain.log.as_deref()).map_err(|error| failed(error, 1))?;
        print!("{}", told.ok_or_else(|| failed(unknown(what), 1))?);
        return Ok(None);
    }
    if !what.starts_with("http://") && !what.starts_with("https://") {
        let said = format!(
            "`{what}` is neither: write a request's id (32 hexadecimal digits, in lower case) or a URL with its scheme, as in https://makenot.work/c/mira"
        );
        return Err(failed(said, 2));
    }
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let client = explain.client.map(|client| format!("&client={}", encoded(&client.to_string()))).unwrap_or_default();
    let path = format!("/explain?url={}{client}", encoded(what));
    let said = order(NAME, &explain.config, &Method::GET, &path, &())?;
    println!("{what}");
    for step in said["steps"].as_array().into_iter().flatten() {
        println!("  {:<12} {}", step["step"].as_str().unwrap_or_default(), step["says"].as_str().unwrap_or_default());
    }
    Ok(None)
}

fn by_the_log(id: &str, log: Option<&Path>) -> Result<Option<String>, String> {
    match log {
        None => {
            let mut journal = Command::new("journalctl")
                .args(["--unit", "origin", "--output", "cat", "--no-pager", "--quiet", "--grep", id])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
                .map_err(|e| {
                    format!("journalctl can't be run: {e}; name the log with --log FILE, or --log - and pipe it in")
                })?;
            let told = journal.stdout.take().map(|lines| read(id, BufReader::new(lines)));
            // Whether it found anything, its lines say.
            let _ = journal.wait();
            told.transpose().map(Option::flatten)
        }
        Some(dash) if dash.as_os_str() == "-" => read(id, io::stdin().lock()),
        Some(file) => {
            let opened = File::open(file).map_err(|e| format!("`{}` cannot be read: {e}", file.display()))?;
            read(id, BufReader::new(opened))
        }
    }
}

fn read(id: &str, mut log: impl BufRead) -> Result<Option<String>, String> {
    let mut lines = Lines::default();
    let mut line = Vec::new();
    while log.read_until(b'\n', &mut line).map_err(|e| format!("the log cannot be read: {e}"))? > 0 {
        lines.read(id, &String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(lines.told(id))
}

fn unknown(id: &str) -> String {
    format!(
        "the log has no line of {id}. Look
  in an older journal, or in the log's file:  {NAME} {id} --log FILE
  at the Worker:                              Workers Logs in Cloudflare's dashboard; or ask again while `npx wrangler tail --format json >tail.json` runs, and then {NAME} NEW-ID --log tail.json
  whether lines were lost or not kept:        origin_log_lines_lost_total in /metrics, `sample` in [log]"
    )
}
