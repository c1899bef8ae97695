//! What is kept of the probes' results over a restart: spans and response times, in one redb file.
//!
//! The file is open only while something is read or written, so that a process that takes over can do both beside the one that drains. It
//! is bounded: 91 days, and [`MOST_SPANS`] of a probe. One that can't be read costs the history, not the start: it is moved aside.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, ReadableTable as _, StorageError, TableDefinition};

use super::level::Level;
use super::timeline::{MOST_SPANS, Span};
use super::track::Point;

/// How much is kept, in seconds: the page's 90 days and the one that has begun.
pub const KEPT: u64 = 91 * 86_400;

/// Probe and first second; the second after the last, and the level.
const SPANS: TableDefinition<'_, (&str, u64), (u64, u8)> = TableDefinition::new("spans");
/// Probe and beginning; count and sum of milliseconds.
const POINTS: TableDefinition<'_, (&str, u64), (u64, u64)> = TableDefinition::new("points");
/// Bytes of the file that are held in memory.
const CACHE: usize = 1 << 20;
/// How long another process may have the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// The file.
#[derive(Clone, Debug)]
pub struct History(PathBuf);

/// What is kept of one probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its spans.
    pub spans: Vec<Span>,
    /// Its response times.
    pub points: Vec<Point>,
}

/// What is kept, by the probes' names.
pub type All = BTreeMap<String, Kept>;

impl History {
    /// In that file. Nothing is opened yet.
    #[must_use]
    pub fn in_file(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads everything, once checked. A file that is broken is moved aside, which is logged, and nothing is known then.
    pub fn read(&self) -> All {
        // A database that reads what it did not write may panic.
        let read = std::panic::catch_unwind(|| self.try_read());
        let error = match read {
            Ok(Ok(all)) => return all,
            Ok(Err(error)) => error,
            Err(_) => redb::Error::Corrupted("reading it panicked".to_owned()),
        };
        let path = self.0.display();
        if matches!(error, redb::Error::DatabaseAlreadyOpen) {
            tracing::warn!(%path, "the history of health is another process's");
            return All::new();
        }
        if let redb::Error::Io(why) = &error
            && !matches!(why.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof)
        {
            // The disk's trouble, or a permission's: what is there may be whole.
            tracing::error!(%path, %error, "the history of health can't be read");
            return All::new();
        }
        let aside = self.0.with_extension("broken");
        match fs::rename(&self.0, &aside) {
            Ok(()) => {
                tracing::error!(%path, %error, aside = %aside.display(), "the history of health is broken: moved aside, and begun anew");
            }
            Err(rename) => tracing::error!(%path, %error, %rename, "the history of health can't be read"),
        }
        All::new()
    }

    fn try_read(&self) -> Result<All, redb::Error> {
        let mut all = All::new();
        if !self.0.exists() {
            return Ok(all);
        }
        let mut file = self.open()?;
        if !file.check_integrity()? {
            tracing::warn!(path = %self.0.display(), "the history of health was cut off and has been mended");
        }
        let writing = file.begin_write()?;
        for row in writing.open_table(SPANS)?.iter()? {
            let (key, value) = row?;
            let ((name, from), (to, code)) = (key.value(), value.value());
            if let Some(level) = Level::of_code(code) {
                all.entry(name.to_owned()).or_default().spans.push(Span { from, to, level });
            }
        }
        for row in writing.open_table(POINTS)?.iter()? {
            let (key, value) = row?;
            let ((name, from), (count, sum)) = (key.value(), value.value());
            all.entry(name.to_owned()).or_default().points.push(Point { from, count, sum });
        }
        writing.abort()?;
        for kept in all.values_mut() {
            kept.spans.drain(..kept.spans.len().saturating_sub(MOST_SPANS));
        }
        Ok(all)
    }

    /// Writes what has changed, in place of what is there of the same beginning, and drops what is older than [`KEPT`].
    ///
    /// # Errors
    /// What redb says.
    pub fn write(&self, changed: &All, now: u64) -> Result<(), redb::Error> {
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder).map_err(redb::Error::Io)?;
        }
        let oldest = now.saturating_sub(KEPT);
        let file = self.open()?;
        let writing = file.begin_write()?;
        {
            let mut spans = writing.open_table(SPANS)?;
            let mut points = writing.open_table(POINTS)?;
            for (name, kept) in changed {
                for span in &kept.spans {
                    spans.insert((name.as_str(), span.from), (span.to, span.level.code()))?;
                }
                for point in &kept.points {
                    points.insert((name.as_str(), point.from), (point.count, point.sum))?;
                }
            }
            spans.retain(|_, (to, _)| to > oldest)?;
            points.retain(|(_, from), _| from + 86_400 > now)?;
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            for row in spans.iter()? {
                *counts.entry(row?.0.value().0.to_owned()).or_default() += 1;
            }
            for (name, count) in counts.into_iter().filter(|(_, count)| *count > MOST_SPANS) {
                let mut surplus = count - MOST_SPANS;
                spans.retain_in((name.as_str(), 0)..(name.as_str(), u64::MAX), |_, _| {
                    let stays = surplus == 0;
                    surplus = surplus.saturating_sub(1);
                    stays
                })?;
            }
        }
        writing.commit()?;
        Ok(())
    }

    fn open(&self) -> Result<Database, DatabaseError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match Database::builder().set_cache_size(CACHE).create(&self.0) {
                Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < until => {
                    thread::sleep(Duration::from_millis(20));
                }
                // Not redb's, or of a format to come.
                Err(DatabaseError::Storage(StorageError::Io(error))) if error.kind() == ErrorKind::InvalidData => {
                    return Err(StorageError::Corrupted(error.to_string()).into());
                }
                opened => return opened,
            }
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{All, History, KEPT, Kept};
    use crate::health::level::Level::{Down, Operational};
    use crate::health::timeline::{MOST_SPANS, Span};
    use crate::health::track::Point;

    fn history() -> (tempfile::TempDir, History) {
        let folder = tempfile::TempDir::new().expect("a folder");
        let history = History::in_file(folder.path().join("deeper/health.redb"));
        (folder, history)
    }

    fn one(spans: Vec<Span>, points: Vec<Point>) -> All {
        All::from([("app".to_owned(), Kept { spans, points })])
    }

    #[test]
    fn what_is_written_is_read_and_what_is_old_goes() {
        let (_folder, history) = history();
        assert_eq!(history.read(), All::new(), "no file, no history");
        let now = 2 * KEPT;
        let old = Span { from: 5, to: now - KEPT, level: Down };
        let span = Span { from: now - 100, to: now - 40, level: Operational };
        let point = Point { from: now - 600, count: 2, sum: 30 };
        history.write(&one(vec![old, span], vec![point]), now).expect("written");
        let longer = Span { to: now, ..span };
        history.write(&one(vec![longer], vec![point]), now).expect("written");
        assert_eq!(history.read(), one(vec![longer], vec![point]));
    }

    #[test]
    fn a_probe_has_so_many_spans_and_no_more() {
        let (_folder, history) = history();
        let spans = |from: u64, count: u64| {
            (0..count).map(move |n| Span { from: from + n * 2, to: from + n * 2 + 1, level: Down }).collect()
        };
        let most = u64::try_from(MOST_SPANS).expect("a few");
        history.write(&one(spans(0, most + 10), Vec::new()), 1).expect("written");
        let kept = history.read();
        assert_eq!((kept["app"].spans.len(), kept["app"].spans[0].from), (MOST_SPANS, 20));
    }

    #[test]
    fn a_broken_file_costs_the_history_and_not_the_start() {
        let (folder, history) = history();
        history.write(&one(vec![Span { from: 1, to: 2, level: Down }], Vec::new()), 2).expect("written");
        let whole = std::fs::read(history.path()).expect("a file");
        let mut holes = whole.clone();
        holes.iter_mut().skip(64).step_by(7).for_each(|byte| *byte ^= 0x5a);
        for broken in [b"not a database".to_vec(), whole[..whole.len() / 2].to_vec(), holes, vec![0; 4096]] {
            std::fs::write(history.path(), &broken).expect("written");
            assert_eq!(history.read(), All::new());
            let aside = std::fs::read(folder.path().join("deeper/health.broken")).expect("moved aside");
            assert_eq!(aside.len(), broken.len());
            history.write(&one(vec![Span { from: 3, to: 4, level: Down }], Vec::new()), 4).expect("a new one");
            assert_eq!(history.read()["app"].spans.len(), 1);
        }
    }
}
