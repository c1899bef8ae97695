//! What `cargo dev` shows: progress and complaints on standard error; addresses and requests on standard output. Colour is for terminals.

use std::io::{IsTerminal as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::Value;
use stack::Addresses;

/// Writes to standard output, which may be a pipe whose reader has gone: that is no reason to panic.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to standard error.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Text in a colour or weight, where standard output is a terminal whose owner wants that (no-color.org).
fn painted(code: &str, text: &str) -> String {
    let wanted = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// The first line: what is about to happen.
pub(crate) fn opening(app: Option<&str>, worker: bool) -> String {
    let behind = if worker { "the Worker in workerd and the gateway" } else { "the gateway, which hosts the edge" };
    let mut text = format!(
        "dev      {} behind {behind}; the first start builds for minutes, later ones take seconds",
        app.unwrap_or("the demo site")
    );
    if let Some(app) = app.filter(|app| !answers(app)) {
        text += &format!("\ndev      nothing listens at {app} yet: until something does, the site answers 502");
    }
    text
}

fn answers(app: &str) -> bool {
    match app.strip_prefix("unix:") {
        Some(path) => UnixStream::connect(path).is_ok(),
        None => app
            .parse::<SocketAddr>()
            .is_ok_and(|address| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()),
    }
}

/// Where everything is, and what to try.
pub(crate) fn table(addresses: &Addresses, demo: bool, took: Duration) -> String {
    let Addresses { edge, gateway, admin, app, s3 } = addresses;
    let site = painted("1", edge);
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
    let mut table = format!(
        "
  site     {site}
  gateway  {gateway}
  admin    {admin}/readyz
  app      {app}
  storage  {s3}

  try
"
    );
    for (path, what) in tries {
        table += &format!("    {edge}{path:<18} {what}\n");
    }
    table += &format!("\n  Up after {:.1} s. Ctrl-C stops everything.\n\n", took.as_secs_f64());
    table
}

/// A line of the Worker's or of the runtime's.
pub(crate) fn worker(message: &str) {
    match serde_json::from_str::<Value>(message) {
        Ok(value) => line(&value),
        Err(_) => say(&format!("worker   {message}")),
    }
}

/// A log line of whoever hosts the edge: one about a request is shown short.
pub(crate) fn line(line: &Value) {
    if line["message"] == "request" {
        print(&request(line));
    } else {
        complaint(line);
    }
}

/// A log line that is about no request, where it warns.
pub(crate) fn complaint(line: &Value) {
    let (Some(level @ ("WARN" | "ERROR")), Some(message)) = (line["level"].as_str(), line["message"].as_str()) else {
        return;
    };
    let details = line.as_object().into_iter().flatten();
    let details: Vec<String> = details
        .filter(|(key, _)| !matches!(key.as_str(), "timestamp" | "level" | "message" | "target"))
        .map(|(key, value)| format!("{key}: {}", value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)))
        .collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    say(&format!("gateway  {}: {message}{details}", level.to_lowercase()));
}

/// Status, method, cache, duration, path.
fn request(line: &Value) -> String {
    let text = |key: &str| line[key].as_str().unwrap_or("-");
    let status = line["http.response.status_code"].as_u64().unwrap_or_default();
    let millis = line["duration.total_ms"].as_f64().or(line["duration.ms"].as_f64()).unwrap_or_default();
    let code = match status {
        500.. => "31",
        400.. => "33",
        300.. => "36",
        _ => "32",
    };
    let (status, method, cache) = (painted(code, &status.to_string()), text("http.request.method"), text("cache"));
    format!("{status} {method:<6} {cache:<7} {millis:>8.1} ms  {}\n", text("url.path"))
}

#[cfg(test)]
mod tests {
    use super::{opening, request};

    #[test]
    fn a_request_is_one_line() {
        let line = serde_json::json!({
            "message": "request", "http.request.method": "GET", "http.response.status_code": 502, "cache": "miss",
            "duration.total_ms": 12.34, "url.path": "/a",
        });
        assert!(request(&line).contains(" GET    miss        12.3 ms  /a\n"), "{}", request(&line));
    }

    #[test]
    fn an_app_that_is_not_there_yet_is_mentioned() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert!(!opening(Some(&address), true).contains("nothing listens"));
        drop(listener);
        assert!(opening(Some(&address), true).contains(&format!("nothing listens at {address} yet")));
        assert!(opening(Some("unix:/nowhere"), false).contains("nothing listens at unix:/nowhere yet"));
        assert!(!opening(None, false).contains("nothing listens"));
    }
}
