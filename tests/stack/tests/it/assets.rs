//! Static files are served at the edge, with the same fields at both hosts, and never come from a cache of ours. What is not in the folder
//! falls through to the app, which knows the release before.

use std::fs;

use reqwest::Method;

use crate::answer::send;
use crate::own::Own;
use crate::raw;
use crate::site::{Host, Site};

cases![
    every_file_of_the_folder,
    what_the_client_holds_is_not_sent_again,
    head_and_other_methods,
    ranges,
    a_miss_falls_through_to_the_app,
    nothing_outside_the_folder,
    names_that_begin_with_a_dot on Native,
];

const HASHED: &str = "public, max-age=31536000, immutable";
const UNHASHED: &str = "public, max-age=0, must-revalidate";

async fn every_file_of_the_folder(site: &Site) {
    let mut count = 0;
    for entry in fs::read_dir(demo::STATIC_DIR).expect("the demo's folder") {
        let path = entry.expect("a file").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let answer = site.fetch(&format!("/static/{name}")).await;
        assert_eq!((answer.status, &answer.body), (200, &fs::read(&path).expect("a file")), "{name}");
        let hashed = name.split('.').count() == 3;
        assert_eq!(answer.field("cache-control"), if hashed { HASHED } else { UNHASHED }, "{name}");
        assert_eq!(answer.field("x-content-type-options"), "nosniff", "{name}");
        assert_eq!(answer.field("cross-origin-resource-policy"), "same-origin", "{name}");
        let kind = match path.extension().and_then(|e| e.to_str()) {
            Some("css") => "text/css",
            Some("js") => "text/javascript",
            Some("svg") => "image/svg+xml",
            _ => "text/markdown",
        };
        let media_type = answer.field("content-type");
        assert_eq!(media_type.split(';').next(), Some(kind), "{name}");
        assert_eq!(answer.all("cache-status").count(), 0, "{}", answer.head());
        match site.host {
            Host::Native => assert_eq!(site.gateway_line(answer.id())["cache"], "none"),
            // Served before the Worker runs, so that it costs none of the quota: no request id, no line.
            Host::Worker => assert_eq!(answer.all("x-request-id").count(), 0, "{}", answer.head()),
        }
        count += 1;
    }
    assert!(count >= 4);
}

async fn what_the_client_holds_is_not_sent_again(site: &Site) {
    let path = "/static/favicon.svg";
    let sent = site.fetch(path).await;
    // Cloudflare's validator is an entity tag, the gateway's a date: each is a validator, and a browser sends back what it got.
    let (validator, condition) = match site.host {
        Host::Native => ("last-modified", "if-modified-since"),
        Host::Worker => ("etag", "if-none-match"),
    };
    let held = send(site.get(path).header(condition, sent.field(validator))).await;
    assert_eq!((held.status, held.body.len()), (304, 0), "{}", held.head());
    assert_eq!(held.field("cache-control"), UNHASHED);
    let other = match site.host {
        Host::Native => "Thu, 01 Jan 1970 00:00:00 GMT",
        Host::Worker => "\"other\"",
    };
    assert_eq!(send(site.get(path).header(condition, other)).await.status, 200);
}

async fn head_and_other_methods(site: &Site) {
    let path = "/static/favicon.svg";
    let get = site.fetch(path).await;
    let head = send(site.request(Method::HEAD, path)).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for name in ["content-type", "cache-control", "etag", "last-modified"] {
        assert_eq!(head.field(name), get.field(name), "{name}");
    }
    // A server may leave out what only the body tells (RFC 9110 section 9.3.2), as the runtime does.
    if site.host == Host::Native {
        assert_eq!(head.field("content-length"), get.field("content-length"));
    }
    assert_eq!(send(site.post(path).body("x")).await.status, 405);
}

async fn ranges(site: &Site) {
    let path = "/static/favicon.svg";
    let whole = site.fetch(path).await;
    let part = send(site.get(path).header("range", "bytes=1-10")).await;
    match site.host {
        Host::Native => {
            assert_eq!((part.status, part.body.as_slice()), (206, &whole.body[1..=10]));
            assert_eq!(part.field("content-range"), format!("bytes 1-10/{}", whole.body.len()));
            assert_eq!(send(site.get(path).header("range", "bytes=9999999-")).await.status, 416);
        }
        // Ranges are optional (RFC 9110 section 14.2), and the runtime sends assets whole.
        Host::Worker => assert_eq!((part.status, &part.body), (200, &whole.body)),
    }
}

async fn a_miss_falls_through_to_the_app(site: &Site) {
    let previous = site.fetch(&format!("/static/{}", demo::PREVIOUS_STYLESHEET)).await;
    assert_eq!((previous.status, previous.field("content-type")), (200, "text/css; charset=utf-8"));
    assert_eq!(previous.field("cache-control"), HASHED);
    assert_eq!(site.gateway_line(previous.id())["url.path"], format!("/static/{}", demo::PREVIOUS_STYLESHEET));
    let missing = site.fetch("/static/missing.00000000.css").await;
    assert_eq!((missing.status, missing.field("cache-control")), (404, "private, no-store"));
    assert!(missing.text().contains("There is no such file"), "{}", missing.text());
    for folder in ["/static", "/static/"] {
        assert_eq!(site.fetch(folder).await.status, 404, "{folder}");
    }
}

async fn nothing_outside_the_folder(site: &Site) {
    for target in ["/static/..%2fCargo.toml", "/static/%2e%2e%2fsrc/lib.rs", "/static/..%5cCargo.toml", "/static/%00"] {
        raw::get(site.address(), target.as_bytes()).await.assert_problem(400, "path-refused");
    }
    // Resolved before anything looks at it, so that it is the app's path.
    for target in ["/static/../Cargo.toml", "/static/%2e%2e/Cargo.toml", "/static/..\\Cargo.toml"] {
        let answer = raw::get(site.address(), target.as_bytes()).await;
        assert_eq!(answer.status, 404, "{target}: {}", answer.text());
        assert_eq!(site.gateway_line(answer.id())["url.path"], "/Cargo.toml");
    }
    let answer = raw::get(site.address(), b"/x/../static/favicon.svg").await;
    assert_eq!((answer.status, answer.field("cache-control")), (200, UNHASHED));
}

async fn names_that_begin_with_a_dot(site: &Site) {
    let folder = tempfile::TempDir::new().expect("a folder");
    for name in [".env", "a.txt"] {
        fs::write(folder.path().join(name), "a secret").expect("a file");
    }
    fs::create_dir(folder.path().join(".git")).expect("a folder");
    fs::write(folder.path().join(".git/config"), "a secret").expect("a file");
    let app = site.stack.addresses.app.trim_start_matches("http://");
    let own = Own::start(site, &format!("[[site]]\nhosts = [\"*\"]\napp = \"{app}\"\nstatic = {:?}", folder.path()));
    assert_eq!(send(own.get("/static/a.txt")).await.text(), "a secret");
    for path in ["/static/.env", "/static/.git/config", "/static/.git"] {
        let answer = send(own.get(path)).await;
        assert!(answer.status == 404 && !answer.text().contains("secret"), "{path}: {}", answer.text());
    }
}
