//! An object that is revoked is not handed off any more: what the gateway keeps of hand-offs goes at once, and redirects that the Worker keeps within 5 s.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::answer::{Answer, send};
use crate::site::{Host, Site, client};

cases![what_is_kept_of_a_revoked_object_goes, who_names_no_object_is_told, the_tag_is_between_us_and_the_edge,];

/// In which it holds, and what this machine may add.
const IN_FORCE: Duration = Duration::from_millis(5_000 + 1_500);

/// An app's route of a test's own: it first answers with that, and where a request says so, that the thing is gone.
async fn route(site: &Site, id: &str, handoff: &str) -> String {
    let fields = json!([["handoff", handoff], ["cache-control", "public, max-age=600"]]);
    let parts =
        json!([{ "fields": fields }, { "status": 410, "fields": [["cache-control", "no-store"]], "body": "gone" }]);
    assert_eq!(site.tell_app(&format!("/script/{id}"), &parts).await.status, 204);
    format!("/scripted/{id}")
}

async fn ask(site: &Site, path: &str, step: u8) -> Answer {
    send(site.get(path).header("demo-step", step.to_string())).await
}

/// Whether it comes from a cache, or from the outermost.
fn is_hit(answer: &Answer, outermost: bool) -> bool {
    let is = |said: &[u8]| String::from_utf8_lossy(said).contains("; hit; ttl=");
    if outermost { answer.all("cache-status").last().is_some_and(is) } else { answer.all("cache-status").any(is) }
}

async fn order(site: &Site, json: &str) -> (u16, String) {
    let url = format!("{}/purge", site.stack.addresses.admin);
    let answer = client().build().expect("a client").post(url).body(json.to_owned()).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

async fn what_is_kept_of_a_revoked_object_goes(site: &Site) {
    // Keys of its own: what other cases have kept of theirs is to stay.
    let (tide, fog) = ("users/1/revoked-tide.wav", "users/1/revoked-fog.wav");
    let handoff = |key: &str, options: &str| format!("user-files;key=\"{key}\"{options}");
    // What the Worker keeps, what only the gateway keeps, and another object.
    let public = route(site, "revoked-public", &handoff(tide, ";stable;public")).await;
    let private = route(site, "revoked-private", &handoff(tide, ";filename=\"Tide.wav\"")).await;
    let other = route(site, "revoked-other", &handoff(fog, ";stable;public")).await;
    for (path, outermost) in [(&public, true), (&private, false), (&other, true)] {
        assert_eq!(ask(site, path, 0).await.status, 302, "{path}");
        let until = Instant::now() + Duration::from_secs(10);
        while !is_hit(&ask(site, path, 1).await, outermost) {
            assert!(Instant::now() < until, "{path} is not kept");
        }
    }
    let (status, said) = order(site, &json!({ "object": [format!("user-files/{tide}")] }).to_string()).await;
    assert_eq!(status, 200, "{said}");
    let revoked = Instant::now();
    for path in [&public, &private] {
        let mut answer = ask(site, path, 1).await;
        while answer.status != 410 {
            assert_eq!(answer.status, 302);
            assert!(site.host == Host::Worker && revoked.elapsed() < IN_FORCE, "{path} after {:?}", revoked.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = ask(site, path, 1).await;
        }
        println!("{path}: in force after {:?}", revoked.elapsed());
    }
    assert!(is_hit(&ask(site, &other, 1).await, true));
}

async fn who_names_no_object_is_told(site: &Site) {
    for (object, what) in
        [("tide.wav", "ROLE/KEY"), ("files/users/1/tide.wav", "[bucket.files]"), ("user-files/", "missing")]
    {
        let (status, said) = order(site, &json!({ "object": [object] }).to_string()).await;
        assert!(status == 400 && said.contains(what), "{status} {said}");
    }
}

async fn the_tag_is_between_us_and_the_edge(site: &Site) {
    let path = route(site, "revoked-tag", "user-files;key=\"users/1/tide.wav\";stable;public").await;
    for _ in 0..3 {
        let answer = ask(site, &path, 0).await;
        assert_eq!((answer.status, answer.field("handoff-object"), answer.field("handoff")), (302, "", ""));
    }
    // Nor does an app's own word by that name go on.
    let parts =
        json!([{ "fields": [["handoff-object", "object:planted"], ["cache-control", "max-age=60"]], "body": "page" }]);
    assert_eq!(site.tell_app("/script/revoked-planted", &parts).await.status, 204);
    for _ in 0..2 {
        let answer = ask(site, "/scripted/revoked-planted", 0).await;
        assert_eq!((answer.status, answer.field("handoff-object"), answer.text()), (200, "", "page"));
    }
}
