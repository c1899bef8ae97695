//! The gateway's configuration for one run, and what `--config` adds to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::keys::Files;
use crate::stack::{Edge, Ports};
use crate::turnstile;

pub(crate) struct Wanted<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) files: &'a Files,
    pub(crate) edge: Edge,
    pub(crate) app: &'a str,
    pub(crate) static_dir: Option<&'a str>,
    pub(crate) s3: SocketAddr,
    pub(crate) turnstile: SocketAddr,
    pub(crate) ports: Ports,
    pub(crate) overlay: Option<&'a Overlay>,
}

/// What `--config` adds.
pub(crate) struct Overlay {
    name: String,
    table: Table,
}

impl Overlay {
    /// Reads it as TOML; whether the gateway knows its keys, the gateway says.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: cannot be read: {e}"))?;
        let table = text.parse().map_err(|e: toml::de::Error| {
            let drawn = e.to_string();
            let line =
                drawn.split_once("at line ").and_then(|(_, rest)| rest.split_once(',')).map_or("?", |(line, _)| line);
            format!("{name}: line {line}: {}", e.message().trim_end().replace('\n', ", "))
        })?;
        Ok(Self { name, table })
    }
}

/// The gateway's complaint in terms of the file that the developer wrote: the merged one is gone by the time it could be looked at.
pub(crate) fn blame(complaint: &str, merged: &Path, overlay: Option<&Overlay>) -> String {
    let merged = format!("{}: ", merged.display());
    let own =
        overlay.map_or_else(|| "the stack's own configuration: ".to_owned(), |overlay| format!("{}: ", overlay.name));
    let line = |line: &str| match line.strip_prefix(&merged) {
        // Its lines are counted in the merged file, so they would mislead.
        Some(rest) => match rest.split_once("line ").and_then(|(key, rest)| Some((key, rest.split_once(": ")?))) {
            Some((key, (number, what))) if number.bytes().all(|b| b.is_ascii_digit()) => format!("{own}{key}{what}"),
            _ => format!("{own}{rest}"),
        },
        None => line.to_owned(),
    };
    complaint.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// Writes it and says where.
pub(crate) fn write(wanted: &Wanted<'_>) -> Result<PathBuf, String> {
    let mut config = own(wanted);
    if let Some(overlay) = wanted.overlay {
        merge(&mut config, overlay.table.clone());
    }
    let path = wanted.folder.join("origin.toml");
    std::fs::write(&path, config.to_string()).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

/// Tables are merged key by key; anything else, lists of sites too, is replaced.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn own(wanted: &Wanted<'_>) -> Table {
    let loopback = |port: u16| format!("127.0.0.1:{port}");
    let path = |path: &Path| path.display().to_string();
    let files = wanted.files;
    let trust = match wanted.edge {
        Edge::Worker => "cloudflare",
        Edge::Native => "direct",
    };
    let mut listen = toml::toml! { cores = 2 };
    listen.insert("https".into(), vec![loopback(wanted.ports.gateway)].into());
    if wanted.edge == Edge::Native {
        listen.insert("http".into(), vec![loopback(wanted.ports.edge)].into());
    }
    let mut site = Table::new();
    site.insert("hosts".into(), vec!["*"].into());
    site.insert("app".into(), wanted.app.into());
    site.insert("trust".into(), trust.into());
    site.insert("filter_off".into(), vec!["/git/", "/echo"].into());
    site.insert("filter_forms".into(), vec!["/login"].into());
    if let Some(dir) = wanted.static_dir {
        site.insert("static".into(), dir.into());
    }
    let table = |pairs: &[(&str, String)]| -> Value {
        Value::Table(pairs.iter().map(|(k, v)| ((*k).to_owned(), v.as_str().into())).collect())
    };
    let mut config = Table::new();
    config.insert("listen".into(), listen.into());
    config.insert(
        "tls".into(),
        table(&[("cert", path(&files.cert)), ("key", path(&files.key)), ("client_ca", path(&files.client_ca))]),
    );
    config.insert("edge".into(), table(&[("keys_file", path(&files.edge_keys))]));
    config.insert(
        "admin".into(),
        table(&[("listen", loopback(wanted.ports.admin)), ("app_token_file", path(&files.app_token))]),
    );
    config.insert("timing".into(), table(&[("token_file", path(&files.timing_token))]));
    config.insert("state".into(), table(&[("folder", path(&wanted.folder.join("state")))]));
    let mut filter = toml::toml! { block = ["sqli"] };
    filter.insert("rules".into(), concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/rules.toml").into());
    config.insert("filter".into(), filter.into());
    let sender = table(&[
        ("path", "/webhooks/known".to_owned()),
        ("scheme", "bearer".to_owned()),
        ("secrets_file", path(&files.webhook)),
    ]);
    config.insert("webhook".into(), Table::from_iter([("known".to_owned(), sender)]).into());
    config.insert(
        "turnstile".into(),
        table(&[
            ("site_key", turnstile::SITE_KEY.to_owned()),
            ("secret_file", path(&files.turnstile)),
            ("within", "1s".to_owned()),
            ("api", format!("https://{}/turnstile/v0", wanted.turnstile)),
            ("ca", path(&files.ca)),
        ]),
    );
    config.insert("timeouts".into(), table(&[("drain", "2s".to_owned()), ("hold", "2s".to_owned())]));
    config.insert("site".into(), vec![Value::Table(site)].into());
    let mut buckets = Table::new();
    for (role, region) in [("user-files", "fsn1"), ("ota", "hel1")] {
        let url = format!("http://{}/{role}", wanted.s3);
        let keys = [("url", url), ("region", region.to_owned()), ("credentials_file", path(&files.bucket))];
        buckets.insert(role.into(), table(&keys));
    }
    if let Some(Value::Table(ota)) = buckets.get_mut("ota") {
        ota.insert("expiry_max".into(), "1h".into());
    }
    if let Some(Value::Table(files)) = buckets.get_mut("user-files") {
        files.insert("write_credentials_file".into(), path(&wanted.files.bucket_writer).into());
        files.insert("pending".into(), "pending/".into());
        files.insert("parts_from".into(), "16MiB".into());
    }
    config.insert("bucket".into(), buckets.into());
    config.insert("upload".into(), toml::toml! { works = { path = "/api/uploads" } }.into());
    config
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Overlay, blame, merge};

    #[test]
    fn tables_are_merged_and_lists_replaced() {
        let mut config = toml::toml! { a = [1, 2] t = { x = 1, y = 2 } };
        merge(&mut config, toml::toml! { a = [3] t = { y = 3, z = 4 } u = 5 });
        assert_eq!(config, toml::toml! { a = [3] t = { x = 1, y = 3, z = 4 } u = 5 });
    }

    #[test]
    fn a_complaint_names_the_developers_file() {
        let overlay = Overlay { name: "my.toml".to_owned(), table: toml::Table::new() };
        let merged = Path::new("/tmp/run/origin.toml");
        let said = |complaint| blame(complaint, merged, Some(&overlay));
        assert_eq!(
            said("/tmp/run/origin.toml: cache.seize: line 3: there is no key"),
            "my.toml: cache.seize: there is no key"
        );
        assert_eq!(said("/tmp/run/origin.toml: cache: a line of no: number"), "my.toml: cache: a line of no: number");
        assert_eq!(said("/tmp/run/origin.toml: a: x\n/tmp/run/origin.toml: b: y"), "my.toml: a: x\nmy.toml: b: y");
        assert_eq!(said("origin: cannot start"), "origin: cannot start");
        let own = blame("/tmp/run/origin.toml: a: x", merged, None);
        assert_eq!(own, "the stack's own configuration: a: x");
    }
}
