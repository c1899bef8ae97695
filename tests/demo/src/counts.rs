//! How often each thing happened: requests by route pattern at `/counts`, and renders by query in the cache lab.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    extract::{MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::Demo;

/// Names beyond this many are counted together, so that a crawl cannot grow the map.
const MAX_NAMES: usize = 10_000;

/// A bounded set of named counters.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<BTreeMap<String, u64>>);

impl Counts {
    /// Counts one; says how many that makes.
    pub(crate) fn add(&self, name: &str) -> u64 {
        let mut counts = self.counts();
        let name = if counts.len() < MAX_NAMES || counts.contains_key(name) { name } else { "(other)" };
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        *count
    }

    pub(crate) fn snapshot(&self) -> BTreeMap<String, u64> {
        self.counts().clone()
    }

    pub(crate) fn reset(&self) {
        self.counts().clear();
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a request before its handler runs, so that one which hangs or panics is counted too.
pub(crate) async fn count(State(demo): State<Demo>, request: Request, next: Next) -> Response {
    let pattern = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str);
    if !pattern.starts_with("/counts") {
        demo.shared.counts.add(pattern);
    }
    next.run(request).await
}

/// `GET /counts`.
pub(crate) async fn report(State(demo): State<Demo>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(demo.counts())).into_response()
}

/// `POST /counts/reset`.
pub(crate) async fn reset(State(demo): State<Demo>) -> StatusCode {
    demo.reset_counts();
    StatusCode::NO_CONTENT
}
