//! Git LFS's batch API, for blobs that are called by their SHA-256.

use std::collections::BTreeMap;
use std::slice;

use client::lfs::{Action, Answer, Object, Operation, Request};
use sha2::{Digest as _, Sha256};

use crate::server::{Lack, Server, send};

const PREFIX: &str = "users/1/blobs";

fn object(body: &[u8]) -> Object {
    let oid = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    Object { oid, size: body.len() as u64 }
}

fn request(operation: Operation, objects: &[Object]) -> Request {
    Request { operation, transfers: vec!["basic".into()], objects: objects.to_vec(), hash_algo: None }
}

async fn ask(server: &Server, operation: Operation, objects: &[Object]) -> Vec<Answer> {
    let verify = Some("https://sync.example/verify?a=b");
    let answer = server.api.client().lfs_batch("blobs", PREFIX, verify, &request(operation, objects)).await;
    let answer = answer.expect("an answer");
    assert_eq!((answer.transfer.as_str(), answer.hash_algo.as_str()), ("basic", "sha256"));
    answer.objects
}

fn actions(answer: &Answer) -> &BTreeMap<String, Action> {
    answer.actions.as_ref().unwrap_or_else(|| panic!("{answer:?}"))
}

/// As a Git LFS client does an upload.
async fn put(server: &Server, action: &Action, body: &[u8]) -> crate::server::Answer {
    let mut request = server.http.put(action.href.as_str()).body(body.to_vec());
    for (name, value) in &action.header {
        request = request.header(name, value);
    }
    send(request).await
}

pub(crate) async fn by_their_hash(server: &Server) {
    let gateway = server.api.client();
    let (first, second) = (&b"a blob that nobody but its owner reads"[..], &b"another one"[..]);
    let (a, b) = (object(first), object(second));
    let odd = Object { oid: "../../../etc/passwd".into(), size: 1 };
    let answers = ask(server, Operation::Upload, &[a.clone(), odd.clone(), b.clone()]).await;
    assert_eq!(answers[1].error.as_ref().map(|error| error.code), Some(422), "{answers:?}");
    let key = format!("{PREFIX}/{}/{}/{}", &a.oid[..2], &a.oid[2..4], a.oid);
    // Every upload is a PUT, signed by the key that only writes.
    let writes = !server.lacks(Lack::WriteOnlyKey);
    if writes {
        let upload = actions(&answers[0]);
        assert_eq!(upload["verify"].href.as_str(), "https://sync.example/verify?a=b");
        assert!(upload["upload"].href.as_str().contains(&format!("/{key}?")));
        assert_eq!(upload["upload"].header["x-amz-content-sha256"], a.oid);
        assert!(upload["upload"].expires_at.is_some());
    } else {
        assert_eq!(answers[0].error.as_ref().map(|error| error.code), Some(422), "{answers:?}");
    }

    assert_eq!(gateway.lfs_verify("blobs", PREFIX, &a).await.expect_err("not there").code(), Some("object-missing"));
    if server.lacks(Lack::BoundBody) {
        if writes {
            put(server, &actions(&answers[0])["upload"], first).await.expect_refusal("a hash");
        }
        server.store(&server.other, &key, "application/octet-stream", first).await;
    } else {
        let upload = actions(&answers[0]);
        let mut other = first.to_vec();
        other[0] ^= 1;
        put(server, &upload["upload"], &other).await.expect_refusal("another body of that length");
        put(server, &upload["upload"], &first[1..]).await.expect_refusal("a shorter body");
        put(server, &upload["upload"], first).await.expect_success();
    }
    gateway.lfs_verify("blobs", PREFIX, &a).await.expect("it has arrived");
    let longer = Object { size: a.size + 1, ..a.clone() };
    assert_eq!(gateway.lfs_verify("blobs", PREFIX, &longer).await.expect_err("longer").code(), Some("object-differs"));

    // What is there is not uploaded again.
    let answers = ask(server, Operation::Upload, &[a.clone(), b.clone()]).await;
    assert!(answers[0].actions.is_none() && answers[0].error.is_none(), "{answers:?}");
    assert_eq!(
        answers[1].actions.as_ref().is_some_and(|actions| actions.contains_key("upload")),
        writes,
        "{answers:?}"
    );
    let answers = ask(server, Operation::Download, &[b, a.clone(), longer, odd]).await;
    let codes: Vec<_> = answers.iter().map(|answer| answer.error.as_ref().map(|error| error.code)).collect();
    assert_eq!(codes, [Some(404), None, Some(409), Some(422)], "{answers:?}");
    let got = send(server.http.get(actions(&answers[1])["download"].href.as_str())).await;
    assert_eq!((got.status, &*got.body), (200, first));
    // Elsewhere in the bucket it is not.
    let answer =
        gateway.lfs_batch("blobs", "users/2/blobs", None, &request(Operation::Download, slice::from_ref(&a))).await;
    assert_eq!(answer.expect("an answer").objects[0].error.as_ref().map(|error| error.code), Some(404));

    let outside = gateway.lfs_batch("blobs", "elsewhere", None, &request(Operation::Upload, slice::from_ref(&a))).await;
    assert_eq!(outside.expect("an answer").objects[0].error.as_ref().map(|error| error.code), Some(422));
    let pending = gateway.lfs_batch("creators", PREFIX, None, &request(Operation::Upload, slice::from_ref(&a))).await;
    assert_eq!(pending.expect_err("nothing is released there").code(), Some("pending"));
    let sha1 = Request { hash_algo: Some("sha1".into()), ..request(Operation::Upload, slice::from_ref(&a)) };
    let refused = gateway.lfs_batch("blobs", PREFIX, None, &sha1).await.expect_err("another hash");
    assert_eq!(refused.code(), Some("hash-refused"));
    let ssh = Request { transfers: vec!["ssh".into()], ..request(Operation::Upload, &[a]) };
    let refused = gateway.lfs_batch("blobs", PREFIX, None, &ssh).await.expect_err("another way");
    assert_eq!(refused.code(), Some("transfer-refused"));
}
