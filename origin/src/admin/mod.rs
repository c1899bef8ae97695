//! The private listener, by axum: what an operator, a monitor or a balancer asks.

mod ask;
mod listener;
mod maintenance;
mod pages;
mod purge;
mod refusal;
mod rules;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};

pub use ask::ask;
pub(crate) use listener::serve;
pub use maintenance::Closing;
pub use purge::Wish;

use crate::gateway::Gateway;
use refusal::Refusal;
use visitor::Door;

/// What `/` says.
const INDEX: &str = "\
GET    /livez      200 as long as the process runs
GET    /readyz     200 when it should get traffic, 503 while it should not
GET    /metrics    for Prometheus
GET    /upstreams  how every app and its upstreams are, as JSON
GET    /config     the configuration in use, with what it leaves out
POST   /drain      serve on, and have /readyz say 503, so that balancers leave
DELETE /drain      the way back
GET    /maintenance  what is closed, as JSON
POST   /maintenance  {\"retry\": 300, \"allow\": [], \"host\": []}: visitors are told to come back later
DELETE /maintenance  the way back
GET    /rules        rules of the filter that were added while we run, as JSON
POST   /rules        {\"name\": \"\", \"action\": \"block\", \"address\": [], ..., \"seconds\": 3600}: adds one, or replaces it
DELETE /rules/NAME   takes it out
POST   /purge      {\"url\": [], \"prefix\": [], \"tag\": [], \"object\": [], \"all\": false, \"soft\": false}: not to be served any more
";

/// The routes of the private listener. `unix` says that it is a Unix socket.
pub(crate) fn router(gateway: &Arc<Gateway>, unix: bool) -> Router {
    let token = gateway.config.admin.as_ref().and_then(|admin| admin.token.clone());
    let door = Arc::new(Door { token, unix });
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(pages::readyz))
        .route("/metrics", get(pages::metrics))
        .route("/upstreams", get(pages::upstreams))
        .route("/config", get(pages::config))
        .route("/drain", post(pages::drain).delete(pages::undrain))
        .route("/maintenance", get(maintenance::shown).post(maintenance::begun).delete(maintenance::ended))
        .route("/rules", get(rules::shown).post(rules::added))
        .route("/rules/{name}", delete(rules::withdrawn))
        .route("/purge", post(purge::purge))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(from_fn_with_state(door, visitor::admit))
        .with_state(Arc::clone(gateway))
}
