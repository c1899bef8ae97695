//! The request filter, the same rules at both hosts: `tests/demo/rules.toml`, the managed ones, and `sqli` as the stack's configuration says.

use serde_json::Value;

use crate::answer::{Answer, send};
use crate::site::{Host, Site};

cases![
    an_operators_rule_stops_and_says_so,
    managed_rules_stop_what_the_site_says,
    what_is_excepted_or_only_noted_passes,
    a_rule_redirects_within_the_host,
    a_rule_goes_by_the_cache,
    a_form_is_looked_at_in_the_gateway,
    country_is_known_at_the_worker_only
];

/// The log line of the host that judged a request.
async fn line(site: &Site, answer: &Answer) -> Value {
    match site.host {
        Host::Native => site.gateway_line(answer.id()),
        Host::Worker => site.worker_line(answer.id()).await,
    }
}

async fn an_operators_rule_stops_and_says_so(site: &Site) {
    let page = send(site.get("/api/v1/items").header("accept", "text/html")).await;
    assert_eq!((page.status, page.field("cache-control")), (410, "no-store"), "{}", page.head());
    let json = send(site.get("/api/v1/items").header("accept", "application/json")).await;
    assert!(json.text().contains(r#""code":"blocked","rule":"old-api","request_id""#), "{}", json.text());
    let said = line(site, &json).await;
    assert_eq!((said["filter.rule"].as_str(), said["filter.action"].as_str()), (Some("old-api"), Some("block")));
    // A route's methods.
    let get = send(site.get("/webhooks/x").header("accept", "application/json")).await;
    assert!(get.status == 405 && get.text().contains(r#""rule":"webhooks""#), "{}", get.text());
}

async fn managed_rules_stop_what_the_site_says(site: &Site) {
    for (path, rule, place) in [
        ("/.env", "probe-dotfile", "path"),
        ("/wp-login.php", "probe-admin", "path"),
        ("/search?q=..%2f..%2f..%2fetc%2fpasswd", "traversal-steps", "query"),
        ("/search?q=1%2527%2520or%2520%25271%2527=%25271", "sqli-condition", "query"),
    ] {
        let answer = send(site.get(path).header("accept", "application/json")).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        assert!(answer.text().contains(&format!(r#""rule":"{rule}""#)), "{path}: {}", answer.text());
        let said = line(site, &answer).await;
        assert_eq!((said["filter.rule"].as_str(), said["filter.place"].as_str()), (Some(rule), Some(place)), "{path}");
    }
    let scanner = send(site.get("/").header("user-agent", "sqlmap/1.7")).await;
    assert_eq!(scanner.status, 403, "{}", scanner.head());
}

async fn what_is_excepted_or_only_noted_passes(site: &Site) {
    for path in ["/echo/.git/config", "/echo?q=1'or'1'='1", "/echo?q=SELECT+*+FROM+users", "/.well-known/security.txt"]
    {
        let answer = site.fetch(path).await;
        assert_ne!(answer.status, 403, "{path}: {}", answer.head());
    }
    // Scripting logs where no site blocks it; a dry run does nothing.
    let answer = send(site.get("/cache?q=%3Cscript%3Ealert(1)%3C/script%3E").header("x-tried-out", "1")).await;
    assert_eq!(answer.status, 200, "{}", answer.head());
    let said = line(site, &answer).await;
    assert_eq!((said["filter.rule"].as_str(), said["filter.action"].as_str()), (Some("xss-script"), Some("log")));
    let answer = send(site.get("/cache?q=dry").header("x-tried-out", "1")).await;
    let said = line(site, &answer).await;
    assert_eq!((said["filter.rule"].as_str(), said["filter.action"].as_str()), (Some("tried-out"), Some("dry-run")));
    if site.host == Host::Worker {
        let forwarded = site.gateway_line(answer.id());
        assert_eq!(forwarded["filter.rule"], Value::Null, "what the Worker has judged is not judged again");
    }
}

async fn a_rule_redirects_within_the_host(site: &Site) {
    let answer = site.fetch("/moved").await;
    assert_eq!((answer.status, answer.field("location")), (302, "/"), "{}", answer.head());
    assert_eq!((answer.field("cache-control"), answer.id().len()), ("no-store", 32));
}

async fn a_rule_goes_by_the_cache(site: &Site) {
    let path = "/cache?cc=max-age=600&preview=1";
    for render in 1..3 {
        let answer = site.fetch(path).await;
        assert_eq!(answer.text(), format!("render {render}\n"), "{}", answer.head());
        assert!(!answer.head().contains("hit"), "{}", answer.head());
    }
}

async fn a_form_is_looked_at_in_the_gateway(site: &Site) {
    let form = |body: &'static str| {
        let request = site.post("/login").header("accept", "application/json");
        send(request.header("content-type", "application/x-www-form-urlencoded").body(body))
    };
    let stopped = form("user=admin%27--&password=x").await;
    assert!(stopped.status == 403 && stopped.text().contains("sqli-tail"), "{}", stopped.head());
    assert_ne!(form("user=O%27Brien&password=a%27b%22c").await.status, 403);
}

async fn country_is_known_at_the_worker_only(site: &Site) {
    let request = site.get("/health").header("MF-CF-Blob", r#"{"country":"ZZ"}"#);
    let answer = send(request.header("accept", "application/json")).await;
    match site.host {
        Host::Worker => assert!(answer.status == 403 && answer.text().contains("nowhere"), "{}", answer.text()),
        Host::Native => assert_ne!(answer.status, 403, "{}", answer.head()),
    }
}
