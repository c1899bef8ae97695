//! `ANY /cache?…`: an answer with exactly the cache headers that the query asks for, to test caches with.
//!
//! | parameter | effect |
//! | --- | --- |
//! | `cc`, `cdn-cc` | Cache-Control, CDN-Cache-Control |
//! | `vary`, `etag`, `last-modified`, `expires`, `age`, `tag`, `set-cookie` | that field (`tag` is Cache-Tag) |
//! | `header` | `Name: value`, any other field |
//! | `status` | 200 unless given |
//! | `body` | the body; else `render n` |
//! | `ms` | milliseconds of silence before the answer |
//! | `cut` | closes the connection after that many bytes of the body |
//! | `chunked` | the body's length is not said in advance |
//!
//! A field that is not asked for is not sent (but Date, which hyper adds, Content-Type, Content-Length and `Demo-Render`). All
//! but the last six may be repeated. `Demo-Render: n` counts requests per full query, those answered 304 included: a request
//! whose If-None-Match holds the `etag`, or whose If-Modified-Since equals the `last-modified`, is answered so.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension,
    body::Body,
    extract::{Query, RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use futures_util::{StreamExt as _, stream};

use crate::{Demo, renders, saboteur::Wire};

/// `ANY /cache`.
pub(crate) async fn answer(
    State(demo): State<Demo>,
    Extension(wire): Extension<Wire>,
    RawQuery(query): RawQuery,
    Query(parameters): Query<Vec<(String, String)>>,
    request: HeaderMap,
) -> Response {
    let number = demo.shared.lab_counts.add(query.as_deref().unwrap_or_default());
    let last = |name: &str| parameters.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let headers = match asked_headers(&parameters) {
        Ok(headers) => headers,
        Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
    };
    let asked_status = last("status").map_or(Ok(StatusCode::OK), |status| StatusCode::from_bytes(status.as_bytes()));
    let status = match asked_status {
        Ok(status) if !status.is_informational() => status,
        _ => return (StatusCode::BAD_REQUEST, "status: from 200 to 999\n").into_response(),
    };
    if let Some(pause) = last("ms").and_then(|ms| ms.parse().ok()) {
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let number_header = [(renders::DEMO_RENDER, HeaderValue::from(number))];
    if status == StatusCode::OK && not_modified(&request, &headers) {
        return (StatusCode::NOT_MODIFIED, number_header, headers).into_response();
    }
    let body = last("body").map_or_else(|| format!("render {number}\n"), str::to_owned);
    let body = if matches!(status.as_u16(), 204 | 205 | 304) { String::new() } else { body };
    let response = (status, number_header, headers, body).into_response();
    match (last("cut").and_then(|cut| cut.parse().ok()), last("chunked").is_some()) {
        (None, false) => response,
        (cut, chunked) => streamed(response, cut, chunked, wire).await,
    }
}

/// The same answer in pieces: without its Content-Length, or cut off after so many bytes.
async fn streamed(response: Response, cut: Option<usize>, chunked: bool, wire: Wire) -> Response {
    let (mut parts, body) = response.into_parts();
    // From memory: reading it back can't fail.
    let mut bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    if !chunked {
        parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    }
    bytes.truncate(cut.unwrap_or(usize::MAX));
    let sent = stream::iter([Ok::<_, Infallible>(bytes)]);
    let body = match cut {
        Some(_) => Body::from_stream(sent.chain(stream::once(async move { wire.hang_up().await }))),
        None => Body::from_stream(sent),
    };
    Response::from_parts(parts, body)
}

/// The fields that the query asks for, in its order.
fn asked_headers(parameters: &[(String, String)]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (key, value) in parameters {
        let (name, value) = match key.as_str() {
            "cc" => ("cache-control", value.as_str()),
            "cdn-cc" => ("cdn-cache-control", value.as_str()),
            "tag" => ("cache-tag", value.as_str()),
            "vary" | "etag" | "last-modified" | "expires" | "age" | "set-cookie" => (key.as_str(), value.as_str()),
            "header" => value
                .split_once(':')
                .map(|(name, value)| (name, value.trim()))
                .ok_or_else(|| format!("header: `{value}` has no colon; write header=Name:%20value\n"))?,
            _ => continue,
        };
        // An empty parameter asks for nothing, so that a test can keep its query's shape.
        if value.is_empty() {
            continue;
        }
        let name = HeaderName::try_from(name).map_err(|_| format!("`{name}` is not a field name\n"))?;
        let value = HeaderValue::try_from(value).map_err(|_| format!("{name}: not a field value\n"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// RFC 9110 section 13.2.2: If-None-Match decides where there is one.
fn not_modified(request: &HeaderMap, headers: &HeaderMap) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        return headers.get(header::ETAG).is_some_and(|etag| renders::if_none_match(request, etag));
    }
    match (request.get(header::IF_MODIFIED_SINCE), headers.get(header::LAST_MODIFIED)) {
        (Some(since), Some(modified)) => since == modified,
        _ => false,
    }
}
