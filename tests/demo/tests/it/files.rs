//! Hand-offs and static files.

use std::path::Path;

use crate::{App, account::sign_in, field};

#[tokio::test]
async fn anyone_may_listen_and_the_app_sends_no_byte() {
    let app = App::start().await;
    let answer = app.fetch("/listen/tide").await;
    assert_eq!(
        (answer.status().as_u16(), field(&answer, "handoff"), field(&answer, "cache-control")),
        (200, r#"user-files;key="users/1/tide.wav";filename="Tide.wav";disposition=inline"#, "private, no-store")
    );
    assert_eq!(answer.bytes().await.expect("no body").len(), 0);
}

#[tokio::test]
async fn downloads_are_for_the_signed_in() {
    let app = App::start().await;
    let stranger = app.fetch("/download/fuenf-fenster").await;
    assert_eq!(
        (stranger.status().as_u16(), field(&stranger, "location"), field(&stranger, "handoff")),
        (303, "/sign-in?next=/download/fuenf-fenster", "")
    );
    let cookie = sign_in(&app, "Ada").await;
    let known = app.get("/download/fuenf-fenster").header("cookie", cookie).send().await.expect("an answer");
    assert_eq!(
        field(&known, "handoff"),
        "user-files;key=%\"users/2/F%c3%bcnf Fenster.txt\";filename=%\"F%c3%bcnf Fenster.txt\";disposition=attachment"
    );
}

#[tokio::test]
async fn the_app_serves_the_previous_stylesheet_and_leaves_the_rest_to_the_edge() {
    let app = App::start().await;
    let previous = app.fetch(&format!("/static/{}", demo::PREVIOUS_STYLESHEET)).await;
    assert_eq!(
        (previous.status().as_u16(), field(&previous, "cache-control")),
        (200, "public, max-age=31536000, immutable")
    );
    assert!(previous.text().await.expect("CSS").contains("the release before"));
    assert_eq!(app.fetch("/static/favicon.svg").await.status(), 404);
}

#[tokio::test]
async fn pages_name_files_that_the_folder_has() {
    let app = App::start().await;
    let html = app.fetch("/").await.text().await.expect("a page");
    let names: Vec<_> = html.split("\"/static/").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        assert!(Path::new(demo::STATIC_DIR).join(name).is_file(), "{name} is missing");
    }
}

#[tokio::test]
async fn alone_the_app_serves_the_folder_and_nothing_above_it() {
    let app = App::with(demo::Options { serve_static: true, ..demo::Options::default() }).await;
    let icon = app.fetch("/static/favicon.svg").await;
    assert_eq!((icon.status().as_u16(), field(&icon, "content-type")), (200, "image/svg+xml"));
    assert_eq!(app.fetch("/static/..%2Fprevious%2Fprevious.css").await.status(), 404);
}

#[tokio::test]
async fn a_program_is_told_of_what_is_newer_than_itself() {
    let app = App::start().await;
    let check = app.fetch("/api/sync/ota/sketchbook/windows/x86_64/1.1.12").await;
    assert_eq!(
        (check.status().as_u16(), field(&check, "cache-control")),
        (200, "public, max-age=60, stale-if-error=86400")
    );
    let update: serde_json::Value = check.json().await.expect("JSON");
    let url = update["url"].as_str().expect("a URL");
    let path = url.strip_prefix("http://").and_then(|rest| rest.find('/').map(|at| &rest[at..])).expect("a path");
    assert_eq!(path, "/ota/sketchbook/1.2.0/windows/x86_64");
    assert_eq!(
        field(&app.fetch(path).await, "handoff"),
        "ota;key=\"ota/sketchbook/1.2.0/windows-x86_64\";filename=\"Sketchbook_1.2.0_windows_x86_64.tar\";disposition=attachment;expires=3600;stable;public"
    );
    for (path, status) in [
        ("/api/sync/ota/sketchbook/windows/x86_64/1.2.0", 204),
        ("/api/sync/ota/sketchbook/windows/arm/1.0.0", 404),
        ("/ota/sketchbook/1.1.0/windows/x86_64", 404),
    ] {
        assert_eq!(app.fetch(path).await.status().as_u16(), status, "{path}");
    }
}
