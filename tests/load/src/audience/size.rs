//! What an audience costs, and what it takes of the gateway's machine: by deploy's prices, and by what the benchmarks have measured of a request.

use std::path::Path;

use origin::cost::{Prices, Supposed};

use super::flow::Counted;
use crate::local::workspace;
use crate::report::Report;

/// The busiest hour has so many times an even one's requests, as `steady-week`'s evening has its morning's.
const PEAK: f64 = 3.0;
/// Cores of the server that the prices are of, and how much of them the gateway may take: the app is beside it.
const CORES: f64 = 4.0;
const SHARE: f64 = 0.5;
const DAY: f64 = 86_400.0;
const MONTH: f64 = 365.0 / 12.0;

/// What is reckoned with.
pub struct Sizes {
    prices: Prices,
    /// Seconds of CPU that the gateway takes for a hit, and for a request that goes on to the app.
    hit: f64,
    passed: f64,
}

/// What is reckoned of a day.
type Reckoned<'a> = &'a dyn Fn(&Counted) -> f64;

/// A figure's subject and unit, whether less is better, and one sample for each chance.
type Figure = (String, &'static str, bool, Vec<f64>);

impl Sizes {
    /// Reads the prices and the figures.
    ///
    /// # Errors
    /// A file or a figure is not there.
    pub fn read() -> Result<Self, String> {
        let root = workspace();
        let path = root.join("deploy/prices.toml");
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let prices = Prices::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        let folder = root.join("docs/benchmarks");
        let hit = figure(&folder.join("hits.json"), "a hit, TLS, 1 KiB", "gateway")?;
        let passed = figure(&folder.join("versus.json"), "TLS, 1 KiB", "gateway, signed")?;
        Ok(Self { prices, hit: hit / 1e6, passed: passed / 1e6 })
    }

    /// What days like these mean.
    #[must_use]
    pub fn of(&self, days: &[Counted]) -> Vec<Figure> {
        let each = |figure: Reckoned<'_>| days.iter().map(figure).collect::<Vec<f64>>();
        let mut all = vec![
            (
                "the Worker".to_owned(),
                "% of the free requests a day",
                true,
                each(&|day| day.worker / self.prices.free_a_day() * 100.0),
            ),
            ("gateway, in the busiest hour".to_owned(), "cores", true, each(&|day| self.cores(day))),
            (
                "app, on the rest of the server".to_owned(),
                "ms CPU that a request may take",
                false,
                each(&|day| self.left(day)),
            ),
        ];
        for (currency, unit) in [("EUR", "EUR/month, without the server"), ("USD", "USD/month")] {
            let costs = each(&|day| {
                let gateway_tb = day.gateway_bytes * MONTH / 1e12;
                let month = self.prices.month(&Supposed { worker_a_day: day.worker, gateway_tb });
                month.get(currency).copied().unwrap_or_default()
            });
            let subject = if currency == "USD" { "the Worker" } else { "traffic and storage" };
            all.push((subject.to_owned(), unit, true, costs));
        }
        all
    }

    /// Cores that the gateway takes in the busiest hour.
    fn cores(&self, day: &Counted) -> f64 {
        let on = day.app.min(day.gateway);
        on.mul_add(self.passed, (day.gateway - on) * self.hit) / DAY * PEAK
    }

    /// Milliseconds of CPU that the app may take for a request, with what the gateway leaves of one server.
    fn left(&self, day: &Counted) -> f64 {
        (CORES - self.cores(day)).max(0.0) / (day.app / DAY * PEAK) * 1000.0
    }

    /// The audiences at which something is not enough any more, between the days that were simulated; those that are not reached are left out.
    #[must_use]
    pub fn limits(&self, days: &[(f64, Vec<Counted>)]) -> Vec<(String, f64)> {
        let mean = |figure: Reckoned<'_>, days: &[Counted]| {
            days.iter().map(figure).sum::<f64>() / crate::outcome::count(days.len() as u64)
        };
        let crossing = |limit: f64, figure: Reckoned<'_>| {
            let at = |n: usize| days.get(n).map(|(views, days)| (*views, mean(figure, days)));
            (0..days.len()).find_map(|n| {
                let (views, reached) = at(n)?;
                let (before, below) = if n == 0 { (0.0, 0.0) } else { at(n - 1)? };
                (reached > limit).then(|| before + (views - before) * (limit - below) / (reached - below))
            })
        };
        let cores = |day: &Counted| self.cores(day);
        // What an app takes is its own; these are round.
        let app = |cpu: f64| move |day: &Counted| (day.app / DAY * PEAK).mul_add(cpu, self.cores(day));
        let limits: [(&str, f64, Reckoned<'_>); 6] = [
            ("the Worker's free requests are used up", self.prices.free_a_day(), &|day| day.worker),
            ("a second server: an app of 1 ms CPU a request and the gateway fill the first", CORES, &app(0.001)),
            ("a second server: an app of 5 ms CPU a request and the gateway fill the first", CORES, &app(0.005)),
            ("a second server: an app of 20 ms CPU a request and the gateway fill the first", CORES, &app(0.02)),
            ("a second gateway: the first takes half of its server", CORES * SHARE, &cores),
            ("a second gateway: the first fills a server of its own", CORES, &cores),
        ];
        limits
            .into_iter()
            .filter_map(|(name, limit, figure)| Some((name.to_owned(), crossing(limit, figure)?)))
            .collect()
    }
}

fn figure(path: &Path, name: &str, subject: &str) -> Result<f64, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let report: Report = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let case = report.cases.iter().find(|case| case.name == name && case.subject == subject);
    case.map(crate::report::Case::median).ok_or_else(|| format!("{}: no case `{name}` of `{subject}`", path.display()))
}
