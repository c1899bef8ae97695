//! `[settings]`: the zone's settings, by Cloudflare's names for them, one call each. The call for all of them is no longer described.

use reqwest::Method;
use serde_json::json;

use crate::api::Api;
use crate::file::Wanted;
use crate::plan::{Change, Plan, Sign};
use crate::zone::Zone;

pub(crate) fn survey(api: &Api, zone: &Zone, wanted: &Wanted, plan: &mut Plan) -> Result<(), String> {
    for (name, value) in &wanted.settings {
        let path = zone.path(&format!("settings/{name}"));
        let live = api.get(&path).map_err(|e| format!("settings.{name}: {e}"))?;
        if live["value"] == *value {
            continue;
        }
        if live["editable"] == false {
            plan.held.push(format!(
                "settings       {name}: {}; {value} is not to be had on the plan {}",
                live["value"], zone.plan
            ));
            continue;
        }
        plan.changes.push(Change {
            sign: Sign::Alter,
            part: "settings",
            what: format!("{name}: {} → {value}", live["value"]),
            method: Method::PATCH,
            path,
            body: Some(json!({ "value": value })),
        });
    }
    Ok(())
}
