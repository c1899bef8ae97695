//! The log of a drill: what was done, when, and how long it took. Where the variable `DRILLS` is set, a drill that has gone well writes its log
//! into the page below `docs/` that has a place for it, with command, date and machine:
//!
//! ```text
//! <!-- drill NAME -->
//! …
//! <!-- end of drill NAME -->
//! ```

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use crate::toolchain::Toolchain;

/// Columns of a line of a log at most.
const WIDE: usize = 148;

/// A drill that is under way.
pub struct Drill {
    name: &'static str,
    command: &'static str,
    last: Instant,
    log: String,
}

impl Drill {
    /// Begins one. `name` is its place's, `command` what runs it.
    #[must_use]
    pub fn begin(name: &'static str, command: &'static str) -> Self {
        Self { name, command, last: Instant::now(), log: String::new() }
    }

    /// A step is done: the time of day in UTC, the seconds since the step before, and what was done.
    pub fn done(&mut self, what: &str) {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let time = now.get(11..19).unwrap_or_default();
        let line = format!("{time} {:7.1} s  {what}", self.last.elapsed().as_secs_f64());
        self.write(&line);
        self.last = Instant::now();
    }

    /// What a program has said, below the step that it belongs to. Lines that nobody needs are left out by who calls.
    pub fn said<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        for line in lines {
            self.write(&format!("                    | {line}"));
        }
    }

    fn write(&mut self, line: &str) {
        let line = line.trim_end();
        println!("{line}");
        let short: String = line.chars().take(WIDE).collect();
        // Writing to a String does not fail.
        let _ = writeln!(self.log, "{short}{}", if short.len() < line.len() { "…" } else { "" });
    }

    /// It has gone well.
    ///
    /// # Panics
    /// Where its log is to be kept and no page has one place for it, or the page can't be written.
    pub fn end(self) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        if std::env::var_os("DRILLS").is_none() {
            return;
        }
        let _guard = ONE_AT_A_TIME.lock();
        let (begins, ends) =
            (format!("<!-- drill {} -->\n", self.name), format!("<!-- end of drill {} -->", self.name));
        let today = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let date = today.get(..10).unwrap_or_default();
        let kept = format!("`{}`, {date}, {}:\n\n```text\n{}```\n", self.command, machine(), self.log);
        let folder = Toolchain::workspace().join("docs");
        let pages = fs::read_dir(&folder).expect("docs/ can be read").flatten().map(|entry| entry.path());
        let mut written = 0;
        for page in pages.filter(|page| page.extension().is_some_and(|end| end == "md")) {
            let text = fs::read_to_string(&page).expect("a page can be read");
            let Some((before, rest)) = text.split_once(&begins) else { continue };
            let (_, after) = rest.split_once(&ends).unwrap_or_else(|| panic!("{}: no {ends}", page.display()));
            fs::write(&page, format!("{before}{begins}{kept}{ends}{after}")).expect("a page can be written");
            written += 1;
        }
        assert_eq!(written, 1, "{} has its place in one page", self.name);
    }
}

/// This machine, in a few words.
fn machine() -> String {
    let read = |file: &str| -> io::Result<String> { fs::read_to_string(file) };
    let system = read("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("an unknown system");
    let memory = read("/proc/meminfo").unwrap_or_default();
    let memory =
        memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse().ok());
    let processor = read("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let gib = memory.unwrap_or(0u64) >> 20;
    format!("{cores} cores ({}), {gib} GiB, {}", processor.unwrap_or("unknown"), system.trim_matches('"'))
}
