//! Forms under a policy.

use origin::storage::{Form, Upload};
use reqwest::multipart;

use crate::server::{Answer, Lack, Server, now, send};

const BODY: &[u8] = b"RIFF....WAVEfmt ";

fn sign(server: &Server, key: &str, now: u64) -> Form {
    let upload = Upload { key, content_type: "audio/wav", length: BODY.len() as u64, sha256: None, lasts: Some(60) };
    upload.form(&server.files, now).expect("signed")
}

/// Posts it as a browser does.
pub(crate) async fn post(server: &Server, url: &str, fields: &[(&str, String)], body: &[u8]) -> Answer {
    let mut form = multipart::Form::new();
    for (name, value) in fields {
        form = form.text((*name).to_owned(), value.clone());
    }
    let file = multipart::Part::bytes(body.to_vec()).file_name("a.wav").mime_str("audio/wav").expect("a type");
    send(server.http.post(url).multipart(form.part("file", file))).await
}

pub(crate) async fn what_was_signed_and_nothing_else(server: &Server) {
    if server.lacks(Lack::Forms) {
        let Form { url, fields, .. } = sign(server, "users/1/form.wav", now());
        let answer = post(server, &url, &fields, BODY).await;
        assert!(answer.status >= 400, "a form: {}", answer.status);
        return;
    }
    let key = "users/1/Ä form & more.wav";
    let Form { url, fields, .. } = sign(server, key, now());
    let done = post(server, &url, &fields, BODY).await;
    assert_eq!(done.status, 201, "{}", done.text());
    let head = server.owner(&server.files, "HEAD", key, &[], Vec::new()).await;
    assert_eq!((head.status, head.field("content-type"), head.field("content-length")), (200, "audio/wav", "16"));

    let key = "users/1/not-there.wav";
    let Form { url, fields, .. } = sign(server, key, now());
    post(server, &url, &fields, &BODY[1..]).await.expect_refusal("too short");
    post(server, &url, &fields, &[BODY, b"!"].concat()).await.expect_refusal("too long");
    let with = |name: &'static str, value: &str| {
        let mut changed: Vec<_> = fields.iter().filter(|(n, _)| *n != name).cloned().collect();
        changed.push((name, value.to_owned()));
        changed
    };
    for (name, value) in [
        ("key", "users/2/not-there.wav"),
        ("key", "users/1/${filename}"),
        ("Content-Type", "text/html"),
        ("acl", "public-read"),
        ("x-amz-acl", "public-read"),
        ("x-amz-copy-source", "/user-files/users/1/secret.txt"),
        ("Content-Disposition", "inline"),
        ("x-amz-meta-a", "b"),
        ("x-amz-signature", &"0".repeat(64)),
        ("x-amz-date", "20300101T000000Z"),
        ("success_action_redirect", "https://evil.example/"),
        ("policy", "e30="),
    ] {
        post(server, &url, &with(name, value), BODY).await.expect_refusal(&format!("{name}: {value}"));
    }
    post(server, &url.replace("user-files", "other"), &fields, BODY).await.expect_refusal("another bucket");
    for missing in ["policy", "x-amz-signature", "Content-Type"] {
        let fields: Vec<_> = fields.iter().filter(|(name, _)| *name != missing).cloned().collect();
        let answer = post(server, &url, &fields, BODY).await;
        assert!(answer.status >= 400, "without {missing}: {}", answer.status);
    }
    for key in [key, "users/2/not-there.wav", "users/1/a.wav"] {
        assert_eq!(server.stored(&server.files, key).await, None, "{key}");
    }
}

pub(crate) async fn not_after_its_time(server: &Server) {
    if server.lacks(Lack::Forms) {
        return;
    }
    let key = "users/1/late-form.wav";
    let Form { url, fields, .. } = sign(server, key, now() - 65);
    post(server, &url, &fields, BODY).await.expect_refusal("after its end");
    assert_eq!(server.stored(&server.files, key).await, None);
}
