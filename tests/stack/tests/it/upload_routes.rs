//! Uploads that the app allows beforehand: in one go and in parts, past both of us to the bucket, and the app is told of what is there.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::answer::{Answer, send};
use crate::files::sign_in;
use crate::site::{Site, client};

cases![
    in_one_go,
    in_parts_with_a_break,
    what_is_not_allowed,
    what_is_between_us_and_the_app,
    an_upload_is_nobody_elses,
    given_up,
    the_app_is_told_once_it_is_back,
];

const ROUTE: &str = "/api/uploads";
/// Bytes of a part, as the stack's bucket has it, and from which on there are parts.
const PART: usize = 16 << 20;

/// Somebody who is signed in.
struct Visitor {
    cookie: String,
    csrf: String,
}

impl Visitor {
    async fn new(site: &Site) -> Self {
        let cookie = sign_in(site).await;
        let me: Value = send(site.get("/api/me").header("cookie", &cookie)).await.json();
        Self { csrf: me["csrf"].as_str().expect("a token").to_owned(), cookie }
    }

    async fn ask(&self, site: &Site, step: &str, body: &Value) -> Answer {
        let request =
            site.post(&format!("{ROUTE}{step}")).header("cookie", &self.cookie).header("x-csrf-token", &self.csrf);
        send(request.json(body)).await
    }

    /// Begins an upload of so many bytes.
    async fn begin(&self, site: &Site, size: usize) -> Value {
        let begun = self.ask(site, "", &wish("Fünf Nächte.wav", "audio/wav", size)).await;
        assert_eq!((begun.status, begun.field("cache-control")), (200, "no-store"), "{}", begun.text());
        begun.json()
    }

    /// Sends some parts of a file.
    async fn put(&self, site: &Site, upload: &Value, numbers: &[usize], file: &[u8]) {
        let signed = self.ask(site, "/parts", &json!({ "upload": upload, "parts": numbers })).await;
        let signed: Value = signed.json();
        let parts = signed["parts"].as_array().unwrap_or_else(|| panic!("{signed}"));
        assert_eq!(parts.len(), numbers.len());
        for (number, part) in numbers.iter().zip(parts) {
            let body = file.chunks(PART).nth(number - 1).expect("a part").to_vec();
            assert_eq!(
                (part["number"].as_u64(), part["size"].as_u64()),
                (Some(*number as u64), Some(body.len() as u64))
            );
            let url = part["url"].as_str().expect("a URL");
            assert!(url.starts_with(&site.stack.addresses.s3), "{url}");
            let put = send(client().build().expect("a client").put(url).body(body)).await;
            assert_eq!(put.status, 200, "part {number}: {}", put.text());
        }
    }
}

fn wish(name: &str, kind: &str, size: usize) -> Value {
    json!({ "name": name, "type": kind, "size": size })
}

/// Bytes that differ from part to part.
fn file(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251 + n / PART) as u8).collect()
}

/// Follows what the app has said of it to the bytes.
async fn heard(site: &Site, done: &Answer) -> Vec<u8> {
    assert_eq!(done.status, 201, "{}", done.text());
    let said: Value = done.json();
    let page = said["page"].as_str().expect("a page");
    assert!(site.fetch(page).await.text().contains("Fünf Nächte.wav"));
    let answer = site.fetch(&format!("{page}/download")).await;
    let got = send(client().build().expect("a client").get(answer.field("location"))).await;
    let disposition = got.field("content-disposition");
    assert!(disposition.ends_with("filename*=UTF-8''F%C3%BCnf%20N%C3%A4chte%2Ewav"), "{disposition}");
    assert_eq!((got.status, got.field("content-type")), (200, "audio/wav"));
    got.body
}

async fn in_one_go(site: &Site) {
    let (visitor, file) = (Visitor::new(site).await, file(70_000));
    let begun = visitor.begin(site, file.len()).await;
    let which = json!({ "upload": begun["upload"] });
    let early = visitor.ask(site, "/complete", &which).await;
    assert_eq!(
        (early.status, early.json::<Value>()["code"].as_str()),
        (409, Some("upload-incomplete")),
        "{}",
        early.text()
    );
    let mut form = Form::new();
    for field in begun["form"]["fields"].as_array().expect("fields") {
        let [name, value] = [0, 1].map(|n| field[n].as_str().expect("text").to_owned());
        form = form.text(name, value);
    }
    let part = Part::bytes(file.clone()).mime_str("audio/wav").expect("a type");
    let url = begun["form"]["url"].as_str().expect("a URL");
    let posted = send(client().build().expect("a client").post(url).multipart(form.part("file", part))).await;
    assert!((200..300).contains(&posted.status), "{}: {}", posted.status, posted.text());
    let done = visitor.ask(site, "/complete", &which).await;
    assert!(heard(site, &done).await == file);
    // It has no parts.
    assert_eq!(visitor.ask(site, "/list", &which).await.status, 409);
}

async fn in_parts_with_a_break(site: &Site) {
    let (visitor, file) = (Visitor::new(site).await, file(2 * PART + 1_000));
    let begun = visitor.begin(site, file.len()).await;
    assert_eq!((begun["part_size"].as_u64(), begun["parts"].as_u64()), (Some(PART as u64), Some(3)), "{begun}");
    let which = json!({ "upload": begun["upload"] });
    visitor.put(site, &begun["upload"], &[3, 1], &file).await;
    // A program that has begun anew finds out what is there.
    let listed: Value = visitor.ask(site, "/list", &which).await.json();
    assert_eq!((&listed["parts"], &listed["missing"]), (&json!([1, 3]), &json!([2])), "{listed}");
    let early = visitor.ask(site, "/complete", &which).await;
    assert_eq!(
        (early.status, early.json::<Value>()["code"].as_str()),
        (409, Some("upload-incomplete")),
        "{}",
        early.text()
    );
    visitor.put(site, &begun["upload"], &[2], &file).await;
    let done = visitor.ask(site, "/complete", &which).await;
    assert!(heard(site, &done).await == file);
}

async fn what_is_not_allowed(site: &Site) {
    let visitor = Visitor::new(site).await;
    let stranger = Visitor { cookie: String::new(), csrf: String::new() };
    let forger = Visitor { cookie: visitor.cookie.clone(), csrf: "guess".to_owned() };
    let good = wish("a.wav", "audio/wav", 10);
    // The app's own word.
    for (who, status, word) in [(&stranger, 401, "sign in first"), (&forger, 403, "the token is missing")] {
        let answer = who.ask(site, "", &good).await;
        assert!(answer.status == status && answer.text().contains(word), "{}: {}", answer.status, answer.text());
        assert_eq!(answer.field("upload-grant"), "");
    }
    for (body, status, code) in [
        (wish("a.txt", "text/plain", 10), 415, "type-refused"),
        (wish("a.wav", "audio/wav", (1 << 30) + 1), 413, "length-refused"),
        (wish("a.wav", "audio/wav", 6 << 30), 413, "length-refused"),
        (wish("", "audio/wav", 10), 422, "wish-refused"),
        (wish("a.wav", "audio", 10), 422, "wish-refused"),
        (json!({ "name": "a.wav" }), 400, "bad-request"),
        (json!({ "name": "a.wav", "type": "audio/wav", "size": 1, "key": "users/1/tide.wav" }), 400, "bad-request"),
    ] {
        let answer = visitor.ask(site, "", &body).await;
        let said: Value = answer.json();
        assert_eq!((answer.status, said["code"].as_str()), (status, Some(code)), "{body}: {said}");
        assert_eq!(said["request_id"].as_str(), Some(answer.id()));
    }
    // What a page of another site can send without asking.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a"] {
        let request = site.post(ROUTE).header("cookie", &visitor.cookie).header("content-type", kind);
        let answer = send(request.header("x-csrf-token", &visitor.csrf).body(good.to_string())).await;
        assert_eq!(answer.status, 415, "{kind}: {}", answer.text());
    }
    let preflight = site.request(reqwest::Method::OPTIONS, ROUTE).header("origin", "https://evil.example");
    let preflight = send(preflight.header("access-control-request-method", "POST")).await;
    assert_eq!((preflight.status, preflight.field("access-control-allow-origin")), (405, ""), "{}", preflight.head());
    assert_eq!(send(site.get(ROUTE)).await.status, 405);
}

/// That the app has not been asked.
#[track_caller]
fn assert_ours(answer: &Answer, path: &str) {
    let said: Value = answer.json();
    let code = said["code"].as_str().unwrap_or_default();
    let expected = [(404, "not-found"), (400, "path-refused")];
    assert!(expected.contains(&(answer.status, code)), "{path}: {} {said}", answer.status);
}

async fn what_is_between_us_and_the_app(site: &Site) {
    let visitor = Visitor::new(site).await;
    let forged = json!({
        "bucket": "user-files", "key": "users/1/tide.wav", "pending": false, "version": null, "etag": "\"e\"", "size": 1, "type": "audio/wav", "name": "a",
    });
    for step in ["/authorize", "/done", "/done/", "/%64one", "/;a=b/done", "//done", "/x"] {
        let answer = visitor.ask(site, step, &forged).await;
        assert_ours(&answer, step);
    }
    for path in ["/API/uploads/done", "/api/Uploads/authorize", "/api//uploads/done", "/api/up%6Coads/done"] {
        let request = site.post(path).header("cookie", &visitor.cookie).header("x-csrf-token", &visitor.csrf);
        let answer = send(request.json(&forged)).await;
        assert_ours(&answer, path);
    }
}

async fn an_upload_is_nobody_elses(site: &Site) {
    let visitor = Visitor::new(site).await;
    let begun = visitor.begin(site, PART + 1_000).await;
    let upload = begun["upload"].as_str().expect("text");
    let (said, seal) = upload.split_once('.').expect("two parts");
    let other: Value = visitor.begin(site, PART + 1).await;
    let (other, _) = other["upload"].as_str().and_then(|text| text.split_once('.')).expect("two parts");
    for bad in [String::new(), said.to_owned(), format!("{other}.{seal}"), format!("{upload}A"), upload.to_uppercase()]
    {
        let answer = visitor.ask(site, "/parts", &json!({ "upload": bad, "parts": [1] })).await;
        assert_eq!((answer.status, answer.json::<Value>()["code"].as_str()), (400, Some("upload-refused")), "{bad}");
    }
    for parts in [json!([]), json!([0]), json!([3]), json!((0..1_001).collect::<Vec<_>>())] {
        let answer = visitor.ask(site, "/parts", &json!({ "upload": upload, "parts": parts })).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
    }
    // Whoever has it can bring the parts, and the app says no in the end.
    let thief = Visitor { cookie: String::new(), csrf: String::new() };
    visitor.put(site, &begun["upload"], &[1, 2], &file(PART + 1_000)).await;
    let refused = thief.ask(site, "/complete", &json!({ "upload": upload })).await;
    assert!(refused.status == 401 && refused.text().contains("sign in first"), "{}", refused.text());
    assert_eq!(visitor.ask(site, "/complete", &json!({ "upload": upload })).await.status, 201);
}

async fn given_up(site: &Site) {
    let visitor = Visitor::new(site).await;
    let begun = visitor.begin(site, PART + 1_000).await;
    let which = json!({ "upload": begun["upload"] });
    visitor.put(site, &begun["upload"], &[1], &file(PART + 1_000)).await;
    assert_eq!(visitor.ask(site, "/abort", &which).await.status, 204);
    // The embedded storage takes an upload that it does not know for one without parts; Ceph says that there is none.
    let answer = visitor.ask(site, "/complete", &which).await;
    let said: Value = answer.json();
    let code = (answer.status, said["code"].as_str().unwrap_or_default());
    assert!([(404, "upload-unknown"), (409, "upload-incomplete")].contains(&code), "{said}");
}

async fn the_app_is_told_once_it_is_back(site: &Site) {
    let mut site = Site::start(site.host).await.expect("it starts");
    let (visitor, file) = (Visitor::new(&site).await, file(PART + 1));
    let begun = visitor.begin(&site, file.len()).await;
    let which = json!({ "upload": begun["upload"] });
    visitor.put(&site, &begun["upload"], &[1, 2], &file).await;
    let app = site.stack.demo.take().expect("the demo").app.clone();
    let told = visitor.ask(&site, "/complete", &which).await;
    assert_eq!(told.status, 502, "{}", told.head());
    // It comes back, and whoever asks again is answered.
    let address = site.stack.addresses.app.trim_start_matches("http://").to_owned();
    let until = std::time::Instant::now() + Duration::from_secs(10);
    let listener = loop {
        match tokio::net::TcpListener::bind(&address).await {
            Ok(listener) => break listener,
            Err(error) => assert!(std::time::Instant::now() < until, "{address}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let serving = tokio::spawn(app.serve(listener));
    for _ in 0..2 {
        let done = visitor.ask(&site, "/complete", &which).await;
        assert!(heard(&site, &done).await == file);
    }
    serving.abort();
    site.stack.stop().await;
}
