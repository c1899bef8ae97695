//! Logs: JSON lines on standard output, written by a thread of their own, so that a slow target never slows a request.
//! What does not fit into the queue is dropped and counted.
//!
//! A core collects its lines for a moment before it hands them over: waking the writer for each line costs more than the
//! line. The access log's line comes ready made (`access.rs`), for the same reason; everything else is formatted by tracing.

use std::cell::RefCell;
use std::io::{self, Write};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Batches of lines that may wait to be written.
const QUEUE: usize = 16_000;
/// A core's lines are handed over when they are this many bytes, or this old.
const BATCH: usize = 16 << 10;
const MOMENT: Duration = Duration::from_millis(20);

/// The target of the access log.
pub(crate) const ACCESS: &str = "access";

/// Starts logging. The guard writes what is left when it is dropped. `RUST_LOG` chooses what is logged; the default is
/// `info`.
pub fn start() -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true).finish(io::stdout());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let json =
        tracing_subscriber::fmt::format().json().flatten_event(true).with_current_span(false).with_span_list(false);
    tracing_subscriber::fmt()
        .event_format(Lines { json })
        .fmt_fields(JsonFields::new())
        .with_env_filter(filter)
        .with_writer(Batched(writer))
        .init();
    guard
}

/// Hands this thread's lines over. At a thread's end that is done by itself; the thread that ends the program has to ask for it.
pub(crate) fn flush() {
    let _ = LINES.with_borrow_mut(Pending::hand_over);
}

thread_local! {
    static LINES: RefCell<Pending> = const { RefCell::new(Pending { bytes: Vec::new(), writer: None }) };
}

/// The lines of this core that have not been handed over.
struct Pending {
    bytes: Vec<u8>,
    writer: Option<NonBlocking>,
}

impl Pending {
    fn hand_over(&mut self) -> io::Result<()> {
        if let Some(writer) = &mut self.writer
            && !self.bytes.is_empty()
        {
            writer.write_all(&self.bytes)?;
            self.bytes.clear();
        }
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // The last ones are of requests that were cut off.
        let _ = self.hand_over();
    }
}

/// Hands lines to the writing thread, several at a time where a runtime is at hand to hand over the rest in a moment.
struct Batched(NonBlocking);

struct Handle<'a>(&'a NonBlocking);

impl<'a> MakeWriter<'a> for Batched {
    type Writer = Handle<'a>;

    fn make_writer(&'a self) -> Handle<'a> {
        Handle(&self.0)
    }
}

impl Write for Handle<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return self.0.clone().write(line) };
        LINES.with_borrow_mut(|lines| {
            let first = lines.bytes.is_empty();
            lines.writer.get_or_insert_with(|| self.0.clone());
            lines.bytes.extend_from_slice(line);
            if lines.bytes.len() >= BATCH {
                return lines.hand_over();
            }
            if first {
                runtime.spawn(async {
                    tokio::time::sleep(MOMENT).await;
                    // The queue drops what it can't take, and counts it.
                    flush();
                });
            }
            Ok(())
        })?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One JSON object a line: tracing's own, and the access log's as it comes.
struct Lines {
    json: Format<Json>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> tracing_subscriber::fmt::FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        if event.metadata().target() != ACCESS {
            return self.json.format_event(cx, out, event);
        }
        out.write_str("{\"timestamp\":\"")?;
        SystemTime.format_time(&mut out)?;
        out.write_str("\",\"level\":\"INFO\",\"target\":\"access\",\"message\":\"request\"")?;
        let mut line = Line { out, written: Ok(()) };
        event.record(&mut line);
        line.written?;
        line.out.write_str("}\n")
    }
}

/// Writes the one field of an access-log event as it is.
struct Line<'a> {
    out: Writer<'a>,
    written: std::fmt::Result,
}

impl Visit for Line<'_> {
    fn record_str(&mut self, _field: &Field, value: &str) {
        self.written = self.out.write_str(value);
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn std::fmt::Debug) {}
}
