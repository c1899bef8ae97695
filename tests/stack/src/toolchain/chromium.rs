//! Chromium, for the tests with a real browser: the machine's own, from the distribution, whose security updates it gets.

use std::path::PathBuf;

use super::{Error, Progress, debian::Program};

const CHROMIUM: Program = Program {
    variable: "CHROMIUM",
    names: &["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"],
    package: "chromium",
    purpose: "browser",
    remedy: "Install the package `chromium` (on Debian: `apt install chromium`), or name the program in the variable CHROMIUM.",
};

/// Where Chromium is: the variable `CHROMIUM`, else in `PATH`, else installed by `apt-get` where we are root on a Debian.
///
/// # Errors
/// [`Error::Missing`] names the package; [`Error::Failed`] shows apt-get's last lines.
pub fn chromium(progress: &Progress<'_>) -> Result<PathBuf, Error> {
    CHROMIUM.get(progress)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::CHROMIUM;

    #[test]
    fn what_is_named_wins_and_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().join("empty"), folder.path().to_owned()];
        assert_eq!(CHROMIUM.find(None, &folders).unwrap(), None);
        for name in ["google-chrome", "chromium", "mine"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(CHROMIUM.find(None, &folders).unwrap(), Some(folder.path().join("chromium")));
        let mine = folder.path().join("mine");
        assert_eq!(CHROMIUM.find(Some(&mine), &folders).unwrap(), Some(mine));
        assert_eq!(CHROMIUM.find(Some(Path::new("")), &folders).unwrap(), Some(folder.path().join("chromium")));
        let error = CHROMIUM.find(Some(Path::new("/nowhere")), &folders).unwrap_err().to_string();
        assert_eq!(error, "/nowhere: is no program, but the variable CHROMIUM names it");
    }
}
