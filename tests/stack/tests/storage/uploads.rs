//! URLs to PUT by.

use origin::storage::{Put, Upload};
use sha2::{Digest as _, Sha256};

use crate::server::{Lack, Server, now, send};

const BODY: &[u8] = b"RIFF....WAVEfmt ";

fn upload(key: &str) -> Upload<'_> {
    Upload { key, content_type: "audio/wav", length: BODY.len() as u64, sha256: None, lasts: None }
}

fn sign(server: &Server, upload: &Upload<'_>) -> Put {
    upload.put(&server.files, now()).expect("signed")
}

pub(crate) async fn what_was_signed_and_nothing_else(server: &Server) {
    let key = "users/1/Ä put & more.wav";
    let put = sign(server, &upload(key));
    send(server.put(&put, BODY)).await.expect_success();
    let head = server.owner(&server.files, "HEAD", key, &[], Vec::new()).await;
    assert_eq!((head.field("content-type"), head.field("content-length")), ("audio/wav", "16"));

    let key = "users/1/not-there.wav";
    let put = sign(server, &upload(key));
    let bare = || server.http.put(&put.url);
    let typed = |kind: &str| bare().header("content-type", kind);
    send(bare().body(BODY)).await.expect_refusal("no type");
    send(typed("text/html").body(BODY)).await.expect_refusal("another type");
    send(typed("audio/wav").body(&BODY[1..])).await.expect_refusal("too short");
    send(typed("audio/wav").body([BODY, b"!"].concat())).await.expect_refusal("too long");
    let (url, put) = (&put.url, &put);
    for changed in [
        url.replace("not-there", "elsewhere"),
        url.replace("%3Bcontent-type", ""),
        url.replace("content-length%3B", ""),
        url.replace("X-Amz-Expires=900", "X-Amz-Expires=9000"),
        format!("{url}&acl="),
        format!("{url}&partNumber=1&uploadId=x"),
    ] {
        assert_ne!(changed, *url);
        send(server.put(&Put { url: changed.clone(), ..put.clone() }, BODY)).await.expect_refusal(&changed);
    }
    for key in [key, "users/1/elsewhere.wav"] {
        assert_eq!(server.stored(&server.files, key).await, None, "{key}");
    }
}

pub(crate) async fn a_bound_body(server: &Server) {
    let hash: String = Sha256::digest(BODY).iter().map(|byte| format!("{byte:02x}")).collect();
    let key = "users/1/bound.wav";
    let put = sign(server, &Upload { sha256: Some(&hash), ..upload(key) });
    if server.lacks(Lack::BoundBody) {
        // It takes none, rather than any.
        send(server.put(&put, BODY)).await.expect_refusal("a hash");
        assert_eq!(server.stored(&server.files, key).await, None);
        return;
    }
    let mut other = BODY.to_vec();
    other[0] ^= 1;
    send(server.put(&put, &other)).await.expect_refusal("another body of that length");
    assert_eq!(server.stored(&server.files, key).await, None);
    let bare = server.http.put(&put.url).header("content-type", "audio/wav");
    send(bare.body(BODY)).await.expect_refusal("without the hash");
    send(server.put(&put, BODY)).await.expect_success();
    assert_eq!(server.stored(&server.files, key).await.as_deref(), Some(BODY));
}

pub(crate) async fn what_runs_is_stored_as_an_attachment(server: &Server) {
    let key = "users/1/drawing";
    let put = sign(server, &Upload { content_type: "image/svg+xml", ..upload(key) });
    let stripped = server.http.put(&put.url).header("content-type", "image/svg+xml");
    send(stripped.body(BODY)).await.expect_refusal("without its disposition");
    send(server.put(&put, BODY)).await.expect_success();
    let head = server.owner(&server.files, "HEAD", key, &[], Vec::new()).await;
    assert_eq!(head.field("content-disposition"), "attachment");
}

pub(crate) async fn not_after_its_time(server: &Server) {
    let key = "users/1/late.wav";
    let put = Upload { lasts: Some(60), ..upload(key) }.put(&server.files, now() - 65).expect("signed");
    send(server.put(&put, BODY)).await.expect_refusal("after its end");
    assert_eq!(server.stored(&server.files, key).await, None);
}
