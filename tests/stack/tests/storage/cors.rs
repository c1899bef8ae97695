//! Buckets from a page's view: what a browser asks before a script may upload, and what it lets the script see.

use origin::storage::{Download, Upload};

use crate::forms::post;
use crate::parts;
use crate::server::{Lack, ORIGIN, Server, now, send};

const BODY: &[u8] = b"RIFF....WAVEfmt ";

pub(crate) async fn a_page_uploads_and_reads(server: &Server) {
    if server.lacks(Lack::Cors) {
        return;
    }
    let key = "users/1/cors.wav";
    let upload = Upload { key, content_type: "audio/wav", length: BODY.len() as u64, sha256: None, lasts: None };
    let put = upload.put(&server.files, now()).expect("signed");
    let preflight = async |url: &str, origin: &str, method: &str| {
        let asked = server.http.request(reqwest::Method::OPTIONS, url).header("origin", origin);
        send(
            asked
                .header("access-control-request-method", method)
                .header("access-control-request-headers", "content-type"),
        )
        .await
    };
    // Before a PUT with a content type a browser asks.
    let answer = preflight(&put.url, ORIGIN, "PUT").await;
    answer.expect_success();
    assert_eq!(answer.field("access-control-allow-origin"), ORIGIN);
    assert!(answer.field("access-control-allow-methods").contains("PUT"));
    assert!(answer.field("access-control-allow-headers").to_lowercase().contains("content-type"));
    assert_eq!(answer.field("access-control-max-age"), "3600");
    // Nobody else's scripts, and nothing but uploading and reading.
    for (origin, method) in [("https://evil.example", "PUT"), ("http://makenot.work", "PUT"), (ORIGIN, "DELETE")] {
        let answer = preflight(&put.url, origin, method).await;
        assert_eq!(answer.field("access-control-allow-origin"), "", "{origin} {method}: {}", answer.status);
    }
    // The upload itself; the script sees its hash and version.
    let done = send(server.put(&put, BODY).header("origin", ORIGIN)).await;
    done.expect_success();
    sees(&done, &["etag", "x-amz-version-id"]);
    let other = send(server.put(&put, BODY).header("origin", "https://evil.example")).await;
    assert_eq!(other.field("access-control-allow-origin"), "");
    // A part, and a form.
    let part_of = parts::begin(server, key).await;
    let part = parts::sign(server, key, &part_of, 1, BODY.len());
    let done = send(server.put(&part, BODY).header("origin", ORIGIN)).await;
    done.expect_success();
    sees(&done, &["etag"]);
    let form = upload.form(&server.files, now()).expect("signed");
    let done = post(server, &form.url, &form.fields, BODY).await;
    assert_eq!(done.status, 201, "{}", done.text());
    // A player that seeks.
    let url = Download { key, ..Download::default() }.sign(&server.files, now()).expect("signed").url;
    let read = send(server.http.get(&url).header("origin", ORIGIN).header("range", "bytes=0-3")).await;
    assert_eq!((read.status, &*read.body), (206, &BODY[..4]));
    sees(&read, &["content-range", "accept-ranges"]);
}

/// That the browser gives the script the answer, and these of its fields.
#[track_caller]
fn sees(answer: &crate::server::Answer, fields: &[&str]) {
    assert_eq!(answer.field("access-control-allow-origin"), ORIGIN);
    let exposed = answer.field("access-control-expose-headers").to_lowercase();
    for field in fields {
        assert!(exposed.split(',').any(|name| name.trim() == *field), "{field} is not in {exposed}");
    }
}
