//! The purge log in a file, so that the next process knows what was purged before it.
//!
//! One line a purge, as the exchange with the edge says it ([`contract::news`]), after a first line with the format:
//!
//! ```text
//! origin-purges 1
//! hard 1795000000000 all
//! hard 1795000000125 tag creator-7
//! at 1796000000000
//! ```
//!
//! `at` is where the numbers go on when a process begins. During a reload two processes write, so whoever writes holds a lock on the folder and
//! has read first what the other has written: no number is given twice, and none is given that somebody could overlook.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use cache::purge::{Log, Purge, Scope};
use contract::news;
use edge::following;

const NAME: &str = "purges";
const FORMAT: &str = "origin-purges 1";
/// From so many bytes on it is written anew when a process begins: of each scope only the newest counts.
const LONG: u64 = 1 << 20;

/// A purge log's file.
#[derive(Debug)]
pub(super) struct Journal {
    /// Held open to be locked.
    folder: File,
    path: PathBuf,
    /// Which file has been read, and how far.
    inode: u64,
    read: u64,
}

fn line(purge: &Purge) -> String {
    format!("{}\n", following::said(purge.clone()))
}

/// Why what stands in a file can't be believed.
fn damaged(line: &str) -> io::Error {
    let line: String = line.chars().take(80).collect();
    io::Error::new(io::ErrorKind::InvalidData, format!("`{}` is no line of a purge log", line.escape_debug()))
}

impl Journal {
    /// Opens what is kept in a folder, and gives the log that goes on from there, at least from `now`. A file that can't be believed
    /// is begun anew: then all that is older than `now` counts as purged, and the error says why.
    pub(super) fn open(folder: &Path, now: u64) -> io::Result<(Self, Log, Option<io::Error>)> {
        fs::create_dir_all(folder)?;
        let path = folder.join(NAME);
        let mut journal = Self { folder: File::open(folder)?, path, inode: 0, read: 0 };
        journal.folder.lock()?;
        let mut log = Log::default();
        let came = journal.catch_up(&mut log);
        let fault = match came {
            // Its first line of all says from where on it is known what was purged.
            Ok(()) if log.newest() > 0 => {
                log.learn(&[], now);
                if journal.read > LONG {
                    journal.write_anew(&log)?
                } else {
                    journal.append(&format!("at {now}\n"))?
                }
                None
            }
            other => {
                log = Log::starting_at(now);
                journal.write_anew(&log)?;
                other.err()
            }
        };
        journal.folder.unlock()?;
        Ok((journal, log, fault))
    }

    /// Adds purges to the log, after those that another process has added, and to the file. In the log they are in any case.
    pub(super) fn add(&mut self, log: &mut Log, scopes: &[Scope], soft: bool) -> io::Result<()> {
        let known = self.folder.lock().and_then(|()| self.catch_up(log));
        let mut lines = String::new();
        for scope in scopes {
            let at = log.add(scope, soft);
            lines.push_str(&line(&Purge { at, scope: scope.clone(), soft }));
        }
        let done = known.and_then(|()| self.append(&lines));
        self.folder.unlock()?;
        done
    }

    /// Whether there is something that has not been read.
    pub(super) fn is_behind(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| (file.ino(), file.len()) != (self.inode, self.read))
    }

    /// Reads what another process has added.
    pub(super) fn read(&mut self, log: &mut Log) -> io::Result<()> {
        self.folder.lock()?;
        let done = self.catch_up(log);
        self.folder.unlock()?;
        done
    }

    /// Waits until what has been added is on the disk.
    pub(super) fn keep(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_data()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn catch_up(&mut self, log: &mut Log) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let known = file.metadata()?;
        if known.ino() != self.inode || known.len() < self.read {
            (self.inode, self.read) = (known.ino(), 0);
        }
        file.seek(SeekFrom::Start(self.read))?;
        let text = io::read_to_string(file)?;
        // What a crash has cut off nobody was told to be kept.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut lines = whole.lines();
        if self.read == 0 && lines.next().is_some_and(|line| line != FORMAT) {
            return Err(damaged(whole.lines().next().unwrap_or_default()));
        }
        for line in lines {
            if let Some(at) = line.strip_prefix("at ") {
                log.learn(&[], at.parse().map_err(|_| damaged(line))?);
            } else {
                let purge = news::Purge::parse(line).ok_or_else(|| damaged(line))?;
                log.learn(&[following::purge(&purge)], purge.at);
            }
        }
        self.read += whole.len() as u64;
        if whole.len() < text.len() {
            OpenOptions::new().write(true).open(&self.path)?.set_len(self.read)?;
        }
        Ok(())
    }

    fn append(&mut self, lines: &str) -> io::Result<()> {
        OpenOptions::new().append(true).open(&self.path)?.write_all(lines.as_bytes())?;
        self.read += lines.len() as u64;
        Ok(())
    }

    /// Another process has the old file in its hand at no time: it opens it when it reads or adds.
    fn write_anew(&mut self, log: &Log) -> io::Result<()> {
        let mut text = format!("{FORMAT}\n");
        for purge in log.since(0, usize::MAX).into_iter().rev() {
            text.push_str(&line(&purge));
        }
        text.push_str(&format!("at {}\n", log.newest()));
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.folder.sync_all()?;
        (self.inode, self.read) = (file.metadata()?.ino(), text.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, LONG};
    use cache::purge::{Log, Scope};
    use std::fs;

    fn tag(name: &str) -> [Scope; 1] {
        [Scope::Tag(name.into())]
    }

    fn purges(log: &Log) -> Vec<(u64, Scope)> {
        log.since(0, 99).into_iter().rev().map(|purge| (purge.at, purge.scope)).collect()
    }

    #[test]
    fn the_next_process_knows_what_was_purged() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut journal, mut log, fault) = Journal::open(folder.path(), 100).expect("opened");
        assert!(fault.is_none());
        journal.add(&mut log, &tag("a"), true).expect("added");
        journal
            .add(&mut log, &[Scope::Group { origin: "https://a".into(), name: "b c".into() }], false)
            .expect("added");
        let (mut next, mut later, fault) = Journal::open(folder.path(), 200).expect("opened");
        assert!(fault.is_none());
        assert_eq!((purges(&later), later.newest()), (purges(&log), 200));
        // During a reload both add, and number as one.
        next.add(&mut later, &tag("b"), false).expect("added");
        assert!(journal.is_behind());
        journal.add(&mut log, &tag("c"), false).expect("added");
        assert_eq!(log.newest(), 202);
        assert!(next.is_behind());
        next.read(&mut later).expect("read");
        assert!(!next.is_behind());
        assert_eq!((purges(&later), later.newest()), (purges(&log), 202));
        // A clock that has gone back does not lead the numbers back.
        assert_eq!(Journal::open(folder.path(), 50).expect("opened").1.newest(), 202);
    }

    #[test]
    fn what_is_cut_off_is_left_out_and_what_is_damaged_counts_as_everything() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("purges");
        let (mut journal, mut log, _) = Journal::open(folder.path(), 100).expect("opened");
        journal.add(&mut log, &tag("a"), true).expect("added");
        let whole = fs::read(&path).expect("read");
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).expect("written");
            let (mut journal, mut log, fault) = Journal::open(folder.path(), 200).expect("opened");
            assert!(fault.is_none(), "{cut}: {fault:?}");
            journal.add(&mut log, &tag("b"), false).expect("added");
            let (_, again, fault) = Journal::open(folder.path(), 300).expect("opened");
            assert!(fault.is_none(), "{cut}: {fault:?}");
            assert_eq!(purges(&again), purges(&log), "{cut}");
            assert!(purges(&again).iter().any(|(_, scope)| *scope == Scope::All), "{cut}");
        }
        for text in ["origin-purges 2\n", "origin-purges 1\nhard x all\n", "origin-purges 1\n\0\0\0\nat 5\n", "\n"] {
            fs::write(&path, text).expect("written");
            let (_, log, fault) = Journal::open(folder.path(), 200).expect("opened");
            assert!(fault.expect("told").to_string().contains("no line of a purge log"), "{text}");
            assert_eq!(purges(&log), [(200, Scope::All)]);
            assert!(Journal::open(folder.path(), 300).expect("opened").2.is_none());
        }
    }

    #[test]
    fn a_long_one_is_written_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("purges");
        let (mut journal, mut log, _) = Journal::open(folder.path(), 100).expect("opened");
        let scopes = [Scope::Url("x".repeat(1000).into()), Scope::Tag("a".into())];
        while fs::metadata(&path).expect("there").len() <= LONG {
            journal.add(&mut log, &scopes, false).expect("added");
        }
        let (mut next, mut later, _) = Journal::open(folder.path(), 200).expect("opened");
        assert!(fs::metadata(&path).expect("there").len() < 2_000);
        assert_eq!(purges(&later), purges(&log));
        // Whoever knew the old file reads the new one.
        next.add(&mut later, &tag("z"), false).expect("added");
        assert!(journal.is_behind());
        journal.read(&mut log).expect("read");
        assert_eq!((purges(&later), later.newest()), (purges(&log), log.newest()));
    }
}
