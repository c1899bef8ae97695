//! What an audience costs, and what it takes of the gateway's machine: by deploy's prices, and by what the benchmarks have measured.

use std::path::Path;

use origin::cost::{Prices, Supposed};

use super::flow::Counted;
use super::need::{Amounts, Ground, HEAD, Measured, RESOURCES, ROOMS, Stay, UNITS, streams};
use super::{DAY, PEAK};
use crate::local::workspace;
use crate::outcome::count;
use crate::report::Report;

/// Cores of the server that the prices are of.
const CORES: f64 = 4.0;
const MONTH: f64 = 365.0 / 12.0;
const GB: f64 = 1e9;
/// Bytes of an event stream in the gateway, at most: 9,500 of them in clear text (docs/faults.md, row 19), and a TLS connection that says
/// nothing (docs/adr/0021), which has its own socket and guard besides.
const STREAM: f64 = (5.0 + 15.2) * 1024.0;

/// What is reckoned with.
pub struct Sizes {
    prices: Prices,
    measured: Measured,
    ground: Ground,
}

/// A figure's subject and unit, whether less is better, and one sample for each chance.
pub type Figure = (String, &'static str, bool, Vec<f64>);

/// What is counted, under its name.
pub type Kind = (&'static str, fn(&Counted) -> f64);

/// When something is not enough any more: what, of what, where streams stay so long, and the size at which it is so.
pub struct Limit {
    /// What is not enough, and what it takes then.
    pub what: String,
    /// Of what there is no more.
    pub of: &'static str,
    /// How long streams stay, where it matters.
    pub stay: Stay,
    /// The size.
    pub at: f64,
}

impl Sizes {
    /// Reads the prices and the figures.
    ///
    /// # Errors
    /// A file or a figure is not there.
    pub fn read(ground: Ground) -> Result<Self, String> {
        let root = workspace();
        let path = root.join("deploy/prices.toml");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let prices = Prices::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        let benchmark = |name: &str| {
            let path = root.join("docs/benchmarks").join(name);
            move |case: &str, subject: &str, unit: &str| figure(&path, case, subject, unit)
        };
        let (hits, versus) = (benchmark("hits.json"), benchmark("versus.json"));
        let measured = Measured {
            hit: hits("a hit, TLS, 1 KiB", "gateway", "µs CPU/request")? / 1e6,
            passed: versus("TLS, 1 KiB", "gateway, signed", "µs CPU/request")? / 1e6,
            answer: versus("TLS, 1 KiB, 50 % of requests within", "gateway, signed", "ms")? / 1e3,
            process: versus("TLS, 1 KiB, 50 connections", "gateway, signed", "MiB, peak (VmHWM)")? * 1_048_576.0,
            connection: versus("10000 idle TLS connections", "gateway, signed", "KiB (PSS) for each")? * 1024.0,
            stream: STREAM,
            // One KiB of it is the body.
            entry: (hits("20000 entries of 1 KiB", "gateway", "KiB (PSS) for each")? - 1.0) * 1024.0,
        };
        Ok(Self { prices, measured, ground })
    }

    /// What such loads take of the gateway, each of one second.
    #[must_use]
    pub fn takes(&self, seconds: &[Counted]) -> Vec<Figure> {
        let each = |figure: &dyn Fn(&Counted) -> f64| seconds.iter().map(figure).collect::<Vec<f64>>();
        let mut all: Vec<Figure> = Vec::new();
        let need = |stay, resource: usize| each(&|second| self.need(second, stay)[resource]);
        all.push(("gateway".to_owned(), UNITS[0], true, need(Stay::AsAsked, 0)));
        for stay in Stay::ALL {
            all.push((format!("gateway, {}", stay.as_str()), UNITS[1], true, need(stay, 1)));
        }
        all.push(("VPS to edges".to_owned(), UNITS[2], true, need(Stay::AsAsked, 2)));
        let edges = each(&|second| self.ground.connections(second, &self.measured));
        all.push(("from edges".to_owned(), UNITS[3], true, edges));
        for stay in Stay::ALL {
            all.push((stay.as_str().to_owned(), UNITS[3], true, each(&|second| streams(second, stay))));
        }
        all
    }

    /// Bytes of such loads, by who sends them and by kind of answer.
    #[must_use]
    pub fn bytes(counted: &[Counted], unit: &'static str) -> Vec<Figure> {
        let kinds: [Kind; 7] = [
            ("VPS to edges: what may be stored", |counted| counted.gateway_bytes[0]),
            ("VPS to edges: for one client", |counted| counted.gateway_bytes[1]),
            ("VPS to edges: heads", |counted| counted.gateway * HEAD),
            ("edges to visitors: what may be stored", |counted| counted.visitor_bytes[0]),
            ("edges to visitors: for one client", |counted| counted.visitor_bytes[1]),
            ("edges to visitors: static files", |counted| counted.visitor_bytes[2]),
            ("buckets to visitors", |counted| counted.visitor_bytes[3]),
        ];
        let one = |(kind, bytes): Kind| {
            (kind.to_owned(), unit, true, counted.iter().map(|counted| bytes(counted) / GB).collect())
        };
        kinds.into_iter().map(one).collect()
    }

    /// What days like these cost, and what they leave to the app.
    #[must_use]
    pub fn costs(&self, days: &[Counted]) -> Vec<Figure> {
        let each = |figure: &dyn Fn(&Counted) -> f64| days.iter().map(figure).collect::<Vec<f64>>();
        let left = each(&|day| {
            let second = busiest(day);
            (CORES - self.need(&second, Stay::AsAsked)[0]).max(0.0) / second.app * 1000.0
        });
        let mut all = vec![
            self.of_the_free(days),
            ("app, on the rest of the server".to_owned(), "ms CPU that a request may take", false, left),
            ("servers for gateways".to_owned(), "servers", true, each(&|day| self.servers(&busiest(day)))),
        ];
        for (currency, subject, unit) in
            [("EUR", "traffic and storage", "EUR/month, without the servers"), ("USD", "the Worker", "USD/month")]
        {
            let costs = each(&|day| self.costs_in(currency, day, MONTH, self.servers(&busiest(day))));
            all.push((subject.to_owned(), unit, true, costs));
        }
        all
    }

    /// What a month costs in which there is such a release, and nothing else is asked; `seconds` are one each of it.
    #[must_use]
    pub fn release_costs(&self, releases: &[Counted], seconds: &[Counted]) -> Vec<Figure> {
        let mut all = vec![self.of_the_free(releases)];
        for (currency, subject, unit) in [
            ("EUR", "traffic and storage", "EUR in that month, without the servers"),
            ("USD", "the Worker", "USD in that month"),
        ] {
            let each = releases.iter().zip(seconds);
            let costs =
                each.map(|(release, second)| self.costs_in(currency, release, 1.0, self.servers(second))).collect();
            all.push((subject.to_owned(), unit, true, costs));
        }
        all
    }

    /// Of the requests that start the Worker for nothing in a day.
    fn of_the_free(&self, days: &[Counted]) -> Figure {
        let free = days.iter().map(|day| day.worker / self.prices.free_a_day() * 100.0).collect();
        ("the Worker".to_owned(), "% of the free requests a day", true, free)
    }

    /// A month's bill in one currency, of which so many days are like this.
    fn costs_in(&self, currency: &str, day: &Counted, days: f64, servers: f64) -> f64 {
        let heads = day.gateway * HEAD;
        let supposed = Supposed {
            worker_a_day: day.worker,
            days,
            gateway_tb: (day.gateway_bytes.iter().sum::<f64>() + heads) * days / 1e12,
            buckets_tb: day.visitor_bytes[3] * days / 1e12,
            servers,
        };
        self.prices.month(&supposed).get(currency).copied().unwrap_or_default()
    }

    /// The sizes at which something is not enough any more, between the days that were simulated; those that are not reached are left out.
    #[must_use]
    pub fn limits(&self, days: &[(f64, Vec<Counted>)]) -> Vec<Limit> {
        let mut limits = Vec::new();
        let mut add = |what: &str, of, stay, at: Option<f64>| {
            limits.extend(at.map(|at| Limit { what: what.to_owned(), of, stay, at }));
        };
        let free = crossing(days, self.prices.free_a_day(), &|day| day.worker);
        add("the Worker's free requests are used up", "requests", Stay::AsAsked, free);
        // What an app takes is its own; these are round.
        for ms in [1, 5, 20] {
            let both = |day: &Counted| {
                let second = busiest(day);
                second.app.mul_add(f64::from(ms) / 1e3, self.need(&second, Stay::AsAsked)[0])
            };
            let what = format!("a second VPS: an app of {ms} ms CPU a request and the gateway fill the first");
            add(&what, RESOURCES[0], Stay::AsAsked, crossing(days, CORES, &both));
        }
        let seconds: Vec<_> = days.iter().map(|(views, days)| (*views, days.iter().map(busiest).collect())).collect();
        for limit in self.rooms(&seconds) {
            add(&limit.what, limit.of, limit.stay, Some(limit.at));
        }
        limits
    }

    /// The sizes at which a gateway has no more of something, by what it takes in a second.
    #[must_use]
    pub fn rooms(&self, seconds: &[(f64, Vec<Counted>)]) -> Vec<Limit> {
        let mut limits = Vec::new();
        for (room, stay) in ROOMS.iter().flat_map(|room| Stay::ALL.map(|stay| (room, stay))) {
            for (n, of) in RESOURCES.into_iter().enumerate() {
                let at = crossing(seconds, room.has[n], &|second| self.need(second, stay)[n]);
                limits.extend(at.map(|at| Limit { what: room.beyond.to_owned(), of, stay, at }));
            }
        }
        limits
    }

    fn need(&self, second: &Counted, stay: Stay) -> Amounts {
        self.ground.need(second, stay, &self.measured)
    }

    /// How many servers of their own gateways take, by what comes in a second.
    fn servers(&self, second: &Counted) -> f64 {
        let need = self.need(second, Stay::AsAsked);
        let shares = need.into_iter().zip(ROOMS[1].has).map(|(need, has)| (need / has).ceil());
        shares.fold(1.0, f64::max)
    }
}

/// A second of the busiest hour of a day.
#[must_use]
pub fn busiest(day: &Counted) -> Counted {
    day.times(PEAK / DAY)
}

/// At which size a figure, the mean of all chances, passes a limit: on the line between two sizes.
fn crossing(sizes: &[(f64, Vec<Counted>)], limit: f64, figure: &dyn Fn(&Counted) -> f64) -> Option<f64> {
    let mean = |counted: &[Counted]| counted.iter().map(figure).sum::<f64>() / count(counted.len() as u64);
    let mut before = (0.0, 0.0);
    for (size, counted) in sizes {
        let (reached, (less, below)) = (mean(counted), before);
        if reached > limit {
            return Some(((size - less) / (reached - below)).mul_add((limit - below).max(0.0), less));
        }
        before = (*size, reached);
    }
    None
}

fn figure(path: &Path, name: &str, subject: &str, unit: &str) -> Result<f64, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let report: Report = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let case = report.cases.iter().find(|case| case.name == name && case.subject == subject && case.unit == unit);
    case.map(crate::report::Case::median).ok_or_else(|| format!("{}: no case `{name}` of `{subject}`", path.display()))
}
