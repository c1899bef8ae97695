//! How many requests of this UTC day the Worker has told of, in a file: the free plan's quota is a day's, and a restart does not give it back.
//!
//! One line of fixed length, days since 1970 and requests. During a reload two processes write: each adds what it has been told of since it
//! wrote last, and holds a lock on the file meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

const NAME: &str = "edge-requests-today";

/// The file.
#[derive(Clone, Debug)]
pub(super) struct Day(PathBuf);

impl Day {
    /// In a folder. Nothing is opened yet.
    pub(super) fn in_folder(folder: &Path) -> Self {
        Self(folder.join(NAME))
    }

    /// Adds to a day's requests, and gives all of them. A line that can't be read counts as none.
    pub(super) fn add(&self, day: u64, requests: u64) -> io::Result<u64> {
        let mut file = self.open()?;
        file.lock()?;
        // What is no text is no count either.
        let text = io::read_to_string(&file).unwrap_or_default();
        let known = parse(&text).filter(|(known, _)| *known == day).map_or(0, |(_, requests)| requests);
        let all = known.saturating_add(requests);
        if requests > 0 {
            file.rewind()?;
            file.write_all(format!("{day:>10} {all:>20}\n").as_bytes())?;
        }
        file.unlock()?;
        Ok(all)
    }

    fn open(&self) -> io::Result<File> {
        if let Some(folder) = self.0.parent() {
            std::fs::create_dir_all(folder)?;
        }
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.0)
    }
}

fn parse(text: &str) -> Option<(u64, u64)> {
    let (day, requests) = text.lines().next()?.trim().split_once(' ')?;
    Some((day.parse().ok()?, requests.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Day, NAME};

    #[test]
    fn two_processes_add_to_one_day() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let [old, new] = [Day::in_folder(&state), Day::in_folder(&state)];
        assert_eq!(new.add(20_000, 0).unwrap(), 0);
        assert_eq!(old.add(20_000, 70).unwrap(), 70);
        assert_eq!(new.add(20_000, 5).unwrap(), 75);
        assert_eq!(old.add(20_000, 0).unwrap(), 75);
        assert_eq!(new.add(20_001, 3).unwrap(), 3, "another day");
        // Shorter than what stood there.
        assert_eq!(std::fs::read_to_string(state.join(NAME)).unwrap(), format!("{:>10} {:>20}\n", 20_001, 3));
    }

    #[test]
    fn what_can_t_be_read_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let day = Day::in_folder(folder.path());
        for broken in ["", "20000", "20000 many\n", "\u{0}\u{0}\n"] {
            std::fs::write(folder.path().join(NAME), broken).unwrap();
            assert_eq!((day.add(20_000, 2).unwrap(), day.add(20_000, 0).unwrap()), (2, 2), "{broken:?}");
        }
        std::fs::write(folder.path().join(NAME), b"\xff\xfe").unwrap();
        assert_eq!(day.add(20_000, 2).unwrap(), 2);
    }
}
