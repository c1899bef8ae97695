//! Uploads by size: in one go, or in parts that survive whatever stops.

use client::{NewUpload, Ticket, Wanted};

use super::{post, refused, send_signed, signed};
use crate::server::{Lack, Server};

/// A part, as the configuration has it.
const PART: usize = 5 << 20;

pub(super) fn new(role: &str, key: &str, length: usize) -> NewUpload {
    NewUpload {
        bucket: role.into(),
        key: key.into(),
        content_type: "audio/wav".into(),
        length: length as u64,
        expires: None,
    }
}

pub(super) fn body(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

/// Begins an upload that goes in parts, if the storage can have any: without a key that only writes, the gateway signs none.
async fn in_parts(server: &Server, key: &str, length: usize) -> Option<Ticket> {
    let begun = server.api.client().begin(&new("plain", key, length)).await.expect("begun");
    assert_eq!(begun.form.is_some(), server.lacks(Lack::WriteOnlyKey));
    if begun.form.is_some() {
        let none = server.api.client().parts(&begun.upload, &[1]).await.expect_err("in one go");
        assert_eq!(none.code(), Some("part-refused"));
        return None;
    }
    Some(begun.upload)
}

/// Sends one part.
pub(super) async fn send_part(server: &Server, ticket: &Ticket, number: u16, whole: &[u8]) {
    let outcomes = server.api.client().parts(ticket, &[number]).await.expect("signed");
    let [outcome] = <[_; 1]>::try_from(outcomes).expect("one");
    let at = usize::from(number - 1) * PART;
    let part = &whole[at..whole.len().min(at + PART)];
    let put = signed(outcome);
    assert_eq!(put.length, Some(part.len() as u64));
    send_signed(server, &put, part).await.expect_success();
}

pub(crate) async fn in_one_go(server: &Server) {
    let gateway = server.api.client();
    let (key, body) = ("users/1/one go.wav", body(1_000));
    let begun = gateway.begin(&new("plain", key, body.len())).await.expect("begun");
    let early = gateway.complete(&begun.upload).await.expect_err("nothing is there");
    assert_eq!(early.code(), Some("upload-incomplete"));
    let form = begun.form.expect("a form");
    let arrived = post(server, &form, &body).await;
    arrived.expect_success();
    let stored = gateway.complete(&begun.upload).await.expect("stored");
    assert_eq!((stored.length, stored.content_type.as_str(), stored.pending), (1_000, "audio/wav", false));
    assert_eq!(stored.version.is_some(), !server.lacks(Lack::Versions), "{stored:?}");
    let said = format!("{} {}", arrived.field("etag"), arrived.text());
    assert!(said.contains(stored.etag.trim_matches('"')), "{}: {said}", stored.etag);
    assert_eq!(gateway.complete(&begun.upload).await.expect("asked again"), stored);
    // Announced with another length, so it is not that upload.
    let other = Ticket { length: 999, ..begun.upload.clone() };
    assert_eq!(gateway.complete(&other).await.expect_err("it differs").code(), Some("upload-differs"));
    let other = Ticket { content_type: "text/plain".into(), ..begun.upload };
    assert_eq!(gateway.complete(&other).await.expect_err("it differs").code(), Some("upload-differs"));
}

pub(crate) async fn in_parts_and_resumed(server: &Server) {
    let (key, whole) = ("users/1/Ä parts & more.wav", body(2 * PART + 1_000));
    let Some(upload) = in_parts(server, key, whole.len()).await else { return };
    let multipart = upload.multipart.as_ref().expect("in parts");
    assert_eq!((multipart.parts, multipart.part_size), (3, PART as u64));
    // What the app keeps, as it would: in its database.
    let kept = serde_json::to_string(&upload).expect("JSON");
    let signed_before = server.api.client().parts(&upload, &[1, 2, 3, 4, 0]).await.expect("signed");
    assert_eq!((refused(&signed_before[3]), refused(&signed_before[4])), ("part-refused", "part-refused"));
    send_part(server, &upload, 3, &whole).await;
    send_part(server, &upload, 1, &whole).await;

    server.api.stop();
    let ticket: Ticket = serde_json::from_str(&kept).expect("a ticket");
    let gateway = server.api.client();
    let listed = gateway.list(&ticket).await.expect("listed");
    let numbers: Vec<_> = listed.parts.iter().map(|part| (part.number, part.length)).collect();
    assert_eq!((numbers, listed.missing), (vec![(1, PART as u64), (3, 1_000)], vec![2]));
    let early = gateway.complete(&ticket).await.expect_err("a part is missing");
    assert_eq!(early.code(), Some("upload-incomplete"), "{early}");
    assert!(early.to_string().contains("1 of 3 parts"), "{early}");
    // A URL that was signed before the restart is as good as any.
    send_signed(server, &signed(signed_before[1].clone()), &whole[PART..2 * PART]).await.expect_success();
    assert_eq!(gateway.list(&ticket).await.expect("listed").missing, [0_u16; 0]);

    let stored = gateway.complete(&ticket).await.expect("stored");
    assert_eq!((stored.length, stored.content_type.as_str()), (whole.len() as u64, "audio/wav"));
    // The answer got lost, and the app asks again.
    assert_eq!(gateway.complete(&ticket).await.expect("asked again"), stored);
    assert!(server.stored(&server.files, key).await.is_some_and(|stored| stored == whole));
    if !server.lacks(Lack::EndedUploads) {
        assert_eq!(gateway.list(&ticket).await.expect_err("it is completed").code(), Some("upload-unknown"));
        // Another object by now: the upload is found among the versions.
        server.store(&server.files, key, "audio/wav", b"another").await;
        assert_eq!(gateway.complete(&ticket).await.expect("asked again"), stored);
    }
}

pub(crate) async fn given_up(server: &Server) {
    let gateway = server.api.client();
    let whole = body(2 * PART + 10);
    let Some(upload) = in_parts(server, "users/1/given up.wav", whole.len()).await else { return };
    send_part(server, &upload, 1, &whole).await;
    gateway.abort(&upload).await.expect("aborted");
    if !server.lacks(Lack::EndedUploads) {
        gateway.abort(&upload).await.expect("aborted again");
        assert_eq!(gateway.complete(&upload).await.expect_err("it is gone").code(), Some("upload-unknown"));
    }
    // A short one: a server may hang up before it has taken a long one.
    let late = gateway.parts(&upload, &[3]).await.expect("signed");
    let late = send_signed(server, &signed(late[0].clone()), &whole[2 * PART..]).await;
    assert!(late.status >= 400, "{}", late.status);
}

pub(crate) async fn what_is_wrong(server: &Server) {
    let gateway = server.api.client();
    for (upload, code) in [
        (new("none", "users/1/a", 1), "bucket-unknown"),
        (new("plain", "users/../a", 1), "key-refused"),
        (new("plain", "others/1/a", 1), "key-refused"),
        (new("creators", "pending/users/1/a", 1), "key-refused"),
        (new("plain", "users/1/a", 65 << 20), "length-refused"),
        (NewUpload { content_type: "text/html".into(), ..new("plain", "users/1/a", 1) }, "type-refused"),
    ] {
        let refused = gateway.begin(&upload).await.expect_err("refused");
        assert_eq!(refused.code(), Some(code), "{refused}");
    }
    let Some(upload) = in_parts(server, "users/1/changed", 2 * PART).await else { return };
    let mut changed = upload.clone();
    changed.length += 5 << 20;
    assert_eq!(gateway.parts(&changed, &[1]).await.expect_err("a changed ticket").code(), Some("part-refused"));
    let one = Ticket { multipart: None, ..upload.clone() };
    assert_eq!(gateway.list(&one).await.expect_err("it has no parts").code(), Some("part-refused"));
    gateway.abort(&upload).await.expect("aborted");
    // A part is signed by the key that can't read: what somebody adds to it copies nothing.
    let put = gateway.sign(vec![Wanted::Put(client::Upload {
        bucket: "plain".into(),
        key: "users/1/a".into(),
        content_type: "audio/wav".into(),
        length: 1,
        ..client::Upload::default()
    })]);
    let put = signed(put.await.expect("signed").remove(0));
    assert!(put.url.as_str().contains("STORAGEWRITER"), "{put:?}");
}
