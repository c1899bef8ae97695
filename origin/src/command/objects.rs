//! `origin objects`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, Subcommand};
use origin::storage::{Store, Transport};
use origin::versions::{PAGE, Plan, Step, histories};

use super::Failure;
use super::buckets::{agree, open, trouble, wait};

/// What to do with objects.
#[derive(Subcommand)]
pub(crate) enum Objects {
    /// List the versions of an object, or of all below a prefix
    Versions {
        #[command(flatten)]
        which: Which,
    },
    /// Bring an object back, or all below a prefix, as they were at some moment, after showing what would be done
    Restore {
        #[command(flatten)]
        which: Which,
        /// The moment, as in 2026-11-27T12:00Z
        #[arg(long, value_name = "TIME", value_parser = moment, required_unless_present = "ago")]
        at: Option<SystemTime>,
        /// How long ago the moment is, as in 2h
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, conflicts_with = "at")]
        ago: Option<Duration>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which objects.
#[derive(Args)]
pub(crate) struct Which {
    /// The bucket, by its role
    #[arg(value_name = "ROLE")]
    role: String,
    /// A key, or what keys begin with; it ends where a segment does: users/1 does not mean users/10
    #[arg(value_name = "KEY", required_unless_present = "all", conflicts_with = "all")]
    key: Option<String>,
    /// All objects of the bucket
    #[arg(long)]
    all: bool,
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/origin/origin.toml")]
    config: PathBuf,
}

/// Steps of a plan that are shown one by one.
const SHOWN: usize = 20;
/// How often progress is said where nobody watches.
const EVERY: Duration = Duration::from_secs(10);

pub(crate) fn objects(what: &Objects) -> Result<Option<String>, Failure> {
    match what {
        Objects::Versions { which } => versions(which),
        Objects::Restore { which, at, ago, yes } => {
            let now = SystemTime::now();
            let moment = at.or_else(|| now.checked_sub((*ago)?));
            let moment = moment.filter(|moment| *moment <= now).ok_or_else(|| Failure {
                said: "origin objects restore: that moment has not come yet, or never was".to_owned(),
                code: 2,
            })?;
            restore(which, moment, *yes)
        }
    }
}

fn versions(which: &Which) -> Result<Option<String>, Failure> {
    const NAME: &str = "origin objects versions";
    let store = store(NAME, which)?;
    let mut count = 0;
    let mut out = std::io::stdout().lock();
    let listed = wait(histories(&store, which.key.as_deref().unwrap_or_default(), PAGE, |history| {
        // A reader that has gone away, as `head` does, has seen enough.
        let _ = writeln!(out, "{}", plain(&history.key));
        for version in history.versions {
            count += 1;
            let at = humantime::format_rfc3339_millis(version.at);
            let what = version.size.map_or_else(|| "deleted".to_owned(), |size| format!("{size} B"));
            let now = if version.latest { "  now" } else { "" };
            let _ = writeln!(out, "  {at}  {}  {what}{now}", version.id);
        }
    }))?;
    listed.map_err(|error| trouble(NAME, &error))?;
    if count == 0 {
        return Err(Failure { said: format!("{NAME}: there is no such object, and was none"), code: 1 });
    }
    Ok(None)
}

fn restore(which: &Which, moment: SystemTime, yes: bool) -> Result<Option<String>, Failure> {
    const NAME: &str = "origin objects restore";
    let store = store(NAME, which)?;
    let kept = wait(store.keeps_versions())?.map_err(|error| trouble(NAME, &error))?;
    if !kept {
        let said = format!(
            "{NAME}: bucket {} keeps no versions, so nothing can come back: origin buckets apply",
            store.name()
        );
        return Err(Failure { said, code: 1 });
    }
    let mut progress = Progress::new("looked at");
    let plan = Plan::make(&store, which.key.as_deref().unwrap_or_default(), moment, |seen| progress.tell(seen, None));
    let plan = wait(plan)?.map_err(|error| trouble(NAME, &error))?;
    progress.end();
    show(&plan, &store, moment);
    let total = plan.steps.len();
    if total == 0 {
        println!("nothing is to be brought back");
        return Ok(None);
    }
    agree(NAME, &format!("Bring {total} object(s) back?"), yes)?;
    let mut progress = Progress::new("brought back");
    let done = wait(plan.run(&store, |finished| progress.tell(finished, Some(total))))?;
    progress.end();
    for (key, error) in &done.failed {
        eprintln!("{}: {error}", plain(key));
    }
    println!("{} object(s) are back, {} are not", done.back, done.failed.len());
    let Some((_, error)) = done.failed.first() else { return Ok(None) };
    let said = format!("{NAME}: not all came back; the same command goes on from there");
    Err(Failure { said, ..trouble(NAME, error) })
}

fn show(plan: &Plan, store: &Store, moment: SystemTime) {
    let (deleted, overwritten, bytes) = plan.counts();
    let Plan { same, later, gone, .. } = plan;
    println!("bucket {} as of {}:", store.name(), humantime::format_rfc3339_seconds(moment));
    println!("  bring back  {deleted} that were deleted, by taking the mark of deletion away");
    println!("  bring back  {overwritten} that were overwritten, as copies of their old version ({bytes} B)");
    println!("  leave       {same} that are as they were, {later} that came later, {gone} that were not there");
    for (key, step) in plan.steps.iter().take(SHOWN) {
        match step {
            Step::Undelete(..) => println!("  deleted      {}", plain(key)),
            Step::Copy(version, _) => println!("  overwritten  {} (version {version})", plain(key)),
        }
    }
    if plan.steps.len() > SHOWN {
        println!("  … and {} more", plan.steps.len() - SHOWN);
    }
}

fn store(name: &str, which: &Which) -> Result<Store, Failure> {
    let (config, transport): (_, Transport) = open(name, &which.config)?;
    let bucket = config.buckets.iter().find(|bucket| bucket.role == which.role).ok_or_else(|| {
        let all: Vec<_> = config.buckets.iter().map(|bucket| bucket.role.as_str()).collect();
        Failure {
            said: format!("{name}: there is no [bucket.{}]: write one of {}", which.role, all.join(", ")),
            code: 2,
        }
    })?;
    Ok(Store::new(bucket, &transport))
}

/// A key on one line.
fn plain(key: &str) -> String {
    key.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// A moment as people write it: the seconds, and even the time, may be left out; it is in UTC.
fn moment(text: &str) -> Result<SystemTime, String> {
    let bare = text.strip_suffix('Z').unwrap_or(text).replacen(' ', "T", 1);
    let whole = match bare.len() {
        10 => format!("{bare}T00:00:00Z"),
        16 => format!("{bare}:00Z"),
        _ => format!("{bare}Z"),
    };
    humantime::parse_rfc3339(&whole).map_err(|_| "write a moment in UTC, as in 2026-11-27T12:00Z".to_owned())
}

/// What is said on standard error while it lasts: on a terminal one line that changes, elsewhere a line now and then.
struct Progress {
    what: &'static str,
    terminal: bool,
    last: Instant,
    shown: bool,
}

impl Progress {
    fn new(what: &'static str) -> Self {
        Self { what, terminal: std::io::stderr().is_terminal(), last: Instant::now(), shown: false }
    }

    fn tell(&mut self, count: usize, of: Option<usize>) {
        let every = if self.terminal { Duration::from_millis(200) } else { EVERY };
        if self.last.elapsed() < every {
            return;
        }
        (self.last, self.shown) = (Instant::now(), true);
        let of = of.map_or_else(String::new, |of| format!(" of {of}"));
        let end = if self.terminal { "\r" } else { "\n" };
        eprint!("{count}{of} {}{end}", self.what);
    }

    /// Clears the line.
    fn end(&self) {
        if self.terminal && self.shown {
            eprint!("\r{:40}\r", "");
        }
    }
}
