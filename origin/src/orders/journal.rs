//! Orders in a file, so that the next process knows what was ordered before it.
//!
//! One line a purge, and one for all standing orders whenever they change, as the exchange with the edge says them ([`contract::news`]),
//! after a first line with the format:
//!
//! ```text
//! origin-orders 1
//! hard 1795000000000 all
//! hard 1795000000125 tag creator-7
//! standing 1795000000126<TAB>maintenance retry=600
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
use contract::news::{self, News};
use edge::{Standing, following};

const NAME: &str = "orders";
const FORMAT: &str = "origin-orders 1";
/// From so many bytes on it is written anew when a process begins: of each scope only the newest counts.
const LONG: u64 = 1 << 20;

/// The file.
#[derive(Debug)]
pub(super) struct Journal {
    /// Held open to be locked.
    folder: File,
    path: PathBuf,
    /// Which file has been read, and how far.
    inode: u64,
    read: u64,
}

/// What has been ordered.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) log: Log,
    pub(super) standing: Standing,
}

impl Known {
    /// Nothing, and all that is older than `now` counts as purged. That nothing stands is told, too: edges outlive us.
    pub(super) fn starting_at(now: u64) -> Self {
        Self { log: Log::starting_at(now), standing: Standing::new(now, []) }
    }

    /// Takes over what another gateway has ordered; gives the lines of what is new.
    pub(super) fn learn(&mut self, said: &News) -> String {
        let purges: Vec<Purge> = said.purges.iter().map(following::purge).collect();
        let new = purges.into_iter().filter(|purge| !self.log.knows(purge)).collect::<Vec<_>>();
        let mut lines = String::new();
        self.log.learn(&new, said.sequence);
        new.into_iter().rev().for_each(|purge| lines.push_str(&line(purge)));
        if let Some(orders) = said.standing.as_ref().filter(|orders| orders.at > self.standing.at) {
            self.standing = Standing::new(orders.at, orders.orders.iter().map(|order| &**order));
            lines.push_str(&all(&self.standing));
        }
        lines
    }

    /// Changes the standing orders.
    pub(super) fn stand(&mut self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.standing);
        self.standing.at = self.log.newest().saturating_add(1);
        self.log.learn(&[], self.standing.at);
    }
}

/// What was found.
pub(super) struct Opened {
    pub(super) journal: Journal,
    pub(super) known: Known,
    /// Why the file could not be believed: it was begun anew, and all that is older counts as purged.
    pub(super) fault: Option<io::Error>,
}

fn line(purge: Purge) -> String {
    format!("{}\n", following::said(purge))
}

fn all(standing: &Standing) -> String {
    format!("{}\n", news::Standing { at: standing.at, orders: standing.lines() })
}

/// Why what stands in a file can't be believed.
fn damaged(line: &str) -> io::Error {
    let line: String = line.chars().take(80).collect();
    io::Error::new(io::ErrorKind::InvalidData, format!("`{}` is no order", line.escape_debug()))
}

impl Journal {
    /// Opens what is kept in a folder, and gives what goes on from there, at least from `now`.
    pub(super) fn open(folder: &Path, now: u64) -> io::Result<Opened> {
        fs::create_dir_all(folder)?;
        let path = folder.join(NAME);
        let mut journal = Self { folder: File::open(folder)?, path, inode: 0, read: 0 };
        journal.folder.lock()?;
        let mut known = Known::default();
        let fault = match journal.catch_up(&mut known) {
            // Its first line of all says from where on it is known what was purged.
            Ok(()) if known.log.newest() > 0 => {
                known.log.learn(&[], now);
                if journal.read > LONG {
                    journal.write_anew(&known)?;
                } else {
                    journal.append(&format!("at {now}\n"))?;
                }
                None
            }
            other => {
                known = Known::starting_at(now);
                journal.write_anew(&known)?;
                other.err()
            }
        };
        journal.folder.unlock()?;
        Ok(Opened { journal, known, fault })
    }

    /// Purges, after what another process has ordered, and writes it down. In `known` it is in any case.
    pub(super) fn purge(&mut self, known: &mut Known, scopes: &[Scope], soft: bool) -> io::Result<()> {
        self.change(known, |known| {
            let mut purge = |scope: &Scope| Purge { at: known.log.add(scope, soft), scope: scope.clone(), soft };
            scopes.iter().map(|scope| line(purge(scope))).collect()
        })
    }

    /// Changes the standing orders likewise.
    pub(super) fn stand(&mut self, known: &mut Known, change: impl FnOnce(&mut Standing)) -> io::Result<()> {
        self.change(known, |known| {
            known.stand(change);
            all(&known.standing)
        })
    }

    /// Takes over what another gateway has ordered.
    pub(super) fn learn(&mut self, known: &mut Known, said: &News) -> io::Result<()> {
        self.change(known, |known| known.learn(said))
    }

    fn change(&mut self, known: &mut Known, change: impl FnOnce(&mut Known) -> String) -> io::Result<()> {
        let ready = self.folder.lock().and_then(|()| self.catch_up(known));
        let lines = change(known);
        let done = ready.and_then(|()| self.append(&lines));
        self.folder.unlock()?;
        done
    }

    /// Whether there is something that has not been read.
    pub(super) fn is_behind(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| (file.ino(), file.len()) != (self.inode, self.read))
    }

    /// Reads what another process has added.
    pub(super) fn read(&mut self, known: &mut Known) -> io::Result<()> {
        self.folder.lock()?;
        let done = self.catch_up(known);
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

    fn catch_up(&mut self, Known { log, standing }: &mut Known) -> io::Result<()> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if metadata.ino() != self.inode || metadata.len() < self.read {
            (self.inode, self.read) = (metadata.ino(), 0);
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
            } else if let Some(said) = news::Standing::parse(line) {
                log.learn(&[], said.at);
                *standing = Standing::new(said.at, said.orders.iter().map(|order| &**order));
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
    fn write_anew(&mut self, Known { log, standing }: &Known) -> io::Result<()> {
        let mut text = format!("{FORMAT}\n");
        for purge in log.since(0, usize::MAX).into_iter().rev() {
            text.push_str(&line(purge));
        }
        text.push_str(&all(standing));
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
    use super::{Journal, Known, LONG, Opened};
    use cache::purge::Scope;
    use edge::Standing;
    use std::fs;
    use std::path::Path;

    fn tag(name: &str) -> [Scope; 1] {
        [Scope::Tag(name.into())]
    }

    fn purges(known: &Known) -> Vec<(u64, Scope)> {
        known.log.since(0, 99).into_iter().rev().map(|purge| (purge.at, purge.scope)).collect()
    }

    fn open(folder: &Path, now: u64) -> (Journal, Known) {
        let Opened { journal, known, fault } = Journal::open(folder, now).expect("opened");
        assert!(fault.is_none(), "{fault:?}");
        (journal, known)
    }

    fn closed(standing: &mut Standing) {
        *standing = Standing::new(0, ["maintenance retry=60"]);
    }

    #[test]
    fn the_next_process_knows_what_was_ordered() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut journal, mut known) = open(folder.path(), 100);
        journal.purge(&mut known, &tag("a"), true).expect("added");
        let group = Scope::Group { origin: "https://a".into(), name: "b c".into() };
        journal.purge(&mut known, &[group], false).expect("added");
        journal.stand(&mut known, closed).expect("added");
        let (mut next, mut later) = open(folder.path(), 200);
        assert_eq!((purges(&later), later.log.newest()), (purges(&known), 200));
        assert_eq!((&later.standing, later.standing.at), (&known.standing, 103));
        // During a reload both order, and number as one.
        next.purge(&mut later, &tag("b"), false).expect("added");
        next.stand(&mut later, |standing| *standing = Standing::default()).expect("added");
        assert!(journal.is_behind());
        journal.purge(&mut known, &tag("c"), false).expect("added");
        assert_eq!((known.log.newest(), known.standing.at), (203, 202));
        assert!(next.is_behind());
        next.read(&mut later).expect("read");
        assert!(!next.is_behind());
        assert_eq!((purges(&later), later.log.newest()), (purges(&known), 203));
        // A clock that has gone back does not lead the numbers back.
        assert_eq!(open(folder.path(), 50).1.log.newest(), 203);
    }

    #[test]
    fn what_is_cut_off_is_left_out_and_what_is_damaged_counts_as_everything() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("orders");
        let (mut journal, mut known) = open(folder.path(), 100);
        journal.purge(&mut known, &tag("a"), true).expect("added");
        journal.stand(&mut known, closed).expect("added");
        let whole = fs::read(&path).expect("read");
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).expect("written");
            let (mut journal, mut known) = open(folder.path(), 200);
            journal.purge(&mut known, &tag("b"), false).expect("added");
            let (_, again) = open(folder.path(), 300);
            assert_eq!((purges(&again), &again.standing), (purges(&known), &known.standing), "{cut}");
            assert!(purges(&again).iter().any(|(_, scope)| *scope == Scope::All), "{cut}");
        }
        for text in ["origin-orders 2\n", "origin-orders 1\nhard x all\n", "origin-orders 1\n\0\0\0\nat 5\n", "\n"] {
            fs::write(&path, text).expect("written");
            let Opened { known, fault, .. } = Journal::open(folder.path(), 200).expect("opened");
            assert!(fault.expect("told").to_string().contains("is no order"), "{text}");
            assert_eq!(purges(&known), [(200, Scope::All)]);
            open(folder.path(), 300);
        }
    }

    #[test]
    fn a_long_one_is_written_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("orders");
        let (mut journal, mut known) = open(folder.path(), 100);
        journal.stand(&mut known, closed).expect("added");
        let scopes = [Scope::Url("x".repeat(1000).into()), Scope::Tag("a".into())];
        while fs::metadata(&path).expect("there").len() <= LONG {
            journal.purge(&mut known, &scopes, false).expect("added");
        }
        let (mut next, mut later) = open(folder.path(), 200);
        assert!(fs::metadata(&path).expect("there").len() < 2_000);
        assert_eq!((purges(&later), &later.standing), (purges(&known), &known.standing));
        // Whoever knew the old file reads the new one.
        next.purge(&mut later, &tag("z"), false).expect("added");
        assert!(journal.is_behind());
        journal.read(&mut known).expect("read");
        assert_eq!((purges(&later), later.log.newest()), (purges(&known), known.log.newest()));
    }
}
