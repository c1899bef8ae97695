//! Rules of phases, with what the free plan has of them.

use serde_json::{Value, json};

use super::Zone;
use super::answer::{Answer, Refusal, Said, refuse, refuse_at};
use super::schema;

/// Rules that the free plan has, and actions.
const PHASES: [(&str, usize, &[&str]); 3] = [
    ("http_request_firewall_custom", 5, &["block", "challenge", "js_challenge", "managed_challenge", "skip"]),
    ("http_ratelimit", 1, &["block"]),
    ("http_request_cache_settings", 10, &["set_cache_settings"]),
];

pub(crate) fn answer(zone: &mut Zone, method: &str, phase: &str, body: &Value) -> Answer {
    match method {
        "GET" => match zone.rules.get(phase) {
            Some(rules) => Ok(Said::Result(
                json!({ "id": "f".repeat(32), "kind": "zone", "phase": phase, "version": "2", "rules": rules }),
            )),
            None => Err(refuse(404, 10003, &format!("could not find entrypoint ruleset in the {phase} phase"))),
        },
        "PUT" => {
            let known = PHASES.iter().find(|(name, ..)| *name == phase);
            let (_, most, actions) = known.ok_or_else(|| refuse(403, 10000, "request is not authorized"))?;
            schema::check("rules", body).map_err(|e| refuse_at(20120, &e, "/rules"))?;
            let wanted = body["rules"].as_array().cloned().unwrap_or_default();
            if wanted.len() > *most {
                let what = format!(
                    "exceeded the maximum number of rules in the phase {phase}: {} out of {most}",
                    wanted.len()
                );
                return Err(refuse_at(20217, &what, "/rules"));
            }
            let mut rules = Vec::new();
            for (at, mut rule) in wanted.into_iter().enumerate() {
                check(phase, actions, &rule, at)?;
                let id = zone.id();
                if rule["ref"].is_null() {
                    rule["ref"] = id.as_str().into();
                }
                rule["id"] = id.into();
                rule["version"] = "1".into();
                rule["last_updated"] = zone.time().into();
                if rule["enabled"].is_null() {
                    rule["enabled"] = true.into();
                }
                rules.push(rule);
            }
            zone.rules.insert(phase.to_owned(), rules.clone());
            Ok(Said::Result(
                json!({ "id": "f".repeat(32), "kind": "zone", "phase": phase, "version": "3", "rules": rules }),
            ))
        }
        _ => Err(refuse(405, 10405, "Method not allowed")),
    }
}

fn check(phase: &str, actions: &[&str], rule: &Value, at: usize) -> Result<(), Refusal> {
    let place = |key: &str| format!("/rules/{at}/{key}");
    let action = rule["action"].as_str().unwrap_or_default();
    if !actions.contains(&action) {
        return Err(refuse_at(
            20016,
            &format!("'{action}' is not a valid value for action because it is not allowed in the phase {phase}"),
            &place("action"),
        ));
    }
    let expression = rule["expression"].as_str().unwrap_or_default();
    if expression.chars().count() > 4_096 {
        return Err(refuse_at(20127, "the expression is too long: at most 4096 characters", &place("expression")));
    }
    if !balanced(expression) {
        return Err(refuse_at(20127, "Filter parsing error", &place("expression")));
    }
    if expression.contains(" matches ") || expression.contains(" ~ ") {
        let what = "not entitled: the use of operator Matches is not allowed, a Business plan or a WAF Advanced plan is required";
        return Err(refuse_at(20127, what, &place("expression")));
    }
    let limit = &rule["ratelimit"];
    if (phase == "http_ratelimit") != limit.is_object() {
        return Err(refuse_at(
            20031,
            "ratelimit belongs to rules of the phase http_ratelimit, which need it",
            &place("ratelimit"),
        ));
    }
    if phase == "http_ratelimit" {
        if limit["period"] != 10 || limit["mitigation_timeout"] != 10 {
            return Err(refuse_at(
                20155,
                "not entitled to use the period or the mitigation timeout: 10 on this plan",
                &place("ratelimit/period"),
            ));
        }
        let mut counted: Vec<&str> =
            limit["characteristics"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        counted.sort_unstable();
        if counted != ["cf.colo.id", "ip.src"] {
            return Err(refuse_at(
                20155,
                "not entitled to use these characteristics",
                &place("ratelimit/characteristics"),
            ));
        }
        let fields = expression
            .split(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_'))
            .filter(|word| word.contains('.') && word.starts_with(char::is_alphabetic));
        let mut outside_quotes = expression.split('"').step_by(2);
        let other = outside_quotes.any(|part| part.contains("http.") && !part.contains("http.request.uri.path"));
        if other || fields.filter(|word| word.starts_with("http.")).any(|word| word != "http.request.uri.path") {
            return Err(refuse_at(20155, "not entitled to use a field other than the path", &place("expression")));
        }
    }
    Ok(())
}

/// Quotes end, and brackets match outside of them.
fn balanced(expression: &str) -> bool {
    let (mut open, mut inside, mut escaped) = (Vec::new(), false, false);
    for character in expression.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            '(' | '{' if !inside => open.push(character),
            ')' if !inside && open.pop() != Some('(') => return false,
            '}' if !inside && open.pop() != Some('{') => return false,
            _ => {}
        }
    }
    open.is_empty() && !inside
}
