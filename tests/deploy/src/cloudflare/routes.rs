//! Routes of Workers.

use serde_json::{Value, json};

use super::Zone;
use super::answer::{Answer, Refusal, Said, refuse};
use super::schema;

pub(crate) fn answer(zone: &mut Zone, method: &str, rest: &[&str], body: &Value) -> Answer {
    let missing = || refuse(404, 10009, "workers.api.error.route_not_found");
    match (method, rest) {
        ("GET", []) => Ok(Said::Result(json!(zone.routes))),
        ("POST", []) => {
            let mut route = checked(zone, body, None)?;
            route["id"] = zone.id().into();
            zone.routes.push(route.clone());
            Ok(Said::Result(route))
        }
        ("PUT", [id]) => {
            let at = zone.routes.iter().position(|it| it["id"] == *id).ok_or_else(missing)?;
            let mut route = checked(zone, body, Some(id))?;
            route["id"] = (*id).into();
            zone.routes[at] = route.clone();
            Ok(Said::Result(route))
        }
        ("DELETE", [id]) => {
            let at = zone.routes.iter().position(|it| it["id"] == *id).ok_or_else(missing)?;
            zone.routes.remove(at);
            Ok(Said::Result(json!({ "id": id })))
        }
        _ => Err(refuse(405, 10405, "Method not allowed")),
    }
}

fn checked(zone: &Zone, body: &Value, own: Option<&str>) -> Result<Value, Refusal> {
    schema::check("route", body).map_err(|e| refuse(400, 10021, &e))?;
    let pattern = body["pattern"].as_str().unwrap_or_default();
    let bare = pattern.trim_start_matches("https://").trim_start_matches("http://");
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    // As the documentation of Routes has it: the zone, no infix wildcard, no query.
    let infix = |part: &str| part.trim_end_matches('*').contains('*');
    let within = host == zone.name || host.trim_start_matches(['*', '.']).ends_with(&zone.name);
    if !within || infix(path) || host.trim_start_matches('*').contains('*') || pattern.contains('?') {
        return Err(refuse(400, 10022, "workers.api.error.invalid_route_pattern"));
    }
    if zone.routes.iter().any(|it| it["pattern"] == pattern && own.is_none_or(|id| it["id"] != id)) {
        return Err(refuse(409, 10020, "A route with the same pattern already exists."));
    }
    if let Some(script) = body["script"].as_str()
        && !zone.scripts.iter().any(|known| known == script)
    {
        return Err(refuse(404, 10007, "This Worker does not exist on your account."));
    }
    Ok(json!({
        "pattern": pattern,
        "script": body["script"],
        "request_limit_fail_open": body["request_limit_fail_open"] == true,
    }))
}
