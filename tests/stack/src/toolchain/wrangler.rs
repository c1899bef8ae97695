//! What wrangler.toml says, for those who run the Worker without wrangler; and wrangler's own dry run.

use std::{path::Path, process::Command};

use serde::Deserialize;

use super::{Error, Progress, Toolchain, command::run};

/// The part of wrangler.toml that says how the Worker runs.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Wrangler {
    /// The Worker's name.
    pub name: String,
    /// The date whose behaviour the runtime keeps.
    pub compatibility_date: String,
    routes: Vec<Route>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Route {
    zone_name: String,
}

impl Wrangler {
    /// Reads the workspace's wrangler.toml.
    ///
    /// # Errors
    /// [`Error::File`] without the file, [`Error::Content`] when it lacks a name, a date or a route.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let path = root.join("wrangler.toml");
        let read: Self =
            read(&path)?.try_into().map_err(|error: toml::de::Error| Error::content(&path, error.to_string()))?;
        if read.routes.is_empty() {
            return Err(Error::content(&path, "has no [[routes]], so it would run nowhere; give it the zone's"));
        }
        Ok(read)
    }

    /// The zone that the Worker runs in.
    #[must_use]
    pub fn zone(&self) -> &str {
        self.routes.first().map_or("", |route| &route.zone_name)
    }
}

/// What `wrangler deploy --dry-run` says it would upload.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRun {
    /// All modules, in KiB.
    pub total_kib: f64,
    /// The same gzipped, in KiB.
    pub gzipped_kib: f64,
    /// Everything that wrangler wrote.
    pub lines: Vec<String>,
}

impl Toolchain {
    /// Runs `wrangler deploy --dry-run` on what [`Toolchain::build`] and [`publish`](super::publish) left in `build/`: everything that a
    /// deployment does before it uploads; it talks to nobody. Of wrangler.toml only the build command is left out, which in the midst of
    /// `cargo test --workspace` would compile this package's dependencies once more, for other features. `environment` is one of the file's, or
    /// empty for production.
    ///
    /// # Errors
    /// [`Error::Failed`] with wrangler's last lines.
    pub fn dry_run(&self, environment: &str, progress: &Progress<'_>) -> Result<DryRun, Error> {
        let what = "asking wrangler what it would upload";
        progress(&format!("worker   {what} …"));
        let config = self.root.join("build/wrangler.toml");
        let shipped = read(&self.root.join("wrangler.toml"))?;
        std::fs::write(&config, without_build(&shipped)).map_err(|error| Error::file("write", &config, error))?;
        let wrangler = self.root.join("node_modules/.bin/wrangler");
        let mut command = Command::new(&wrangler);
        command
            .args(["deploy", "--dry-run", "--env", environment, "--config"])
            .arg(&config)
            .arg("--outdir")
            .arg(self.root.join("build/dry-run"))
            .current_dir(&self.root)
            .env("PATH", &self.path)
            .env("WRANGLER_SEND_METRICS", "false")
            .env("WRANGLER_HIDE_BANNER", "true")
            .env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
        let lines = run(&mut command, what, "Remove node_modules/ and start again.", progress)?;
        let Some((total_kib, gzipped_kib)) = lines.iter().find_map(|line| sizes(line)) else {
            let problem = format!("did not say `Total Upload: … KiB / gzip: … KiB` but:\n{}", lines.join("\n"));
            return Err(Error::content(&wrangler, problem));
        };
        Ok(DryRun { total_kib, gzipped_kib, lines })
    }
}

fn read(path: &Path) -> Result<toml::Table, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::file("read", path, error))?;
    text.parse().map_err(|error: toml::de::Error| Error::content(path, error.to_string()))
}

/// The same configuration for a file in `build/`, to which its paths are relative, without the build command.
fn without_build(shipped: &toml::Table) -> String {
    let inside = |value: &mut toml::Value| {
        if let toml::Value::String(path) = value {
            *path = path.trim_start_matches("build/").to_owned();
        }
    };
    let mut config = shipped.clone();
    config.remove("build");
    config.get_mut("main").into_iter().for_each(inside);
    config.get_mut("assets").and_then(|assets| assets.get_mut("directory")).into_iter().for_each(inside);
    config.to_string()
}

/// Reads `Total Upload: 176.88 KiB / gzip: 68.20 KiB`.
fn sizes(line: &str) -> Option<(f64, f64)> {
    let (total, gzipped) = line.trim().strip_prefix("Total Upload:")?.split_once("/ gzip:")?;
    let kib = |text: &str| text.trim().strip_suffix("KiB")?.trim().parse().ok();
    Some((kib(total)?, kib(gzipped)?))
}

#[cfg(test)]
mod tests {
    use super::{super::Toolchain, Wrangler, read, sizes, without_build};

    #[test]
    fn the_shipped_file_is_read() {
        let wrangler = Wrangler::read(&Toolchain::workspace()).unwrap();
        assert_eq!((wrangler.name.as_str(), wrangler.zone()), ("makenotwork-edge", "makenot.work"));
    }

    #[test]
    fn a_dry_run_changes_only_where_things_are() {
        let shipped = read(&Toolchain::workspace().join("wrangler.toml")).unwrap();
        let config: toml::Table = without_build(&shipped).parse().unwrap();
        assert_eq!(config["main"].as_str(), Some("edge/index.js"));
        assert_eq!(config["assets"]["directory"].as_str(), Some("assets"));
        let same = shipped.iter().filter(|(key, value)| config.get(*key) == Some(*value)).count();
        assert_eq!((same, config.len()), (shipped.len() - 3, shipped.len() - 1));
    }

    #[test]
    fn sizes_are_read_from_the_one_line() {
        assert_eq!(sizes("Total Upload: 176.88 KiB / gzip: 68.20 KiB"), Some((176.88, 68.2)));
        assert_eq!(sizes("Total Upload: much"), None);
        assert_eq!(sizes("Uploaded makenotwork-edge (1.00 sec)"), None);
    }
}
