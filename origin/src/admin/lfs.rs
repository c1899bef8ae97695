//! `/lfs`: what Git LFS clients are told, for blobs that are called by their SHA-256. The app asks for them, and passes the answer on.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use client::lfs::{Action, Answer, Object, ObjectError, Operation, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::asked::{Asked, bounded};
use super::refusal::Problem;
use super::uploads::{answer, of_role, problem};
use crate::config::Bucket;
use crate::gateway::Gateway;
use crate::storage::{Download, Refused, instant, lfs_key, lfs_upload, now};

/// What the answer is, by its name at IANA.
const LFS: HeaderValue = HeaderValue::from_static("application/vnd.git-lfs+json");

/// Where the objects are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Place {
    /// Where in the bucket.
    #[serde(default)]
    prefix: String,
    /// The URL at which the app answers `verify`.
    verify: Option<String>,
}

type Where = (Path<String>, Query<Place>);

pub(super) async fn batch(
    State(gateway): State<Arc<Gateway>>,
    (Path(role), Query(place)): Where,
    Asked(request): Asked<Request>,
) -> Response {
    let done = objects(&gateway, &role, &place, request).await;
    answer(&gateway, "lfs-batch", done.map(|response| ([(CONTENT_TYPE, LFS)], Json(response))))
}

pub(super) async fn verified(
    State(gateway): State<Arc<Gateway>>,
    (Path(role), Query(place)): Where,
    Asked(object): Asked<Object>,
) -> Response {
    let done = verify(&gateway, &role, &place, &object).await;
    answer(&gateway, "lfs-verify", done.map(|()| ([(CONTENT_TYPE, LFS)], "{}")))
}

/// Blobs are called by their content, so nobody can exchange them, and they are there at once; what is to be scanned first is not uploaded so.
fn not_pending(bucket: &Bucket) -> Result<(), Problem> {
    match &bucket.pending {
        None => Ok(()),
        Some(_) => {
            let error = "the bucket has a `pending` prefix, and Git LFS has no word for what is not yet released: give its blobs a bucket of their own";
            Err(Problem::new(StatusCode::CONFLICT, "pending", error))
        }
    }
}

async fn objects(
    gateway: &Arc<Gateway>,
    role: &str,
    place: &Place,
    request: Request,
) -> Result<client::lfs::Response, Problem> {
    let (bucket, _) = of_role(gateway, role)?;
    not_pending(bucket)?;
    if request.hash_algo.as_deref().is_some_and(|algorithm| algorithm != "sha256") {
        let error = "objects are called by their SHA-256 here: `hash_algo` is \"sha256\", or left out";
        return Err(Problem::new(StatusCode::CONFLICT, "hash-refused", error));
    }
    if !request.transfers.is_empty() && !request.transfers.iter().any(|transfer| transfer == "basic") {
        let error = "`basic` is the only way of transfer here, and `transfers` does not name it";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "transfer-refused", error));
    }
    let objects = bounded(gateway, request.objects)?;
    let lengths = lengths(gateway, role, place, &objects).await?;
    let now = now();
    let objects = objects.into_iter().zip(lengths).map(|(object, length)| {
        let actions = match (request.operation, length) {
            (_, Err(refused)) => Err(refused_object(&refused)),
            (_, Ok(Some(length))) if length != object.size => Err(another_length(length)),
            (Operation::Download, Ok(None)) => Err((404, "there is no such object".to_owned())),
            (Operation::Download, Ok(Some(_))) => download(bucket, place, &object, now).map(Some),
            // It is there already.
            (Operation::Upload, Ok(Some(_))) => Ok(None),
            (Operation::Upload, Ok(None)) => upload(bucket, place, &object, now).map(Some),
        };
        let Object { oid, size } = object;
        match actions {
            Ok(actions) => Answer { oid, size, authenticated: actions.is_some().then_some(true), actions, error: None },
            Err((code, message)) => {
                let error = Some(ObjectError { code, message });
                Answer { oid, size, authenticated: None, actions: None, error }
            }
        }
    });
    Ok(client::lfs::Response {
        transfer: "basic".to_owned(),
        objects: objects.collect(),
        hash_algo: "sha256".to_owned(),
    })
}

/// A status, and what is wrong.
type Wrong = (u16, String);
type Actions = BTreeMap<String, Action>;

/// The length of each object that is there, or why it can't be one.
async fn lengths(
    gateway: &Arc<Gateway>,
    role: &str,
    place: &Place,
    objects: &[Object],
) -> Result<Vec<Result<Option<u64>, Refused>>, Problem> {
    let mut lengths = Vec::with_capacity(objects.len());
    let mut asking = JoinSet::new();
    for (at, Object { oid, .. }) in objects.iter().enumerate() {
        match key(gateway, role, place, oid) {
            Ok(key) => {
                let (gateway, role) = (Arc::clone(gateway), role.to_owned());
                asking.spawn(async move { (at, length(&gateway, &role, &key).await) });
                lengths.push(Ok(None));
            }
            Err(refused) => lengths.push(Err(refused)),
        }
    }
    while let Some(asked) = asking.join_next().await {
        let (at, length) =
            asked.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "a call was lost"))?;
        if let Some(slot) = lengths.get_mut(at) {
            *slot = Ok(length?);
        }
    }
    Ok(lengths)
}

/// The key of an object that the bucket gives.
fn key(gateway: &Gateway, role: &str, place: &Place, oid: &str) -> Result<String, Refused> {
    let key = lfs_key(&place.prefix, oid)?;
    if let Some(bucket) = super::signing::bucket(gateway, role) {
        bucket.lands(&key)?;
    }
    Ok(key)
}

async fn length(gateway: &Gateway, role: &str, key: &str) -> Result<Option<u64>, Problem> {
    let (_, store) = of_role(gateway, role)?;
    let found = store.head(key, None).await.map_err(problem)?;
    Ok(found.map(|found| found.length))
}

fn download(bucket: &Bucket, place: &Place, object: &Object, now: u64) -> Result<Actions, Wrong> {
    let key = lfs_key(&place.prefix, &object.oid).map_err(|refused| refused_object(&refused))?;
    let signed = Download { key: &key, ..Download::default() }.sign(bucket, now);
    let signed = signed.map_err(|refused| refused_object(&refused))?;
    let expires_at = Some(instant(signed.expires));
    Ok([("download".to_owned(), Action { href: signed.url.into(), header: BTreeMap::new(), expires_at })].into())
}

fn upload(bucket: &Bucket, place: &Place, object: &Object, now: u64) -> Result<Actions, Wrong> {
    let key = lfs_key(&place.prefix, &object.oid).map_err(|refused| refused_object(&refused))?;
    let put = lfs_upload(&key, &object.oid, object.size).put(bucket, now);
    let signed = super::signing::signed(put.map_err(|refused| refused_object(&refused))?);
    let expires_at = Some(signed.expires_at);
    let mut actions =
        Actions::from([("upload".to_owned(), Action { href: signed.url, header: signed.headers, expires_at })]);
    if let Some(verify) = &place.verify {
        let action = Action { href: verify.clone().into(), header: BTreeMap::new(), expires_at: None };
        actions.insert("verify".to_owned(), action);
    }
    Ok(actions)
}

async fn verify(gateway: &Gateway, role: &str, place: &Place, object: &Object) -> Result<(), Problem> {
    let (bucket, _) = of_role(gateway, role)?;
    not_pending(bucket)?;
    let key = key(gateway, role, place, &object.oid).map_err(problem)?;
    match length(gateway, role, &key).await? {
        Some(length) if length == object.size => Ok(()),
        Some(length) => Err(Problem::new(StatusCode::CONFLICT, "object-differs", another_length(length).1)),
        None => Err(Problem::new(StatusCode::NOT_FOUND, "object-missing", "it has not arrived")),
    }
}

fn refused_object(refused: &Refused) -> Wrong {
    (422, refused.to_string())
}

fn another_length(length: u64) -> Wrong {
    (409, format!("what is stored under this hash has {length} bytes"))
}
