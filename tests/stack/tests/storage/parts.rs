//! Multipart uploads, part by part.

use origin::storage::{Part, Put};

use crate::server::{Answer, Server, now, send};

/// The least that a part has which is not the last.
const LEAST: usize = 5 << 20;

/// Begins an upload; its id.
pub(crate) async fn begin(server: &Server, key: &str) -> String {
    let begun = server.owner(&server.files, "POST", key, &[("uploads", "")], Vec::new()).await;
    begun.expect_success();
    begun.element("UploadId")
}

pub(crate) fn sign(server: &Server, key: &str, upload: &str, number: u16, length: usize) -> Put {
    let part = Part { key, upload, number, length: length as u64, lasts: None };
    part.sign(&server.files, now()).expect("signed")
}

pub(crate) async fn complete(server: &Server, key: &str, upload: &str, tags: &[String]) -> Answer {
    let parts = tags
        .iter()
        .enumerate()
        .map(|(n, tag)| format!("<Part><PartNumber>{}</PartNumber><ETag>{tag}</ETag></Part>", n + 1));
    let body = format!("<CompleteMultipartUpload>{}</CompleteMultipartUpload>", parts.collect::<String>());
    server.owner(&server.files, "POST", key, &[("uploadId", upload)], body.into()).await
}

/// Stores what goes in two parts; its bytes.
pub(crate) async fn store(server: &Server, key: &str) -> Vec<u8> {
    let upload = begin(server, key).await;
    let whole: Vec<u8> = (0..LEAST + 1_000).map(|n| (n % 251) as u8).collect();
    let mut tags = Vec::new();
    for (n, part) in whole.chunks(LEAST).enumerate() {
        let put = sign(server, key, &upload, n as u16 + 1, part.len());
        let done = send(server.put(&put, part)).await;
        done.expect_success();
        tags.push(done.field("etag").to_owned());
    }
    complete(server, key, &upload, &tags).await.expect_success();
    whole
}

pub(crate) async fn a_whole_in_parts(server: &Server) {
    let key = "users/1/Ä film.wav";
    let whole = store(server, key).await;
    assert!(server.stored(&server.files, key).await.is_some_and(|stored| stored == whole));
}

pub(crate) async fn what_was_signed_and_nothing_else(server: &Server) {
    let key = "users/1/parts.wav";
    let upload = begin(server, key).await;
    let put = sign(server, key, &upload, 1, 8);
    send(server.put(&put, b"1234567")).await.expect_refusal("too short");
    send(server.put(&put, b"123456789")).await.expect_refusal("too long");
    for changed in [
        put.url.replace("partNumber=1", "partNumber=2"),
        put.url.replace("parts.wav", "other.wav"),
        put.url.replace("&X-Amz-Expires=900", "&X-Amz-Expires=901"),
        put.url.replacen("partNumber=1&", "", 1),
    ] {
        assert_ne!(changed, put.url);
        send(server.put(&Put { url: changed.clone(), ..put.clone() }, b"12345678")).await.expect_refusal(&changed);
    }
    let late = Part { key, upload: &upload, number: 1, length: 8, lasts: Some(60) }.sign(&server.files, now() - 65);
    send(server.put(&late.expect("signed"), b"12345678")).await.expect_refusal("after its end");
    send(server.put(&put, b"12345678")).await.expect_success();
    server.owner(&server.files, "DELETE", key, &[("uploadId", &upload)], Vec::new()).await.expect_success();
    let aborted = send(server.put(&put, b"12345678")).await;
    assert!(aborted.status >= 400, "a part of what was aborted: {}", aborted.status);
}
