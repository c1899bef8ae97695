//! `[dnssec]`: whether Cloudflare signs the zone. It counts once the registrar has the DS record, which `zonectl domains` looks at.

use reqwest::Method;
use serde_json::json;

use crate::api::Api;
use crate::file::Wanted;
use crate::plan::{Change, Plan, Sign};
use crate::zone::Zone;

pub(crate) fn survey(api: &Api, zone: &Zone, wanted: &Wanted, plan: &mut Plan) -> Result<(), String> {
    let Some(wanted) = wanted.dnssec else { return Ok(()) };
    let path = zone.path("dnssec");
    let live = api.get(&path).map_err(|e| e.to_string())?;
    let status = live["status"].as_str().unwrap_or("disabled");
    match (status, wanted) {
        ("active" | "pending", true) | ("disabled" | "pending-disabled", false) => {}
        // While a DS record stands at the registrar, resolvers refuse a zone without signatures.
        (_, false) => plan.held.push(format!(
            "dnssec         {status} → disabled: take the DS record out at the registrar, wait for a day, and do it in the dashboard"
        )),
        (_, true) => plan.changes.push(Change {
            sign: Sign::Alter,
            part: "dnssec",
            what: format!("{status} → active"),
            method: Method::PATCH,
            path,
            body: Some(json!({ "status": "active" })),
        }),
    }
    Ok(())
}
