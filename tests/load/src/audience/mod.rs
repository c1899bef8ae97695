//! How many requests reach gateway and app for an audience of a given size: a day at many data centres, each with a cache of its own, before the
//! gateway's, run by the real engine ([`place`]); and what that costs, and where one gateway is not enough ([`size`]).
//!
//! What a visitor asks for is the scenario `steady-week`'s; that of a release `ota-release`'s. docs/load.md says what is assumed.

pub mod flow;
pub mod mix;
pub mod need;
pub mod place;
pub mod size;
pub mod tables;
pub mod wire;

use crate::outcome::count;
use crate::report::{Case, Report};
use crate::scenario::Scenario;
use flow::{Counted, Flow};
use mix::Mix;
use need::{Ground, Stay};
use size::{Figure, Kind, Limit, Sizes, busiest};

/// Data centres that visitors come to.
const EDGES: usize = 30;
/// Seconds from an edge to the gateway and back.
const FLIGHT: f64 = 0.1;
const DAY: f64 = 86_400.0;
/// The busiest hour has so many times an even one's requests, as `steady-week`'s evening has its morning's.
const PEAK: f64 = 3.0;
/// Page views a day.
const AUDIENCES: &[f64] = &[1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Of larger ones only a part of a day is simulated, in hours, once caches are full.
const WHOLE_DAY: f64 = 1e5;
const HOURS: f64 = 0.5;
/// Seconds before, in which caches fill: twice what the longest-lived page may be served.
const WARM: f64 = 1_320.0;
/// Clients that a release is for, and the seconds in which all of them ask.
const CLIENTS: &[f64] = &[1e5, 1e6, 1e7];
const RELEASE: f64 = 300.0;
/// Different chances, to see how much it is theirs.
const SEEDS: &[u64] = &[1, 2, 3];

/// Reckons all of it; `quick` is only whether it works, with the smallest audiences.
///
/// # Errors
/// A scenario, the prices or a benchmark's figures can't be read.
pub fn measure(quick: bool) -> Result<Report, String> {
    let command = if quick { "cargo load audience --quick" } else { "cargo load audience" };
    let question = "How many requests a day reach edge, gateway and app for an audience, what does that cost, and when is one gateway not enough?";
    let mut report = Report::new("audience", question, command);
    let (few, seeds) = if quick { (1, &SEEDS[..1]) } else { (usize::MAX, SEEDS) };
    let mut told = |name: &str, subject: String, unit: &str, less_is_better: bool, samples: Vec<f64>| {
        report.cases.push(Case { name: name.to_owned(), subject, unit: unit.to_owned(), less_is_better, samples });
    };

    let mix = Mix::of(&Scenario::open("steady-week")?)?;
    let sizes = Sizes::read(ground(&mix))?;
    let mut days = Vec::new();
    for views in AUDIENCES.iter().take(few.saturating_add(1)) {
        let counted: Vec<Counted> = seeds.iter().map(|seed| day(&mix, *views, *seed)).collect();
        let name = format!("{} page views a day", spelled(*views));
        eprintln!("audience {name}: {:.0} at the gateway, {:.0} at the app", counted[0].gateway, counted[0].app);
        let seconds: Vec<Counted> = counted.iter().map(busiest).collect();
        for (subject, unit, less_is_better, samples) in requests(&counted, "requests/day")
            .into_iter()
            .chain(Sizes::bytes(&counted, "GB/day"))
            .chain(sizes.takes(&seconds))
            .chain(sizes.costs(&counted))
        {
            told(&name, subject, unit, less_is_better, samples);
        }
        days.push((*views, counted));
    }
    for Limit { what, of, stay, at } in sizes.limits(&days) {
        told(&format!("{what}, {}", stay.as_str()), of.to_owned(), "page views/day", false, vec![at]);
    }

    let mix = Mix::of(&Scenario::open("ota-release")?)?;
    let sizes = Sizes::read(ground(&mix))?;
    let mut releases = Vec::new();
    for clients in CLIENTS.iter().take(few) {
        let counted: Vec<Counted> = seeds.iter().map(|seed| released(&mix, *clients, *seed)).collect();
        let name = format!("a release to {} clients, all within {RELEASE} s", spelled(*clients));
        eprintln!("audience {name}: {:.0} at the gateway, {:.0} at the app", counted[0].gateway, counted[0].app);
        let seconds: Vec<Counted> = counted.iter().map(|counted| counted.times(1.0 / RELEASE)).collect();
        for (subject, unit, less_is_better, samples) in requests(&counted, "requests")
            .into_iter()
            .chain(Sizes::bytes(&counted, "GB"))
            .chain(sizes.takes(&seconds))
            .chain(sizes.release_costs(&counted, &seconds))
        {
            told(&name, subject, unit, less_is_better, samples);
        }
        releases.push((*clients, seconds));
    }
    for Limit { what, of, at, .. } in sizes.rooms(&releases).into_iter().filter(|limit| limit.stay == Stay::AsAsked) {
        told(&what, of.to_owned(), "clients of a release", false, vec![at]);
    }
    Ok(report)
}

/// Whom a mix comes from, and what of it is stored.
fn ground(mix: &Mix) -> Ground {
    Ground { edges: count(EDGES as u64), flight: FLIGHT, entries: count(mix.items.len() as u64), kept: mix.kept() }
}

/// A day of so many page views.
#[must_use]
pub fn day(mix: &Mix, views: f64, seed: u64) -> Counted {
    let rate = views / mix.views / DAY;
    let (warm, lasts) = if views <= WHOLE_DAY { (0.0, DAY) } else { (WARM, HOURS * 3_600.0) };
    Flow { edges: EDGES, rate, warm, lasts, flight: FLIGHT, seed }.run(mix).times(DAY / lasts)
}

/// All clients ask for the new version, while readers come as before; nothing of it is stored when it begins.
#[must_use]
pub fn released(mix: &Mix, clients: f64, seed: u64) -> Counted {
    let checks: f64 = mix.items.iter().filter(|item| item.target.starts_with("/api/sync/ota/")).map(|i| i.share).sum();
    Flow { edges: EDGES, rate: clients / checks / RELEASE, warm: 0.0, lasts: RELEASE, flight: FLIGHT, seed }.run(mix)
}

fn requests(counted: &[Counted], unit: &'static str) -> Vec<Figure> {
    let figures: [Kind; 5] = [
        ("at Cloudflare", |counted| counted.all),
        ("at the Worker", |counted| counted.worker),
        ("at the gateway", |counted| counted.gateway),
        ("questions for orders among them", |counted| counted.news),
        ("at the app", |counted| counted.app),
    ];
    figures.map(|(subject, figure)| (subject.to_owned(), unit, true, counted.iter().map(figure).collect())).into()
}

/// As in `10,000`.
pub(crate) fn spelled(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|g| std::str::from_utf8(g).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::flow::Flow;
    use super::mix::Mix;
    use super::{day, spelled};
    use crate::scenario::Scenario;

    fn mix() -> Mix {
        Mix::of(&Scenario::open("steady-week").unwrap()).unwrap()
    }

    #[test]
    fn every_request_of_the_scenario_has_its_place() {
        for name in ["steady-week", "ota-release"] {
            let mix = Mix::of(&Scenario::open(name).unwrap()).unwrap();
            let shared: f64 = mix.items.iter().map(|item| item.share).sum();
            assert!((shared + mix.files + mix.passed + mix.stopped + mix.refused - 1.0).abs() < 1e-9, "{name}");
        }
    }

    #[test]
    fn the_same_seed_says_the_same_and_caches_keep_requests_from_the_app() {
        let mix = mix();
        let (one, again, other) = (day(&mix, 2e3, 1), day(&mix, 2e3, 1), day(&mix, 2e3, 2));
        assert_eq!(one, again);
        assert!(one != other && (one.gateway / other.gateway - 1.0).abs() < 0.1, "{one:?} {other:?}");
        assert!(one.all > one.worker && one.worker > one.gateway - one.news && one.gateway > one.app, "{one:?}");
    }

    /// One page, fresh for 60 s: an edge asks once in 60 s and what it waits for the next visitor, whatever the rate.
    #[test]
    fn one_page_is_asked_for_as_reckoned_by_hand() {
        let mut mix = mix();
        mix.items.retain(|item| item.target == "/");
        mix.items[0].share = 1.0;
        mix.items[0].said.control = "public, max-age=60".to_owned();
        (mix.files, mix.passed, mix.stopped, mix.refused) = (0.0, 0.0, 0.0, 0.0);
        let flow = Flow { edges: 1, rate: 0.1, warm: 600.0, lasts: 700_000.0, flight: 0.0, seed: 7 };
        let counted = flow.run(&mix);
        let expected = flow.lasts / (60.0 + 1.0 / flow.rate);
        let asked = counted.gateway - counted.news;
        assert!((asked / expected - 1.0).abs() < 0.01, "{asked} for {expected}");
        // A hit that comes 4 s or more after it last heard asks for orders.
        assert!(counted.news > 0.0 && counted.news < flow.lasts / 4.0, "{counted:?}");
    }

    #[test]
    fn numbers_are_spelled_in_groups() {
        assert_eq!([1e3, 1e6, 12.0].map(spelled), ["1,000", "1,000,000", "12"]);
    }
}
