//! Public pages: cacheable, tagged, validated, the same for everyone.

use crate::{App, field};

const CACHEABLE: &str = "public, max-age=60, stale-while-revalidate=600, stale-if-error=86400";

#[tokio::test]
async fn public_pages_may_be_cached_and_set_no_cookie() {
    let app = App::start().await;
    for (path, tags) in [
        ("/", "home,creators"),
        ("/c/mira", "creator-mira"),
        ("/c/mira/works?page=2", "creator-mira"),
        ("/player/tide", "work-tide,creator-mira"),
        ("/chat", "pages"),
        ("/upload", "pages"),
    ] {
        let page = app.fetch(path).await;
        assert_eq!(page.status(), 200, "{path}");
        assert_eq!(field(&page, "cache-control"), CACHEABLE, "{path}");
        assert_eq!(field(&page, "cache-tag"), tags, "{path}");
        assert_eq!(field(&page, "demo-render"), "1", "{path}");
        assert_eq!(field(&page, "set-cookie"), "", "{path}");
        let html = page.text().await.expect("a page");
        assert!(html.contains("render n°&nbsp;1"), "{path} does not show its number");
        assert!(!html.contains("_csrf") && !html.contains(" style="), "{path}");
    }
}

#[tokio::test]
async fn a_page_is_validated_by_its_latest_rendering() {
    let app = App::start().await;
    let first = app.fetch("/c/mira").await;
    let etag = field(&first, "etag").to_owned();
    assert!(etag.starts_with('"') && etag.len() > 10, "{etag}");

    let held = app.get("/c/mira").header("if-none-match", &etag).send().await.expect("an answer");
    assert_eq!((held.status().as_u16(), field(&held, "demo-render")), (304, "1"));
    assert_eq!((field(&held, "etag"), field(&held, "cache-control")), (etag.as_str(), CACHEABLE));
    assert_eq!(held.text().await.expect("no body"), "");

    let second = app.fetch("/c/mira").await;
    assert_eq!(field(&second, "demo-render"), "2");
    assert_ne!(field(&second, "etag"), etag, "another body under the same strong validator");
    let stale = app.get("/c/mira").header("if-none-match", &etag).send().await.expect("an answer");
    assert_eq!((stale.status().as_u16(), field(&stale, "demo-render")), (200, "3"));
}

#[tokio::test]
async fn works_are_a_fragment_for_htmx_and_a_page_for_everyone_else() {
    let app = App::start().await;
    let path = "/c/mira/works?page=2";
    let page = app.fetch(path).await;
    let fragment = app.get(path).header("HX-Request", "true").send().await.expect("an answer");
    let restored = app.get(path).header("HX-Request", "true").header("HX-History-Restore-Request", "true");
    let restored = restored.send().await.expect("an answer");
    for response in [&page, &fragment, &restored] {
        assert_eq!(field(response, "vary"), "HX-Request");
    }
    assert_ne!(field(&page, "etag"), field(&fragment, "etag"));
    let (page, fragment) = (page.text().await.expect("a page"), fragment.text().await.expect("a fragment"));
    assert!(page.starts_with("<!doctype html>") && page.contains("Liner Notes"));
    assert!(fragment.starts_with("<section id=\"works\"") && fragment.contains("Liner Notes"));
    assert!(fragment.contains("page=1") && !fragment.contains("page=3"), "two pages");
    assert!(restored.text().await.expect("a page").starts_with("<!doctype html>"));
    for beyond in ["0", "3", "-1", "x", ""] {
        assert_eq!(app.fetch(&format!("/c/mira/works?page={beyond}")).await.status(), 404, "page={beyond}");
    }
}

#[tokio::test]
async fn what_is_missing_says_so_in_the_callers_language() {
    let app = App::start().await;
    for path in ["/nope", "/c/nobody", "/player/nothing", "/listen/nothing", "/static/site.css", "/apiary"] {
        let page = app.fetch(path).await;
        assert_eq!((page.status().as_u16(), field(&page, "cache-control")), (404, "private, no-store"), "{path}");
        assert!(page.text().await.expect("a page").contains("Nothing here"), "{path}");
    }
    let api = app.fetch("/api/nope").await;
    assert_eq!((api.status().as_u16(), field(&api, "content-type")), (404, "application/json"));
    assert!(api.text().await.expect("JSON").starts_with("{\"error\":"));
    let method = app.get("/sign-out").send().await.expect("an answer");
    assert_eq!((method.status().as_u16(), field(&method, "allow")), (405, "POST"));
}

#[tokio::test]
async fn the_api_lists_the_creators() {
    let app = App::start().await;
    let list = app.fetch("/api/creators").await;
    assert_eq!(field(&list, "cache-control"), "public, max-age=30");
    let list: serde_json::Value = list.json().await.expect("JSON");
    assert_eq!(list.as_array().map(Vec::len), Some(5));
    assert_eq!(list[4]["works"][0]["title"], "小さな町");
}

#[tokio::test]
async fn every_link_of_the_site_leads_somewhere() {
    let app = App::start().await;
    let (mut seen, mut queue) = (vec!["/".to_owned()], vec!["/".to_owned()]);
    while let Some(path) = queue.pop() {
        let response = app.fetch(&path).await;
        let status = response.status();
        assert!(status == 200 || status == 303, "{path} answers {status}");
        let html = response.text().await.expect("a body");
        for link in html.split("href=\"").skip(1).filter_map(|rest| rest.split(['"', '#']).next()) {
            if link.starts_with('/') && !link.starts_with("/static/") && !seen.iter().any(|known| known == link) {
                seen.push(link.to_owned());
                queue.push(link.to_owned());
            }
        }
    }
    assert!(seen.len() > 45, "only {} links", seen.len());
}
