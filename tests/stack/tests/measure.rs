//! `cargo measure` works: Workers start in workerd, send what the gateway takes for the edge's, hit, and are measured; hand-offs are carried out, spans
//! arrive. What the figures are, nobody looks at here.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

#[test]
fn workers_do_the_same_work() {
    let folder = tempfile::tempdir().unwrap();
    let mut measure = Command::new(env!("CARGO_BIN_EXE_measure"));
    measure.args(["worker", "--quick", "--out"]).arg(folder.path()).stdin(Stdio::null());
    let output = measure.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("worker.json")).unwrap();
    // Three Workers at four tasks, one at two, and the memory of each.
    assert_eq!(report["cases"].as_array().unwrap().len(), 18, "{report:#}");
    assert!(read("worker.md").contains("## The filter on against off"));
    assert!(read("worker.md").contains("| hit, 64 KiB | "));
    assert!(read("worker.svg").contains("passed through, 1 KiB"));
}

#[test]
fn hand_offs_are_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut measure = Command::new(env!("CARGO_BIN_EXE_measure"));
    measure.args(["hand-off", "--quick", "--out"]).arg(folder.path()).stdin(Stdio::null());
    let output = measure.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("hand-off.json")).unwrap()).unwrap();
    assert_eq!(report["cases"].as_array().unwrap().len(), 5, "{report:#}");
}

#[test]
fn gateways_are_watched() {
    let folder = tempfile::tempdir().unwrap();
    let mut measure = Command::new(env!("CARGO_BIN_EXE_measure"));
    measure.args(["telemetry", "--quick", "--out"]).arg(folder.path()).stdin(Stdio::null());
    let output = measure.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("telemetry.json")).unwrap()).unwrap();
    // Four gateways at two tasks.
    assert_eq!(report["cases"].as_array().unwrap().len(), 8, "{report:#}");
}
