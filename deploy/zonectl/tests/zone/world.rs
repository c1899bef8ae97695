//! A zone at the double, and the files of this checkout that say what it is to be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use deploy::cloudflare::{Cloudflare, TOKEN};
use tempfile::TempDir;

/// The zone, and a copy of our files.
pub(crate) struct World {
    pub(crate) cloudflare: Cloudflare,
    pub(crate) folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    /// Both streams.
    pub(crate) text: String,
}

impl World {
    /// An empty zone, to which both Workers are deployed.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for file in [
            "wrangler.toml",
            "deploy/cloudflare/zone.toml",
            "deploy/cloudflare/custom-rules.json",
            "deploy/zone/makenot.work.zone",
        ] {
            let to = folder.path().join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(root.join(file), to).unwrap();
        }
        let cloudflare = Cloudflare::start("makenot.work");
        cloudflare.zone().scripts = vec!["makenotwork-edge".to_owned(), "makenotwork-edge-staging".to_owned()];
        Self { cloudflare, folder }
    }

    /// The same, with the zone as the file wants it.
    pub(crate) fn applied() -> Self {
        let world = Self::new();
        world.has(0, &["ca", "new", "ca"]);
        world.has(0, &["ca", "install", "ca", "--trusted", "ca/zone-ca.pem"]);
        world.has(0, &["apply", "--yes"]);
        let _ = world.cloudflare.writes();
        world
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Replaces the first of something in a file, which must be there.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(self.path(file), text.replacen(from, to, 1)).unwrap();
    }

    /// Runs it with the token in the environment.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_as(Some(TOKEN), arguments)
    }

    pub(crate) fn run_as(&self, token: Option<&str>, arguments: &[&str]) -> Said {
        self.run_at(&self.cloudflare.url(), token, arguments)
    }

    /// With the API elsewhere.
    pub(crate) fn at(&self, api: &str, arguments: &[&str]) -> Said {
        self.run_at(api, Some(TOKEN), arguments)
    }

    fn run_at(&self, api: &str, token: Option<&str>, arguments: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zonectl"));
        command.args(["--api", api]).args(arguments).current_dir(&self.folder).stdin(Stdio::null()).env_clear();
        if let Some(token) = token {
            command.env("CLOUDFLARE_API_TOKEN", token);
        }
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        for secret in [Some(TOKEN), token].into_iter().flatten() {
            assert!(!text.contains(secret), "the token shows: {text}");
        }
        assert!(!text.contains("PRIVATE KEY"), "a key shows: {text}");
        Said { code: output.status.code().unwrap(), text }
    }

    /// Runs it, and it ends with this code.
    pub(crate) fn has(&self, code: i32, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, code, "{arguments:?}\n{}", said.text);
        said.text
    }

    /// The record with this name and type.
    pub(crate) fn record(&self, name: &str, kind: &str) -> serde_json::Value {
        let zone = self.cloudflare.zone();
        zone.records.iter().find(|it| it["name"] == name && it["type"] == kind).cloned().unwrap_or_default()
    }
}
