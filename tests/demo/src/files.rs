//! Files that people bring: the app decides, keeps what the gateway says of an upload, and asks the gateway for the rest. No byte of them comes
//! through here.
//!
//! - `POST /api/files` `{"name", "type", "length"}`: `{"id", "form"}`, or `{"id", "part_size", "parts"}` for a long one
//! - `POST /api/files/{id}/parts` `{"parts": [1, 2]}`: a PUT for each
//! - `GET /api/files/{id}`: which parts are there and which are missing, to go on after whatever
//! - `POST /api/files/{id}/complete`: looked at, released; `{"url": "/files/{id}"}`
//! - `DELETE /api/files/{id}`: given up
//! - `GET /files/{id}`: handed off to the bucket, once it is released

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use client::{Gateway, NewUpload, Ticket};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Demo, account, api, handoff, objects::USER_FILES, pages};

/// Uploads that are kept in mind.
const MOST: usize = 1_000;

/// What the app keeps of an upload. A real one has it in its database.
#[derive(Clone, Debug)]
struct Record {
    owner: String,
    name: String,
    ticket: Ticket,
    released: bool,
}

/// The uploads by their id.
#[derive(Debug, Default)]
pub(crate) struct Files(Mutex<HashMap<String, Record>>);

impl Files {
    fn with<T>(&self, work: impl FnOnce(&mut HashMap<String, Record>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a page says of a file that it is about to send.
#[derive(Debug, Deserialize)]
pub(crate) struct Announced {
    name: String,
    #[serde(rename = "type")]
    content_type: String,
    length: u64,
}

/// Numbers of parts.
#[derive(Debug, Deserialize)]
pub(crate) struct Numbers {
    parts: Vec<u16>,
}

/// `POST /api/files`.
pub(crate) async fn begin(
    State(demo): State<Demo>,
    request: HeaderMap,
    announced: Result<Json<Announced>, JsonRejection>,
) -> Response {
    let (owner, gateway) = match asking(&demo, &request) {
        Ok(both) => both,
        Err((status, what)) => return api::error(status, what),
    };
    let Ok(Json(Announced { name, content_type, length })) = announced else {
        return api::error(StatusCode::BAD_REQUEST, "say name, type and length");
    };
    let id = format!("{:016x}", rand::random::<u64>());
    // A key of its own: nobody's file is written over.
    let upload =
        NewUpload { bucket: USER_FILES.to_owned(), key: format!("users/9/{id}"), content_type, length, expires: None };
    match gateway.begin(&upload).await {
        Ok(begun) => {
            let said = match &begun.upload.multipart {
                Some(parts) => json!({ "id": id, "part_size": parts.part_size, "parts": parts.parts }),
                None => json!({ "id": id, "form": begun.form }),
            };
            let record = Record { owner, name, ticket: begun.upload, released: false };
            let kept = demo.shared.files.with(|files| {
                let room = files.len() < MOST;
                if room {
                    files.insert(id, record);
                }
                room
            });
            if kept { answer(said) } else { api::error(StatusCode::INSUFFICIENT_STORAGE, "this demo keeps no more") }
        }
        Err(error) => refused(&error),
    }
}

/// `POST /api/files/{id}/parts`.
pub(crate) async fn parts(
    State(demo): State<Demo>,
    Path(id): Path<String>,
    request: HeaderMap,
    numbers: Result<Json<Numbers>, JsonRejection>,
) -> Response {
    let (record, gateway) = match known(&demo, &id, &request) {
        Ok(both) => both,
        Err((status, what)) => return api::error(status, what),
    };
    let Ok(Json(Numbers { parts })) = numbers else {
        return api::error(StatusCode::BAD_REQUEST, "say which parts");
    };
    match gateway.parts(&record.ticket, &parts).await {
        Ok(items) => answer(json!({ "items": items })),
        Err(error) => refused(&error),
    }
}

/// `GET /api/files/{id}`.
pub(crate) async fn state(State(demo): State<Demo>, Path(id): Path<String>, request: HeaderMap) -> Response {
    let (record, gateway) = match known(&demo, &id, &request) {
        Ok(both) => both,
        Err((status, what)) => return api::error(status, what),
    };
    let mut said =
        json!({ "id": id, "name": record.name, "length": record.ticket.length, "released": record.released });
    if let Some(multipart) = record.ticket.multipart.as_ref().filter(|_| !record.released) {
        match gateway.list(&record.ticket).await {
            Ok(listed) => {
                said["part_size"] = multipart.part_size.into();
                said["parts"] = multipart.parts.into();
                said["missing"] = listed.missing.into();
            }
            Err(error) => return refused(&error),
        }
    }
    answer(said)
}

/// `POST /api/files/{id}/complete`. A real app would have its scanner read the version first, and release it when that is content.
pub(crate) async fn complete(State(demo): State<Demo>, Path(id): Path<String>, request: HeaderMap) -> Response {
    let (record, gateway) = match known(&demo, &id, &request) {
        Ok(both) => both,
        Err((status, what)) => return api::error(status, what),
    };
    if !record.released {
        let stored = match gateway.complete(&record.ticket).await {
            Ok(stored) if stored.pending => gateway.release(&stored.release()).await,
            done => done,
        };
        if let Err(error) = stored {
            return refused(&error);
        }
        demo.shared.files.with(|files| {
            if let Some(record) = files.get_mut(&id) {
                record.released = true;
            }
        });
    }
    answer(json!({ "url": format!("/files/{id}") }))
}

/// `DELETE /api/files/{id}`.
pub(crate) async fn give_up(State(demo): State<Demo>, Path(id): Path<String>, request: HeaderMap) -> Response {
    let (record, gateway) = match known(&demo, &id, &request) {
        Ok(both) => both,
        Err((status, what)) => return api::error(status, what),
    };
    if record.ticket.multipart.is_some()
        && !record.released
        && let Err(error) = gateway.abort(&record.ticket).await
    {
        return refused(&error);
    }
    demo.shared.files.with(|files| files.remove(&id));
    StatusCode::NO_CONTENT.into_response()
}

/// `GET /files/{id}`: anyone may, who has the address.
pub(crate) async fn read(State(demo): State<Demo>, Path(id): Path<String>) -> Response {
    let record = demo.shared.files.with(|files| files.get(&id).filter(|record| record.released).cloned());
    match record {
        Some(Record { ticket, name, .. }) => {
            handoff::answer(&handoff::field(USER_FILES, &ticket.key, &name, "inline"), "private, no-store")
        }
        None => pages::no_such("file"),
    }
}

/// Why nothing is done.
type Refusal = (StatusCode, &'static str);

/// Who asks, and the gateway to ask. What changes something takes the session's token, which no other site's page has.
fn asking(demo: &Demo, request: &HeaderMap) -> Result<(String, Gateway), Refusal> {
    let Some((_, name, session)) = account::signed_in(demo, request) else {
        return Err((StatusCode::UNAUTHORIZED, "not signed in"));
    };
    if !session.vouches_for("", request) {
        return Err((StatusCode::FORBIDDEN, "X-CSRF-Token is not this session's: GET /api/me says it"));
    }
    match demo.shared.gateway.get() {
        Some(gateway) => Ok((name, gateway.clone())),
        None => Err((StatusCode::SERVICE_UNAVAILABLE, "this demo knows no gateway to ask")),
    }
}

/// An upload of theirs. Another's is not there for them.
fn known(demo: &Demo, id: &str, request: &HeaderMap) -> Result<(Record, Gateway), Refusal> {
    let (owner, gateway) = asking(demo, request)?;
    let record = demo.shared.files.with(|files| files.get(id).filter(|record| record.owner == owner).cloned());
    let record = record.ok_or((StatusCode::NOT_FOUND, "there is no such upload"))?;
    Ok((record, gateway))
}

fn answer(said: Value) -> Response {
    ([(header::CACHE_CONTROL, "private, no-store")], Json(said)).into_response()
}

/// What the gateway refused is the page's fault or a passing one; that it is not there is ours.
fn refused(error: &client::Error) -> Response {
    match error {
        client::Error::Refused { status, problem } => {
            api::error(StatusCode::from_u16(*status).unwrap_or(StatusCode::BAD_GATEWAY), &problem.error)
        }
        _ => api::error(StatusCode::SERVICE_UNAVAILABLE, "uploads do not work just now"),
    }
}
