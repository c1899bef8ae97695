//! The double of Cloudflare's API refuses every malformed body, in the API's own form, and keeps nothing of it: what is tested against it would be refused by
//! the real one, too, as far as the published description goes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use deploy::cloudflare::{Cloudflare, TOKEN, Zone};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

/// A call with a good body, and which of its fields must be there, as JSON pointers.
struct Call {
    /// The schema that the body is held to.
    schema: &'static str,
    method: &'static str,
    path: &'static str,
    good: Value,
    required: &'static [&'static str],
}

/// One at least for each schema.
fn calls() -> Vec<Call> {
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec!["makenot.work".to_owned()]).unwrap();
    let csr = names.serialize_request(&key).unwrap().pem().unwrap();
    let own = names.self_signed(&key).unwrap();
    let call = |schema, method, path, good, required| Call { schema, method, path, good, required };
    let record = |fields: Value| {
        let mut record =
            json!({ "name": "x.makenot.work", "ttl": 300, "comment": "from the zone file", "tags": ["a"] });
        record.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        record
    };
    let records = "ZONE/dns_records";
    let limit = json!({ "characteristics": ["cf.colo.id", "ip.src"], "period": 10, "requests_per_period": 200, "mitigation_timeout": 10 });
    let limit = json!({ "rules": [{ "action": "block", "expression": "true", "description": "too many", "enabled": true, "ratelimit": limit }] });
    let ttl = json!({ "mode": "override_origin", "default": 60 });
    let keep = json!({ "cache": true, "edge_ttl": ttl, "browser_ttl": { "mode": "respect_origin" } });
    let keep =
        json!({ "rules": [{ "action": "set_cache_settings", "expression": "true", "action_parameters": keep }] });
    let bots = json!({ "fight_mode": false, "enable_js": false, "ai_bots_protection": "disabled", "crawler_protection": "disabled", "is_robots_txt_managed": false });
    let (a, mx) = (
        json!({ "type": "A", "content": "192.0.2.1", "proxied": true }),
        json!({ "type": "MX", "content": "mx.example", "priority": 10 }),
    );
    let srv = json!({ "type": "SRV", "data": { "priority": 0, "weight": 1, "port": 465, "target": "smtp.example" } });
    let caa = json!({ "type": "CAA", "data": { "flags": 0, "tag": "issue", "value": "letsencrypt.org" } });
    vec![
        call("dns_record", "POST", records, record(a), &["/type", "/name", "/content"]),
        call("dns_record", "POST", records, record(mx), &["/type", "/name", "/content", "/priority"]),
        call("dns_record", "POST", records, record(srv), &["/type", "/name", "/data", "/data/port", "/data/target"]),
        call("dns_record", "POST", records, record(caa), &["/type", "/name", "/data", "/data/tag", "/data/value"]),
        call(
            "rules",
            "PUT",
            "ZONE/rulesets/phases/http_ratelimit/entrypoint",
            limit,
            &[
                "/rules",
                "/rules/0/action",
                "/rules/0/expression",
                "/rules/0/ratelimit/characteristics",
                "/rules/0/ratelimit/period",
            ],
        ),
        call(
            "rules",
            "PUT",
            "ZONE/rulesets/phases/http_request_cache_settings/entrypoint",
            keep,
            &[
                "/rules/0/action_parameters",
                "/rules/0/action_parameters/edge_ttl/mode",
                "/rules/0/action_parameters/browser_ttl/mode",
            ],
        ),
        call(
            "route",
            "POST",
            "ZONE/workers/routes",
            json!({ "pattern": "makenot.work/*", "script": "makenotwork-edge", "request_limit_fail_open": true }),
            &["/pattern"],
        ),
        call(
            "origin_tls_client_auth",
            "POST",
            "ZONE/origin_tls_client_auth",
            json!({ "certificate": own.pem(), "private_key": key.serialize_pem() }),
            &["/certificate", "/private_key"],
        ),
        call(
            "origin_tls_client_auth_settings",
            "PUT",
            "ZONE/origin_tls_client_auth/settings",
            json!({ "enabled": true }),
            &["/enabled"],
        ),
        call(
            "certificate",
            "POST",
            "/certificates",
            json!({ "csr": csr, "hostnames": ["makenot.work"], "request_type": "origin-ecc", "requested_validity": 5475 }),
            &["/csr", "/hostnames", "/request_type"],
        ),
        call(
            "url_normalization",
            "PUT",
            "ZONE/url_normalization",
            json!({ "scope": "none", "type": "rfc3986" }),
            &["/scope", "/type"],
        ),
        call("bot_management", "PUT", "ZONE/bot_management", bots, &[]),
    ]
}

/// Asks with a body as it is. Gives the status, and what was answered.
fn ask(api: &Cloudflare, method: &str, path: &str, body: &str) -> (u16, Value) {
    let url = api.url();
    let (address, base) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap();
    let path = path.replace("ZONE", &format!("/zones/{}", api.zone().id));
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("{method} /{base}{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n");
    write!(stream, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

/// What a call could have changed.
fn kept(zone: &Zone) -> String {
    let Zone { records, settings, rules, routes, pulls, pulls_enabled, bots, url_normalization, .. } = zone;
    format!("{records:?} {settings:?} {rules:?} {routes:?} {pulls:?} {pulls_enabled} {bots:?} {url_normalization}")
}

/// Every place in a body, as a JSON pointer.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), all)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| places(value, &format!("{at}/{n}"), all));
        }
        _ => {}
    }
}

/// Every way in which a good body is made a bad one, with what was done to it.
fn malformed(call: &Call) -> Vec<(String, String)> {
    let mut all = vec![("no body".to_owned(), String::new()), ("half of it".to_owned(), "{\"name\": ".to_owned())];
    let mut places_of = Vec::new();
    places(&call.good, "", &mut places_of);
    for place in &places_of {
        let mut bad = call.good.clone();
        let value = bad.pointer_mut(place).unwrap();
        // Where an object was there is none, and one where none was.
        *value = if value.is_object() { json!("no object") } else { json!({ "no": "such" }) };
        all.push((format!("another type at `{place}`"), bad.to_string()));
    }
    for place in call.required {
        let (parent, key) = place.rsplit_once('/').unwrap();
        let mut bad = call.good.clone();
        assert!(bad.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).is_some(), "{place}");
        all.push((format!("without `{place}`"), bad.to_string()));
    }
    let mut bad = call.good.clone();
    bad["surplus"] = true.into();
    all.push(("with a field that nobody knows".to_owned(), bad.to_string()));
    all
}

#[test]
fn malformed_bodies_are_refused_and_change_nothing() {
    let (mut schemas, mut count) = (std::collections::BTreeSet::new(), 0);
    for call in calls() {
        let api = Cloudflare::start("makenot.work");
        api.zone().scripts.push("makenotwork-edge".to_owned());
        let before = kept(&api.zone());
        for (what, body) in malformed(&call) {
            let (status, answer) = ask(&api, call.method, call.path, &body);
            let what = format!("{} {} {what}: {status} {answer}", call.method, call.path);
            assert!((400..500).contains(&status), "{what}");
            // The envelope of the API's errors.
            assert!(
                answer["success"] == false && answer["result"].is_null() && answer["messages"] == json!([]),
                "{what}"
            );
            let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{what}"));
            let is_error =
                |it: &Value| it["code"].is_u64() && it["message"].as_str().is_some_and(|text| !text.is_empty());
            assert!(errors.len() == 1 && errors.iter().all(is_error), "{what}");
            assert_eq!(kept(&api.zone()), before, "{what}");
            count += 1;
        }
        // It was the change that was refused, not the call.
        let (status, answer) = ask(&api, call.method, call.path, &call.good.to_string());
        assert!(status == 200 && answer["success"] == true && answer["errors"] == json!([]), "{}: {answer}", call.path);
        schemas.insert(call.schema);
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/cloudflare/schemas");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: std::collections::BTreeSet<_> =
        files.filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect();
    assert!(
        schemas.iter().copied().eq(files.iter().map(String::as_str)),
        "a schema is not tried: {schemas:?} {files:?}"
    );
    println!("{count} malformed bodies");
}
