//! The JSON side: `/api/creators`, and how errors look (`{"error": …}` below `/api/`, a page elsewhere).

use axum::{
    Json,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{pages, site::CREATORS};

/// `GET /api/creators`.
pub(crate) async fn creators() -> Response {
    let creators: Vec<Value> = CREATORS
        .iter()
        .map(|creator| {
            let works: Vec<Value> = creator
                .works
                .iter()
                .map(|work| json!({ "slug": work.slug, "title": work.title, "kind": work.content.as_str(), "year": work.year }))
                .collect();
            json!({ "slug": creator.slug, "name": creator.name, "place": creator.place, "works": works })
        })
        .collect();
    let fields = [
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=30")),
        (header::HeaderName::from_static("cache-tag"), HeaderValue::from_static("creators")),
    ];
    (fields, Json(creators)).into_response()
}

/// An API error: never stored.
pub(crate) fn error(status: StatusCode, message: &str) -> Response {
    (status, [(header::CACHE_CONTROL, "private, no-store")], Json(json!({ "error": message }))).into_response()
}

/// The request's body broke off or broke its framing.
pub(crate) fn bad_body(cause: &axum::Error) -> Response {
    error(StatusCode::BAD_REQUEST, &format!("the request's body could not be read: {cause}"))
}

/// A template did not render: a defect of ours, told plainly in a demo.
pub(crate) fn template_failed(cause: &askama::Error) -> Response {
    let text = format!("the page could not be rendered: {cause}\n");
    (StatusCode::INTERNAL_SERVER_ERROR, [(header::CACHE_CONTROL, "no-store")], text).into_response()
}

/// No route has this path.
pub(crate) async fn not_found(uri: Uri) -> Response {
    refusal(&uri, StatusCode::NOT_FOUND, "Nothing here", "This address leads nowhere, or what it led to is gone.")
}

/// The route exists, but not for this method. axum adds the Allow field.
pub(crate) async fn method_not_allowed(uri: Uri) -> Response {
    refusal(&uri, StatusCode::METHOD_NOT_ALLOWED, "Not like that", "This address does not take requests of that kind.")
}

fn refusal(uri: &Uri, status: StatusCode, title: &'static str, message: &'static str) -> Response {
    if uri.path() == "/api" || uri.path().starts_with("/api/") {
        return error(status, message);
    }
    pages::error(status, title, message)
}
