//! The studio: whoever is signed in shares a recording. The file goes from the browser to the bucket; this app says beforehand whether it may
//! (`POST /api/uploads/authorize`) and learns afterwards that it is there (`POST /api/uploads/done`). Both come from the gateway alone.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use askama::Template;
use axum::{
    Json,
    extract::{Path, Query, State, rejection::JsonRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{Demo, account, api, handoff, objects::USER_FILES, pages, renders::Stamp, upload::hex};

const GRANT: HeaderName = HeaderName::from_static("upload-grant");

/// Bytes of a recording.
const LONGEST: u64 = 1 << 30;
/// Seconds for which a URL to listen by lasts: an evening. The player asks for another when it has ended.
const LISTENING: u32 = 14_400;
/// Recordings kept; one goes for another.
const MOST: usize = 1_000;

/// What has been shared, by its address.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Mutex<BTreeMap<String, Recording>>);

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Recording>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A recording, as the gateway has said of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Recording {
    bucket: String,
    key: String,
    pending: bool,
    version: Option<String>,
    etag: String,
    size: u64,
    #[serde(rename = "type")]
    content_type: String,
    name: String,
}

#[derive(Template)]
#[template(path = "studio.html")]
struct StudioPage<'a> {
    stamp: Option<Stamp>,
    csrf: &'a str,
}

#[derive(Template)]
#[template(path = "recording.html")]
struct RecordingPage<'a> {
    stamp: Option<Stamp>,
    id: &'a str,
    recording: &'a Recording,
    lasts: u32,
}

/// `GET /studio`.
pub(crate) async fn page(State(demo): State<Demo>, request: HeaderMap) -> Response {
    match account::signed_in(&demo, &request) {
        Some((_, _, session)) => pages::private(StatusCode::OK, &StudioPage { stamp: None, csrf: &session.csrf }),
        None => account::to_sign_in("/studio"),
    }
}

/// Where somebody's uploads go.
fn prefix(name: &str) -> String {
    format!("uploads/{}/", &hex(&Sha256::digest(name))[..16])
}

/// Who asks, by session and token: a page elsewhere has neither. The answer is for those who do not.
fn vouched(demo: &Demo, request: &HeaderMap) -> Result<String, Box<Response>> {
    let Some((_, name, session)) = account::signed_in(demo, request) else {
        return Err(Box::new(api::error(StatusCode::UNAUTHORIZED, "sign in first")));
    };
    if session.vouches_for("", request) {
        return Ok(name);
    }
    let missing = "the token is missing or another session's: load the page anew";
    Err(Box::new(api::error(StatusCode::FORBIDDEN, missing)))
}

/// `POST /api/uploads/authorize`: whether this person may upload, where to, and what.
pub(crate) async fn authorize(State(demo): State<Demo>, request: HeaderMap) -> Response {
    let name = match vouched(&demo, &request) {
        Ok(name) => name,
        Err(refused) => return *refused,
    };
    let grant = format!("{USER_FILES};prefix=\"{}\";type=\"audio/*\";size={LONGEST}", prefix(&name));
    let Ok(grant) = HeaderValue::try_from(grant) else {
        return api::error(StatusCode::INTERNAL_SERVER_ERROR, "the grant is not a field value");
    };
    let fields = [(GRANT, grant), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::NO_CONTENT, fields).into_response()
}

/// `POST /api/uploads/done`: it is there. Said twice, it is one recording.
pub(crate) async fn done(
    State(demo): State<Demo>,
    request: HeaderMap,
    said: Result<Json<Recording>, JsonRejection>,
) -> Response {
    let name = match vouched(&demo, &request) {
        Ok(name) => name,
        Err(refused) => return *refused,
    };
    let Ok(Json(recording)) = said else { return api::error(StatusCode::BAD_REQUEST, "not what a gateway says") };
    let Some(id) = recording.key.strip_prefix(&prefix(&name)).map(ToOwned::to_owned) else {
        return api::error(StatusCode::FORBIDDEN, "somebody else's");
    };
    let known = demo.shared.shelf.lock().contains_key(&id);
    if !known {
        let recording = match released(&demo, recording).await {
            Ok(recording) => recording,
            Err(refused) => return *refused,
        };
        let mut shelf = demo.shared.shelf.lock();
        if shelf.len() >= MOST {
            shelf.pop_first();
        }
        shelf.insert(id.clone(), recording);
    }
    let said = Json(json!({ "page": format!("/recordings/{id}") }));
    (StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], said).into_response()
}

/// What waits is released at once. A real app has it scanned first.
async fn released(demo: &Demo, recording: Recording) -> Result<Recording, Box<Response>> {
    if !recording.pending {
        return Ok(recording);
    }
    let unavailable = |why: &str| Box::new(api::error(StatusCode::SERVICE_UNAVAILABLE, why));
    let gateway = demo.shared.gateway.get().ok_or_else(|| unavailable("there is no gateway to ask"))?;
    let release = client::Release {
        bucket: recording.bucket.clone(),
        key: recording.key.clone(),
        version: recording.version.clone(),
        etag: Some(recording.etag.clone()),
    };
    let stored = gateway.release(&release).await.map_err(|error| unavailable(&error.to_string()))?;
    Ok(Recording { pending: false, version: stored.version, etag: stored.etag, ..recording })
}

#[derive(Debug, Deserialize)]
pub(crate) struct Lasts {
    /// Seconds in place of [`LISTENING`], so that one can watch a URL end.
    lasts: Option<u32>,
}

impl Lasts {
    fn seconds(&self) -> u32 {
        self.lasts.unwrap_or(LISTENING).clamp(1, LISTENING)
    }
}

/// `GET /recordings/{id}`: the player.
pub(crate) async fn recording(
    State(demo): State<Demo>,
    Path(id): Path<String>,
    Query(lasts): Query<Lasts>,
) -> Response {
    let Some(recording) = demo.shared.shelf.lock().get(&id).cloned() else { return pages::no_such("work") };
    let page = RecordingPage { stamp: None, id: &id, recording: &recording, lasts: lasts.seconds() };
    pages::private(StatusCode::OK, &page)
}

/// `GET /recordings/{id}/listen`.
pub(crate) async fn listen(State(demo): State<Demo>, Path(id): Path<String>, Query(lasts): Query<Lasts>) -> Response {
    hand_off(&demo, &id, "inline", lasts.seconds())
}

/// `GET /recordings/{id}/download`.
pub(crate) async fn download(State(demo): State<Demo>, Path(id): Path<String>) -> Response {
    hand_off(&demo, &id, "attachment", 900)
}

/// The very version that the gateway has told of: what is uploaded over it later is not this recording.
fn hand_off(demo: &Demo, id: &str, disposition: &'static str, lasts: u32) -> Response {
    let Some(recording) = demo.shared.shelf.lock().get(id).cloned() else { return pages::no_such("work") };
    let version = recording.version.map_or_else(String::new, |version| format!(";version=\"{version}\""));
    let field = handoff::field(USER_FILES, &recording.key, &recording.name, disposition);
    handoff::answer(&format!("{field};expires={lasts}{version}"), "private, no-store")
}
