//! `cargo versus` works: every proxy starts from its configuration, answers the same bytes, logs the request, and is measured. What
//! the figures are, nobody looks at here.

use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn every_proxy_does_the_same_work() {
    let folder = tempfile::tempdir().unwrap();
    let mut versus = Command::new(env!("CARGO_BIN_EXE_versus"));
    versus.args(["--quick", "--out"]).arg(folder.path()).stdin(Stdio::null());
    let output = versus.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for proxy in ["gateway", "gateway, signed", "nginx", "HAProxy", "Caddy"] {
        assert!(said.contains(&format!("versus   {proxy} answers as it should\n")), "{said}");
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("versus.json")).unwrap();
    let cases = report["cases"].as_array().unwrap();
    let of = |subject: &str| cases.iter().filter(|case| case["subject"] == subject).count();
    // CPU of 6, memory of 3 in two ways, latency in 5, idle in 2, HTTP/2 of 3 in three ways.
    assert_eq!([of("gateway, signed"), of("Caddy")], [28; 2]);
    // Those with a cache: hits of 4 and an entry's memory; Varnish has no TLS, and does nothing else.
    assert_eq!([of("gateway"), of("nginx"), of("HAProxy"), of("Varnish")], [33, 33, 33, 3]);
    let positive = |case: &Value| case["samples"].as_array().unwrap().iter().all(|s| s.as_f64().unwrap() > 0.0);
    // A hundred entries may fit into memory that was there before.
    let memory_of_entries = |case: &Value| case["name"].as_str().unwrap().contains("entries");
    assert!(cases.iter().all(|case| memory_of_entries(case) || positive(case)), "{report:#}");
    assert!(read("versus.md").contains("| TLS, 1 KiB | "));
    assert!(read("versus.svg").contains("1 KiB (nginx: "));
}
