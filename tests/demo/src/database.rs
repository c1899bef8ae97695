//! A database that is slow on demand: `POST /misbehave/database?ms=300` lets every answer that a real site would ask its database for wait so long,
//! until it is told `ms=0`.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Query, Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use serde::Deserialize;

use crate::Demo;

/// Milliseconds that the database takes.
#[derive(Debug, Default)]
pub(crate) struct Database(AtomicU64);

#[derive(Debug, Deserialize)]
pub(crate) struct Slowness {
    ms: u64,
}

/// `POST /misbehave/database?ms=`.
pub(crate) async fn set(State(demo): State<Demo>, Query(slowness): Query<Slowness>) -> StatusCode {
    demo.shared.database.0.store(slowness.ms, Ordering::Relaxed);
    StatusCode::NO_CONTENT
}

/// Waits for it, but for what needs none: files, health, and what tests order.
pub(crate) async fn wait(State(demo): State<Demo>, request: Request, next: Next) -> Response {
    let ms = demo.shared.database.0.load(Ordering::Relaxed);
    if ms > 0 {
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        if !["/static", "/healthz", "/misbehave", "/counts", "/script"].iter().any(|none| path.starts_with(none)) {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
    next.run(request).await
}
