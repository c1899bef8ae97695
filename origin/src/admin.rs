//! The private listener, by axum.
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /livez` | 200 as long as the process runs |
//! | `GET /readyz` | 200 when it should get traffic, 503 while it drains |

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::gateway::Gateway;

/// The routes of the private listener.
pub fn router(gateway: Arc<Gateway>) -> Router {
    Router::new().route("/livez", get(|| async { "alive\n" })).route("/readyz", get(readyz)).with_state(gateway)
}

async fn readyz(State(gateway): State<Arc<Gateway>>) -> (StatusCode, &'static str) {
    if gateway.draining.has_begun() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}
