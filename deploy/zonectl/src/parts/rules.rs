//! `[rules]`: custom rules, cache rules, the rate limit: each a *phase*, whose rules are replaced as a whole. A rule is known by its description.

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::api::Api;
use crate::file::Wanted;
use crate::plan::{Change, How, Plan, Sign};
use crate::zone::Zone;

/// What the API adds to a rule.
const ITS_OWN: [&str; 5] = ["id", "version", "last_updated", "ref", "categories"];

pub(crate) fn survey(api: &Api, zone: &Zone, wanted: &Wanted, how: &How, plan: &mut Plan) -> Result<(), String> {
    for (phase, wanted) in &wanted.rules {
        let path = zone.path(&format!("rulesets/phases/{phase}/entrypoint"));
        let live = live(api, &path)?;
        if let Some((what, rules)) = compare(phase, &live, wanted, how.prune, &mut plan.kept) {
            let body = Some(json!({ "rules": rules }));
            let sign = if live.is_empty() { Sign::Add } else { Sign::Alter };
            plan.changes.push(Change { sign, part: "rules", what, method: Method::PUT, path, body });
        }
    }
    Ok(())
}

/// A phase's rules; none where there never were any.
pub(crate) fn live(api: &Api, path: &str) -> Result<Vec<Map<String, Value>>, String> {
    let found = match api.get(path) {
        Ok(found) => found,
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let rules = found["rules"].as_array().into_iter().flatten();
    Ok(rules.filter_map(|rule| rule.as_object().cloned()).collect())
}

/// A rule without what the API adds, and with what it takes for granted.
pub(crate) fn own(rule: &Map<String, Value>) -> Map<String, Value> {
    let mut rule = rule.clone();
    rule.retain(|key, _| !ITS_OWN.contains(&key.as_str()));
    rule.entry("enabled").or_insert(Value::Bool(true));
    if rule.get("action_parameters").is_some_and(|it| it.as_object().is_some_and(Map::is_empty)) {
        rule.remove("action_parameters");
    }
    rule
}

fn name(rule: &Map<String, Value>) -> &str {
    rule.get("description").and_then(Value::as_str).unwrap_or("a rule without a description")
}

/// What would be said and put, where something differs.
fn compare(
    phase: &str,
    live: &[Map<String, Value>],
    wanted: &[Map<String, Value>],
    prune: bool,
    kept: &mut Vec<String>,
) -> Option<(String, Vec<Value>)> {
    let mut said: Vec<String> = Vec::new();
    let mut rules: Vec<Map<String, Value>> = Vec::new();
    // In the dashboard two rules may have one description: the file's is one of them, the other is not in the file.
    let mut foreign: Vec<&Map<String, Value>> = live.iter().collect();
    for rule in wanted {
        let mut rule = own(rule);
        let found = foreign.iter().position(|live| name(live) == name(&rule));
        match found.map(|found| foreign.remove(found)) {
            None => said.push(format!("+ \"{}\"", name(&rule))),
            Some(found) => {
                for (key, value) in &rule {
                    let was = own(found).get(key).cloned().unwrap_or_default();
                    if was != *value {
                        said.push(format!("~ \"{}\" {key}: {was} → {value}", name(&rule)));
                    }
                }
                let more = own(found).into_iter().filter(|(key, _)| !rule.contains_key(key));
                said.extend(more.map(|(key, was)| format!("~ \"{}\" {key}: {was} → none", name(&rule))));
                // It stays the same rule, with its past in the dashboard.
                if let Some(reference) = found.get("ref") {
                    rule.insert("ref".to_owned(), reference.clone());
                }
            }
        }
        rules.push(rule);
    }
    for foreign in foreign {
        if prune {
            said.push(format!("- \"{}\"", name(foreign)));
        } else {
            kept.push(format!(
                "rules          {phase}: \"{}\" is not in the file; --prune takes it out",
                name(foreign)
            ));
            let mut foreign = foreign.clone();
            foreign.retain(|key, _| !["id", "version", "last_updated", "categories"].contains(&key.as_str()));
            rules.push(foreign);
        }
    }
    let order: Vec<&str> = rules.iter().map(name).collect();
    let were: Vec<&str> = live.iter().map(name).collect();
    if said.is_empty() && order != were {
        said.push(format!("order: {} → {}", were.join(", "), order.join(", ")));
    }
    (!said.is_empty())
        .then(|| (format!("{phase}: {}", said.join("; ")), rules.into_iter().map(Value::Object).collect()))
}
