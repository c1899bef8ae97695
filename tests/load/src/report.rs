//! The JSON in which every benchmark of this project writes its figures (docs/benchmarks/README.md): raw samples, what was
//! measured, on what, by which command. Tables and charts are made from it, never beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Deserializer, Serialize};

/// The version of this format.
pub const FORMAT: u32 = 1;

/// One run of one benchmark.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// The benchmark's name, which is also its file's: `docs/benchmarks/NAME.json`.
    pub benchmark: String,
    /// What it asks, in a sentence.
    pub question: String,
    /// The command that repeats it.
    pub command: String,
    /// The day, as YYYY-MM-DD.
    pub date: String,
    /// The machine.
    pub machine: Machine,
    /// Programs that took part, with their versions.
    pub versions: BTreeMap<String, String>,
    /// What was measured. Cases with the same `name` and `unit` are compared with each other.
    pub cases: Vec<Case>,
    /// What whoever reads the figures must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Where it ran.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Machine {
    /// The processor, as the kernel calls it.
    pub cpu: String,
    /// Cores.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The kernel.
    pub kernel: String,
}

/// One subject at one task.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Case {
    /// The task, as in `proxied, 1 KiB`.
    pub name: String,
    /// What was measured, as in `gateway`.
    pub subject: String,
    /// The unit with its base, as in `µs CPU/request`.
    pub unit: String,
    /// Whether less is better.
    pub less_is_better: bool,
    /// One figure a round, in the order measured. Rounds of all cases interleave. What never happened is not a number, `null` in JSON.
    #[serde(deserialize_with = "figures")]
    pub samples: Vec<f64>,
}

fn figures<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let figures = Vec::<Option<f64>>::deserialize(deserializer)?;
    Ok(figures.into_iter().map(|figure| figure.unwrap_or(f64::NAN)).collect())
}

impl Case {
    /// The median of the samples; NaN without any.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }
}

impl Case {
    /// As in `26.1 (25.0–27.9)`, with fewer places where figures are large.
    fn shown(&self) -> String {
        let places = match self.median() {
            median if median >= 1000.0 => 0,
            median if median >= 10.0 => 1,
            _ => 2,
        };
        let (low, high) = self.samples.iter().fold((f64::MAX, f64::MIN), |(l, h), s| (l.min(*s), h.max(*s)));
        let median = format!("{:.places$}", self.median());
        if self.samples.len() < 2 { median } else { format!("{median} ({low:.places$}–{high:.places$})") }
    }
}

impl Report {
    /// An empty report of today on this machine.
    #[must_use]
    pub fn new(benchmark: &str, question: &str, command: &str) -> Self {
        Self {
            format: FORMAT,
            benchmark: benchmark.to_owned(),
            question: question.to_owned(),
            command: command.to_owned(),
            date: output("date", &["-u", "+%F"]),
            machine: Machine::this(),
            versions: versions(),
            cases: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The medians as Markdown, tasks against subjects: one table for each unit, with the lowest and highest sample in brackets.
    #[must_use]
    pub fn comparison(&self) -> String {
        fn distinct<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
            let mut distinct = Vec::new();
            all.for_each(|one| {
                if !distinct.contains(&one) {
                    distinct.push(one);
                }
            });
            distinct
        }
        let mut text = String::new();
        for unit in distinct(self.cases.iter().map(|c| c.unit.as_str())) {
            let cases: Vec<&Case> = self.cases.iter().filter(|c| c.unit == unit).collect();
            let subjects = distinct(cases.iter().map(|c| c.subject.as_str()));
            let better = if cases.iter().all(|c| c.less_is_better) { "less" } else { "more" };
            text.push_str(&format!("\n## {unit} ({better} is better)\n\n| | {} |\n| --- ", subjects.join(" | ")));
            text.push_str(&"| ---: ".repeat(subjects.len()));
            text.push_str("|\n");
            for name in distinct(cases.iter().map(|c| c.name.as_str())) {
                text.push_str(&format!("| {name} "));
                for subject in &subjects {
                    let case = cases.iter().find(|c| c.name == name && c.subject == *subject);
                    text.push_str(&case.map_or_else(|| "| – ".to_owned(), |case| format!("| {} ", case.shown())));
                }
                text.push_str("|\n");
            }
        }
        text
    }

    /// Writes `NAME.json` into a folder.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let json = serde_json::to_string_pretty(self)?;
        std::fs::write(folder.join(format!("{}.json", self.benchmark)), json + "\n")
    }
}

impl Machine {
    /// This machine; what the system does not tell is empty.
    #[must_use]
    pub fn this() -> Self {
        let field = |file: &str, name: &str| -> String {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|l| l.starts_with(name)).and_then(|l| l.split_once(':'));
            line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let kib: u64 = field("/proc/meminfo", "MemTotal").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kib * 1024,
            kernel: output("uname", &["-sr"]),
        }
    }
}

/// Of this project, with the commit where git is there (and a `+` where something is not in it), and of the compiler.
fn versions() -> BTreeMap<String, String> {
    let mut ours = env!("CARGO_PKG_VERSION").to_owned();
    let folder = crate::local::workspace().display().to_string();
    let git =
        |arguments: &str| output("git", &["-C", &folder].into_iter().chain(arguments.split(' ')).collect::<Vec<_>>());
    let commit = git("rev-parse --short=12 HEAD");
    if !commit.is_empty() {
        let more = if git("status --porcelain --untracked-files=no").is_empty() { "" } else { "+" };
        ours.push_str(&format!(", {commit}{more}"));
    }
    BTreeMap::from([("this project".to_owned(), ours), ("rustc".to_owned(), output("rustc", &["--version"]))])
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Case, Report};

    #[test]
    fn a_report_reads_as_it_was_written() {
        let case = |subject: &str, samples: &[f64]| Case {
            name: "proxied".into(),
            subject: subject.into(),
            unit: "µs CPU/request".into(),
            less_is_better: true,
            samples: samples.to_vec(),
        };
        let mut report = Report::new("example", "How fast?", "cargo measure");
        let ours = &report.versions["this project"];
        let (version, commit) = ours.split_once(", ").unwrap_or((ours, "0"));
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
        // None where there is no git, as in a folder that was unpacked.
        assert!(commit.trim_end_matches('+').bytes().all(|b| b.is_ascii_hexdigit()), "{ours}");
        report.cases = vec![case("a", &[3.0, 1.0, 2.0]), case("b", &[4.0, 1.0])];
        assert_eq!((report.cases[0].median(), report.cases[1].median()), (2.0, 2.5));
        let folder = tempfile::tempdir().unwrap();
        report.write(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join("example.json")).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
        assert_eq!(
            report.comparison(),
            "\n## µs CPU/request (less is better)\n\n| | a | b |\n| --- | ---: | ---: |\n\
             | proxied | 2.00 (1.00–3.00) | 2.50 (1.00–4.00) |\n"
        );
    }
}
