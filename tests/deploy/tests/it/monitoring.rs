//! The alerts and the dashboard, as far as Prometheus's own tool judges them. That the metrics exist, `origin`'s tests hold.

use std::{fs, process::Command};

use deploy::{Needed, deploy, have};
use serde_json::{Value, json};

fn check_rules(file: &std::path::Path) {
    have(&[Needed { program: "promtool", package: "prometheus" }]);
    let checked = Command::new("promtool").args(["check", "rules"]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(
        checked.status.success() && said.contains("rules found"),
        "{said}{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn alerts_are_rules() {
    check_rules(&deploy().join("origin.alerts.yml"));
}

/// Each panel's questions are PromQL, each says what it means, and none covers another.
#[test]
fn the_dashboard_asks_what_prometheus_understands() {
    let text = fs::read_to_string(deploy().join("origin.grafana.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels: Vec<&Value> =
        dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect();
    assert!(panels.len() > 10);
    let mut rules = Vec::new();
    for panel in &panels {
        assert!(panel["description"].as_str().is_some_and(|about| about.len() > 5), "{panel:#}");
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
            rules.push(json!({ "record": format!("panel:{}:{}", panel["id"], target["refId"].as_str().unwrap()), "expr": expression }));
        }
    }
    // JSON is YAML.
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), json!({ "groups": [{ "name": "dashboard", "rules": rules }] }).to_string()).unwrap();
    check_rules(file.path());
    let place = |panel: &Value| ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
    for (n, one) in panels.iter().enumerate() {
        let [x, y, w, h] = place(one);
        assert!(x + w <= 24, "{one:#}");
        for other in &panels[n + 1..] {
            let [left, top, width, height] = place(other);
            let apart = x + w <= left || left + width <= x || y + h <= top || top + height <= y;
            assert!(apart, "{} covers {}", one["title"], other["title"]);
        }
    }
}
