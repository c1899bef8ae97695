//! Builds the Worker: cargo for `wasm32-unknown-unknown`, wasm-bindgen, wasm-opt and esbuild, all under worker-build.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Error, Progress, Toolchain,
    command::{independent, run},
    lock,
};

/// The most that the modules may take together, gzipped, in bytes. Cloudflare's limit on the free plan is 3 MiB; ours is about the time that
/// an instance takes to start, and tells when a dependency creeps in.
pub const MAX_GZIPPED_BYTES: u64 = 250 * 1024;

/// cargo's profile, in the root Cargo.toml.
const PROFILE: &str = "worker";

const REMEDY: &str = "Remove .tools/ and start again: it is installed anew.";

/// What to build, from what, and where to.
#[derive(Clone, Debug)]
pub struct Worker {
    /// The crate's folder.
    pub crate_folder: PathBuf,
    /// The files, and folders with all below them, on which the result depends.
    pub sources: Vec<PathBuf>,
    /// Where the modules go.
    pub out: PathBuf,
    /// cargo's target folder: its own, so that it never waits for the build that it is part of.
    pub target: PathBuf,
}

impl Worker {
    /// Our edge, built into `build/worker/`.
    #[must_use]
    pub fn edge(root: &Path) -> Self {
        let sources =
            ["cache", "contract", "edge", "Cargo.lock", "Cargo.toml", "package-lock.json", "rust-toolchain.toml"];
        Self {
            crate_folder: root.join("edge"),
            sources: sources.iter().map(|source| root.join(source)).collect(),
            out: root.join("build/worker"),
            target: root.join("target/worker"),
        }
    }
}

/// The modules as they were built.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Bundle {
    /// The folder with `index.js` and `index_bg.wasm`.
    pub folder: PathBuf,
    /// The size of `index.js`, in bytes.
    pub javascript_bytes: u64,
    /// The size of `index_bg.wasm`, in bytes.
    pub wasm_bytes: u64,
    /// Both together, gzipped as wrangler counts them, in bytes.
    pub gzipped_bytes: u64,
}

impl Bundle {
    /// # Errors
    /// [`Error::Limit`] over [`MAX_GZIPPED_BYTES`].
    pub fn check_size(&self) -> Result<(), Error> {
        if self.gzipped_bytes <= MAX_GZIPPED_BYTES {
            return Ok(());
        }
        Err(Error::Limit(format!(
            "the Worker is {} KiB gzipped and may be {} KiB: look for a new dependency of edge, cache or contract with \
             `cargo tree -p edge --target wasm32-unknown-unknown`",
            self.gzipped_bytes.div_ceil(1024),
            MAX_GZIPPED_BYTES / 1024
        )))
    }
}

/// What stands in `glue.js` where the filter's rules belong.
const RULES: &str = "\"@edge-rules@\"";

impl Bundle {
    /// Copies the modules to `out` with the filter's rules in their place; without rules there is no filter.
    ///
    /// # Errors
    /// [`Error::Content`] where there is no place for them, and [`Error::File`].
    pub fn with_rules(&self, rules: Option<&str>, out: &Path) -> Result<Self, Error> {
        let path = self.folder.join("index.js");
        let script = fs::read_to_string(&path).map_err(|error| Error::file("read", &path, error))?;
        let parts: Vec<&str> = script.split(RULES).collect();
        let [before, after] = parts[..] else {
            return Err(Error::content(&path, format!("has {RULES} {} times, not once", parts.len() - 1)));
        };
        // JSON's strings are JavaScript's, too.
        let rules = serde_json::to_string(rules.unwrap_or_default()).unwrap_or_default();
        fs::create_dir_all(out).map_err(|error| Error::file("make", out, error))?;
        let (to, script) = (out.join("index.js"), [before, &rules, after].concat());
        fs::write(&to, &script).map_err(|error| Error::file("write", &to, error))?;
        let wasm = out.join("index_bg.wasm");
        fs::copy(self.folder.join("index_bg.wasm"), &wasm).map_err(|error| Error::file("write", &wasm, error))?;
        Ok(Self { folder: out.to_owned(), javascript_bytes: script.len() as u64, ..self.clone() })
    }
}

/// Beside the modules: from which sources they were built.
#[derive(Deserialize, Serialize)]
struct Stamp {
    fingerprint: String,
    bundle: Bundle,
}

impl Toolchain {
    /// Builds the Worker unless what is there was built from the same sources.
    ///
    /// # Errors
    /// [`Error::Failed`] with the compiler's last lines.
    pub fn build(&self, worker: &Worker, progress: &Progress<'_>) -> Result<Bundle, Error> {
        let _lock = lock(&self.root, progress)?;
        let fingerprint = fingerprint(&worker.sources)?;
        let stamp = worker.out.join(".stamp");
        if let Some(bundle) = read_stamp(&stamp, &fingerprint) {
            return Ok(bundle);
        }
        let what = "building the Worker";
        let first = if worker.target.exists() { "" } else { " (the first time about 1 min)" };
        progress(&format!("worker   {what}{first} …"));
        // A build that was killed leaves its folder, and worker-build waits for it; we hold the lock, so it is nobody's.
        for stale in [worker.out.join(".tmp"), stamp.clone()] {
            let _ = fs::remove_dir_all(&stale).or_else(|_| fs::remove_file(&stale));
        }
        let mut build = Command::new(&self.worker_build);
        build.args(["--profile", PROFILE, "--out-dir"]).arg(&worker.out);
        let bin = self.root.join("node_modules/.bin");
        independent(&mut build)
            .current_dir(&worker.crate_folder)
            .env("PATH", &self.path)
            // Its own stack would push the compiler's message out of the last lines.
            .env("RUST_BACKTRACE", "0")
            .env("CARGO_TARGET_DIR", &worker.target)
            .env("WASM_BINDGEN_BIN", &self.wasm_bindgen)
            .env("WASM_OPT_BIN", bin.join("wasm-opt"))
            .env("ESBUILD_BIN", bin.join("esbuild"));
        run(&mut build, what, REMEDY, progress)?;
        // Names of former versions for the same module, which wrangler would upload as well.
        let aliases = worker.out.join("worker");
        fs::remove_dir_all(&aliases).map_err(|error| Error::file("remove", &aliases, error))?;
        self.enter(worker, progress)?;
        let bundle = self.measure(&worker.out, progress)?;
        let written = serde_json::to_string(&Stamp { fingerprint, bundle: bundle.clone() }).unwrap_or_default();
        fs::write(&stamp, written).map_err(|error| Error::file("write", &stamp, error))?;
        Ok(bundle)
    }

    /// Puts our own entry, where the crate has one, around what worker-build has made.
    fn enter(&self, worker: &Worker, progress: &Progress<'_>) -> Result<(), Error> {
        let entry = worker.crate_folder.join("src/worker/entry.js");
        if !entry.exists() {
            return Ok(());
        }
        let module = worker.out.join("index.js");
        let mut bundle = Command::new(self.root.join("node_modules/.bin/esbuild"));
        bundle
            .arg(entry)
            .arg(format!("--alias:worker-build={}", module.display()))
            .arg(format!("--outfile={}", module.display()))
            .args(["--bundle", "--minify", "--format=esm", "--target=esnext", "--allow-overwrite", "--log-level=error"])
            .args(["--external:*.wasm", "--external:cloudflare:workers"])
            .env("PATH", &self.path);
        run(&mut bundle, "putting the Worker's entry around it", REMEDY, progress).map(drop)
    }

    fn measure(&self, folder: &Path, progress: &Progress<'_>) -> Result<Bundle, Error> {
        let modules = ["index.js", "index_bg.wasm"].map(|name| folder.join(name));
        let size =
            |path: &Path| fs::metadata(path).map(|file| file.len()).map_err(|error| Error::file("read", path, error));
        let script = "const fs = require('node:fs'); console.log(require('node:zlib').gzipSync(Buffer.concat(\
                      process.argv.slice(1).map((path) => fs.readFileSync(path)))).length)";
        let printed = run(
            Command::new(&self.node).args(["-e", script]).args(&modules),
            "measuring the Worker",
            REMEDY,
            progress,
        )?;
        let gzipped_bytes = printed
            .first()
            .and_then(|line| line.parse().ok())
            .ok_or_else(|| Error::content(folder, format!("Node did not say the gzipped size but {printed:?}")))?;
        let [javascript, wasm] = &modules;
        Ok(Bundle {
            folder: folder.to_owned(),
            javascript_bytes: size(javascript)?,
            wasm_bytes: size(wasm)?,
            gzipped_bytes,
        })
    }
}

fn read_stamp(path: &Path, fingerprint: &str) -> Option<Bundle> {
    let stamp: Stamp = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    let Bundle { folder, javascript_bytes, wasm_bytes, .. } = &stamp.bundle;
    let there = |name: &str, size| fs::metadata(folder.join(name)).is_ok_and(|file| file.len() == size);
    let same = stamp.fingerprint == fingerprint && path.parent() == Some(folder);
    (same && there("index.js", *javascript_bytes) && there("index_bg.wasm", *wasm_bytes)).then_some(stamp.bundle)
}

/// Names and contents of all files, hashed: equal when nothing changed, whatever the times of the files say.
fn fingerprint(sources: &[PathBuf]) -> Result<String, Error> {
    let mut hash = Sha256::new();
    let mut open: Vec<PathBuf> = sources.iter().rev().cloned().collect();
    while let Some(path) = open.pop() {
        let failed = |error| Error::file("read", &path, error);
        if path.is_dir() {
            let mut inside = Vec::new();
            for entry in fs::read_dir(&path).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                // An editor's and git's files are no sources, nor is what cargo or a fuzzer builds in place.
                if !entry.file_name().to_string_lossy().starts_with('.') && entry.file_name() != "target" {
                    inside.push(entry.path());
                }
            }
            inside.sort_unstable_by(|a, b| b.cmp(a));
            open.extend(inside);
        } else {
            let content = fs::read(&path).map_err(failed)?;
            hash.update(path.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(content.len().to_le_bytes());
            hash.update(content);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::{Bundle, MAX_GZIPPED_BYTES, fingerprint};

    fn sources(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("stack-worker-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("src/deep")).unwrap();
        fs::write(folder.join("src/lib.rs"), "a").unwrap();
        fs::write(folder.join("src/deep/more.rs"), "b").unwrap();
        folder
    }

    #[test]
    fn the_fingerprint_follows_names_and_contents_only() {
        let folder = sources("fingerprint");
        let of = || fingerprint(std::slice::from_ref(&folder)).unwrap();
        let first = of();
        fs::write(folder.join("src/lib.rs"), "a").unwrap();
        fs::write(folder.join("src/.lib.rs.swp"), "x").unwrap();
        assert_eq!(of(), first);
        fs::write(folder.join("src/deep/more.rs"), "c").unwrap();
        assert_ne!(of(), first);
        fs::write(folder.join("src/deep/more.rs"), "b").unwrap();
        assert_eq!(of(), first);
        fs::rename(folder.join("src/deep/more.rs"), folder.join("src/deep/most.rs")).unwrap();
        assert_ne!(of(), first);
        fs::remove_dir_all(&folder).unwrap();
        assert!(fingerprint(&[folder]).unwrap_err().to_string().starts_with("can't read "));
    }

    #[test]
    fn rules_are_put_into_their_one_place() {
        let folder = std::env::temp_dir().join(format!("stack-worker-rules-{}", std::process::id()));
        let bundle = Bundle { folder: folder.join("in"), javascript_bytes: 1, wasm_bytes: 1, gzipped_bytes: 1 };
        fs::create_dir_all(&bundle.folder).unwrap();
        fs::write(bundle.folder.join("index_bg.wasm"), "w").unwrap();
        let script = |text: &str| fs::write(bundle.folder.join("index.js"), text).unwrap();
        script("f=()=>\"@edge-rules@\";");
        let out = folder.join("out");
        let made = bundle.with_rules(Some("rule \"a\"\n"), &out).unwrap();
        assert_eq!(fs::read_to_string(out.join("index.js")).unwrap(), "f=()=>\"rule \\\"a\\\"\\n\";");
        assert_eq!((made.folder, made.javascript_bytes), (out.clone(), 21));
        bundle.with_rules(None, &out).unwrap();
        assert_eq!(fs::read_to_string(out.join("index.js")).unwrap(), "f=()=>\"\";");
        script("f=1");
        assert!(bundle.with_rules(None, &out).unwrap_err().to_string().contains("0 times, not once"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_size_limit_is_inclusive() {
        let bundle =
            |gzipped_bytes| Bundle { folder: PathBuf::new(), javascript_bytes: 1, wasm_bytes: 1, gzipped_bytes };
        assert!(bundle(MAX_GZIPPED_BYTES).check_size().is_ok());
        let error = bundle(MAX_GZIPPED_BYTES + 1).check_size().unwrap_err().to_string();
        assert!(error.starts_with("the Worker is 251 KiB gzipped and may be 250 KiB"), "{error}");
    }
}
