//! What the log says of one request, told in sentences: for `origin explain`.

mod reasons;

use std::fmt::Write as _;

use serde_json::Value;

pub use reasons::{Reason, of, of_cache};

/// The lines of a log that are about one request.
#[derive(Debug, Default)]
pub struct Lines {
    gateway: Option<Value>,
    worker: Option<Value>,
    others: Vec<Value>,
}

impl Lines {
    /// Takes a line of the gateway's or the Worker's log, or what `wrangler tail --format json` makes of the latter, where it is about this
    /// request.
    pub fn read(&mut self, id: &str, line: &str) {
        if !line.contains(id) {
            return;
        }
        // `wrangler tail` spreads an event over many lines, of which one is the Worker's, as a string.
        let string = line.trim().trim_end_matches(',');
        let text = match line.find('{') {
            _ if string.starts_with('"') => string,
            Some(start) => &line[start..],
            None => return,
        };
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            self.look(id, value);
        }
    }

    fn look(&mut self, id: &str, value: Value) {
        if value["request.id"] != *id {
            // A line within a line.
            match value {
                Value::Object(fields) => fields.into_iter().for_each(|(_, value)| self.look(id, value)),
                Value::Array(values) => values.into_iter().for_each(|value| self.look(id, value)),
                Value::String(text) if text.contains(id) => self.read(id, &text),
                _ => {}
            }
        } else if value["message"] != "request" {
            self.others.push(value);
        } else if value.get("trust").is_some() {
            self.gateway = Some(value);
        } else {
            self.worker = Some(value);
        }
    }

    /// Tells what happened; `None` where nothing is known.
    #[must_use]
    pub fn told(&self, id: &str) -> Option<String> {
        let line = self.gateway.as_ref().or(self.worker.as_ref()).or(self.others.first())?;
        let mut said = String::new();
        let mut say = |sentence: &str| {
            said.push_str(sentence);
            said.push('\n');
        };
        say(&asked(id, line));
        if let Some(worker) = &self.worker {
            say(&format!("At the Worker: {}", answered(worker, "duration.ms")));
            reason(worker, &mut say);
        }
        match &self.gateway {
            Some(gateway) => {
                say(&format!("At the gateway: {}", answered(gateway, "duration.head_ms")));
                reason(gateway, &mut say);
                say(&spent(gateway));
            }
            None if self.worker.is_some() => say(
                "The gateway's log has no line of it: the Worker answered by itself, the gateway was not reached, or its line was not one of those that are kept ([log] sample).",
            ),
            None => say(
                "There is no line of the request itself: it is under way still, or its line was lost or not one of those that are kept ([log] sample).",
            ),
        }
        for other in &self.others {
            say(&noted(other));
        }
        Some(said)
    }
}

/// Why we answered in place of the app, and what to do.
fn reason(line: &Value, say: &mut impl FnMut(&str)) {
    if let Some(rule) = line["filter.rule"].as_str() {
        let place = match text(line, "filter.place") {
            "" => String::new(),
            place => format!(" in the {place}"),
        };
        let action = text(line, "filter.action");
        say(&format!(
            "The filter's rule `{rule}` matched{place}; what it did: {action}. Rules are in [filter], and those of the moment in `origin blocks`; docs/filter.md."
        ));
    }
    let code = text(line, "reason");
    if code.is_empty() {
        let status = line["http.response.status_code"].as_u64().unwrap_or_default();
        if status >= 400 && line.get("trust").is_some() {
            say("The answer is the app's own: its log says why.");
        }
        return;
    }
    match of(code) {
        Some(Reason { what, by, anchor }) => {
            say(&format!("Why: {code}. {what}"));
            if !by.is_empty() {
                say(&format!("Decided by: {by} (docs/configuration.md)."));
            }
            say(&format!("What to do: docs/operations.md#{anchor}"));
        }
        None => say(&format!(
            "Why: {code}. docs/storage.md has the words of uploads; others are of a newer version than this program."
        )),
    }
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_default()
}

fn millis(line: &Value, name: &str) -> Option<f64> {
    line[name].as_f64()
}

fn asked(id: &str, line: &Value) -> String {
    let mut said = format!("Request {id}");
    let put = |said: &mut String, before: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String does not fail.
            let _ = write!(said, "{before}{value}");
        }
    };
    put(&mut said, ", at ", text(line, "timestamp"));
    put(&mut said, ": ", text(line, "http.request.method"));
    said.push(' ');
    said.push_str(text(line, "url.host"));
    said.push_str(text(line, "url.path"));
    put(&mut said, ", asked by ", text(line, "client.address"));
    put(&mut said, " over ", text(line, "network.protocol"));
    put(
        &mut said,
        ", ",
        match text(line, "trust") {
            "edge-signed" => "by way of our Worker (edge-signed)",
            "cloudflare" => "by way of Cloudflare, past the Worker (cloudflare)",
            "direct" => "directly (direct)",
            other => other,
        },
    );
    put(&mut said, "; trace ", text(line, "trace.id"));
    said.push('.');
    said
}

fn answered(line: &Value, took: &str) -> String {
    let status = line["http.response.status_code"].as_u64().unwrap_or_default();
    let mut said = format!("answered {status}");
    if let Some(took) = millis(line, took) {
        let _ = write!(said, " after {took} ms");
    }
    if let Some(bytes) = line["http.response.body.bytes"].as_u64() {
        let _ = write!(said, ", with {bytes} bytes");
    }
    if line["http.response.cut"] == true {
        said.push_str(", and its body broke off");
    }
    said.push('.');
    if let Some(cache) = of_cache(text(line, "cache")) {
        let _ = write!(said, " Cache: {}. {cache}", text(line, "cache"));
    }
    if let Some(sample) = line["sample"].as_f64().filter(|sample| *sample < 1.0 && *sample > 0.0) {
        let _ = write!(said, " Its line stands for about {:.0} like it.", 1.0 / sample);
    }
    said
}

fn spent(line: &Value) -> String {
    let parts = [
        ("duration.filter_ms", "in the filter"),
        ("duration.queue_ms", "held, because the app accepted no connections"),
        ("duration.connect_ms", "connecting to the app"),
        ("duration.app_ms", "until the app's answer began"),
        ("duration.total_ms", "in all, until the last byte had gone"),
    ];
    let parts = parts.into_iter().filter_map(|(name, what)| Some(format!("{} ms {what}", millis(line, name)?)));
    let mut said = format!("Time: {}.", parts.collect::<Vec<_>>().join(", "));
    match (text(line, "upstream"), line["tries"].as_u64()) {
        ("", _) => {}
        (upstream, Some(tries)) => {
            let _ = write!(said, " It was sent {tries} times, the last time to {upstream}.");
        }
        (upstream, None) => {
            let _ = write!(said, " It was sent to {upstream}.");
        }
    }
    said
}

/// Another line about it, with its own fields.
fn noted(line: &Value) -> String {
    let mut said = format!("{}: {}", text(line, "level"), text(line, "message"));
    let own = |name: &str| !matches!(name, "timestamp" | "level" | "target" | "message" | "request.id");
    for (name, value) in line.as_object().into_iter().flatten().filter(|(name, _)| own(name)) {
        match value {
            Value::String(value) => drop(write!(said, "; {name} {value}")),
            value => drop(write!(said, "; {name} {value}")),
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::Lines;

    const ID: &str = "0af7651916cd43dd8448eb211c80319c";

    fn told(lines: &[&str]) -> String {
        let mut all = Lines::default();
        for line in lines {
            all.read(ID, line);
        }
        all.told(ID).unwrap_or_default()
    }

    #[test]
    fn a_failure_is_told_with_its_times_and_where_to_look() {
        let line = format!(
            r#"{{"timestamp":"2026-11-28T22:00:00.000001Z","level":"INFO","target":"access","message":"request","request.id":"{ID}","trace.id":"{ID}","client.address":"203.0.113.7","trust":"edge-signed","http.request.method":"GET","url.host":"makenot.work","url.path":"/a","network.protocol":"HTTP/2.0","http.response.status_code":504,"http.response.body.bytes":120,"http.response.cut":false,"cache":"bypass","reason":"app-timeout","upstream":"127.0.0.1:3000","duration.app_ms":60000.2,"duration.head_ms":60001.0,"duration.total_ms":60001.1}}"#
        );
        let said = told(&[&line, r#"{"message":"request","request.id":"another"}"#]);
        for part in [
            "GET makenot.work/a, asked by 203.0.113.7 over HTTP/2.0, by way of our Worker (edge-signed)",
            "answered 504 after 60001 ms, with 120 bytes.",
            "Why: app-timeout. The app accepted the request and did not answer in time.",
            "Decided by: timeouts.answer",
            "docs/operations.md#502-app-unreachable",
            "60000.2 ms until the app's answer began",
            "It was sent to 127.0.0.1:3000.",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn the_workers_line_is_found_as_wrangler_wraps_it() {
        let line = format!(
            r#"{{\"message\":\"request\",\"request.id\":\"{ID}\",\"http.request.method\":\"GET\",\"url.path\":\"/x\",\"http.response.status_code\":403,\"cache\":\"none\",\"reason\":\"blocked\",\"filter.rule\":\"probe-php\",\"filter.action\":\"block\",\"filter.place\":\"path\",\"duration.ms\":1,\"wasm.memory_bytes\":1}}"#
        );
        let tail = format!(r#"{{"outcome":"ok","logs":[{{"message":["{line}"],"level":"log"}}]}}"#);
        let said = told(&[&tail]);
        assert!(said.contains("The filter's rule `probe-php` matched in the path; what it did: block."), "{said}");
        assert!(said.contains("The gateway's log has no line of it"), "{said}");
    }

    #[test]
    fn what_else_is_logged_of_it_is_told_and_of_others_nothing() {
        let other =
            format!(r#"{{"level":"ERROR","message":"a request's handling panicked","request.id":"{ID}","panic":"x"}}"#);
        let said = told(&[&other, r#"{"level":"WARN","message":"nothing to do with it"}"#]);
        assert!(said.contains("ERROR: a request's handling panicked; panic x"), "{said}");
        assert!(!said.contains("nothing to do"), "{said}");
        assert_eq!(told(&["", "no JSON", "{}"]), "");
    }
}
