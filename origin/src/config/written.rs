//! How a configuration is written down: the file's hash, and the file again with all that it leaves out.
//!
//! What is shown is made of the sections as they are read, which name files with secrets and hold none: a type that holds one
//! can't be written ([`Token`](super::Token), `Keys`, [`Credentials`](super::Credentials) have no `Serialize`).

use std::collections::BTreeSet;
use std::fmt;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use super::value::{Size, Span};
use super::{Bucket, Config, Probe, Scheme, Site, UploadRoute, Webhook, cloudflare, probe, turnstile, upload, webhook};

/// A configuration as it is written down.
#[derive(Clone, Default)]
pub struct Written {
    hash: String,
    text: String,
}

/// What a configuration means does not depend on how it was written.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written")
    }
}

impl Written {
    /// Of a file's text, and its sections with all that it leaves out.
    pub(super) fn new(file: &str, sections: &Table) -> Self {
        let mut keys = BTreeSet::new();
        if let Ok(table) = file.parse() {
            collect("", &Value::Table(table), &mut keys);
        }
        let digest = Sha256::digest(file.as_bytes());
        let hash = digest.iter().take(8).fold(String::new(), |mut hash, byte| {
            // Writing to a String does not fail.
            let _ = write!(hash, "{byte:02x}");
            hash
        });
        let mut text = format!("# The configuration in use, {hash}. What the file leaves out is marked.\n");
        section(&mut text, &keys, "", "", sections);
        Self { hash, text }
    }

    /// The beginning of the file's SHA-256, in hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// A configuration file that means the same and leaves nothing out.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Fills in the defaults that depend on something else.
pub(super) fn fill_in(sections: &mut Table, config: &Config) {
    if let Some(listen) = sections.get_mut("listen").and_then(Value::as_table_mut) {
        let texts = config.listen.https.iter().map(|address| Value::from(address.to_string()));
        default(listen, "https", texts.collect::<Vec<_>>());
        default(listen, "cores", i64::try_from(config.listen.cores).unwrap_or(i64::MAX));
    }
    if let (Some(Value::Table(section)), Some(edge)) = (sections.get_mut("edge"), &config.edge) {
        default(section, "window", seconds(edge.window.max_age));
        default(section, "skew", seconds(edge.window.skew));
    }
    if let Some(Value::Table(section)) = sections.get_mut("cloudflare") {
        default(section, "api", cloudflare::api());
    }
    if let Some(Value::Table(section)) = sections.get_mut("turnstile") {
        default(section, "clearance", span(Span(turnstile::default_clearance())));
        default(section, "within", span(Span(turnstile::default_within())));
        default(section, "api", turnstile::api());
    }
    match (sections.get_mut("acme").and_then(Value::as_table_mut), &config.acme) {
        (Some(section), Some(acme)) => {
            default(section, "directory", acme.directory.to_string());
            default(section, "storage", acme.storage.display().to_string());
            default(section, "wait", span(Span(acme.wait)));
            default(section, "asks", i64::from(acme.asks));
            default(section, "orders", i64::from(acme.orders));
        }
        // No site has `acme_ask`: nothing is had from a CA.
        _ => drop(sections.remove("acme")),
    }
    let tables = sections.get_mut("site").and_then(Value::as_array_mut).into_iter().flatten();
    for (section, Site { app, .. }) in tables.filter_map(Value::as_table_mut).zip(&config.sites) {
        if let Some(check) = &app.check {
            default(section, "check_every", span(Span(check.every)));
        }
    }
    for Webhook { name, scheme, .. } in &config.webhooks {
        if let Some(Value::Table(section)) = sections.get_mut("webhook").and_then(|tables| tables.get_mut(name)) {
            default(section, "body", Value::try_from(Size(webhook::BODY)).unwrap_or_else(|_| Value::from("")));
            if matches!(scheme, Scheme::Stripe { .. } | Scheme::Hmac { .. }) {
                default(section, "tolerance", span(Span(webhook::TOLERANCE)));
            }
        }
    }
    for UploadRoute { name, .. } in &config.uploads {
        if let Some(Value::Table(section)) = sections.get_mut("upload").and_then(|tables| tables.get_mut(name)) {
            default(section, "size", Value::try_from(Size(upload::SIZE)).unwrap_or_else(|_| Value::from("")));
            default(section, "lasts", span(Span(upload::LASTS)));
        }
    }
    for Probe { name, .. } in &config.probes {
        if let Some(Value::Table(section)) = sections.get_mut("probe").and_then(|tables| tables.get_mut(name)) {
            probe::fill_in(section, name);
        }
    }
    let Some(Value::Table(tables)) = sections.get_mut("bucket") else { return };
    for Bucket { role, reader, expiry, expiry_max, types, upload_max, parts_from, part_size, upkeep, .. } in
        &config.buckets
    {
        if let Some(Value::Table(section)) = tables.get_mut(role) {
            default(section, "region", reader.place().region.as_str());
            default(section, "expiry", seconds(*expiry));
            default(section, "expiry_max", seconds(*expiry_max));
            default(section, "prefixes", Value::Array(Vec::new()));
            default(section, "types", types.clone());
            for (key, size) in [("upload_max", upload_max), ("parts_from", parts_from), ("part_size", part_size)] {
                default(section, key, Value::try_from(Size(*size)).unwrap_or_else(|_| Value::from("")));
            }
            default(section, "keep_versions", format!("{}days", upkeep.keep_versions));
            default(section, "keep_parts", format!("{}days", upkeep.keep_parts));
            default(section, "origins", upkeep.origins.clone());
            default(section, "lacks", Value::Array(Vec::new()));
        }
    }
}

pub(super) fn default(section: &mut Table, key: &str, value: impl Into<Value>) {
    section.entry(key).or_insert_with(|| value.into());
}

fn seconds(seconds: u64) -> Value {
    span(Span(std::time::Duration::from_secs(seconds)))
}

pub(super) fn span(span: Span) -> Value {
    Value::try_from(span).unwrap_or_else(|_| Value::from(""))
}

/// The names of keys are paths such as `site[0].app`.
fn collect(path: &str, value: &Value, keys: &mut BTreeSet<String>) {
    keys.insert(path.to_owned());
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| collect(&below(path, key), value, keys)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(n, value)| collect(&format!("{path}[{n}]"), value, keys));
        }
        _ => {}
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Writes a section's values, then the sections in it. `path` is its key, `header` what stands in brackets.
fn section(out: &mut String, keys: &BTreeSet<String>, path: &str, header: &str, table: &Table) {
    let is_section = |value: &Value| match value {
        Value::Table(_) => true,
        // Upstreams with a weight are tables too, and stand in a line.
        Value::Array(list) => path.is_empty() && matches!(list.first(), Some(Value::Table(_))),
        _ => false,
    };
    for (key, value) in table.iter().filter(|(_, value)| !is_section(value)) {
        let mark = if keys.contains(&below(path, key)) { "" } else { " # default" };
        // Writing to a String does not fail.
        let _ = writeln!(out, "{key} = {value}{mark}");
    }
    for (key, value) in table.iter().filter(|(_, value)| is_section(value)) {
        let (path, header) = (below(path, key), below(header, key));
        match value {
            Value::Table(table) if !table.is_empty() => {
                let _ = writeln!(out, "\n[{header}]");
                section(out, keys, &path, &header, table);
            }
            Value::Array(list) => {
                for (n, table) in list.iter().enumerate().filter_map(|(n, value)| Some((n, value.as_table()?))) {
                    let _ = writeln!(out, "\n[[{header}]]");
                    section(out, keys, &format!("{path}[{n}]"), &header, table);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::parse;

    #[test]
    fn what_is_shown_is_a_configuration_that_means_the_same() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            format!("{:?}", path.display().to_string())
        };
        let secret = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let (keys, token) = (file("edge.keys", &format!("a:{secret}\n")), file("token", secret));
        let bucket = file("bucket", &format!("ACCESSKEY:{secret}\n"));
        let text = format!(
            r#"
            listen.http = ["127.0.0.1:0", "[::1]:0"]
            edge.keys_file = {keys}
            [admin]
            listen = "0.0.0.0:9180"
            token_file = {token}
            [compress]
            [limits]
            body = "5000001B"
            [timeouts]
            hold = "1500ms"
            [[site]]
            hosts = ["a.test", "*.a.test"]
            app = ["127.0.0.1:1", {{address = "unix:/run/a b.sock", weight = 2}}]
            app_protocol = "http2"
            check = "/healthz"
            [site.limits]
            body = "2GiB"
            [site.timeouts]
            answer = "5m"
            [[site]]
            hosts = ["a.test"]
            paths = ["/git/"]
            app = "app.internal:3000"
            health = "app"
            [webhook.stripe]
            path = "/webhooks/stripe"
            scheme = "stripe"
            secrets_file = {token}
            addresses = ["192.0.2.0/24"]
            [bucket.user-files]
            url = "https://a.fsn1.your-objectstorage.com/b"
            credentials_file = {bucket}
            "#
        );
        let config = parse(&text).expect("a good configuration");
        let shown = config.written.text();
        let again = parse(shown).unwrap_or_else(|faults| panic!("{faults:?}\n{shown}"));
        assert_eq!(format!("{config:?}"), format!("{again:?}"), "{shown}");
        assert!(!shown.contains(secret), "{shown}");
        for line in [
            "hold = \"1s 500ms\"\n",
            "idle = \"10m\" # default\n",
            "head = \"64KiB\" # default\n",
            "body = \"5000001B\"\n",
            "body = \"2GiB\"\n",
            "check_every = \"5s\" # default\n",
            "region = \"fsn1\" # default\n",
            "window = \"30s\" # default\n",
            "least = \"1KiB\" # default\n",
            "tolerance = \"5m\" # default\n",
            "body = \"1MiB\" # default\n",
        ] {
            assert!(shown.contains(line), "{line}{shown}");
        }
        assert!(!again.written.text().contains("# default"), "nothing is left out any more");
        assert_ne!(config.written.hash(), again.written.hash());
    }
}
