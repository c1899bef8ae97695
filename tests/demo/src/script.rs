//! Answers that a test has programmed, for a path of its own: `PUT /script/{id}` takes them, `GET /script/{id}` says which requests came.
//!
//! The script is a JSON list of [`Part`]s. A request to `/scripted/{id}`, or to any path below it, says in `Demo-Step` which one
//! answers it (from 0); one that names none is answered with an empty 200 that says `no-store`. Where a part says nothing of it the answer has no field
//! but Date and Content-Length.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Json,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};

use crate::{Demo, saboteur::Wire};

/// The field of a request that names the part that answers it.
const STEP: &str = "demo-step";

/// Scripts kept; one more is refused.
const MOST: usize = 10_000;

/// The scripts, by id.
#[derive(Debug, Default)]
pub(crate) struct Scripts(Mutex<BTreeMap<String, Script>>);

impl Scripts {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Script>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
struct Script {
    parts: Vec<Option<Part>>,
    seen: Vec<Seen>,
}

/// One answer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Part {
    /// 200 where it is 0.
    status: u16,
    fields: Vec<(String, String)>,
    body: String,
    /// Milliseconds of silence before it.
    pause: u64,
    /// The body's length is not said in advance.
    chunked: bool,
    /// Closes the connection after that many bytes of the body.
    cut: Option<usize>,
    /// Closes the connection without an answer.
    close: bool,
    /// These bytes in place of an answer, then the connection is closed.
    raw: Option<String>,
    /// These bytes before the answer.
    before: Option<String>,
}

/// A request that came.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Seen {
    step: Option<usize>,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

/// `PUT /script/{id}`.
pub(crate) async fn program(
    State(demo): State<Demo>,
    Path(id): Path<String>,
    Json(parts): Json<Vec<Option<Part>>>,
) -> StatusCode {
    let mut scripts = demo.shared.scripts.lock();
    if scripts.len() >= MOST {
        return StatusCode::INSUFFICIENT_STORAGE;
    }
    scripts.insert(id, Script { parts, seen: Vec::new() });
    StatusCode::NO_CONTENT
}

/// `GET /script/{id}`.
pub(crate) async fn seen(State(demo): State<Demo>, Path(id): Path<String>) -> Json<Vec<Seen>> {
    Json(demo.shared.scripts.lock().get(&id).map(|script| script.seen.clone()).unwrap_or_default())
}

/// `ANY /scripted/{id}` and below.
pub(crate) async fn answer(
    State(demo): State<Demo>,
    Extension(wire): Extension<Wire>,
    Path(path): Path<BTreeMap<String, String>>,
    request: Request,
) -> Result<Response<Body>, (StatusCode, String)> {
    let id = path.get("id").map_or("", String::as_str);
    let step = request.headers().get(STEP).and_then(|step| step.to_str().ok()?.parse::<usize>().ok());
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let (method, target) = (request.method().to_string(), request.uri().to_string());
    let part = {
        let mut scripts = demo.shared.scripts.lock();
        let Some(script) = scripts.get_mut(id) else {
            return Err((StatusCode::NOT_FOUND, format!("no script {id}\n")));
        };
        script.seen.push(Seen { step, method, target, headers });
        step.and_then(|step| script.parts.get(step).cloned().flatten())
    };
    match part {
        Some(part) => part.play(wire).await,
        None => {
            Ok(Response::builder().header(header::CACHE_CONTROL, "no-store").body(Body::empty()).unwrap_or_default())
        }
    }
}

impl Part {
    async fn play(self, wire: Wire) -> Result<Response<Body>, (StatusCode, String)> {
        tokio::time::sleep(Duration::from_millis(self.pause)).await;
        if self.close {
            wire.hang_up().await;
        }
        if let Some(raw) = self.raw {
            wire.say(raw);
            wire.hang_up().await;
        }
        if let Some(before) = self.before {
            wire.say(before);
            // Long enough that it travels in a packet of its own.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let wrong = |what: &str| (StatusCode::NOT_IMPLEMENTED, format!("not to be sent: {what}\n"));
        let status = if self.status == 0 { 200 } else { self.status };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::from_u16(status).map_err(|_| wrong(&status.to_string()))?;
        for (name, value) in &self.fields {
            let value = HeaderValue::try_from(value).map_err(|_| wrong(value))?;
            response.headers_mut().append(HeaderName::try_from(name).map_err(|_| wrong(name))?, value);
        }
        let mut body = Bytes::from(self.body);
        *response.body_mut() = if !self.chunked && self.cut.is_none() {
            Body::from(body)
        } else {
            if !self.chunked {
                response.headers_mut().insert(header::CONTENT_LENGTH, body.len().into());
            }
            body.truncate(self.cut.unwrap_or(usize::MAX));
            let sent = stream::iter([Ok::<_, Infallible>(body)]);
            match self.cut {
                Some(_) => Body::from_stream(sent.chain(stream::once(async move { wire.hang_up().await }))),
                None => Body::from_stream(sent),
            }
        };
        Ok(response)
    }
}
