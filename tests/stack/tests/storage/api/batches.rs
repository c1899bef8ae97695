//! Many signatures in one request.

use client::{Disposition, Download, Method, Upload, Wanted};

use super::{post, refused, send_signed, signed};
use crate::server::{Lack, Server};

const BODY: &[u8] = b"RIFF....WAVEfmt ";

fn upload(key: &str) -> Upload {
    Upload {
        bucket: "plain".into(),
        key: key.into(),
        content_type: "audio/wav".into(),
        length: BODY.len() as u64,
        ..Upload::default()
    }
}

fn download(key: &str) -> Download {
    Download { bucket: "plain".into(), key: key.into(), ..Download::default() }
}

pub(crate) async fn each_with_its_own_outcome(server: &Server) {
    let (put, form) = ("users/1/batch Ä put.wav", "users/1/batch Ä form.wav");
    let long = "a".repeat(1_025);
    let html = Upload { content_type: "text/html".into(), ..upload("users/1/a") };
    let huge = Upload { length: 65 << 20, ..upload("users/1/a") };
    let named = Download {
        filename: Some("Ä.wav".into()),
        disposition: Some(Disposition::Attachment),
        expires: Some(60),
        ..download(put)
    };
    let items = vec![
        Wanted::Put(upload(put)),
        Wanted::Download(download("../secret")),
        Wanted::Form(upload(form)),
        Wanted::Download(download("/secret")),
        Wanted::Download(download("")),
        Wanted::Download(download("users/1/\0")),
        Wanted::Download(download(&long)),
        Wanted::Download(download("users/10/../1/a")),
        Wanted::Download(download("other/1/a")),
        Wanted::Download(Download { bucket: "none".into(), ..download("users/1/a") }),
        Wanted::Put(html),
        Wanted::Form(huge),
        Wanted::Form(Upload { sha256: Some("0".repeat(64)), ..upload("users/1/a") }),
        Wanted::Download(Download { method: Method::Head, ..download(put) }),
        Wanted::Download(named),
    ];
    let outcomes = server.api.client().sign(items).await.expect("a batch");
    assert_eq!(outcomes.len(), 15);
    for (at, code) in [
        (1, "key-refused"),
        (3, "key-refused"),
        (4, "key-refused"),
        (5, "key-refused"),
        (6, "key-refused"),
        (7, "key-refused"),
        (8, "key-refused"),
        (9, "bucket-unknown"),
        (10, "type-refused"),
        (11, "length-refused"),
        (12, "hash-refused"),
    ] {
        assert_eq!(refused(&outcomes[at]), code, "{at}");
    }
    if server.lacks(Lack::WriteOnlyKey) {
        assert_eq!(refused(&outcomes[0]), "no-write-key");
        server.store(&server.files, put, "audio/wav", BODY).await;
    } else {
        let one = signed(outcomes[0].clone());
        assert_eq!((one.method.as_str(), one.length), ("PUT", Some(BODY.len() as u64)));
        send_signed(server, &one, BODY).await.expect_success();
    }
    let client::Outcome::Form(posted) = &outcomes[2] else { panic!("{:?}", outcomes[2]) };
    post(server, posted, BODY).await.expect_success();
    let head = send_signed(server, &signed(outcomes[13].clone()), b"").await;
    assert_eq!((head.status, head.field("content-length")), (200, "16"));
    let got = send_signed(server, &signed(outcomes[14].clone()), b"").await;
    assert_eq!((got.status, &*got.body), (200, BODY));
    assert!(got.field("content-disposition").starts_with("attachment; filename="), "{:?}", got.headers);
    assert_eq!(server.stored(&server.files, form).await.as_deref(), Some(BODY));
}

pub(crate) async fn bounded(server: &Server) {
    let gateway = server.api.client();
    for (count, code) in [(0, "batch-refused"), (51, "batch-too-large"), (600, "body-too-large")] {
        let items = vec![Wanted::Download(download(&format!("users/1/{}", "a".repeat(100)))); count];
        let refused = gateway.sign(items).await.expect_err("it is bounded");
        assert_eq!(refused.code(), Some(code), "{refused}");
    }
    let all = gateway.sign(vec![Wanted::Download(download("users/1/a")); 50]).await.expect("as many as may be");
    assert_eq!(all.len(), 50);
}
