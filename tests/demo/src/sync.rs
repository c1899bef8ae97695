//! SyncKit, as far as load tests need it: a device pushes changes and pulls those of others. Kept are the last few, in memory.
//!
//! - `POST /api/sync/push` `{"device": "…", "changes": […]}`: `{"cursor": n}`
//! - `POST /api/sync/pull` `{"cursor": n}`: `{"cursor": n, "changes": […]}`, at most a page of them

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Demo, api};

/// Changes that are kept; the oldest goes first.
const KEPT: usize = 1_000;
/// Changes in one answer.
const A_PAGE: usize = 20;

/// The last changes, and how many there have been.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<(u64, VecDeque<(u64, Value)>)>);

#[derive(Debug, Deserialize)]
pub(crate) struct Push {
    changes: Vec<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Pull {
    cursor: u64,
}

/// `POST /api/sync/push`.
pub(crate) async fn push(State(demo): State<Demo>, pushed: Result<Json<Push>, JsonRejection>) -> Response {
    let Ok(Json(pushed)) = pushed else { return api::error(StatusCode::BAD_REQUEST, "say changes") };
    let mut changes = demo.shared.changes.0.lock().unwrap_or_else(PoisonError::into_inner);
    let (cursor, kept) = &mut *changes;
    for change in pushed.changes {
        *cursor += 1;
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((*cursor, change));
    }
    never_stored(json!({ "cursor": *cursor }))
}

/// `POST /api/sync/pull`.
pub(crate) async fn pull(State(demo): State<Demo>, wanted: Result<Json<Pull>, JsonRejection>) -> Response {
    let Ok(Json(wanted)) = wanted else { return api::error(StatusCode::BAD_REQUEST, "say cursor") };
    let changes = demo.shared.changes.0.lock().unwrap_or_else(PoisonError::into_inner);
    let after = changes.1.partition_point(|(cursor, _)| *cursor <= wanted.cursor);
    let page: Vec<_> = changes.1.iter().skip(after).take(A_PAGE).collect();
    let cursor = page.last().map_or(wanted.cursor, |(cursor, _)| *cursor);
    let page: Vec<&Value> = page.into_iter().map(|(_, change)| change).collect();
    never_stored(json!({ "cursor": cursor, "changes": page }))
}

fn never_stored(json: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(json)).into_response()
}
