//! Files that people bring: the app asks the gateway on its private listener, the bytes go from the client to the bucket.

use reqwest::{Method, multipart};
use serde_json::{Value, json};

use crate::answer::{Answer, send};
use crate::files::sign_in;
use crate::site::{Site, client};

cases![in_one_go_and_played, in_parts_and_resumed, only_for_whoever_began_it,];

/// Someone who is signed in.
struct Person {
    cookie: String,
    csrf: String,
}

impl Person {
    async fn new(site: &Site) -> Self {
        let cookie = sign_in(site).await;
        let me = send(site.get("/api/me").header("cookie", &cookie)).await.json::<Value>();
        Self { cookie, csrf: me["csrf"].as_str().expect("a token").to_owned() }
    }

    async fn ask(&self, site: &Site, method: Method, path: &str, said: &Value) -> Answer {
        let request = site.request(method, path).header("cookie", &self.cookie).header("x-csrf-token", &self.csrf);
        // A GET without one: a Worker's fetch takes no body for it.
        if said.is_null() {
            return send(request).await;
        }
        send(request.header("content-type", "application/json").body(said.to_string())).await
    }

    async fn begin(&self, site: &Site, name: &str, length: usize) -> Value {
        let said = json!({ "name": name, "type": "audio/wav", "length": length });
        let begun = self.ask(site, Method::POST, "/api/files", &said).await;
        assert_eq!(begun.status, 200, "{}{}", begun.head(), begun.text());
        begun.json()
    }

    /// Says that all is there; gives what anyone then gets by the file's address.
    async fn complete(&self, site: &Site, id: &str) -> Answer {
        let path = format!("/api/files/{id}/complete");
        let done = self.ask(site, Method::POST, &path, &json!({})).await;
        assert_eq!(done.status, 200, "{}{}", done.head(), done.text());
        let url = done.json::<Value>()["url"].as_str().expect("an address").to_owned();
        let handed_off = site.fetch(&url).await;
        assert_eq!(handed_off.status, 302, "{}", handed_off.head());
        let location = handed_off.field("location");
        assert!(!location.contains("pending"), "{location}");
        send(client().build().expect("a client").get(location)).await
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

async fn in_one_go_and_played(site: &Site) {
    let (person, body) = (Person::new(site).await, b"RIFF....WAVEfmt ".to_vec());
    let begun = person.begin(site, "Fünf.wav", body.len()).await;
    let id = text(&begun["id"]);
    let early = person.ask(site, Method::POST, &format!("/api/files/{id}/complete"), &json!({})).await;
    assert_eq!(early.status, 409, "{}", early.text());
    let mut form = multipart::Form::new();
    for field in begun["form"]["fields"].as_array().expect("fields") {
        form = form.text(text(&field[0]), text(&field[1]));
    }
    let form = form.part("file", multipart::Part::bytes(body.clone()));
    let posted = client().build().expect("a client").post(text(&begun["form"]["url"])).multipart(form);
    assert_eq!(posted.send().await.expect("an answer").status(), 201);
    assert_eq!(site.fetch(&format!("/files/{id}")).await.status, 404, "it is not released");
    let file = person.complete(site, &id).await;
    assert_eq!((file.status, &file.body), (200, &body));
    assert_eq!(file.field("content-disposition"), "inline; filename=\"F_nf.wav\"; filename*=UTF-8''F%C3%BCnf%2Ewav");
}

async fn in_parts_and_resumed(site: &Site) {
    let person = Person::new(site).await;
    let body: Vec<u8> = (0..(17 << 20)).map(|n| (n % 251) as u8).collect();
    let begun = person.begin(site, "long.wav", body.len()).await;
    let (id, size) = (text(&begun["id"]), begun["part_size"].as_u64().expect("parts") as usize);
    assert_eq!((begun["parts"].as_u64(), size), (Some(2), 16 << 20));
    let bucket = client().build().expect("a client");
    for number in [2, 1] {
        // Whoever comes back asks what is missing.
        let state = person.ask(site, Method::GET, &format!("/api/files/{id}"), &Value::Null).await.json::<Value>();
        let missing = state["missing"].as_array().expect("a list");
        assert!(missing.contains(&json!(number)) && missing.len() == number, "{state}");
        let parts =
            person.ask(site, Method::POST, &format!("/api/files/{id}/parts"), &json!({ "parts": [number] })).await;
        let put = parts.json::<Value>()["items"][0]["signed"].clone();
        let part = body.chunks(size).nth(number - 1).expect("a part").to_vec();
        let sent = bucket.put(text(&put["url"])).body(part).send().await.expect("an answer");
        assert!(sent.status().is_success(), "{}", sent.text().await.expect("text"));
    }
    let file = person.complete(site, &id).await;
    assert!(file.status == 200 && file.body == body, "{}", file.head());
}

async fn only_for_whoever_began_it(site: &Site) {
    let person = Person::new(site).await;
    let stranger = send(site.post("/api/files").body("{}")).await;
    assert_eq!(stranger.status, 401, "{}", stranger.text());
    let forged = send(site.post("/api/files").header("cookie", &person.cookie).body("{}")).await;
    assert_eq!(forged.status, 403, "{}", forged.text());
    let huge = json!({ "name": "a", "type": "text/html", "length": 1 });
    let refused = person.ask(site, Method::POST, "/api/files", &huge).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(refused.text().contains("`text/html`"), "{}", refused.text());
    assert_eq!(person.ask(site, Method::GET, "/api/files/0", &Value::Null).await.status, 404);
}
