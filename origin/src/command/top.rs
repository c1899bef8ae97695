//! `origin top`: the live traffic of a gateway that runs, from its metrics, in a terminal or once as a table.

mod draw;
mod terminal;
mod view;

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use origin::config::Admin;
use origin::metrics::{Change, Sample};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use super::{Failure, listener};
use draw::Room;
use terminal::Screen;
use view::View;

/// So many rates are drawn beside one another: a minute, at one in a second.
const PAST: usize = 60;
/// Below it metrics would mostly show themselves.
const SHORTEST: Duration = Duration::from_millis(100);
/// Columns where there is no terminal.
const WIDE: usize = 120;

/// What is shown, and how often.
#[derive(clap::Args)]
pub(crate) struct Top {
    /// How long a figure is measured, and after which time it is shown anew
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Measure once, print a table and exit; it is so where standard output is no terminal
    #[arg(long)]
    once: bool,
    /// The configuration, whose [admin] says where the gateway listens
    #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
    pub(crate) config: PathBuf,
}

/// Shows it until a key or a signal ends it.
pub(crate) fn top(top: &Top) -> Result<Option<String>, Failure> {
    let failed = |said: String, code| Failure { said: format!("origin top: {said}"), code };
    if top.interval < SHORTEST {
        return Err(failed(format!("--interval is {:?}: 100ms or more", top.interval), 2));
    }
    let admin = &listener::of("origin top", &top.config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(error.to_string(), 1))?;
    let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    let done = if top.once || dumb || !io::stdout().is_terminal() {
        runtime.block_on(once(admin, top.interval))
    } else {
        runtime.block_on(in_place(admin, top.interval))
    };
    // A thread may wait for a key.
    runtime.shutdown_background();
    done.map(|()| None).map_err(|said| failed(said, 1))
}

/// Reads the metrics.
async fn read(admin: &Admin) -> Result<(Sample, Instant), String> {
    let admin = admin.clone();
    let read = spawn_blocking(move || listener::metrics(&admin)).await.map_err(|error| error.to_string())?;
    read.map(|sample| (sample, Instant::now()))
}

async fn once(admin: &Admin, interval: Duration) -> Result<(), String> {
    let (before, then) = read(admin).await?;
    sleep(interval).await;
    let (now, at) = read(admin).await?;
    let seconds = (at - then).as_secs_f64();
    let view = View::of(&Change::new(&before, &now, seconds));
    let lines = draw::lines(&title(seconds), &view, &[], Room { width: WIDE, height: usize::MAX, colour: false });
    // Whoever has read enough may close the pipe.
    let _ = writeln!(io::stdout(), "{}", lines.join("\n"));
    Ok(())
}

fn title(seconds: f64) -> String {
    let now = humantime::format_rfc3339_seconds(std::time::SystemTime::now());
    format!("origin top  {now}  the last {seconds:.1} s")
}

async fn in_place(admin: &Admin, interval: Duration) -> Result<(), String> {
    let colour = std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    // Where nobody can be asked from the beginning, nothing is shown.
    let mut before = read(admin).await?;
    let said = |error: io::Error| format!("the terminal: {error}");
    let mut ends = Ends::new().map_err(said)?;
    // As it was, however this ends.
    let _screen = Screen::take().map_err(said)?;
    let (mut title, mut view, mut past) =
        ("origin top  measuring ...  q ends it".to_owned(), View::default(), VecDeque::new());
    loop {
        let (width, height) = terminal::size();
        let shown = draw::lines(&title, &view, past.make_contiguous(), Room { width, height, colour });
        terminal::show(&shown).map_err(said)?;
        match ends.or_at(before.1 + interval).await {
            What::End => return Ok(()),
            What::Draw => continue,
            What::Next => {}
        }
        match ends.or(read(admin)).await {
            None => return Ok(()),
            Some(Err(error)) => {
                title = error;
                // It may be starting anew; what is on the screen stays as it was.
                before.1 = Instant::now();
            }
            Some(Ok(now)) => {
                let seconds = (now.1 - before.1).as_secs_f64();
                view = View::of(&Change::new(&before.0, &now.0, seconds));
                title = format!("{}  q ends it", self::title(seconds));
                past.push_back(view.requests);
                if past.len() > PAST {
                    past.pop_front();
                }
                before = now;
            }
        }
    }
}

/// What ends it: `q`, Ctrl-C, Ctrl-D, or a signal.
struct Ends {
    keys: UnboundedReceiver<u8>,
    signals: [Signal; 3],
    resized: Signal,
}

/// What there is to do.
enum What {
    End,
    Draw,
    Next,
}

impl Ends {
    fn new() -> io::Result<Self> {
        Ok(Self {
            keys: terminal::keys(),
            signals: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ],
            resized: signal(SignalKind::window_change())?,
        })
    }

    async fn or_at(&mut self, next: Instant) -> What {
        let [interrupt, terminate, hangup] = &mut self.signals;
        loop {
            tokio::select! {
                () = sleep_until(next) => return What::Next,
                Some(key) = self.keys.recv() => if is_end(key) { return What::End },
                Some(()) = self.resized.recv() => return What::Draw,
                Some(()) = interrupt.recv() => return What::End,
                Some(()) = terminate.recv() => return What::End,
                Some(()) = hangup.recv() => return What::End,
            }
        }
    }

    /// What comes of something that takes a while; nothing where it is ended before.
    async fn or<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        let mut what = std::pin::pin!(what);
        loop {
            tokio::select! {
                done = &mut what => return Some(done),
                ended = self.or_at(Instant::now() + Duration::from_secs(3_600)) => if matches!(ended, What::End) { return None },
            }
        }
    }
}

fn is_end(key: u8) -> bool {
    matches!(key, b'q' | b'Q' | 3 | 4)
}
