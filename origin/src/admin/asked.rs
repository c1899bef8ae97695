//! The JSON that the app sends, within bounds; what is wrong with it is said with its place.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::IntoResponse as _;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::refusal::Problem;
use crate::gateway::Gateway;

/// What a body asks for.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Gateway>> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, gateway: &Arc<Gateway>) -> Result<Self, Problem> {
        let body = Bytes::from_request(request, gateway).await.map_err(|rejection| {
            let rejection = rejection.into_response();
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let most = gateway.config.admin.as_ref().map_or(0, |admin| admin.body);
                let error = format!("the body is over admin.body, {most} bytes: ask in several requests");
                return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", error);
            }
            Problem::new(StatusCode::BAD_REQUEST, "body-refused", "the body did not arrive whole")
        })?;
        let mut json = serde_json::Deserializer::from_slice(&body);
        let read = serde_path_to_error::deserialize(&mut json).map_err(|e| e.to_string());
        let read = read.and_then(|read| json.end().map(|()| read).map_err(|e| e.to_string()));
        read.map(Self).map_err(|what| {
            let error = format!("the body is no such JSON: {what}");
            Problem::new(StatusCode::BAD_REQUEST, "body-refused", error)
        })
    }
}

/// One item of several.
///
/// # Errors
/// What of it is wrong, and where.
pub(super) fn item<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|e| format!("it is no such item: {e}"))
}

/// No more than `admin.batch` at once, and at least one.
///
/// # Errors
/// How many there were.
pub(super) fn bounded<T>(gateway: &Gateway, items: Vec<T>) -> Result<Vec<T>, Problem> {
    let most = gateway.config.admin.as_ref().map_or(0, |admin| admin.batch);
    match items.len() {
        0 => Err(Problem::new(StatusCode::BAD_REQUEST, "batch-refused", "nothing is asked for: give at least one")),
        count if count > most as usize => {
            let error = format!("{count} at once; admin.batch allows {most}: ask in several requests");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch-too-large", error))
        }
        _ => Ok(items),
    }
}
