//! docs/openapi.json against what the gateway takes and answers.

use std::collections::BTreeSet;
use std::path::Path;

use boon::{Compiler, Schemas};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::uploads::{body, new};
use crate::server::{Lack, Server};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

/// The document, and what was asked so far.
struct Document {
    json: Value,
    seen: BTreeSet<String>,
    http: Client,
}

impl Document {
    fn new(socket: &str) -> Self {
        let text = std::fs::read_to_string(Path::new(PAGE)).expect("a document");
        let json: Value = serde_json::from_str(&text).expect("JSON");
        let http = Client::builder().unix_socket(socket).build().expect("a client");
        Self { json, seen: BTreeSet::new(), http }
    }

    /// Holds a value against the schema at a place of the document.
    #[track_caller]
    fn hold(&self, pointer: &str, value: &Value) {
        assert!(self.json.pointer(pointer).is_some(), "{pointer} is not documented");
        let place = format!("http://local/openapi.json#{pointer}");
        let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
        compiler.set_default_draft(boon::Draft::V2020_12);
        compiler.enable_format_assertions();
        compiler.add_resource("http://local/openapi.json", self.json.clone()).expect("a resource");
        let index = compiler.compile(&place, &mut schemas).unwrap_or_else(|e| panic!("{e:#}"));
        if let Err(error) = schemas.validate(value, index) {
            panic!("{pointer}: {error:#}\n{value:#}");
        }
    }

    /// Asks, and holds question and answer against what is written. `path` is as the document has it.
    async fn ask(&mut self, path: &str, query: &str, asked: &Value, status: u16) -> Value {
        let in_pointer = path.replace('/', "~1");
        let operation = format!("/paths/{in_pointer}/post");
        let taken = self.json.pointer(&format!("{operation}/requestBody/content")).and_then(Value::as_object);
        let kind = taken.and_then(|kinds| kinds.keys().next()).expect("a content type").clone();
        if status < 300 {
            self.hold(&format!("{operation}/requestBody/content/{}/schema", kind.replace('/', "~1")), asked);
        }
        let url = format!("http://localhost{}{query}", path.replace("{bucket}", "blobs"));
        let request = self.http.post(url).header("content-type", kind).body(asked.to_string());
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{path}: {}", answer.text().await.unwrap_or_default());
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().expect("ASCII").replace('/', "~1"));
        let text = answer.text().await.expect("a body");
        let said = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") };
        let response = format!("{operation}/responses/{status}");
        match kind {
            Some(kind) => self.hold(&format!("{response}/content/{kind}/schema"), &said),
            None => assert!(self.json.pointer(&response).is_some() && text.is_empty(), "{response}: {text}"),
        }
        self.seen.insert(format!("{path} {status}"));
        said
    }
}

pub(crate) async fn what_is_said_and_answered(server: &Server) {
    server.api.client();
    let mut document = Document::new(server.api.socket());
    let served = document.http.get("http://localhost/openapi.json").send().await.expect("an answer");
    assert_eq!(served.json::<Value>().await.expect("JSON"), document.json, "what is served is what is in docs/");

    let d = &mut document;
    let object = json!({"bucket": "plain", "key": "users/1/openapi.wav"});
    let upload =
        json!({"bucket": "creators", "key": "users/1/openapi.wav", "type": "audio/wav", "length": 3, "expires": 60});
    let items = json!([{"download": object}, {"put": upload}, {"form": upload}, {"download": {"bucket": "none", "key": "a"}},
        {"scan": {"bucket": "creators", "key": "users/1/a", "version": "1"}}]);
    let signed = d.ask("/sign", "", &json!({"items": items}), 200).await;
    let writes = !server.lacks(Lack::WriteOnlyKey);
    let put = if writes { "signed" } else { "refused" };
    for (at, outcome) in ["signed", put, "form", "refused", "signed"].into_iter().enumerate() {
        assert!(signed["items"][at][outcome].is_object(), "{at}: {signed}");
    }
    d.ask("/sign", "", &json!({"items": []}), 400).await;
    d.ask("/sign", "", &json!({"items": vec![object.clone(); 51]}), 413).await;
    // What can't be read is the outcome of that item alone, and says where.
    let odd = json!({"items": [{"download": {"bucket": "plain", "key": "users/1/a", "expire": 1}}, {"delete": object}, {"download": object}]});
    let answer = d.http.post("http://localhost/sign").body(odd.to_string()).send().await.expect("an answer");
    let odd: Value = answer.json().await.expect("JSON");
    let error = odd["items"][0]["refused"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("`expire`"), "{odd}");
    assert_eq!(odd["items"][1]["refused"]["code"], "item-refused", "{odd}");
    assert!(odd["items"][2]["signed"].is_object(), "{odd}");

    let begun = d.ask("/uploads", "", &upload, 200).await;
    d.ask("/uploads", "", &json!({"bucket": "none", "key": "users/1/a", "type": "audio/wav", "length": 3}), 404).await;
    let error = d.ask("/uploads", "", &json!({"bucket": "creators", "length": "3"}), 400).await;
    assert!(error["error"].as_str().is_some_and(|error| error.contains("length")), "{error}");
    let one = json!({"upload": begun["upload"]});
    d.ask("/uploads/complete", "", &one, 409).await;
    d.ask("/uploads/list", "", &one, 400).await;
    let form: client::Form = serde_json::from_value(begun["form"].clone()).expect("a form");
    super::post(server, &form, b"abc").await.expect_success();
    let stored = d.ask("/uploads/complete", "", &one, 200).await;
    let mut release = json!({"bucket": "creators", "key": "users/1/openapi.wav", "etag": stored["etag"]});
    if let Some(version) = stored.get("version") {
        release["version"] = version.clone();
    }
    d.ask("/uploads/release", "", &release, 200).await;
    let gone = json!({"bucket": "creators", "key": "users/1/openapi.wav", "etag": "\"gone\""});
    d.ask("/uploads/release", "", &gone, 404).await;
    d.ask("/uploads/discard", "", &json!({"bucket": "creators", "key": "users/1/openapi.wav"}), 204).await;
    d.ask("/uploads/discard", "", &json!({"bucket": "plain", "key": "users/1/openapi.wav"}), 409).await;

    let long = json!({"bucket": "plain", "key": "users/1/openapi long.wav", "type": "audio/wav", "length": 11 << 20});
    let long = d.ask("/uploads", "", &long, 200).await;
    let parts = json!({"upload": long["upload"], "parts": [1, 2, 9]});
    let one = json!({"upload": long["upload"]});
    if writes {
        let parts = d.ask("/uploads/parts", "", &parts, 200).await;
        assert_eq!(parts["items"][2]["refused"]["code"], "part-refused", "{parts}");
        let put: client::Signed = serde_json::from_value(parts["items"][0]["signed"].clone()).expect("a PUT");
        super::send_signed(server, &put, &body(5 << 20)).await.expect_success();
        d.ask("/uploads/list", "", &one, 200).await;
        d.ask("/uploads/abort", "", &one, 204).await;
    } else {
        // It goes in one go, and has none.
        d.ask("/uploads/parts", "", &parts, 400).await;
        d.ask("/uploads/list", "", &one, 400).await;
        d.ask("/uploads/abort", "", &one, 400).await;
    }

    let oid = "0123456789abcdef".repeat(4);
    let batch = json!({"operation": "upload", "objects": [{"oid": oid, "size": 1}, {"oid": "x", "size": 1}]});
    let query = "?prefix=users/1&verify=https%3A%2F%2Fa.example%2Fv";
    d.ask("/lfs/{bucket}/objects/batch", query, &batch, 200).await;
    let batch =
        json!({"operation": "download", "objects": [{"oid": oid, "size": 1}], "ref": {"name": "refs/heads/main"}});
    d.ask("/lfs/{bucket}/objects/batch", query, &batch, 200).await;
    let sha1 = json!({"operation": "upload", "objects": [{"oid": oid, "size": 1}], "hash_algo": "sha1"});
    d.ask("/lfs/{bucket}/objects/batch", query, &sha1, 409).await;
    d.ask("/lfs/{bucket}/objects/verify", "?prefix=users/1", &json!({"oid": oid, "size": 1}), 404).await;

    every_operation(&document, writes).await;
}

/// Every operation was asked, none answers another method, and the index names the same. Without a key that only writes, what is about parts is refused.
async fn every_operation(document: &Document, writes: bool) {
    let index = document.http.get("http://localhost/").send().await.expect("an answer").text().await.expect("text");
    let listed: BTreeSet<String> = index
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(|path| path.replace("BUCKET", "{bucket}"))
        .filter(|path| ["/sign", "/uploads", "/lfs", "/openapi"].iter().any(|begin| path.starts_with(begin)))
        .collect();
    let paths = document.json["paths"].as_object().expect("paths");
    assert_eq!(listed, paths.keys().cloned().collect(), "what / lists is what is documented");
    for (path, item) in paths {
        let method = item.as_object().and_then(|item| item.keys().next()).expect("a method");
        let refused = !writes && ["/uploads/parts", "/uploads/list", "/uploads/abort"].contains(&path.as_str());
        let status = if refused { '4' } else { '2' };
        let asked = document.seen.iter().any(|seen| seen.starts_with(&format!("{path} {status}")));
        assert!(asked || method == "get" || path.ends_with("/verify"), "{path} was not asked");
        let url = format!("http://localhost{}", path.replace("{bucket}", "blobs"));
        let other = if method == "get" { Method::POST } else { Method::GET };
        let answer = document.http.request(other, url).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 405, "{path}");
    }
}

/// After all that came before: what was signed, and the keys that signed it, are in no line.
pub(crate) async fn no_url_is_logged(server: &Server) {
    let gateway = server.api.client();
    gateway.begin(&new("plain", "users/1/logged.wav", 10)).await.expect("begun");
    let log = server.api.log();
    assert!(log.contains("\"serving\""), "{log}");
    for secret in ["X-Amz-", "x-amz-signature", "storageOwnerSecret", "storageWriterSecret"] {
        assert!(!log.contains(secret), "{secret} is logged");
    }
}
