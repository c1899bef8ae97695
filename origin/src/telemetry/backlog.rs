//! What of the log waits to be written, bounded in bytes: a target that takes nothing costs lines and not memory. Lines that are
//! lost, here or by the target, are counted.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Bytes that may wait, and batches of lines.
const BYTES: usize = 4 << 20;
pub(super) const BATCHES: usize = 16_000;
/// How often lost lines are spoken of at most.
const SAID: Duration = Duration::from_secs(60);
/// For how long none must have been lost before: until then the line about it might be lost as well.
const QUIET: Duration = Duration::from_secs(1);

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: AtomicUsize,
    batches: AtomicUsize,
    lost: AtomicU64,
}

impl Backlog {
    pub(super) const fn new() -> Self {
        Self { bytes: AtomicUsize::new(0), batches: AtomicUsize::new(0), lost: AtomicU64::new(0) }
    }

    /// Whether there is room for a batch of lines, which is taken; if not, they are lost.
    pub(super) fn enter(&self, lines: &[u8]) -> bool {
        let bytes = self.bytes.fetch_add(lines.len(), Ordering::Relaxed) + lines.len();
        let batches = self.batches.fetch_add(1, Ordering::Relaxed) + 1;
        let room = bytes <= BYTES && batches <= BATCHES;
        if !room {
            self.leave(lines.len());
            self.lose(lines);
        }
        room
    }

    fn leave(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.batches.fetch_sub(1, Ordering::Relaxed);
    }

    fn lose(&self, lines: &[u8]) {
        self.lost.fetch_add(memchr::memchr_iter(b'\n', lines).count() as u64, Ordering::Relaxed);
    }

    /// Lines that were lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Says how many lines were lost, when the target takes lines again, for as long as the runtime lives.
    pub(super) async fn watch(&self) {
        let (mut said, mut last) = (0, 0);
        let mut again = Instant::now();
        let mut looks = tokio::time::interval(QUIET);
        loop {
            looks.tick().await;
            let lost = self.lost();
            if lost > said && lost == last && Instant::now() >= again {
                tracing::warn!(lines = lost - said, "lines of the log were lost: its target did not take them");
                (said, again) = (lost, Instant::now() + SAID);
            }
            last = lost;
        }
    }
}

/// Where batches of lines are written, one by one.
#[derive(Debug)]
pub(super) struct Target {
    out: File,
    backlog: &'static Backlog,
}

impl Target {
    /// Standard output, without the buffer that the standard library puts before it.
    pub(super) fn stdout(backlog: &'static Backlog) -> io::Result<Self> {
        Ok(Self { out: io::stdout().as_fd().try_clone_to_owned()?.into(), backlog })
    }
}

impl Write for Target {
    fn write(&mut self, batch: &[u8]) -> io::Result<usize> {
        let mut rest = batch;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(written @ 1..) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A disk that is full, or a pipe whose reader is gone: the next batch may have more luck.
                _ => break,
            }
        }
        self.backlog.lose(rest);
        self.backlog.leave(batch.len());
        Ok(batch.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Backlog, Target};
    use std::io::Write as _;

    #[test]
    fn bytes_are_bounded_and_what_is_over_is_lost_by_the_line() {
        let backlog = Backlog::new();
        let half = vec![b'a'; BYTES / 2];
        assert!(backlog.enter(&half) && backlog.enter(&half));
        assert!(!backlog.enter(b"one\ntwo\n"));
        assert_eq!(backlog.lost(), 2);
        backlog.leave(half.len());
        assert!(backlog.enter(b"three\n"));
        assert_eq!(backlog.lost(), 2);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_target_that_is_full_loses_lines_and_leaves_no_backlog() {
        let backlog: &'static Backlog = Box::leak(Box::default());
        let out = std::fs::File::options().write(true).open("/dev/full").expect("opened");
        let mut target = Target { out, backlog };
        for _ in 0..2 {
            assert!(backlog.enter(b"one\ntwo\n"));
            target.write_all(b"one\ntwo\n").expect("never an error");
        }
        assert_eq!(backlog.lost(), 4);
        assert_eq!(backlog.bytes.load(std::sync::atomic::Ordering::Relaxed), 0);
    }
}
