//! `POST /sign`: URLs and forms, many at once, each with its own outcome. No storage is asked.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use client::{Batch, Disposition, Method, Outcome, Refused, Wanted};
use serde_json::Value;

use super::asked::{Asked, bounded, item};
use crate::config::Bucket;
use crate::gateway::Gateway;
use crate::storage::{self, Download, Put, Scan, Upload, instant, now};

pub(super) async fn sign(State(gateway): State<Arc<Gateway>>, Asked(batch): Asked<Batch<Value>>) -> Response {
    let items = match bounded(&gateway, batch.items) {
        Ok(items) => items,
        Err(problem) => return problem.into_response(),
    };
    let now = now();
    let outcome = |value| match item(value) {
        Ok(wanted) => one(&gateway, &wanted, now),
        Err(error) => Outcome::Refused(Refused { error, code: "item-refused".to_owned() }),
    };
    let items: Vec<Outcome> = items.into_iter().map(outcome).collect();
    for outcome in &items {
        gateway.files.count("sign", if matches!(outcome, Outcome::Refused(_)) { "refused" } else { "ok" });
    }
    Json(Batch { items }).into_response()
}

fn one(gateway: &Gateway, wanted: &Wanted, now: u64) -> Outcome {
    let role = match wanted {
        Wanted::Download(download) => &download.bucket,
        Wanted::Scan(scan) => &scan.bucket,
        Wanted::Put(upload) | Wanted::Form(upload) => &upload.bucket,
    };
    let Some(bucket) = bucket(gateway, role) else {
        return Outcome::Refused(Refused { error: no_such_bucket(role), code: "bucket-unknown".to_owned() });
    };
    let outcome = match wanted {
        Wanted::Download(download) => self::download(bucket, download, now),
        Wanted::Scan(scan) => {
            let scan = Scan { key: &scan.key, version: &scan.version, lasts: scan.expires };
            scan.sign(bucket, now).map(|signed| signed_by("GET", signed))
        }
        Wanted::Put(upload) => self::upload(upload).put(bucket, now).map(|put| Outcome::Signed(signed(put))),
        Wanted::Form(upload) => self::upload(upload).form(bucket, now).map(|form| Outcome::Form(self::form(form))),
    };
    outcome.unwrap_or_else(|refused| Outcome::Refused(said(&refused)))
}

fn download(bucket: &Bucket, wanted: &client::Download, now: u64) -> Result<Outcome, storage::Refused> {
    let head = wanted.method == Method::Head;
    let download = Download {
        key: &wanted.key,
        head,
        version: wanted.version.as_deref(),
        content_type: wanted.content_type.as_deref(),
        filename: wanted.filename.as_deref(),
        attachment: wanted.disposition.map(|disposition| disposition == Disposition::Attachment),
        lasts: wanted.expires,
        stable: wanted.stable,
    };
    download.sign(bucket, now).map(|signed| signed_by(if head { "HEAD" } else { "GET" }, signed))
}

fn upload(wanted: &client::Upload) -> Upload<'_> {
    Upload {
        key: &wanted.key,
        content_type: &wanted.content_type,
        length: wanted.length,
        sha256: wanted.sha256.as_deref(),
        lasts: wanted.expires,
    }
}

fn signed_by(method: &str, signed: storage::Signed) -> Outcome {
    Outcome::Signed(client::Signed {
        method: method.to_owned(),
        url: signed.url.into(),
        headers: [].into(),
        length: None,
        expires_at: instant(signed.expires),
    })
}

/// A PUT. Its length goes by the body, and is said beside the fields.
pub(super) fn signed(put: Put) -> client::Signed {
    let length = put.headers.iter().find(|(name, _)| *name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok());
    let rest = put.headers.into_iter().filter(|(name, _)| *name != "content-length");
    client::Signed {
        method: "PUT".to_owned(),
        url: put.url.into(),
        headers: rest.map(|(name, value)| (name.to_owned(), value)).collect(),
        length,
        expires_at: instant(put.expires),
    }
}

pub(super) fn form(form: storage::Form) -> client::Form {
    let fields = form.fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    client::Form { url: form.url, fields, expires_at: instant(form.expires) }
}

pub(super) fn said(refused: &storage::Refused) -> Refused {
    Refused { error: refused.to_string(), code: refused.as_str().to_owned() }
}

pub(super) fn bucket<'a>(gateway: &'a Gateway, role: &str) -> Option<&'a Bucket> {
    gateway.config.buckets.iter().find(|bucket| bucket.role == role)
}

pub(super) fn no_such_bucket(role: &str) -> String {
    let shown: String = role.chars().take(64).collect();
    format!("there is no [bucket.{}] section in the configuration", shown.escape_default())
}
