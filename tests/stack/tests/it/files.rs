//! Files: the app says which object, the gateway signs its URL, and the bytes go from the bucket to the client. They never pass
//! the gateway or the Worker, nor do the client's credentials pass to the bucket.

use percent_encoding::percent_decode_str;
use reqwest::Method;
use serde_json::Value;

use crate::answer::{Answer, send};
use crate::own::Own;
use crate::site::{Site, client};

cases![
    every_object_can_be_had_by_its_url,
    names_in_any_script,
    the_bucket_sees_the_client_itself,
    a_changed_url_is_refused,
    a_download_takes_an_account,
    head_is_handed_off_too,
    a_hand_off_that_cannot_be_carried_out,
    a_hand_off_is_stored_and_its_url_is_not,
    a_public_stable_url_may_be_cached,
    json_for_who_names_it,
    an_expired_url_is_refused on Native,
    a_bucket_that_cannot_be_reached on Native,
    a_page_may_ask_the_bucket on Native,
];

/// Asserts that it is a hand-off that no cache keeps; says where to.
#[track_caller]
fn url(answer: &Answer) -> &str {
    assert_eq!((answer.status, answer.body.len()), (302, 0), "{}", answer.head());
    assert_eq!(answer.field("cache-control"), "private, no-store");
    assert_eq!(answer.all("handoff").count(), 0, "the hand-off itself came through");
    answer.field("location")
}

/// The object's key in a URL of the bucket.
fn key(site: &Site, url: &str) -> String {
    let bucket = format!("{}/user-files/", site.stack.addresses.s3);
    let path = url.strip_prefix(&bucket).and_then(|rest| rest.split_once('?')).expect("a URL of the bucket").0;
    percent_decode_str(path).decode_utf8().expect("UTF-8").into_owned()
}

/// GET by anyone at all.
async fn plain_get(url: &str) -> Answer {
    send(client().build().expect("a client").get(url)).await
}

async fn every_object_can_be_had_by_its_url(site: &Site) {
    let creators: Vec<Value> = site.fetch("/api/creators").await.json();
    let works: Vec<&str> = creators
        .iter()
        .flat_map(|c| c["works"].as_array().expect("works"))
        .filter_map(|w| w["slug"].as_str())
        .collect();
    assert!(works.len() > 10, "{works:?}");
    let objects = demo::objects();
    for work in works {
        let answer = site.fetch(&format!("/listen/{work}")).await;
        let file = plain_get(url(&answer)).await;
        let key = key(site, url(&answer));
        let object =
            objects.iter().find(|object| object.key == key).unwrap_or_else(|| panic!("{work}: no object {key}"));
        assert!(file.status == 200 && file.body == object.bytes, "{work}: {}", file.head());
        assert_eq!(file.field("content-type"), object.content_type, "{work}");
        let shown = if key.ends_with(".svg") { "attachment" } else { "inline" };
        let disposition = file.field("content-disposition");
        assert!(disposition.starts_with(&format!("{shown}; filename=\"")), "{work}: {}", file.head());
    }
}

async fn names_in_any_script(site: &Site) {
    for (work, disposition) in [
        ("tide", "inline; filename=\"Tide.wav\""),
        // A browser could run it.
        ("tide-cover", "attachment; filename=\"Tide, the print.svg\""),
        ("fuenf-fenster", "inline; filename=\"F_nf Fenster.txt\"; filename*=UTF-8''F%C3%BCnf%20Fenster%2Etxt"),
        (
            "one-lamp",
            "inline; filename=\"Drone for _One Lamp_.wav\"; filename*=UTF-8''Drone%20for%20%22One%20Lamp%22%2Ewav",
        ),
    ] {
        let answer = site.fetch(&format!("/listen/{work}")).await;
        assert_eq!(plain_get(url(&answer)).await.field("content-disposition"), disposition, "{work}");
    }
}

async fn the_bucket_sees_the_client_itself(site: &Site) {
    let agent = format!("suite/{:?}", site.host);
    // Follows the redirect by itself, as a browser does, with what it sends to the site.
    let browser = reqwest::Client::builder().no_proxy().user_agent(&agent).build().expect("a client");
    let request = browser.get(site.url("/listen/hinterhof")).header("cookie", "session=secret");
    let file = send(request.header("authorization", "Bearer secret")).await;
    let object = demo::objects().into_iter().find(|object| object.key == "users/2/hinterhof.svg").expect("an object");
    assert_eq!((file.status, &file.body), (200, &object.bytes));
    let seen = site.stack.buckets.seen();
    let of_it: Vec<_> = seen.iter().filter(|seen| seen.user_agent.as_deref() == Some(&agent)).collect();
    assert_eq!(of_it.len(), 1, "{of_it:?}");
    assert_eq!((of_it[0].method.as_str(), of_it[0].path.as_str()), ("GET", "/user-files/users/2/hinterhof.svg"));
    assert!(!of_it[0].credentials, "the site's credentials reached the bucket");
    // Nobody comes for the client: what the bucket saw came from clients of this suite, which send no Authorization.
    assert!(seen.iter().all(|seen| !seen.credentials));
}

async fn a_changed_url_is_refused(site: &Site) {
    let answer = site.fetch("/listen/liner-notes").await;
    let good = url(&answer);
    let (rest, signature) = good.rsplit_once("X-Amz-Signature=").expect("a signature");
    let flipped = if signature.starts_with('0') { "1" } else { "0" };
    for bad in [
        good.replace("users/1/liner-notes.txt", "users/2/hinterhof.svg"),
        format!("{rest}X-Amz-Signature={flipped}{}", &signature[1..]),
        good.replace("Liner", "Other"),
        good.replace("X-Amz-Expires=900", "X-Amz-Expires=901"),
        good.replace("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="),
        format!("{good}&response-content-type=text/html"),
        good.split_once('?').expect("a query").0.to_owned(),
    ] {
        assert_ne!(bad, good);
        let refused = plain_get(&bad).await;
        assert!(matches!(refused.status, 400 | 403), "{bad}: {}{}", refused.head(), refused.text());
    }
    assert_eq!(plain_get(good).await.status, 200);
}

async fn a_download_takes_an_account(site: &Site) {
    let stranger = site.fetch("/download/tide").await;
    assert_eq!((stranger.status, stranger.field("location")), (303, "/sign-in?next=/download/tide"));

    let cookie = sign_in(site).await;
    let answer = send(site.get("/download/tide").header("cookie", &cookie)).await;
    let file = plain_get(url(&answer)).await;
    let object = demo::objects().into_iter().find(|object| object.key == "users/1/tide.wav").expect("an object");
    assert!(file.status == 200 && file.body == object.bytes);
    assert_eq!(file.field("content-disposition"), "attachment; filename=\"Tide.wav\"");
}

/// Signs in as people do; the session's cookie.
pub(crate) async fn sign_in(site: &Site) -> String {
    let cookie = |answer: &Answer| answer.field("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let form = site.fetch("/sign-in").await;
    let (_, rest) = form.text().split_once("name=\"_csrf\" value=\"").expect("a form with a token");
    let token = rest.split('"').next().unwrap_or_default();
    let request = site.post("/sign-in").header("cookie", cookie(&form));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let done = send(request.body(format!("_csrf={token}&name=Ada&passphrase=demo&next=/account"))).await;
    assert_eq!((done.status, done.field("location")), (303, "/account"), "{}", done.text());
    cookie(&done)
}

async fn head_is_handed_off_too(site: &Site) {
    let answer = send(site.request(Method::HEAD, "/listen/tide")).await;
    assert_eq!(key(site, url(&answer)), "users/1/tide.wav");
    // The method is signed, so the URL is good for this one.
    let client = crate::site::client().build().expect("a client");
    let head = send(client.head(url(&answer))).await;
    assert_eq!(head.status, 200, "{}", head.head());
    let get = send(client.get(url(&answer))).await;
    assert_eq!(get.status, 403, "{}", get.head());
}

async fn a_hand_off_that_cannot_be_carried_out(site: &Site) {
    for handoff in [
        "unknown;key=\"a\"",
        "user-files",
        "user-files;key=\"\"",
        "user-files;key=\"../secret\"",
        "user-files;key=\"/etc/passwd\"",
        "user-files;key=\"a\";public",
        "user-files;key=\"a\";type=\"a/b\"",
        "\"user-files\";key=\"a\"",
    ] {
        let escaped = handoff.replace(';', "%3B").replace('"', "%22").replace('=', "%3D");
        let answer = site.fetch(&format!("/cache?cc=public,max-age=60&header=Handoff:%20{escaped}")).await;
        answer.assert_problem(502, "handoff-refused");
        assert_eq!(answer.all("handoff").count(), 0);
    }
}

/// A page of the demo that hands this off, for all to store for a minute.
fn stored(handoff: &str) -> String {
    let escaped = handoff.replace(';', "%3B").replace('"', "%22").replace('=', "%3D");
    format!("/cache?cc=public,max-age=60&etag=%22e%22&header=Handoff:%20{escaped}")
}

async fn a_hand_off_is_stored_and_its_url_is_not(site: &Site) {
    let path = stored("user-files;key=\"users/1/tide.wav\"");
    let first = site.fetch(&path).await;
    assert_eq!(key(site, url(&first)), "users/1/tide.wav");
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    for (name, value) in [("accept", "*/*"), ("if-none-match", "\"e\""), ("range", "bytes=0-9")] {
        let again = send(site.get(&path).header(name, value)).await;
        assert_eq!(again.field("demo-render"), first.field("demo-render"), "{name}: the app was asked again");
        assert_eq!(key(site, url(&again)), "users/1/tide.wav");
        assert_ne!(url(&again), url(&first), "{name}: a URL was stored");
        for name in ["etag", "content-type", "content-length", "age"] {
            assert!(matches!(again.field(name), "" | "0"), "{name} is the app's: {}", again.head());
        }
    }
    let head = send(site.request(Method::HEAD, &path)).await;
    let file = send(client().build().expect("a client").head(url(&head))).await;
    assert_eq!(file.status, 200, "{}", file.head());
}

async fn a_public_stable_url_may_be_cached(site: &Site) {
    for (options, public) in [("", false), (";stable", false), (";stable;public", true)] {
        let answer = site.fetch(&stored(&format!("user-files;key=\"users/1/tide.wav\"{options}"))).await;
        assert_eq!(answer.status, 302, "{}", answer.head());
        let control = answer.field("cache-control");
        if !public {
            assert_eq!(control, "private, no-store");
            continue;
        }
        let (left, rest) =
            control.strip_prefix("public, max-age=").and_then(|n| n.split_once(", ")).expect("a lifetime");
        let left: u64 = left.parse().expect("a number");
        assert_eq!(rest, "stale-if-error=225");
        // Of fifteen minutes, half is left at least when a cache lets go of it.
        assert!((1..=450).contains(&left), "{control}");
        assert_eq!(plain_get(answer.field("location")).await.status, 200);
    }
}

async fn json_for_who_names_it(site: &Site) {
    for path in [stored("user-files;key=\"users/1/tide.wav\";expires=60"), "/listen/tide".to_owned()] {
        let answer = send(site.get(&path).header("accept", "application/json")).await;
        assert_eq!((answer.status, answer.field("content-type")), (200, "application/json"), "{}", answer.head());
        assert_eq!((answer.field("cache-control"), answer.field("location")), ("private, no-store", ""));
        assert!(answer.field("vary").contains("accept"), "{}", answer.head());
        let said: Value = serde_json::from_str(answer.text()).expect("JSON");
        let (url, until) = (said["url"].as_str().expect("a URL"), said["expires_at"].as_str().expect("a time"));
        assert_eq!(plain_get(url).await.status, 200);
        assert!(until.len() == 20 && until.ends_with('Z'), "{until}");
        let page = send(site.get(&path).header("accept", "text/html, application/json")).await;
        assert_eq!((page.status, page.field("content-type")), (302, ""), "{}", page.head());
    }
}

async fn an_expired_url_is_refused(site: &Site) {
    let sections = format!(
        "[[site]]\nhosts = [\"*\"]\napp = \"{}\"\n[bucket.user-files]\nurl = \"{}/user-files\"\nregion = \"fsn1\"\n\
         credentials_file = {:?}\nexpiry = \"1s\"\n",
        site.stack.addresses.app.trim_start_matches("http://"),
        site.stack.addresses.s3,
        site.stack.credentials.files.bucket,
    );
    let own = Own::start(site, &sections);
    let answer = send(own.get("/listen/tide")).await;
    assert!(url(&answer).contains("X-Amz-Expires=1&"), "{}", answer.head());
    let mut file = plain_get(url(&answer)).await;
    while file.status == 200 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        file = plain_get(url(&answer)).await;
    }
    assert_eq!(file.status, 403, "{}", file.text());
}

async fn a_bucket_that_cannot_be_reached(site: &Site) {
    let app = site.stack.addresses.app.trim_start_matches("http://");
    let credentials = &site.stack.credentials.files.bucket;
    let own = Own::start(
        site,
        &format!(
            "[[site]]\nhosts = [\"*\"]\napp = \"{app}\"\n\
             [bucket.user-files]\nurl = \"http://127.0.0.1:1/user-files\"\ncredentials_file = {credentials:?}"
        ),
    );
    let answer = send(own.get("/listen/tide")).await;
    assert_eq!(answer.status, 302, "{}", answer.head());
    assert!(answer.field("location").starts_with("http://127.0.0.1:1/user-files/"), "{}", answer.head());
    assert_eq!(send(own.get("/api/health")).await.status, 200);
}

/// As `origin buckets apply` has a real one let the site's pages, so that the demo's studio uploads under `cargo dev`, too.
async fn a_page_may_ask_the_bucket(site: &Site) {
    let at = url(&site.fetch("/listen/tide").await).to_owned();
    let asked = |method: Method, origin: &str| {
        client().build().expect("a client").request(method, &at).header("origin", origin)
    };
    let beforehand = asked(Method::OPTIONS, "http://127.0.0.1:8787").header("access-control-request-method", "PUT");
    let beforehand = send(beforehand.header("access-control-request-headers", "content-type")).await;
    assert_eq!((beforehand.status, beforehand.field("access-control-allow-headers")), (200, "content-type"));
    assert!(beforehand.field("access-control-allow-methods").contains("PUT"), "{}", beforehand.head());
    let mine = send(asked(Method::GET, "http://localhost:8787")).await;
    assert_eq!((mine.status, mine.field("access-control-allow-origin")), (200, "http://localhost:8787"));
    assert!(mine.field("access-control-expose-headers").contains("ETag"), "{}", mine.head());
    let theirs = send(asked(Method::GET, "http://127.0.0.1.example")).await;
    assert_eq!((theirs.status, theirs.field("access-control-allow-origin")), (200, ""));
}
