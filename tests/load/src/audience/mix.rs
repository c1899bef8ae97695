//! What an audience asks for: the routes of a scenario, with how the app of this project answers them.

use super::wire::Said;
use crate::local::workspace;
use crate::outcome::count;
use crate::scenario::{Choice, Scenario, Step};

/// How the demo app answers a route. `tests/stack` asks the app whether that is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A static file: Cloudflare has it, and starts no Worker.
    File,
    /// For everyone: it may be stored.
    Shared {
        /// `Cache-Control`.
        control: &'static str,
        /// Whether it has an `ETag`.
        etag: bool,
        /// `Vary`.
        vary: Option<&'static str>,
        /// Bytes of the body.
        bytes: u64,
    },
    /// For one client, or it changes something: all the way to the app, and this many bytes back.
    Passed(u64),
    /// The filter at the edge stops it.
    Stopped,
    /// The gateway refuses it, in this many bytes.
    Refused(u64),
}

const PAGE: &str = "public, max-age=60, stale-while-revalidate=600, stale-if-error=86400";

const fn page(bytes: u64) -> Kind {
    Kind::Shared { control: PAGE, etag: true, vary: None, bytes }
}

/// By the scenarios' names of routes, with whether a request is a page view.
pub const ROUTES: &[(&str, Kind, bool)] = &[
    ("home", page(34_622), true),
    ("creator", page(7_315), true),
    ("player", page(8_275), true),
    ("fragment", Kind::Shared { control: PAGE, etag: true, vary: Some("HX-Request"), bytes: 4_567 }, false),
    ("API", Kind::Shared { control: "public, max-age=30", etag: false, vary: None, bytes: 1_834 }, false),
    (
        "OTA check",
        Kind::Shared { control: "public, max-age=60, stale-if-error=86400", etag: false, vary: None, bytes: 241 },
        false,
    ),
    (
        "OTA file",
        Kind::Shared { control: "public, max-age=300, stale-if-error=86400", etag: false, vary: None, bytes: 0 },
        false,
    ),
    ("static", Kind::File, false),
    ("probe", Kind::Stopped, false),
    ("attack", Kind::Stopped, false),
    ("account", Kind::Passed(3_000), true),
    ("fragment, signed in", Kind::Passed(45), false),
    ("download", Kind::Passed(0), false),
    ("listen", Kind::Passed(0), false),
    ("sync push", Kind::Passed(25), false),
    ("sync pull", Kind::Passed(25), false),
    ("events", Kind::Passed(1_000), false),
    ("chat", Kind::Passed(500), false),
    ("upload", Kind::Passed(100), false),
    ("webhook", Kind::Passed(50), false),
    ("forged webhook", Kind::Refused(400), false),
];

/// Creators of the site, and works of each. The scenarios' few are the demo app's.
pub const CREATORS: usize = 200;
/// Works of each.
pub const WORKS: usize = 5;

/// Bytes of a file that is fetched as a whole, as a release is: a round figure.
pub const FILE: f64 = 10e6;

/// Something that may be stored, and what share of all requests asks for it.
#[derive(Clone, Debug)]
pub struct Item {
    /// Path and query.
    pub target: String,
    /// Whether HTMX asks.
    pub htmx: bool,
    /// Of all requests.
    pub share: f64,
    /// What the app says.
    pub said: Said,
}

/// A mix of requests; the shares of everything are of all requests.
#[derive(Clone, Debug, Default)]
pub struct Mix {
    /// What may be stored.
    pub items: Vec<Item>,
    /// What never starts the Worker.
    pub files: f64,
    /// What goes to the app.
    pub passed: f64,
    /// Bytes of an answer to that.
    pub passed_bytes: f64,
    /// What the edge refuses.
    pub stopped: f64,
    /// What the gateway refuses.
    pub refused: f64,
    /// Bytes of such answers, for each request of all.
    pub refused_bytes: f64,
    /// What is a page view.
    pub views: f64,
    /// What opens an event stream or a WebSocket.
    pub held: f64,
    /// Their share, times the seconds that each stays open.
    pub held_seconds: f64,
    /// Bytes of a static file.
    pub file_bytes: f64,
    /// Bytes that buckets send, for each request of all.
    pub bucket_bytes: f64,
}

impl Mix {
    /// The mix of a scenario.
    ///
    /// # Errors
    /// It has a route that is not known here.
    pub fn of(scenario: &Scenario) -> Result<Self, String> {
        let mut mix = Self::default();
        let all: f64 = scenario.visitor.iter().map(|visitor| visitor.share).sum();
        for visitor in &scenario.visitor {
            let steps: u32 = visitor.step.iter().map(|step| step.times).sum();
            for step in &visitor.step {
                let share = visitor.share / all * f64::from(step.times) / f64::from(steps.max(1));
                let known = ROUTES.iter().find(|(route, ..)| **route == *step.route);
                let (_, kind, view) = known.ok_or_else(|| format!("nothing is known of the route `{}`", step.route))?;
                mix.views += if *view { share } else { 0.0 };
                if let Some(lasts) = step.lasts {
                    mix.held += share;
                    mix.held_seconds += share * lasts.0.as_secs_f64();
                }
                if step.follow {
                    mix.bucket_bytes += share * followed(step);
                }
                match *kind {
                    Kind::File => {
                        mix.files += share;
                        mix.file_bytes = file_bytes(scenario)?;
                    }
                    Kind::Stopped => mix.stopped += share,
                    Kind::Refused(bytes) => {
                        mix.refused += share;
                        mix.refused_bytes += share * count(bytes);
                    }
                    Kind::Passed(bytes) => {
                        mix.passed += share;
                        mix.passed_bytes += share * count(bytes);
                    }
                    Kind::Shared { control, etag, vary, bytes } => {
                        let said = Said { control: control.to_owned(), etag: etag.then_some("\"1\""), vary, bytes };
                        let htmx = visitor.fields.contains_key("hx-request") || step.fields.contains_key("hx-request");
                        mix.add(&paths(&step.path), share, htmx, &said);
                    }
                }
            }
        }
        if mix.passed > 0.0 {
            mix.passed_bytes /= mix.passed;
        }
        Ok(mix)
    }

    /// Bytes of bodies that are stored once everything has been asked for.
    #[must_use]
    pub fn kept(&self) -> f64 {
        self.items.iter().map(|item| count(item.said.bytes)).sum()
    }

    /// Bytes of such bodies in an answer to one request of all.
    #[must_use]
    pub fn stored_bytes(&self) -> f64 {
        self.items.iter().map(|item| item.share * count(item.said.bytes)).sum()
    }

    /// The nth of the paths is asked for as often as 1/n.
    fn add(&mut self, paths: &[String], share: f64, htmx: bool, said: &Said) {
        for (part, target) in zipf(paths.len()).zip(paths) {
            let share = share * part;
            match self.items.iter_mut().find(|item| item.htmx == htmx && item.target == *target) {
                Some(known) => known.share += share,
                None => self.items.push(Item { target: target.clone(), htmx, share, said: said.clone() }),
            }
        }
    }
}

/// The shares of so many, of which the nth is chosen as often as 1/n.
fn zipf(many: usize) -> impl Iterator<Item = f64> {
    let weights = (1..=many as u64).map(|n| 1.0 / count(n));
    let sum: f64 = weights.clone().sum();
    weights.map(move |weight| weight / sum)
}

/// Bytes of what a step is sent to.
fn followed(step: &Step) -> f64 {
    let range = step.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let ends = range.and_then(|(from, to)| Some((from.parse::<u64>().ok()?, to.parse::<u64>().ok()?)));
    ends.map_or(FILE, |(from, to)| count(to + 1 - from))
}

/// Bytes of a static file, as often as each is asked for.
fn file_bytes(scenario: &Scenario) -> Result<f64, String> {
    let Some(Choice::Words(names)) = scenario.choose.get("static") else {
        return Err("choose.static: the names of files are not there".to_owned());
    };
    let folder = workspace().join("tests/demo/static");
    let bytes = |name: &String| {
        let path = folder.join(name);
        std::fs::metadata(&path).map(|file| count(file.len())).map_err(|e| format!("{}: {e}", path.display()))
    };
    zipf(names.len()).zip(names).map(|(share, name)| Ok(share * bytes(name)?)).sum()
}

/// Every path that a step's may be.
fn paths(path: &str) -> Vec<String> {
    let numbers = |name: &str, most: usize| (0..most).map(|n| format!("{name}-{n}")).collect::<Vec<_>>();
    let words = [
        ("{creator}", numbers("creator", CREATORS)),
        ("{work}", numbers("work", CREATORS * WORKS)),
        ("{platform}", ["windows/x86_64", "darwin/aarch64", "linux/x86_64"].map(str::to_owned).to_vec()),
        ("{version}", ["1.1.0", "1.0.4", "1.2.0"].map(str::to_owned).to_vec()),
    ];
    words.iter().fold(vec![path.to_owned()], |paths, (word, values)| {
        let one = |path: String| -> Vec<String> {
            if !path.contains(word) {
                return vec![path];
            }
            values.iter().map(|value| path.replace(word, value)).collect()
        };
        paths.into_iter().flat_map(one).collect()
    })
}
