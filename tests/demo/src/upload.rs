//! `POST /api/upload`: takes a body of any size without holding it, and says how large it was and what its SHA-256 is.

use axum::{
    Json,
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::TryStreamExt as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::api;

/// What is kept of a body.
#[derive(Debug, Serialize)]
pub(crate) struct Digest {
    pub(crate) bytes: u64,
    /// 64 lower-case hexadecimal digits.
    pub(crate) sha256: String,
}

/// Reads a body to its end, one frame at a time.
pub(crate) async fn digest(body: Body) -> Result<Digest, axum::Error> {
    let mut frames = body.into_data_stream();
    let (mut bytes, mut hash) = (0, Sha256::new());
    while let Some(frame) = frames.try_next().await? {
        bytes += frame.len() as u64;
        hash.update(&frame);
    }
    Ok(Digest { bytes, sha256: hex(&hash.finalize()) })
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `POST /api/upload`.
pub(crate) async fn receive(body: Body) -> Response {
    match digest(body).await {
        Ok(digest) => ([(header::CACHE_CONTROL, "no-store")], Json(digest)).into_response(),
        Err(error) => api::bad_body(&error),
    }
}
