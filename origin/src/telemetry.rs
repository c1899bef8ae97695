//! Logs: JSON lines on standard output, written by a thread of their own, so that a slow target never slows a request.
//! What does not fit into the queue is lost and counted (`backlog.rs`).
//!
//! A core collects its lines for a moment before it hands them over: waking the writer for each line costs more than the
//! line. The access log's lines are made by `access.rs`, for the same reason; everything else is formatted by tracing.

mod backlog;

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use backlog::{BATCHES, Backlog, Target};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;

/// A core's lines are handed over when they are this many bytes, or this old.
const BATCH: usize = 16 << 10;
const MOMENT: Duration = Duration::from_millis(20);

/// The target of the access log.
pub(crate) const ACCESS: &str = "access";

/// Where lines go, once logging has started.
static WRITER: OnceLock<NonBlocking> = OnceLock::new();
static BACKLOG: Backlog = Backlog::new();

/// Starts logging. The guard writes what is left when it is dropped. `RUST_LOG` chooses what is logged; the default is
/// `info`.
///
/// # Errors
/// Where standard output is closed.
pub fn start() -> io::Result<WorkerGuard> {
    let target = Target::stdout(&BACKLOG)?;
    // It never drops anything by itself: the backlog is bounded before.
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(BATCHES).lossy(true).finish(target);
    let writer = WRITER.get_or_init(|| writer);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let json =
        tracing_subscriber::fmt::format().json().flatten_event(true).with_current_span(false).with_span_list(false);
    tracing_subscriber::fmt()
        .event_format(json)
        .fmt_fields(JsonFields::new())
        .with_env_filter(filter)
        .with_writer(Batched(writer))
        .init();
    Ok(guard)
}

thread_local! {
    /// The lines of this core that have not been handed over.
    static LINES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The second of the last line, and its text.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Writes one line of the access log: `write` adds it, with its end, to the lines of this core.
pub(crate) fn line(write: impl FnOnce(&mut Vec<u8>)) {
    if let Some(writer) = WRITER.get() {
        collect(writer, write);
    }
}

/// The time in UTC, to the microsecond (RFC 3339).
pub(crate) fn timestamp(line: &mut Vec<u8>) {
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() {
            *second = since.as_secs();
            *text = humantime::format_rfc3339_seconds(now).to_string();
        }
        line.extend_from_slice(text.trim_end_matches('Z').as_bytes());
    });
    line.push(b'.');
    let micros = since.subsec_micros();
    let places = [100_000, 10_000, 1000, 100, 10, 1];
    line.extend(places.map(|place| b'0' + (micros / place % 10) as u8));
    line.push(b'Z');
}

/// Lines that the log's target did not take since the start.
pub(crate) fn lost_lines() -> u64 {
    BACKLOG.lost()
}

/// Says in the log how many of its lines were lost, once a minute at most, for as long as the runtime lives.
pub(crate) async fn watch() {
    BACKLOG.watch().await;
}

/// Hands over what this thread has collected, before it ends.
pub(crate) fn flush() {
    if let Some(writer) = WRITER.get() {
        hand_over(writer);
    }
}

/// Has `write` add to the lines of this core, which are handed over once they are many, or in a moment.
fn collect(writer: &NonBlocking, write: impl FnOnce(&mut Vec<u8>)) {
    let (first, full) = LINES.with_borrow_mut(|lines| {
        let first = lines.is_empty();
        write(lines);
        (first, lines.len() >= BATCH)
    });
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) if !full => {
            if first {
                let writer = writer.clone();
                runtime.spawn(async move {
                    tokio::time::sleep(MOMENT).await;
                    hand_over(&writer);
                });
            }
        }
        _ => hand_over(writer),
    }
}

/// To the thread that writes, unless it has too much to write already.
fn hand_over(writer: &NonBlocking) {
    LINES.with_borrow_mut(|lines| {
        if !lines.is_empty() && BACKLOG.enter(lines) {
            let _ = writer.clone().write_all(lines);
        }
        lines.clear();
    });
}

/// Collects the lines that tracing makes.
struct Batched(&'static NonBlocking);

impl<'a> MakeWriter<'a> for Batched {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

impl Write for &Batched {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        collect(self.0, |lines| lines.extend_from_slice(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::timestamp;

    #[test]
    fn a_timestamp_is_now() {
        let before = std::time::SystemTime::now();
        let mut line = Vec::new();
        timestamp(&mut line);
        let said = humantime::parse_rfc3339(str::from_utf8(&line).expect("text")).expect("a time");
        let micros = std::time::Duration::from_micros(1);
        assert!(said + micros > before && said <= std::time::SystemTime::now(), "{said:?}");
        assert_eq!(line.len(), "2026-11-24T17:24:04.724472Z".len());
    }
}
