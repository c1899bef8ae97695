//! `/rules`: rules of the filter that hold from now on, without a deploy.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use edge::filter::Rule;
use edge::filter::rule::Action;
use serde::Serialize;
use serde_json::Value;

use super::maintenance::issue;
use crate::config;
use crate::gateway::Gateway;

/// Rules at once: each request is held against all of them.
const MOST: usize = 200;
/// For so long a rule holds at most that has an end, in seconds.
const LONGEST: u64 = 366 * 86_400;

/// A rule that holds.
#[derive(Serialize)]
struct Held {
    name: String,
    /// As a line of the filter's.
    rule: String,
    /// Seconds that are left to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

pub(super) async fn shown(State(gateway): State<Arc<Gateway>>) -> Response {
    let now = now();
    let held = |(rule, until): (&Rule, Option<u64>)| Held {
        name: rule.name.to_string(),
        rule: rule.to_string(),
        seconds: until.map(|until| until.saturating_sub(now)),
    };
    let all: Vec<Held> = gateway.orders.standing(|standing| standing.rules_until().map(held).collect());
    Json(serde_json::json!({ "rules": all })).into_response()
}

/// What the body asks for: a rule as in a file of rules, and perhaps for how many `seconds`.
fn read(gateway: &Gateway, body: &[u8]) -> Result<(Rule, Option<u64>), String> {
    let no_json = |error| format!("the body is no such JSON: {error}");
    let mut wish: Value = serde_json::from_slice(body).map_err(no_json)?;
    let seconds = wish.as_object_mut().and_then(|wish| wish.remove("seconds"));
    let seconds = match seconds {
        None | Some(Value::Null) => None,
        Some(seconds) => Some(
            seconds
                .as_u64()
                .filter(|seconds| (1..=LONGEST).contains(seconds))
                .ok_or_else(|| format!("seconds {seconds}: from 1 to {LONGEST} (a year)"))?,
        ),
    };
    let rule = config::read_rule(wish)?;
    if let Action::Limit(name) = &rule.action
        && !gateway.config.rates.iter().any(|rate| *rate.name == **name)
    {
        return Err(format!("there is no limit `{name}`: add a section [rate.{name}] to the configuration"));
    }
    if rule.action == Action::Challenge && gateway.config.turnstile.is_none() {
        return Err(
            "there is no [turnstile] in the configuration, so nobody could pass a challenge: add the section, or block"
                .to_owned(),
        );
    }
    let full = gateway.orders.standing(|standing| {
        standing.rules.len() >= MOST && !standing.rules.iter().any(|known| known.name == rule.name)
    });
    if full {
        return Err(format!("there are {MOST} already, which is the most: name several addresses in one rule"));
    }
    Ok((rule, seconds))
}

pub(super) async fn added(State(gateway): State<Arc<Gateway>>, body: Bytes) -> Response {
    match read(&gateway, &body) {
        Ok((rule, seconds)) => {
            let until = seconds.map(|seconds| now() + seconds);
            issue(&gateway, |standing| standing.add(rule.clone(), until)).await;
            shown(State(gateway)).await
        }
        Err(error) => refused(StatusCode::BAD_REQUEST, &error),
    }
}

pub(super) async fn withdrawn(State(gateway): State<Arc<Gateway>>, Path(name): Path<String>) -> Response {
    let known = gateway.orders.standing(|standing| standing.rules.iter().any(|rule| *rule.name == *name));
    if !known {
        return refused(StatusCode::NOT_FOUND, "there is no such rule: GET /rules lists them");
    }
    issue(&gateway, |standing| {
        standing.withdraw(&name);
    })
    .await;
    shown(State(gateway)).await
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(serde_json::json!({ "error": error, "code": "rule-refused" }))).into_response()
}
