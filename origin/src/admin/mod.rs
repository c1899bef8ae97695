//! The private listener, by axum: what an operator, a monitor or a balancer asks.

mod ask;
mod asked;
mod explain;
mod lfs;
mod listener;
mod maintenance;
mod pages;
mod purge;
mod refusal;
mod rules;
mod signing;
mod uploads;
mod visitor;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post};

pub use ask::ask;
pub(crate) use listener::serve;
pub use maintenance::Closing;
pub use purge::Wish;

use crate::gateway::Gateway;
use crate::orders;
use refusal::Refusal;
use visitor::Door;

/// What `/` says.
const INDEX: &str = "\
GET    /livez      200 as long as the process runs
GET    /readyz     200 when it should get traffic, 503 while it should not
GET    /metrics    for Prometheus
GET    /upstreams  how every app and its upstreams are, as JSON
GET    /config     the configuration in use, with what it leaves out
GET    /explain?url=URL&client=ADDRESS  what would become of a GET of it, step by step, as JSON
POST   /drain      serve on, and have /readyz say 503, so that balancers leave
DELETE /drain      the way back
GET    /maintenance  what is closed, as JSON
POST   /maintenance  {\"retry\": 300, \"allow\": [], \"host\": []}: visitors are told to come back later
DELETE /maintenance  the way back
GET    /rules        rules of the filter that were added while we run, as JSON
POST   /rules        {\"name\": \"\", \"action\": \"block\", \"address\": [], ..., \"seconds\": 3600}: adds one, or replaces it
DELETE /rules/NAME   takes it out
POST   /purge      {\"url\": [], \"prefix\": [], \"tag\": [], \"object\": [], \"all\": false, \"soft\": false}: not to be served any more
GET    /orders?after=NUMBER  what the other gateway of [peer] asks for
GET    /openapi.json  what the following take and answer
POST   /sign          {\"items\": [...]}: URLs and forms, to read and write objects by
POST   /uploads       begins an upload: a form, or parts by size
POST   /uploads/parts     signs parts of one
POST   /uploads/list      which parts have arrived
POST   /uploads/complete  makes the object
POST   /uploads/abort     gives it up
POST   /uploads/release   gives a pending object its key
POST   /uploads/discard   throws a pending object away
POST   /lfs/BUCKET/objects/batch   what Git LFS clients are to do
POST   /lfs/BUCKET/objects/verify  whether an object of theirs has arrived
";

/// What the app may ask, as OpenAPI 3.1 has it.
const OPENAPI: &str = include_str!("../../../docs/openapi.json");

/// The routes of the private listener. `unix` says that it is a Unix socket.
pub(crate) fn router(gateway: &Arc<Gateway>, unix: bool) -> Router {
    let admin = gateway.config.admin.as_ref();
    let token = admin.and_then(|admin| admin.token.clone());
    let door = Arc::new(Door { token, app: admin.and_then(|admin| admin.app_token.clone()), unix });
    let body = admin.map_or(0, |admin| usize::try_from(admin.body).unwrap_or(usize::MAX));
    Router::new()
        .route("/sign", post(signing::sign))
        .route("/uploads", post(uploads::begun))
        .route("/uploads/parts", post(uploads::parts))
        .route("/uploads/list", post(uploads::listed))
        .route("/uploads/complete", post(uploads::completed))
        .route("/uploads/abort", post(uploads::aborted))
        .route("/uploads/release", post(uploads::released))
        .route("/uploads/discard", post(uploads::discarded))
        .route("/lfs/{bucket}/objects/batch", post(lfs::batch))
        .route("/lfs/{bucket}/objects/verify", post(lfs::verified))
        .route("/openapi.json", get(pages::openapi))
        .route("/", get(|| async { INDEX }))
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(pages::readyz))
        .route("/metrics", get(pages::metrics))
        .route("/upstreams", get(pages::upstreams))
        .route("/config", get(pages::config))
        .route("/drain", post(pages::drain).delete(pages::undrain))
        .route("/explain", get(explain::explain))
        .route("/maintenance", get(maintenance::shown).post(maintenance::begun).delete(maintenance::ended))
        .route("/rules", get(rules::shown).post(rules::added))
        .route("/rules/{name}", delete(rules::withdrawn))
        .route("/purge", post(purge::purge))
        .route(orders::PATH, get(pages::orders))
        .fallback(async || Refusal::NotFound)
        .method_not_allowed_fallback(async || Refusal::MethodNotAllowed)
        .layer(DefaultBodyLimit::max(body))
        .layer(from_fn_with_state(door, visitor::admit))
        .with_state(Arc::clone(gateway))
}
