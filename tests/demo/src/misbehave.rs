//! `/misbehave/…`: every way an app can let its gateway down, on demand and on any method.
//!
//! | path | what happens |
//! | --- | --- |
//! | `slow?ms=` | silence before the head, then 200 |
//! | `stall?after=&ms=` | `after` bytes of a promised `after` + 1024, a pause, then the rest |
//! | `cut?after=` | Content-Length promises twice `after` + 1 bytes; closed after `after` |
//! | `cut-chunked?after=` | a chunked body that is closed before its last chunk |
//! | `close` | closed without an answer |
//! | `garbage` | bytes that are not HTTP, then closed |
//! | `huge-headers?bytes=` | one response field of that size |
//! | `drip-headers?ms=` | the head byte by byte, with that pause before each |
//! | `status/{code}` | that status, 200 to 999 |
//! | `early-hints` | 103, then 200 |
//! | `panic` | the handler panics; the connection dies with it |

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Query},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use tokio::time::sleep;

use crate::{Demo, lab::pattern_stream, saboteur::Wire};

/// What `stall` still sends after its pause.
const AFTER_THE_STALL: u64 = 1024;

pub(crate) fn router() -> Router<Demo> {
    Router::new()
        .route("/slow", any(slow))
        .route("/stall", any(stall))
        .route("/cut", any(cut))
        .route("/cut-chunked", any(cut_chunked))
        .route("/close", any(close))
        .route("/garbage", any(garbage))
        .route("/huge-headers", any(huge_headers))
        .route("/drip-headers", any(drip_headers))
        .route("/status/{code}", any(status))
        .route("/early-hints", any(early_hints))
        .route("/panic", any(panic))
}

#[derive(Debug, Deserialize)]
struct Knobs {
    /// Milliseconds.
    ms: Option<u64>,
    /// Bytes of body.
    after: Option<u64>,
    /// Bytes of header value.
    bytes: Option<usize>,
}

impl Knobs {
    fn pause(&self, default: u64) -> Duration {
        Duration::from_millis(self.ms.unwrap_or(default))
    }

    fn after(&self) -> u64 {
        self.after.unwrap_or(1024)
    }
}

async fn slow(Query(knobs): Query<Knobs>) -> Response {
    sleep(knobs.pause(1000)).await;
    plain(Body::from("late, but here\n"))
}

async fn stall(Query(knobs): Query<Knobs>) -> Response {
    let (after, pause) = (knobs.after(), knobs.pause(1000));
    let rest = stream::once(sleep(pause)).flat_map(move |()| pattern_stream(after, AFTER_THE_STALL));
    let body = pattern_stream(0, after).chain(rest);
    promised(after.saturating_add(AFTER_THE_STALL), Body::from_stream(body))
}

async fn cut(Extension(wire): Extension<Wire>, Query(knobs): Query<Knobs>) -> Response {
    let after = knobs.after();
    promised(after.saturating_mul(2).saturating_add(1), Body::from_stream(then_hang_up(wire, after)))
}

async fn cut_chunked(Extension(wire): Extension<Wire>, Query(knobs): Query<Knobs>) -> Response {
    plain(Body::from_stream(then_hang_up(wire, knobs.after())))
}

async fn close(Extension(wire): Extension<Wire>) -> Response {
    wire.hang_up().await
}

async fn garbage(Extension(wire): Extension<Wire>) -> Response {
    wire.say(&b"\x16\x03\x01 this is not HTTP\0\r\n\r\nnor is this\r\n"[..]);
    wire.hang_up().await
}

async fn huge_headers(Query(knobs): Query<Knobs>) -> Response {
    let value = vec![b'h'; knobs.bytes.unwrap_or(70_000)];
    match HeaderValue::from_bytes(&value) {
        Ok(value) => ([("demo-huge", value)], "a small body under a large head\n").into_response(),
        // Letters only: cannot be refused.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn drip_headers(Extension(wire): Extension<Wire>, Query(knobs): Query<Knobs>) -> Response {
    wire.drip(knobs.pause(10));
    plain(Body::from("the head took its time\n"))
}

async fn status(Path(code): Path<u16>) -> Response {
    match StatusCode::from_u16(code) {
        Ok(status) if !status.is_informational() => (status, format!("{code}, as you asked\n")).into_response(),
        _ => (StatusCode::BAD_REQUEST, "a status from 200 to 999, please\n").into_response(),
    }
}

async fn early_hints(Extension(wire): Extension<Wire>) -> Response {
    wire.say(format!(
        "HTTP/1.1 103 Early Hints\r\nLink: </static/{}>; rel=preload; as=style\r\n\r\n",
        crate::assets::STYLESHEET
    ));
    // Long enough that the hint travels in a packet of its own.
    sleep(Duration::from_millis(20)).await;
    plain(Body::from("the final answer\n"))
}

async fn panic() -> Response {
    panic!("ordered at /misbehave/panic")
}

/// `after` bytes, then the end of the connection.
fn then_hang_up(wire: Wire, after: u64) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    pattern_stream(0, after).chain(stream::once(async move { wire.hang_up().await }))
}

fn plain(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

/// A body with a Content-Length that may be a lie.
fn promised(length: u64, body: Body) -> Response {
    (
        [(header::CONTENT_LENGTH, length.to_string()), (header::CONTENT_TYPE, "application/octet-stream".to_owned())],
        body,
    )
        .into_response()
}
