//! URLs to read by.

use origin::storage::Download;

use crate::server::{Lack, Server, now, send};

const KEY: &str = "users/1/Fünf Fenster & é/小さな町 (1)+~.txt";
const BODY: &[u8] = b"0123456789abcdef";

fn sign(server: &Server, download: Download<'_>) -> String {
    download.sign(&server.files, now()).expect("signed").url
}

pub(crate) async fn by_get_and_head(server: &Server) {
    server.store(&server.files, KEY, "text/plain", BODY).await;
    let get = sign(server, Download { key: KEY, ..Download::default() });
    let answer = send(server.http.get(&get)).await;
    assert_eq!(
        (answer.status, &*answer.body, answer.field("content-type")),
        (200, BODY, "text/plain"),
        "{}",
        answer.text()
    );
    let head = sign(server, Download { key: KEY, head: true, ..Download::default() });
    let answer = send(server.http.head(&head)).await;
    assert_eq!((answer.status, answer.field("content-length")), (200, "16"));
    // Each is for its method.
    send(server.http.head(&get)).await.expect_refusal("HEAD by GET's URL");
    send(server.http.get(&head)).await.expect_refusal("GET by HEAD's URL");
    // A stable URL began a while ago.
    let stable = sign(server, Download { key: KEY, stable: true, ..Download::default() });
    assert_eq!(send(server.http.get(&stable)).await.body, BODY);
}

pub(crate) async fn ranges(server: &Server) {
    server.store(&server.files, KEY, "text/plain", BODY).await;
    let url = sign(server, Download { key: KEY, ..Download::default() });
    for (range, body, said) in [("bytes=2-5", &BODY[2..6], "bytes 2-5/16"), ("bytes=-4", &BODY[12..], "bytes 12-15/16")]
    {
        let part = send(server.http.get(&url).header("range", range)).await;
        assert_eq!((part.status, &*part.body, part.field("content-range")), (206, body, said));
    }
    let beyond = send(server.http.get(&url).header("range", "bytes=16-")).await;
    assert_eq!(beyond.status, 416);
}

pub(crate) async fn what_the_storage_is_told_to_say(server: &Server) {
    server.store(&server.files, KEY, "text/plain", BODY).await;
    let named = Download { key: KEY, filename: Some("Fünf \"Fenster\".txt"), ..Download::default() };
    let url = sign(server, Download { content_type: Some("audio/wav"), attachment: Some(false), ..named });
    let answer = send(server.http.get(&url)).await;
    assert_eq!(answer.field("content-type"), "audio/wav");
    let name = "filename=\"F_nf _Fenster_.txt\"; filename*=UTF-8''F%C3%BCnf%20%22Fenster%22%2Etxt";
    assert_eq!(answer.field("content-disposition"), format!("inline; {name}"));
    // What a browser would run is saved, whatever was asked.
    let url = sign(server, Download { content_type: Some("text/html"), attachment: Some(false), ..named });
    let answer = send(server.http.get(&url)).await;
    assert_eq!((answer.status, answer.field("content-type")), (200, "text/html"));
    assert_eq!(answer.field("content-disposition"), format!("attachment; {name}"));
    // And nobody takes it out again.
    for changed in [
        url.replace("attachment", "inline"),
        url.replace("text%2Fhtml", "text%2Fplain"),
        url.replacen("&response-content-type=text%2Fhtml", "", 1).replacen("response-content-type=text%2Fhtml&", "", 1),
        format!("{url}&response-content-type=image/png"),
        format!("{url}&response-cache-control=public"),
    ] {
        assert_ne!(changed, url);
        send(server.http.get(&changed)).await.expect_refusal(&changed);
    }
}

pub(crate) async fn one_version(server: &Server) {
    if server.lacks(Lack::Versions) {
        return;
    }
    let key = "users/1/versions.txt";
    let first = server.store(&server.files, key, "text/plain", b"first").await;
    server.store(&server.files, key, "text/plain", b"second").await;
    let version = first.field("x-amz-version-id");
    assert!(!version.is_empty());
    let pinned = sign(server, Download { key, version: Some(version), ..Download::default() });
    let newest = sign(server, Download { key, ..Download::default() });
    assert_eq!(send(server.http.get(&pinned)).await.body, b"first");
    assert_eq!(send(server.http.get(&newest)).await.body, b"second");
    send(server.http.get(pinned.replace(version, "null"))).await.expect_refusal("another version");
    send(server.http.get(format!("{newest}&versionId={version}"))).await.expect_refusal("a version");
    // A delete hides it; the version is still there.
    server.owner(&server.files, "DELETE", key, &[], Vec::new()).await.expect_success();
    assert_eq!(send(server.http.get(&newest)).await.status, 404);
    assert_eq!(send(server.http.get(&pinned)).await.body, b"first");
}

pub(crate) async fn nothing_else_is_allowed(server: &Server) {
    server.store(&server.files, KEY, "text/plain", BODY).await;
    server.store(&server.files, "users/2/a.txt", "text/plain", b"another's").await;
    let url = sign(server, Download { key: "users/1/a.txt", ..Download::default() });
    server.store(&server.files, "users/1/a.txt", "text/plain", BODY).await;
    assert_eq!(send(server.http.get(&url)).await.status, 200);
    let (rest, signature) = url.rsplit_once('=').expect("a signature");
    let flipped = if signature.starts_with('0') { '1' } else { '0' };
    for changed in [
        url.replace("users/1/a.txt", "users/2/a.txt"),
        url.replace("users/1/a.txt", ""),
        url.replace("/user-files/", "/other/"),
        url.replace("X-Amz-Expires=900", "X-Amz-Expires=604800"),
        url.replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host%3Brange"),
        format!("{rest}={flipped}{}", &signature[1..]),
        format!("{url}&uploads="),
        format!("{url}&acl="),
        url.split_once('?').expect("a query").0.to_owned(),
    ] {
        assert_ne!(changed, url);
        send(server.http.get(&changed)).await.expect_refusal(&changed);
    }
    send(server.http.delete(&url)).await.expect_refusal("DELETE by GET's URL");
    send(server.http.put(&url).body("x")).await.expect_refusal("PUT by GET's URL");
    send(server.http.post(&url).body("x")).await.expect_refusal("POST by GET's URL");
    assert_eq!(server.stored(&server.files, "users/1/a.txt").await.as_deref(), Some(BODY));
}

pub(crate) async fn not_after_its_time(server: &Server) {
    server.store(&server.files, KEY, "text/plain", BODY).await;
    for lasts in [1, 60] {
        let ended = Download { key: KEY, lasts: Some(lasts), ..Download::default() };
        let url = ended.sign(&server.files, now() - lasts - 5).expect("signed").url;
        send(server.http.get(&url)).await.expect_refusal("after its end");
    }
}
