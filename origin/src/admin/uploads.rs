//! `/uploads`: begun, continued, completed, released. Nothing of one is kept here: the app gives back what it was given.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use client::{
    Batch, Begun, Listed, Multipart, NewUpload, Outcome, Parts, Release, Stored, Ticket, TicketOnly, Version,
};
use http::StatusCode;

use super::asked::{Asked, bounded};
use super::refusal::Problem;
use super::signing;
use crate::config::Bucket;
use crate::gateway::Gateway;
use crate::storage::{Failure, Found, InParts, Part, Pending, Pieces, Plan, Refused, Store, Upload, now};

type Our = State<Arc<Gateway>>;

pub(super) async fn begun(State(gateway): Our, Asked(wanted): Asked<NewUpload>) -> Response {
    answer(&gateway, "begin", begin(&gateway, wanted).await.map(Json))
}

pub(super) async fn parts(State(gateway): Our, Asked(wanted): Asked<Parts>) -> Response {
    answer(&gateway, "parts", sign_parts(&gateway, wanted).map(Json))
}

pub(super) async fn listed(State(gateway): Our, Asked(wanted): Asked<TicketOnly>) -> Response {
    answer(&gateway, "list", list(&gateway, &wanted.upload).await.map(Json))
}

pub(super) async fn completed(State(gateway): Our, Asked(wanted): Asked<TicketOnly>) -> Response {
    answer(&gateway, "complete", complete(&gateway, wanted.upload).await.map(Json))
}

pub(super) async fn aborted(State(gateway): Our, Asked(wanted): Asked<TicketOnly>) -> Response {
    answer(&gateway, "abort", abort(&gateway, &wanted.upload).await.map(|()| StatusCode::NO_CONTENT))
}

pub(super) async fn released(State(gateway): Our, Asked(wanted): Asked<Release>) -> Response {
    answer(&gateway, "release", release(&gateway, wanted).await.map(Json))
}

pub(super) async fn discarded(State(gateway): Our, Asked(wanted): Asked<Version>) -> Response {
    answer(&gateway, "discard", discard(&gateway, &wanted).await.map(|()| StatusCode::NO_CONTENT))
}

/// The answer, counted.
pub(super) fn answer(
    gateway: &Gateway,
    call: &'static str,
    done: Result<impl axum::response::IntoResponse, Problem>,
) -> Response {
    gateway.files.count(call, done.as_ref().err().map_or("ok", |problem| problem.code));
    match done {
        Ok(done) => done.into_response(),
        Err(problem) => {
            if problem.status.is_server_error() {
                tracing::warn!(
                    call,
                    code = problem.code,
                    error = problem.error,
                    request.id = problem.id,
                    "object storage"
                );
            }
            problem.into_response()
        }
    }
}

/// The bucket of a role.
pub(super) fn of_role<'a>(gateway: &'a Gateway, role: &str) -> Result<(&'a Bucket, &'a Store), Problem> {
    let unknown = || Problem::new(StatusCode::NOT_FOUND, "bucket-unknown", signing::no_such_bucket(role));
    let bucket = signing::bucket(gateway, role).ok_or_else(unknown)?;
    let store = gateway.files.store(role);
    let store = store.map_err(|why| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "storage-failed", why))?;
    Ok((bucket, store))
}

pub(super) fn problem(failure: impl Into<Failure>) -> Problem {
    let failure = failure.into();
    let status = match (&failure, failure.as_str()) {
        (Failure::Refused(Refused::NoWriter | Refused::NothingPends), _) => StatusCode::CONFLICT,
        (Failure::Refused(_), _) => StatusCode::BAD_REQUEST,
        (Failure::Store(_), "storage-busy") => StatusCode::SERVICE_UNAVAILABLE,
        (Failure::Store(_), "storage-timeout") => StatusCode::GATEWAY_TIMEOUT,
        (Failure::Store(_), _) => StatusCode::BAD_GATEWAY,
        (Failure::UploadUnknown | Failure::VersionUnknown, _) => StatusCode::NOT_FOUND,
        (Failure::Incomplete(_) | Failure::Differs(_), _) => StatusCode::CONFLICT,
    };
    Problem::new(status, failure.as_str(), failure.to_string())
}

fn object(ticket: &Ticket) -> Upload<'_> {
    Upload { key: &ticket.key, content_type: &ticket.content_type, length: ticket.length, sha256: None, lasts: None }
}

fn in_parts(ticket: &Ticket) -> Result<InParts<'_>, Problem> {
    let Some(Multipart { id, part_size, parts, mark }) = &ticket.multipart else {
        let error = "this upload goes in one go: it has no parts";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "part-refused", error));
    };
    let plan = Plan::of(ticket.length, *part_size, *parts).map_err(problem)?;
    Ok(InParts { upload: object(ticket), id, plan, mark })
}

async fn begin(gateway: &Gateway, wanted: NewUpload) -> Result<Begun, Problem> {
    let (bucket, store) = of_role(gateway, &wanted.bucket)?;
    let NewUpload { bucket: role, key, content_type, length, expires } = wanted;
    let mut ticket = Ticket { bucket: role, key, content_type, length, multipart: None };
    // Parts are signed by the write-only key; without one everything goes in a form.
    if length < bucket.parts_from || bucket.writer.is_none() {
        let form = Upload { lasts: expires, ..object(&ticket) }.form(bucket, now()).map_err(problem)?;
        return Ok(Begun { upload: ticket, form: Some(signing::form(form)) });
    }
    let plan = Plan::new(bucket, length);
    let parts = plan.parts().ok_or_else(|| problem(Refused::TooLarge(bucket.upload_max)))?;
    let mark = format!("{:032x}", rand::random::<u128>());
    let id = store.begin(bucket, &object(&ticket), &mark).await.map_err(problem)?;
    ticket.multipart = Some(Multipart { id, part_size: plan.part_size, parts, mark });
    Ok(Begun { upload: ticket, form: None })
}

fn sign_parts(gateway: &Gateway, wanted: Parts) -> Result<Batch<Outcome>, Problem> {
    let (bucket, _) = of_role(gateway, &wanted.upload.bucket)?;
    let upload = in_parts(&wanted.upload)?;
    let now = now();
    let outcome = |number| {
        let length = upload.plan.length_of(number).ok_or(Refused::Part)?;
        let part = Part { key: upload.upload.key, upload: upload.id, number, length, lasts: wanted.expires };
        part.sign(bucket, now).map(|put| Outcome::Signed(signing::signed(put)))
    };
    let numbers = bounded(gateway, wanted.parts)?.into_iter();
    let refused = |refused: Refused| Outcome::Refused(signing::said(&refused));
    Ok(Batch { items: numbers.map(|number| outcome(number).unwrap_or_else(refused)).collect() })
}

async fn list(gateway: &Gateway, ticket: &Ticket) -> Result<Listed, Problem> {
    let (bucket, store) = of_role(gateway, &ticket.bucket)?;
    let upload = in_parts(ticket)?;
    let arrived = store.list(bucket, &upload).await.map_err(problem)?;
    let all = 1..=upload.plan.parts().unwrap_or_default();
    // Both are in order.
    let missing = all.filter(|number| arrived.binary_search_by_key(number, |part| part.number).is_err()).collect();
    let part =
        |part: crate::storage::Arrived| client::Part { number: part.number, length: part.length, etag: part.etag };
    Ok(Listed { parts: arrived.into_iter().map(part).collect(), missing })
}

async fn complete(gateway: &Gateway, ticket: Ticket) -> Result<Stored, Problem> {
    let (bucket, store) = of_role(gateway, &ticket.bucket)?;
    let found = match ticket.multipart {
        Some(_) => store.complete(bucket, &in_parts(&ticket)?).await,
        None => store.arrived(bucket, &object(&ticket)).await,
    };
    Ok(stored(ticket.bucket, ticket.key, bucket.pending.is_some(), found.map_err(problem)?))
}

async fn abort(gateway: &Gateway, ticket: &Ticket) -> Result<(), Problem> {
    let (bucket, store) = of_role(gateway, &ticket.bucket)?;
    store.abort(bucket, &ticket.key, in_parts(ticket)?.id).await.map_err(problem)
}

async fn release(gateway: &Gateway, wanted: Release) -> Result<Stored, Problem> {
    let (bucket, store) = of_role(gateway, &wanted.bucket)?;
    let Release { bucket: role, key, version, etag } = wanted;
    let pending = Pending { key: &key, version: version.as_deref(), etag: etag.as_deref() };
    let found = store.release(bucket, &pending, Pieces::default()).await.map_err(problem)?;
    Ok(stored(role, key, false, found))
}

async fn discard(gateway: &Gateway, wanted: &Version) -> Result<(), Problem> {
    let (bucket, store) = of_role(gateway, &wanted.bucket)?;
    store.discard(bucket, &wanted.key, wanted.version.as_deref()).await.map_err(problem)
}

fn stored(bucket: String, key: String, pending: bool, found: Found) -> Stored {
    let Found { version, etag, length, content_type, .. } = found;
    Stored { bucket, key, pending, version, etag, length, content_type }
}
