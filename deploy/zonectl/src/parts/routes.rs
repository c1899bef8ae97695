//! `[routes]`: which requests run a Worker. wrangler says where its Workers run; what it can't say is here: that a Route fails open, and that it has no
//! Worker.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::file::{Route, Wanted};
use crate::plan::{Change, How, Plan, Sign};
use crate::zone::Zone;

/// A Route that is there.
pub(crate) struct Live {
    pub id: String,
    pub route: Route,
}

pub(crate) fn live(api: &Api, zone: &Zone) -> Result<Vec<Live>, String> {
    let all = api.whole(&zone.path("workers/routes")).map_err(|e| e.to_string())?;
    let read = |route: &Value| Live {
        id: route["id"].as_str().unwrap_or_default().to_owned(),
        route: Route {
            pattern: route["pattern"].as_str().unwrap_or_default().to_owned(),
            script: route["script"].as_str().map(str::to_owned),
            fail_open: route["request_limit_fail_open"] == true,
        },
    };
    Ok(all.iter().map(read).collect())
}

pub(crate) fn survey(api: &Api, zone: &Zone, wanted: &Wanted, how: &How, plan: &mut Plan) -> Result<(), String> {
    let Some(wanted) = &wanted.routes else { return Ok(()) };
    let live = live(api, zone)?;
    let path = zone.path("workers/routes");
    for route in wanted {
        let body = Some(body(route));
        let found = live.iter().find(|live| live.route.pattern == route.pattern);
        match found {
            None => plan.changes.push(Change {
                sign: Sign::Add,
                part: "routes",
                what: format!("{}: {}", route.pattern, shown(route)),
                method: Method::POST,
                path: path.clone(),
                body,
            }),
            Some(found) if !same(&found.route, route) => plan.changes.push(Change {
                sign: Sign::Alter,
                part: "routes",
                what: format!("{}: {} → {}", route.pattern, shown(&found.route), shown(route)),
                method: Method::PUT,
                path: format!("{path}/{}", found.id),
                body,
            }),
            Some(_) => {}
        }
    }
    for surplus in live.iter().filter(|live| !wanted.iter().any(|route| route.pattern == live.route.pattern)) {
        let what = format!("{}: {}", surplus.route.pattern, shown(&surplus.route));
        if how.prune {
            let path = format!("{path}/{}", surplus.id);
            plan.changes.push(Change {
                sign: Sign::Remove,
                part: "routes",
                what,
                method: Method::DELETE,
                path,
                body: None,
            });
        } else {
            plan.kept.push(format!("routes         {what}: is not in the file; --prune takes it out"));
        }
    }
    Ok(())
}

/// Without a Worker there is nothing to fail.
fn same(live: &Route, wanted: &Route) -> bool {
    live.script == wanted.script && (wanted.script.is_none() || live.fail_open == wanted.fail_open)
}

fn body(route: &Route) -> Value {
    match &route.script {
        None => json!({ "pattern": route.pattern }),
        Some(script) => {
            json!({ "pattern": route.pattern, "script": script, "request_limit_fail_open": route.fail_open })
        }
    }
}

/// What runs there.
pub(crate) fn shown(route: &Route) -> String {
    match &route.script {
        None => "no Worker".to_owned(),
        Some(script) => format!("{script}, fails {}", if route.fail_open { "open" } else { "closed" }),
    }
}
