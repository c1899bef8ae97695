//! The gateway's configuration for one run, and what `--config` adds to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::keys::Files;
use crate::stack::{Edge, Ports};

pub(crate) struct Wanted<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) files: &'a Files,
    pub(crate) edge: Edge,
    pub(crate) app: &'a str,
    pub(crate) static_dir: Option<&'a str>,
    pub(crate) s3: SocketAddr,
    pub(crate) ports: Ports,
    pub(crate) overlay: Option<&'a Path>,
}

/// Writes it and says where.
pub(crate) fn write(wanted: &Wanted<'_>) -> Result<PathBuf, String> {
    let mut config = own(wanted);
    if let Some(path) = wanted.overlay {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: cannot be read: {e}"))?;
        let overlay: Table = text.parse().map_err(|e: toml::de::Error| {
            let drawn = e.to_string();
            let line =
                drawn.split_once("at line ").and_then(|(_, rest)| rest.split_once(',')).map_or("?", |(line, _)| line);
            format!("{name}: line {line}: {}", e.message().trim_end().replace('\n', ", "))
        })?;
        merge(&mut config, overlay);
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
    config.insert("admin".into(), table(&[("listen", loopback(wanted.ports.admin))]));
    config.insert("timeouts".into(), table(&[("drain", "2s".to_owned())]));
    config.insert("site".into(), vec![Value::Table(site)].into());
    let mut buckets = Table::new();
    buckets.insert(
        "user-files".into(),
        table(&[
            ("url", format!("http://{}/user-files", wanted.s3)),
            ("region", "fsn1".to_owned()),
            ("credentials_file", path(&files.bucket)),
        ]),
    );
    config.insert("bucket".into(), buckets.into());
    config
}
