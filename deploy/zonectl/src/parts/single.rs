//! What is one document of its own: `[url_normalization]` and `[bots]`. Only keys that the file names are compared.

use reqwest::Method;
use serde_json::{Map, Value};

use crate::api::Api;
use crate::file::Wanted;
use crate::plan::{Change, Plan, Sign};
use crate::zone::Zone;

pub(crate) fn survey(api: &Api, zone: &Zone, wanted: &Wanted, plan: &mut Plan) -> Result<(), String> {
    let parts = [("url", "url_normalization", &wanted.url_normalization), ("bots", "bot_management", &wanted.bots)];
    for (part, below, wanted) in parts {
        let Some(wanted) = wanted else { continue };
        let path = zone.path(below);
        let live = api.get(&path).map_err(|e| e.to_string())?;
        let what = differences(&live, wanted);
        if !what.is_empty() {
            let body = Some(Value::Object(wanted.clone()));
            plan.changes.push(Change {
                sign: Sign::Alter,
                part,
                what: what.join(", "),
                method: Method::PUT,
                path,
                body,
            });
        }
    }
    Ok(())
}

fn differences(live: &Value, wanted: &Map<String, Value>) -> Vec<String> {
    let differ = wanted.iter().filter(|(key, value)| live[key.as_str()] != **value);
    differ.map(|(key, value)| format!("{key}: {} → {value}", live[key.as_str()])).collect()
}
