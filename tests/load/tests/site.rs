//! The pages of docs/benchmarks are made from its figures, and from nothing else.

use std::path::Path;

use load::local::workspace;

fn folder() -> std::path::PathBuf {
    workspace().join("docs/benchmarks")
}

#[test]
fn the_pages_are_as_the_figures_are() {
    let pages = load::site::pages(&folder()).unwrap();
    let committed = |name: &str| std::fs::read_to_string(folder().join("site").join(name)).unwrap_or_default();
    for (name, page) in &pages {
        assert!(
            committed(name) == *page,
            "docs/benchmarks/site/{name} is not what its figures say: run `cargo load site`"
        );
    }
    let names = std::fs::read_dir(folder().join("site")).unwrap().map(|entry| entry.unwrap().file_name());
    for name in names {
        assert!(pages.contains_key(name.to_str().unwrap()), "docs/benchmarks/site/{name:?} has no figures any more");
    }
}

#[test]
fn losses_are_told_as_wins_are() {
    let case = |subject: &str, samples: &[f64], less: bool| {
        let samples: Vec<String> = samples.iter().map(ToString::to_string).collect();
        format!(
            r#"{{"name": "a task", "subject": "{subject}", "unit": "µs", "less_is_better": {less}, "samples": [{}]}}"#,
            samples.join(", ")
        )
    };
    let written = |cases: &[String]| {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"{{"format": 1, "benchmark": "x", "question": "Which <one>?", "command": "cargo x", "date": "2026-11-28",
            "machine": {{"cpu": "c", "cores": 2, "memory_bytes": 1, "kernel": "k"}}, "versions": {{"nginx": "1.22"}}, "cases": [{}]}}"#,
            cases.join(", ")
        );
        std::fs::write(folder.path().join("x.json"), text).unwrap();
        load::site::pages(Path::new(folder.path())).unwrap()["x.html"].clone()
    };
    let lost = written(&[
        case("gateway", &[3.0, 1.0, 2.0], true),
        case("nginx", &[1.0], true),
        case("the app alone", &[0.5], true),
    ]);
    assert!(lost.contains("2.00 of the best other: a loss") && lost.contains("Which &#60;one&#62;?"), "{lost}");
    assert!(lost.contains("3, 1, 2") && lost.contains("1–3") && lost.contains("1.22") && lost.contains("2026-11-28"));
    let won = written(&[case("gateway", &[4.0], false), case("nginx", &[2.0], false)]);
    assert!(won.contains("2.00 of the best other") && !won.contains("a loss"), "{won}");
}

/// More and more of something is a line, over powers of ten; bars are for who does better.
#[test]
fn growth_is_drawn_as_a_line() {
    let cases = [(1_000, 17), (10_000, 19), (1_000_000, 36)].map(|(many, figure)| {
        format!(
            r#"{{"name": "a hit", "subject": "gateway, {many}", "unit": "µs CPU/request", "less_is_better": true, "samples": [{figure}, 16]}}"#
        )
    });
    let page = |cases: &[String]| {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            r#"{{"format": 1, "benchmark": "x", "question": "Which?", "command": "cargo x", "date": "2026-11-28",
            "machine": {{"cpu": "c", "cores": 2, "memory_bytes": 1, "kernel": "k"}}, "versions": {{}}, "cases": [{}]}}"#,
            cases.join(", ")
        );
        std::fs::write(folder.path().join("x.json"), text).unwrap();
        load::site::pages(folder.path()).unwrap()["x.html"].clone()
    };
    let grown = page(&cases);
    // Three powers of ten lie between 52 and 472, and 40 µs between 162 and 12.
    assert!(grown.contains(r#"points="52.0,100.1 192.0,96.4 472.0,64.5 ""#), "medians: {grown}");
    assert!(grown.contains(">10,000</text>") && grown.contains(">1,000,000</text>"));
    assert!(grown.contains("highest round, at most 36") && grown.contains("lowest round, at most 16"));
    assert!(!page(&cases[..1]).contains("<figure>"));
    let other = cases[1].replace("gateway, 10000", "nginx");
    assert!(!page(&[cases[0].clone(), other]).contains("<figure>"));
}
