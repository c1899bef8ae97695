//! Webhooks: keeps the exact bytes that arrived, because a signature over them breaks with the first one that changes.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    body::Bytes,
    extract::{State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{Demo, api, upload::hex};

/// Deliveries kept; the oldest goes first.
const MAX_DELIVERIES: usize = 100;

/// Bytes of one delivery.
const MAX_BODY: usize = 256 * 1024;

/// One delivery, as it arrived.
#[derive(Debug, Clone, Serialize)]
pub struct Delivery {
    /// `stripe` or `postmark`, by the path.
    pub sender: &'static str,
    /// Bytes of the body.
    pub length: usize,
    /// SHA-256 of the body, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// The body, lossless, in standard base64.
    pub body_base64: String,
    /// The body as text, where it is UTF-8.
    pub body_text: Option<String>,
    /// Header names and values in order; the value of Authorization is `(withheld)`.
    pub headers: Vec<[String; 2]>,
}

/// The last deliveries.
#[derive(Debug, Default)]
pub(crate) struct Deliveries(Mutex<VecDeque<Delivery>>);

impl Deliveries {
    pub(crate) fn snapshot(&self) -> Vec<Delivery> {
        self.deliveries().iter().cloned().collect()
    }

    fn push(&self, delivery: Delivery) {
        let mut deliveries = self.deliveries();
        if deliveries.len() == MAX_DELIVERIES {
            deliveries.pop_front();
        }
        deliveries.push_back(delivery);
    }

    fn deliveries(&self) -> MutexGuard<'_, VecDeque<Delivery>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `POST /webhooks/stripe`.
pub(crate) async fn stripe(
    State(demo): State<Demo>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    record(&demo, "stripe", &headers, body)
}

/// `POST /webhooks/postmark`.
pub(crate) async fn postmark(
    State(demo): State<Demo>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    record(&demo, "postmark", &headers, body)
}

/// `GET /webhooks/received`.
pub(crate) async fn received(State(demo): State<Demo>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(demo.received())).into_response()
}

fn record(demo: &Demo, sender: &'static str, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) if body.len() <= MAX_BODY => body,
        Ok(_) => return api::error(StatusCode::PAYLOAD_TOO_LARGE, "a delivery is at most 256 KiB"),
        Err(rejection) => return api::error(rejection.status(), &rejection.body_text()),
    };
    let sha256 = hex(&Sha256::digest(&body));
    let receipt = json!({ "received": true, "bytes": body.len(), "sha256": sha256 });
    demo.shared.deliveries.push(Delivery {
        sender,
        length: body.len(),
        sha256,
        body_base64: BASE64_STANDARD.encode(&body),
        body_text: str::from_utf8(&body).ok().map(str::to_owned),
        headers: headers
            .iter()
            .map(|(name, value)| {
                let shown = if name == header::AUTHORIZATION { b"(withheld)" } else { value.as_bytes() };
                [name.to_string(), String::from_utf8_lossy(shown).into_owned()]
            })
            .collect(),
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(receipt)).into_response()
}
