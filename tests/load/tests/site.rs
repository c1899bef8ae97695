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
