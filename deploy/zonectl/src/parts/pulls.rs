//! `[origin_pulls]`: whether Cloudflare shows the gateway a certificate of our own authority. It is turned on only where the gateway is known to trust
//! what the zone would show.

use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::authority::{ends, is_of};
use crate::called;
use crate::file::Wanted;
use crate::plan::{Change, How, Plan, Sign};
use crate::zone::Zone;

/// A certificate that ends sooner than this is a difference.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The zone's own certificates, the newest last: that one is shown, of those that are active.
pub(crate) fn certificates(api: &Api, zone: &Zone) -> Result<Vec<Value>, String> {
    let mut all = api.whole(&zone.path("origin_tls_client_auth")).map_err(|e| e.to_string())?;
    // RFC 3339 in UTC sorts as text.
    all.sort_by_key(|it| it["uploaded_on"].as_str().unwrap_or_default().to_owned());
    Ok(all)
}

/// Whether they are shown.
pub(crate) fn enabled(api: &Api, zone: &Zone) -> Result<bool, String> {
    let live = api.get(&zone.path("origin_tls_client_auth/settings")).map_err(|e| e.to_string())?;
    Ok(live["enabled"] == true)
}

/// The call that turns it on, or off.
pub(crate) fn turn(zone: &Zone, on: bool) -> Change {
    Change {
        sign: Sign::Alter,
        part: "origin pulls",
        what: if on { "off → on" } else { "on → off" }.to_owned(),
        method: Method::PUT,
        path: zone.path("origin_tls_client_auth/settings"),
        body: Some(json!({ "enabled": on })),
    }
}

pub(crate) fn survey(api: &Api, zone: &Zone, wanted: &Wanted, how: &How, plan: &mut Plan) -> Result<(), String> {
    let Some(wanted) = wanted.origin_pulls else { return Ok(()) };
    let live = enabled(api, zone)?;
    let mut held = |what: String| plan.held.push(format!("origin pulls   {what}"));
    if !wanted {
        if live {
            held(format!(
                "on → off: a gateway that demands the certificate would refuse every request. Change its sites' `trust` first, then `{} ca off`",
                called()
            ));
        }
        return Ok(());
    }
    let all = certificates(api, zone)?;
    let shown = all.iter().rev().find(|it| it["status"] == "active").and_then(|it| it["certificate"].as_str());
    let zones = |what: String| format!("the certificate that the zone shows {what}");
    let Some(shown) = shown else {
        held(format!(
            "off → on: the zone has no certificate yet; `{} ca install` uploads it and turns it on",
            called()
        ));
        return Ok(());
    };
    if !live {
        match &how.trusted {
            Some(trusted) if is_of(shown, trusted).map_err(zones)? => plan.changes.push(turn(zone, true)),
            Some(_) => {
                held("off → on: the gateway does not trust the authority of what the zone would show".to_owned())
            }
            None => held("off → on: say --trusted FILE, with what the gateway has as tls.client_ca".to_owned()),
        }
        return Ok(());
    }
    let end = ends(shown).map_err(zones)?;
    if end < SystemTime::now() + SOON {
        held(format!(
            "the certificate ends at {}: `{} ca rotate`, then `ca install`",
            humantime::format_rfc3339_seconds(end),
            called()
        ));
    }
    Ok(())
}
