//! What a client adds to a URL that it was given: fields that are not signed, because nobody thought of sending them.

use origin::storage::{Permit, Put, Upload};
use stack::toolchain::ceph::Generation;

use crate::parts;
use crate::server::{Kind, Lack, Server, now, send};

const SECRET: &[u8] = b"somebody else's!";

fn upload(server: &Server, key: &str) -> Put {
    let upload = Upload { key, content_type: "audio/wav", length: SECRET.len() as u64, sha256: None, lasts: None };
    upload.put(&server.files, now()).expect("signed")
}

pub(crate) async fn the_writing_key_reads_nothing(server: &Server) {
    if server.lacks(Lack::WriteOnlyKey) {
        return;
    }
    for (bucket, key) in [(&server.files, "users/2/secret.txt"), (&server.other, "users/9/secret.txt")] {
        server.store(bucket, key, "text/plain", SECRET).await;
        let writer = bucket.writer.as_ref().expect("a writing key");
        let url =
            |method, key, query| writer.presign(&Permit { method, key, query, headers: &[], begins: now(), lasts: 60 });
        send(server.http.get(url("GET", key, &[]))).await.expect_refusal("GET");
        send(server.http.head(url("HEAD", key, &[]))).await.expect_refusal("HEAD");
        send(server.http.get(url("GET", "", &[("list-type", "2")]))).await.expect_refusal("a list");
        send(server.http.delete(url("DELETE", key, &[]))).await.expect_refusal("DELETE");
        assert_eq!(server.stored(bucket, key).await.as_deref(), Some(SECRET));
    }
}

pub(crate) async fn copies(server: &Server) {
    if server.kind == Kind::Embedded || server.lacks(Lack::WriteOnlyKey) {
        // The embedded storage's rules for keys are the tests' own; with one key, that can read, there is nothing to show.
        return;
    }
    server.store(&server.files, "users/2/secret.txt", "text/plain", SECRET).await;
    server.store(&server.other, "users/9/secret.txt", "text/plain", SECRET).await;
    let sources = [
        "/user-files/users/2/secret.txt",
        "user-files/users/2/secret.txt",
        "/other/users/9/secret.txt",
        "other/users/9/secret.txt",
    ];
    for (n, source) in sources.into_iter().enumerate() {
        let key = format!("users/1/copy-{n}.wav");
        let put = upload(server, &key);
        for body in [SECRET, b""] {
            // With another body of the signed length, so that what is stored tells the two apart.
            let body = vec![b'x'; body.len()];
            let answer = send(server.put(&put, &body).header("x-amz-copy-source", source)).await;
            assert!(!answer.text().contains("CopyObjectResult"), "{source}: {}", answer.text());
        }
        let stored = server.stored(&server.files, &key).await;
        assert!(stored.as_deref() != Some(SECRET), "{source} was copied");

        let upload = parts::begin(server, &key).await;
        let part = parts::sign(server, &key, &upload, 1, SECRET.len());
        for field in [None, Some(("x-amz-copy-source-range", "bytes=0-15"))] {
            let mut request = server.put(&part, &[b'x'; 16]).header("x-amz-copy-source", source);
            if let Some((name, value)) = field {
                request = request.header(name, value);
            }
            let answer = send(request).await;
            assert!(!answer.text().contains("CopyPartResult"), "{source}: {}", answer.text());
        }
        let list = server.owner(&server.files, "GET", &key, &[("uploadId", &upload)], Vec::new()).await;
        if list.text().contains("<ETag>") {
            let tag = list.element("ETag");
            parts::complete(server, &key, &upload, &[tag]).await.expect_success();
            assert!(
                server.stored(&server.files, &key).await.as_deref() != Some(SECRET),
                "{source} was copied by a part"
            );
        }
    }
}

/// Why the rule is there: a key that can read, and the same field.
pub(crate) async fn a_key_that_reads(server: &Server) {
    if server.kind == Kind::Embedded {
        return;
    }
    server.store(&server.other, "users/9/secret.txt", "text/plain", SECRET).await;
    let key = "users/1/copied.wav";
    let headers = [("content-type", "audio/wav")];
    let permit = Permit { method: "PUT", key, query: &[], headers: &headers, begins: now(), lasts: 60 };
    let request = server.http.put(server.files.reader.presign(&permit)).header("content-type", "audio/wav");
    let answer = send(request.header("x-amz-copy-source", "/other/users/9/secret.txt")).await;
    let stored = server.stored(&server.files, key).await;
    let hole = stored.as_deref() == Some(SECRET);
    println!("{:?}: a copy by a key that can read: {}, copied: {hole}", server.kind, answer.status);
    assert_eq!(hole, server.is(Generation::Old), "CVE-2026-54330 is not where it was: {}", answer.text());
}

pub(crate) async fn public_objects(server: &Server) {
    if server.lacks(Lack::Policy) {
        return;
    }
    for (n, (name, value)) in [
        ("x-amz-acl", "public-read"),
        ("x-amz-acl", "public-read-write"),
        ("x-amz-acl", "authenticated-read"),
        ("x-amz-grant-read", "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\""),
        ("x-amz-grant-read-acp", "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\""),
        ("x-amz-grant-full-control", "uri=\"http://acs.amazonaws.com/groups/global/AllUsers\""),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("users/1/public-{n}.wav");
        let put = upload(server, &key);
        let answer = send(server.put(&put, SECRET).header(name, value)).await;
        let bare = put.url.split_once('?').expect("a query").0;
        let seen = send(server.http.get(bare)).await;
        println!("{:?}: {name}: {value}: {}, then anyone's GET: {}", server.kind, answer.status, seen.status);
        assert!(seen.status == 403 || seen.status == 404, "{name}: {value}: anyone reads it: {}", seen.status);
    }
}
