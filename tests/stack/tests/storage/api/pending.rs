//! What is uploaded and not yet released.

use std::time::Duration;

use client::{Download, Form, Release, Scan, Stored, Wanted};
use origin::storage::{Pending, Pieces, Store, Transport};

use super::uploads::{body, new, send_part};
use super::{post, refused, send_signed, signed};
use crate::server::{Lack, Server};

const KEY: &str = "users/1/Ä song.wav";

/// Uploads this in one go; gives the form, which goes on working, and what is stored.
async fn uploaded(server: &Server, key: &str, body: &[u8]) -> (Form, Stored) {
    let begun = server.api.client().begin(&new("creators", key, body.len())).await.expect("begun");
    let form = begun.form.expect("a form");
    post(server, &form, body).await.expect_success();
    (form, server.api.client().complete(&begun.upload).await.expect("stored"))
}

/// What a fan gets, if anything.
async fn downloaded(server: &Server, key: &str) -> Option<Vec<u8>> {
    let download = Download { bucket: "creators".into(), key: key.into(), ..Download::default() };
    let outcomes = server.api.client().sign(vec![Wanted::Download(download)]).await.expect("signed");
    let answer = send_signed(server, &signed(outcomes[0].clone()), b"").await;
    (answer.status == 200).then_some(answer.body)
}

async fn scanned(server: &Server, stored: &Stored) -> Vec<u8> {
    let version = stored.version.clone().expect("a version");
    let scan = Scan { bucket: stored.bucket.clone(), key: stored.key.clone(), version, expires: None };
    let outcomes = server.api.client().sign(vec![Wanted::Scan(scan)]).await.expect("signed");
    let answer = send_signed(server, &signed(outcomes[0].clone()), b"").await;
    assert_eq!((answer.status, answer.field("content-disposition")), (200, "attachment"));
    answer.body
}

pub(crate) async fn a_second_upload_changes_nothing(server: &Server) {
    if server.lacks(Lack::Versions) {
        return;
    }
    let gateway = server.api.client();
    let (good, evil) = (body(1_000), vec![b'!'; 1_000]);
    let (form, stored) = uploaded(server, KEY, &good).await;
    assert!(stored.pending, "{stored:?}");
    // Nobody reads it, by its key or by where it lies.
    assert_eq!(downloaded(server, KEY).await, None);
    for key in ["pending/users/1/Ä song.wav", "pending/"] {
        let download = Download { bucket: "creators".into(), key: key.into(), ..Download::default() };
        let outcomes = gateway.sign(vec![Wanted::Download(download)]).await.expect("a batch");
        assert_eq!(refused(&outcomes[0]), "key-refused", "{key}");
    }
    // The form still works, and whoever has it puts something else there, before the scan, after it, and after the release.
    post(server, &form, &evil).await.expect_success();
    assert_eq!(scanned(server, &stored).await, good);
    post(server, &form, &evil).await.expect_success();
    let released = gateway.release(&stored.release()).await.expect("released");
    assert_eq!((released.pending, released.length, released.content_type.as_str()), (false, 1_000, "audio/wav"));
    assert_eq!(downloaded(server, KEY).await.as_deref(), Some(&*good));
    post(server, &form, &evil).await.expect_success();
    assert_eq!(downloaded(server, KEY).await.as_deref(), Some(&*good));
    // Asked again, it is the same release, though another version lies there.
    assert_eq!(gateway.release(&stored.release()).await.expect("asked again"), released);
    assert_eq!(downloaded(server, KEY).await.as_deref(), Some(&*good));
    // What was released is no longer pending, and a version that never was is not released.
    let never = stored.version.as_ref().map(|id| id.replace(char::is_alphanumeric, "1"));
    let gone = Release { version: never, etag: None, ..stored.release() };
    assert_eq!(gateway.release(&gone).await.expect_err("no such version").code(), Some("version-unknown"));
    let other = Release { etag: Some("\"0\"".into()), ..stored.release() };
    assert_eq!(downloaded(server, KEY).await.as_deref(), Some(&*good), "{other:?}");
}

pub(crate) async fn thrown_away(server: &Server) {
    if server.lacks(Lack::Versions) {
        return;
    }
    let gateway = server.api.client();
    let key = "users/1/virus.wav";
    let (_, stored) = uploaded(server, key, b"EICAR").await;
    gateway.discard(&stored.discard()).await.expect("discarded");
    gateway.discard(&stored.discard()).await.expect("discarded again");
    assert_eq!(gateway.release(&stored.release()).await.expect_err("it is gone").code(), Some("version-unknown"));
    assert_eq!(downloaded(server, key).await, None);
    let nothing = gateway.discard(&client::Version { bucket: "plain".into(), ..stored.discard() }).await;
    assert_eq!(nothing.expect_err("nothing pends there").code(), Some("nothing-pends"));
}

/// Where there are no versions the entity tag says which object was meant; and a scan by version there is none.
pub(crate) async fn without_versions_by_its_tag(server: &Server) {
    let gateway = server.api.client();
    let key = "users/1/by tag.wav";
    let (form, stored) = uploaded(server, key, b"good").await;
    post(server, &form, b"evil").await.expect_success();
    let by_tag = Release { version: None, ..stored.release() };
    assert_eq!(gateway.release(&by_tag).await.expect_err("another object").code(), Some("version-unknown"));
    post(server, &form, b"good").await.expect_success();
    gateway.release(&by_tag).await.expect("released");
    post(server, &form, b"evil").await.expect_success();
    assert_eq!(downloaded(server, key).await.as_deref(), Some(&b"good"[..]));
    let neither = Release { version: None, etag: None, ..stored.release() };
    assert_eq!(gateway.release(&neither).await.expect_err("which one?").code(), Some("version-refused"));
}

/// Over 5 GiB nothing is copied at once. The same with smaller numbers.
pub(crate) async fn in_pieces(server: &Server) {
    let gateway = server.api.client();
    let (key, whole) = ("users/1/in pieces.wav", body((11 << 20) + 7));
    let begun = gateway.begin(&new("creators", key, whole.len())).await.expect("begun");
    if let Some(form) = &begun.form {
        // Without a key that only writes everything goes in one.
        assert!(server.lacks(Lack::WriteOnlyKey));
        post(server, form, &whole).await.expect_success();
    } else {
        for number in 1..=3 {
            send_part(server, &begun.upload, number, &whole).await;
        }
    }
    let stored = gateway.complete(&begun.upload).await.expect("stored");
    let bounds = origin::config::Storage::default();
    let bucket =
        origin::config::Bucket { pending: Some("pending/".into()), upload_max: 64 << 20, ..server.files.clone() };
    let store = Store::new(&bucket, &Transport::new(&bounds).expect("a transport"));
    let pending = Pending { key, version: stored.version.as_deref(), etag: Some(&stored.etag) };
    let pieces = Pieces { at_once: 5 << 20, piece: 5 << 20 };
    let released = store.release(&bucket, &pending, pieces).await.expect("released");
    assert_eq!((released.length, released.content_type.as_str()), (whole.len() as u64, "audio/wav"));
    assert!(downloaded(server, key).await.is_some_and(|got| got == whole));
    // The server side of a client that gave up: nothing hangs.
    tokio::time::timeout(Duration::from_secs(60), gateway.complete(&begun.upload)).await.expect("an answer").ok();
}
