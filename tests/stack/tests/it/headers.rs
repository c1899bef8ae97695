//! `[headers]`: what every answer gets, and what is taken off, at both hosts.

use crate::site::{Host, Site};

cases![added_where_the_app_said_nothing];

async fn added_where_the_app_said_nothing(shared: &Site) {
    // A stack of its own: the others have no such section.
    let folder = tempfile::TempDir::new().expect("a folder");
    let file = folder.path().join("more.toml");
    std::fs::write(&file, "[headers]\nhsts = \"1h\"\nremove = [\"demo-render\"]\n").expect("written");
    let site = Site::start_with(shared.host, None, Some(file)).await.expect("it starts");
    let path = "/cache?cc=max-age=600&headers";
    for asked in [path, path, "/.env", "/api/health"] {
        let answer = site.fetch(asked).await;
        let head = answer.head();
        assert_eq!(answer.field("x-frame-options") == "SAMEORIGIN", !head.contains("frame-ancestors"), "{head}");
        assert_eq!(answer.field("x-content-type-options"), "nosniff", "{head}");
        assert_eq!(answer.field("referrer-policy"), "strict-origin-when-cross-origin", "{head}");
        assert_eq!(answer.field("permissions-policy"), "camera=(), geolocation=(), microphone=()", "{head}");
        assert!(answer.all("demo-render").next().is_none(), "{head}");
    }
    // To a visitor in clear text nothing promises TLS.
    let says_tls = |answer: &crate::answer::Answer| answer.all("strict-transport-security").next().is_some();
    if shared.host == Host::Native {
        assert!(!says_tls(&site.fetch(path).await));
        let client = crate::site::client().danger_accept_invalid_certs(true).build().expect("a client");
        let answer = crate::answer::send(client.get(format!("{}{path}", site.stack.addresses.gateway))).await;
        assert_eq!(answer.field("strict-transport-security"), "max-age=3600", "{}", answer.head());
    }
    site.stack.stop().await;
}
