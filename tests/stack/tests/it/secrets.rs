//! No hop's log holds what a visitor keeps secret, whatever comes of the request. (The gateway's log at the most talkative level is searched in
//! `origin/tests/it/secrets.rs`.)

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::answer::send;
use crate::site::{Host, Site, eventually};

cases![no_hop_logs_a_secret];

const AUTHORIZATION: &str = "planted-authorization-e2e-51";
const COOKIE: &str = "planted-cookie-e2e-52";
const QUERY: &str = "planted-query-e2e-53";
const AMZ: &str = "planted-amz-signature-e2e-54";
const PASSWORD: &str = "planted-password-e2e-55";
const TOKEN: &str = "planted-turnstile-e2e-56";
const TIMING: &str = "planted-timing-e2e-57";
const BEARER: &str = "planted-bearer-e2e-58";
/// It is logged: a path.
const CONTROL: &str = "planted-control-e2e-59";

/// The lines of both hops.
fn lines(site: &Site) -> Vec<String> {
    let mut all = site
        .stack
        .workerd
        .as_ref()
        .map_or_else(Vec::new, |workerd| workerd.lines().into_iter().map(|line| line.message).collect());
    all.extend(site.stack.gateway.all_lines().iter().map(Value::to_string));
    all
}

async fn no_hop_logs_a_secret(site: &Site) {
    let query = format!("token={QUERY}&X-Amz-Signature={AMZ}");
    let with = |request: reqwest::RequestBuilder| {
        let request =
            request.header("authorization", format!("Bearer {AUTHORIZATION}")).header("origin-timing", TIMING);
        request.header("cookie", format!("session={COOKIE}; __Host-clearance={COOKIE}")).header("x-csrf-token", COOKIE)
    };
    let mut statuses = Vec::new();
    for path in [
        format!("/{CONTROL}"),
        "/misbehave/close".into(),
        "/a%2fb".into(),
        "/near".into(),
        "/no/such/page".into(),
        "/cache".into(),
    ] {
        statuses.push(send(with(site.get(&format!("{path}?{query}")))).await.status);
    }
    // The filter stops it; and asks for a check; and what is brought there is no token.
    for path in [format!("/near?id=1%27%20or%20%271%27=%271&{query}"), format!("/near?checked=1&{query}")] {
        statuses.push(send(with(site.get(&path))).await.status);
    }
    let form = format!("to=%2F&cf-turnstile-response={TOKEN}");
    let post = |path: &str, kind: &str, body: String| with(site.post(path)).header("content-type", kind).body(body);
    statuses.push(send(post("/.edge/challenge", "application/x-www-form-urlencoded", form)).await.status);
    let form = format!("user=%27%20or%20%271%27=%271&password={PASSWORD}");
    statuses.push(send(post(&format!("/login?{query}"), "application/x-www-form-urlencoded", form)).await.status);
    let wrong = site.post(&format!("/webhooks/known?{query}")).header("authorization", format!("Bearer {BEARER}"));
    statuses.push(send(wrong.body("{}")).await.status);
    let wish = json!({ "name": "a.wav", "type": "audio/wav", "size": 7 }).to_string();
    statuses.push(send(post(&format!("/api/uploads?{query}"), "application/json", wish)).await.status);
    // The operator's own token, where it is the right one.
    let token = &site.stack.credentials.timing_token;
    statuses.push(send(site.get("/near?timed").header("origin-timing", token)).await.status);
    let last = send(with(site.get(&format!("/misbehave/close?last&{query}")))).await;
    statuses.push(last.status);
    for status in [200, 400, 401, 403, 404, 502] {
        assert!(statuses.contains(&status), "{status} was driven: {statuses:?}");
    }
    // A file that is handed out: its URL is the visitor's.
    let handed = send(site.get("/listen/tide")).await;
    let location = handed.field("location").to_owned();
    let signature = location.split_once("X-Amz-Signature=").map(|(_, signature)| signature.to_owned());

    let id = last.id().to_owned();
    eventually("the last line", || lines(site).iter().any(|line| line.contains(&id)).then_some(())).await;
    let all = lines(site);
    let hops = if site.host == Host::Worker { 2 } else { 1 };
    assert_eq!(all.iter().filter(|line| line.contains(CONTROL)).count(), hops, "what is logged is found, at each hop");
    let credentials = &site.stack.credentials;
    let secrets =
        [AUTHORIZATION, COOKIE, QUERY, AMZ, PASSWORD, TOKEN, TIMING, BEARER].map(ToOwned::to_owned).into_iter();
    let secrets = secrets.chain(signature).chain([
        credentials.bucket.1.clone(),
        credentials.bucket_writer.1.clone(),
        credentials.app_token.clone(),
        credentials.timing_token.clone(),
        credentials.edge_keys.trim().split_once(':').expect("a key").1.to_owned(),
        stack::turnstile::SECRET.to_owned(),
    ]);
    for secret in secrets {
        for way in [&secret, &BASE64_STANDARD.encode(&secret)] {
            let leaked: Vec<_> = all.iter().filter(|line| line.contains(way.as_str())).collect();
            assert!(leaked.is_empty(), "{secret}: {leaked:?}");
        }
    }
}
