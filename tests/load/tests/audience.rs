//! What an audience asks for, against what is reckoned by hand.

use load::audience::flow::{Counted, Flow};
use load::audience::mix::{FILE, Mix};
use load::audience::need::Ground;
use load::audience::size::{Sizes, busiest};
use load::audience::tables::tables;
use load::local::workspace;
use load::report::Report;
use load::scenario::Scenario;

/// Of ten requests three open a stream of 20 s, one is sent to 100 bytes of a bucket, four to a whole file there, and two are for static files, of
/// which the first (52,182 bytes) is asked for twice as often as the second (237).
const TEN: &str = r#"
title = "ten"
asks = "how many?"
phase = [{ name = "p", rate = 1, lasts = "1s" }]
visitor = [
  { name = "subscribers", share = 3, step = [{ route = "events", path = "/api/sync/subscribe", stays = "events", lasts = "20s" }] },
  { name = "listeners", share = 1, step = [{ route = "download", path = "/download/x", follow = true, range = "bytes=100-199" }] },
  { name = "updaters", share = 4, step = [{ route = "OTA file", path = "/ota/sketchbook/1.2.0/linux/x86_64", follow = true }] },
  { name = "readers", share = 2, step = [{ route = "static", path = "/static/{static}" }] },
]
[choose]
static = ["htmx.d6fdc75f.js", "favicon.svg"]
"#;

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6 * b.abs().max(1.0)
}

#[test]
fn streams_and_bytes_are_those_of_the_steps() {
    let mix = Mix::of(&Scenario::parse("ten.toml", TEN).unwrap()).unwrap();
    assert!(near(mix.held, 0.3) && near(mix.held_seconds, 6.0), "{} {}", mix.held, mix.held_seconds);
    assert!(near(mix.bucket_bytes, 0.4f64.mul_add(FILE, 10.0)), "{}", mix.bucket_bytes);
    assert!(near(mix.files, 0.2) && near(mix.file_bytes, 34_867.0), "{}", mix.file_bytes);
    // Half of a day's 86,400 requests, in the busiest hour three times as many in a second.
    let second = busiest(&Counted { gateway: 43_200.0, held_seconds: 864_000.0, ..Counted::default() });
    assert!(near(second.gateway, 1.5) && near(second.held_seconds, 30.0), "{second:?}");
}

#[test]
fn a_release_costs_what_is_reckoned_by_hand() {
    let ground = Ground { edges: 30.0, flight: 0.1, entries: 10.0, kept: 1e6 };
    let sizes = Sizes::read(ground).unwrap();
    let counted = |worker: f64, terabytes: f64| Counted {
        worker,
        visitor_bytes: [0.0, 0.0, 0.0, terabytes * 1e12],
        ..Counted::default()
    };
    let cost = |worker: f64, terabytes: f64| {
        let counted = counted(worker, terabytes);
        let figures = sizes.release_costs(&[counted], &[counted.times(1.0 / 300.0)]);
        let of = |unit: &str| figures.iter().find(|figure| figure.1 == unit).unwrap().3[0];
        [of("% of the free requests a day"), of("USD in that month"), of("EUR in that month, without the servers")]
    };
    // 100,000 a day are free; then 5 USD, 10 millions included, 0.30 for each further. 5 EUR have a terabyte, each further is 1.
    for (measured, right) in [
        (cost(50_000.0, 0.5), [50.0, 0.0, 5.0]),
        (cost(200_000.0, 3.0), [200.0, 5.0, 7.0]),
        (cost(20e6, 1.0), [20_000.0, 8.0, 5.0]),
    ] {
        assert!(
            measured.iter().zip(right).all(|(measured, right)| near(*measured, right)),
            "{measured:?}, not {right:?}"
        );
    }
}

#[test]
fn what_the_gateway_refuses_never_reaches_the_app() {
    let forged = TEN.replace(
        "route = \"events\", path = \"/api/sync/subscribe\", stays = \"events\", lasts = \"20s\"",
        "route = \"forged webhook\", path = \"/webhooks/stripe\"",
    );
    let mix = Mix::of(&Scenario::parse("ten.toml", &forged).unwrap()).unwrap();
    assert!(near(mix.refused, 0.3) && near(mix.refused_bytes, 120.0), "{} {}", mix.refused, mix.refused_bytes);
    let flow = Flow { edges: 2, rate: 1.0, warm: 0.0, lasts: 10_000.0, flight: 0.1, seed: 1 };
    let (all, without) = (flow.run(&mix), flow.run(&Mix { refused: 0.0, ..mix.clone() }));
    // Questions for orders aside, of which there are fewer where more is asked.
    let more = (all.gateway - all.news) - (without.gateway - without.news);
    assert!((more / 3_000.0 - 1.0).abs() < 0.05 && (all.app / without.app - 1.0).abs() < 0.05, "{all:?}\n{without:?}");
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let wrong = TEN.replace("favicon.svg", "nobody.svg");
    let error = Mix::of(&Scenario::parse("ten.toml", &wrong).unwrap()).unwrap_err();
    assert!(error.contains("nobody.svg"), "{error}");
}

#[test]
fn the_page_has_the_tables() {
    let folder = workspace().join("docs");
    let figures = std::fs::read_to_string(folder.join("benchmarks/audience.json")).unwrap();
    let report: Report = serde_json::from_str(&figures).unwrap();
    let page = std::fs::read_to_string(folder.join("load.md")).unwrap();
    let tables = tables(&report);
    assert!(tables.len() >= 5, "{tables:?}");
    for table in tables {
        assert!(page.contains(&table), "docs/load.md does not have what audience.json says:\n{table}");
    }
}

#[test]
fn the_page_has_the_table_of_cost_growth() {
    let folder = workspace().join("docs");
    let figures = std::fs::read_to_string(folder.join("benchmarks/growth.json")).unwrap();
    let table = load::growth::table(&serde_json::from_str(&figures).unwrap());
    let page = std::fs::read_to_string(folder.join("load.md")).unwrap();
    assert!(
        table.lines().count() > 8 && page.contains(&table),
        "docs/load.md does not have what growth.json says:\n{table}"
    );
}
