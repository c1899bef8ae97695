//! What tests use to see the app's side: `/echo` says what arrived, `/bytes/{length}` answers a body of known content.

use std::{convert::Infallible, sync::LazyLock};

use axum::{
    Json,
    body::Body,
    extract::{Path, RawQuery, Request},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde_json::json;

use crate::{api, upload};

/// Bytes in one chunk of a streamed body.
const CHUNK: u64 = 64 * 1024;

/// The pattern repeats after this many bytes: a prime, so that no chunk size hides a misplaced one.
const PERIOD: u64 = 251;

static PATTERN: LazyLock<Bytes> = LazyLock::new(|| (0..=250_u8).cycle().take((CHUNK + PERIOD) as usize).collect());

/// The bytes `offset..offset + length` of the endless pattern that `/bytes/{length}` answers: byte *i* is *i* mod 251. `length`
/// is at most 65,536; a longer one is cut to that.
#[must_use]
pub fn pattern(offset: u64, length: u64) -> Bytes {
    let start = (offset % PERIOD) as usize;
    PATTERN.slice(start..start + length.min(CHUNK) as usize)
}

/// The pattern from `offset` on, `length` bytes in chunks of 64 KiB.
pub(crate) fn pattern_stream(
    offset: u64,
    length: u64,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + Unpin + 'static {
    stream::iter((0..length.div_ceil(CHUNK)).map(move |chunk| {
        let done = chunk * CHUNK;
        Ok(pattern(offset + done, length - done))
    }))
}

/// `GET /bytes/{length}`: `?chunked` leaves the Content-Length out, `?cache` allows a minute of caching.
pub(crate) async fn bytes(Path(length): Path<u64>, RawQuery(query): RawQuery) -> Response {
    let asked = |name: &str| query.iter().flat_map(|query| query.split('&')).any(|part| part == name);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/octet-stream"));
    if asked("cache") {
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("public, max-age=60"));
    }
    if !asked("chunked") {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    (headers, Body::from_stream(pattern_stream(0, length))).into_response()
}

/// `ANY /echo` and below: the request as the app received it.
pub(crate) async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let digest = match upload::digest(body).await {
        Ok(digest) => digest,
        Err(error) => return api::bad_body(&error),
    };
    let headers: Vec<[String; 2]> = parts
        .headers
        .iter()
        .map(|(name, value)| [name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()])
        .collect();
    let echo = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "version": format!("{:?}", parts.version),
        "headers": headers,
        "body_bytes": digest.bytes,
        "body_sha256": digest.sha256,
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(echo)).into_response()
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn the_pattern_runs_on_over_chunks_and_offsets() {
        for (offset, length) in [(0, 0), (0, 1), (7, 250), (0, CHUNK), (3, CHUNK + 1), (250, 3 * CHUNK - 1)] {
            let mut got = Vec::new();
            let mut chunks = pattern_stream(offset, length);
            while let Some(Ok(chunk)) = chunks.next().await {
                got.extend_from_slice(&chunk);
            }
            let want: Vec<u8> = (offset..offset + length).map(|i| (i % PERIOD) as u8).collect();
            assert!(got == want, "offset {offset}, length {length}");
        }
    }
}
