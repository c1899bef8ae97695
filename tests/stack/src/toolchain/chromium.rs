//! Chromium, for the tests with a real browser: the machine's own, from the distribution, whose security updates it gets.

use std::path::{Path, PathBuf};

use super::{Error, Progress, apt};

const REMEDY: &str =
    "Install the package `chromium` (on Debian: `apt install chromium`), or name the program in the variable CHROMIUM.";

/// What distributions call it.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Where Chromium is: the variable `CHROMIUM`, else in `PATH`, else installed by `apt-get` where we are root on a Debian.
///
/// # Errors
/// [`Error::Missing`] names the package; [`Error::Failed`] shows apt-get's last lines.
pub fn chromium(progress: &Progress<'_>) -> Result<PathBuf, Error> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Some(found) = find(std::env::var_os("CHROMIUM").map(PathBuf::from).as_deref(), &folders)? {
        return Ok(found);
    }
    if apt::install("browser", "chromium", REMEDY, progress)?
        && let Some(found) = find(None, &folders)?
    {
        return Ok(found);
    }
    Err(Error::Missing { what: "looking for a browser".to_owned(), program: "chromium".to_owned(), remedy: REMEDY })
}

/// The program that was named, which must exist, or the first in these folders.
fn find(named: Option<&Path>, folders: &[PathBuf]) -> Result<Option<PathBuf>, Error> {
    match named.filter(|named| !named.as_os_str().is_empty()) {
        Some(named) if named.is_file() => Ok(Some(named.to_owned())),
        Some(named) => Err(Error::content(named, "is no program, but the variable CHROMIUM names it")),
        None => Ok(NAMES
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
            .find(|path| path.is_file())),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::find;

    #[test]
    fn what_is_named_wins_and_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("empty"), folder.path().to_owned()];
        assert_eq!(find(None, &folders).unwrap(), None);
        for name in ["google-chrome", "chromium", "mine"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(find(None, &folders).unwrap(), Some(folder.path().join("chromium")));
        let mine = folder.path().join("mine");
        assert_eq!(find(Some(&mine), &folders).unwrap(), Some(mine));
        assert_eq!(find(Some(Path::new("")), &folders).unwrap(), Some(folder.path().join("chromium")));
        let error = find(Some(Path::new("/nowhere")), &folders).unwrap_err().to_string();
        assert_eq!(error, "/nowhere: is no program, but the variable CHROMIUM names it");
    }
}
