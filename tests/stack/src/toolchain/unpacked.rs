//! Programs from Debian's packages, unpacked into `.tools/` with all that they link, libc too: nothing is installed, no root is needed, and
//! each runs on any Linux beside any other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, Progress, command::run, lock};

const REMEDY: &str = "Its packages are fetched with apt-get: on Debian it is there; elsewhere install the packages `apt` and `debian-archive-keyring`, and have a way to deb.debian.org.";

/// Signs Debian's lists of packages.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What is wanted of Debian.
pub(super) struct Wanted<'a> {
    /// The folder in `.tools/`.
    pub(super) folder: String,
    /// What it is called.
    pub(super) name: &'a str,
    /// Debian's suite.
    pub(super) suite: &'a str,
    /// Its packages.
    pub(super) packages: &'a [&'a str],
    /// Which of them has the version.
    pub(super) version_of: &'a str,
}

/// A tree of files with its own libc.
#[derive(Clone, Debug)]
pub(super) struct Unpacked {
    folder: PathBuf,
    version: String,
}

/// Fetches and unpacks what is missing.
pub(super) fn unpack(root: &Path, wanted: &Wanted<'_>, progress: &Progress<'_>) -> Result<Unpacked, Error> {
    let _lock = lock(root, progress)?;
    let folder = root.join(".tools").join(&wanted.folder);
    let stamp = folder.join("version");
    if let Ok(version) = fs::read_to_string(&stamp) {
        return Ok(Unpacked { folder, version });
    }
    let (name, suite) = (wanted.name, wanted.suite);
    let what = format!("getting {name} from Debian's suite {suite}");
    if !Path::new(KEYRING).exists() {
        return Err(Error::Missing { what, program: "debian-archive-keyring".to_owned(), remedy: REMEDY });
    }
    progress(&format!("{:8} {what} (once, about 1 min) …", name.to_lowercase()));
    let _ = fs::remove_dir_all(&folder);
    let version = fetch(&folder, wanted, &what, progress)?;
    fs::write(&stamp, &version).map_err(|e| Error::file("write", &stamp, e))?;
    Ok(Unpacked { folder, version })
}

/// With lists, and an empty record of what is installed, of its own: so apt names everything down to libc.
fn fetch(folder: &Path, wanted: &Wanted<'_>, what: &str, progress: &Progress<'_>) -> Result<String, Error> {
    let suite = wanted.suite;
    let apt = folder.join("apt");
    let (debs, list, config) = (folder.join("debs"), apt.join("sources.list"), apt.join("apt.conf"));
    for made in [apt.join("none"), apt.join("lists/partial"), apt.join("cache/archives/partial"), debs.clone()] {
        fs::create_dir_all(&made).map_err(|e| Error::file("make", &made, e))?;
    }
    let write = |path: &Path, text: &str| fs::write(path, text).map_err(|e| Error::file("write", path, e));
    let mut sources = format!("deb [signed-by={KEYRING}] http://deb.debian.org/debian {suite} main\n");
    if suite != "sid" {
        sources += &format!("deb [signed-by={KEYRING}] http://deb.debian.org/debian-security {suite}-security main\n");
    }
    write(&list, &sources)?;
    write(&apt.join("status"), "")?;
    let shown = apt.display();
    // A mirror that is behind will do: what it gives is signed all the same.
    write(
        &config,
        &format!(
            "Dir::Etc::Parts \"{shown}/none\";\nDir::Etc::Main \"{shown}/none\";\nDir::State \"{shown}\";\nDir::State::Lists \"{shown}/lists\";\n\
             Dir::State::status \"{shown}/status\";\nDir::Cache \"{shown}/cache\";\nDir::Etc::SourceList \"{shown}/sources.list\";\n\
             Dir::Etc::SourceParts \"{shown}/none\";\nDir::Etc::PreferencesParts \"{shown}/none\";\n\
             Acquire::Check-Valid-Until \"false\";\n\
             Acquire::Languages \"none\";\nAcquire::Retries \"3\";\nAPT::Sandbox::User \"\";\n"
        ),
    )?;
    let get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        let command = command.args(arguments).env("APT_CONFIG", &config).env("LC_ALL", "C").current_dir(&debs);
        run(command, what, REMEDY, progress)
    };
    get(&["update"])?;
    let plan = get(&[&["install", "--simulate", "--no-install-recommends"], wanted.packages].concat())?;
    // As in `Inst radosgw (16.2.15+ds-0+deb12u2 Debian:12.11/oldstable [amd64])`
    let planned = || plan.iter().filter_map(|line| line.strip_prefix("Inst ")?.split_once(' '));
    let names: Vec<&str> = planned().map(|(name, _)| name).collect();
    let version =
        planned().find(|(name, _)| *name == wanted.version_of).map_or("", |(_, rest)| rest.trim_start_matches('('));
    let version = version.split(['+', '-', ' ']).next().unwrap_or_default().to_owned();
    // What is neither linked nor loaded (perl, systemd, file systems) stays away.
    let needed =
        |name: &&str| ["lib", "zlib", "ceph", "radosgw", "python3"].iter().any(|start| name.starts_with(start));
    let names: Vec<&str> = names.into_iter().filter(needed).collect();
    get(&[&["download"], &names[..]].concat())?;
    let all = "set -e; for package in *.deb; do dpkg-deb --extract \"$package\" \"$1\"; done";
    let root = folder.join("root");
    let mut extract = Command::new("sh");
    run(extract.args(["-c", all, "sh"]).arg(&root).current_dir(&debs), what, REMEDY, progress)?;
    for spent in [debs, apt, root.join("usr/share/doc"), root.join("usr/share/man"), root.join("usr/share/locale")] {
        fs::remove_dir_all(&spent)
            .or_else(|e| if spent.exists() { Err(e) } else { Ok(()) })
            .map_err(|e| Error::file("remove", &spent, e))?;
    }
    Ok(version)
}

impl Unpacked {
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// One of the programs, under its own loader and libraries.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = self.loaded();
        command.arg(self.folder.join("root/usr/bin").join(program));
        command
    }

    /// Python with its packages.
    pub(super) fn python(&self) -> Command {
        let mut command = self.command("python3");
        let usr = self.usr();
        command.env("PYTHONHOME", &usr).env("PYTHONPATH", usr.join("lib/python3/dist-packages"));
        command
    }

    pub(super) fn usr(&self) -> PathBuf {
        self.folder.join("root/usr")
    }

    /// Its libraries.
    pub(super) fn libraries(&self) -> PathBuf {
        self.usr().join("lib").join(triplet())
    }

    fn loaded(&self) -> Command {
        let own = self.libraries();
        let base = self.folder.join("root/lib").join(triplet());
        let name = format!("ld-linux-{}.so.{}", ARCH.replace('_', "-"), if ARCH == "x86_64" { 2 } else { 1 });
        // Where it is depends on the suite's age.
        let loader =
            [own.join(&name), base.join(&name)].into_iter().find(|path| path.exists()).unwrap_or_else(|| name.into());
        let paths = [own.clone(), own.join("ceph"), base].map(|path| path.display().to_string());
        let mut command = Command::new(loader);
        command.arg("--library-path").arg(paths.join(":"));
        command
    }
}

const ARCH: &str = std::env::consts::ARCH;

fn triplet() -> String {
    format!("{ARCH}-linux-gnu")
}
