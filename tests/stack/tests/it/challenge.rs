//! The challenge: who is asked for one, who passes it, and that nothing else does. `tests/demo/rules.toml` asks for it where the query has
//! `checked`; Turnstile is the stack's double.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use stack::turnstile::{BREAKS, FAULT, SECRET, SITE_KEY, STALLS, token};

use crate::answer::{Answer, send};
use crate::site::{Host, Site, client, eventually};

cases![
    who_is_challenged_reads_what_to_do,
    who_passes_goes_on_and_the_app_does_not_know,
    a_clearance_is_for_one_household_one_host_and_unchanged,
    no_other_token_passes,
    nothing_passes_while_nobody_can_say,
    it_leads_to_no_other_host,
    who_is_never_challenged,
    a_challenge_from_now_on
];

const CLIENT: &str = "2001:db8:0:7::1";

/// A request of the one visitor. Natively everybody comes from loopback.
fn get(site: &Site, path: &str) -> reqwest::RequestBuilder {
    site.get(path).header("accept", "text/html").header("cf-connecting-ip", CLIENT)
}

async fn pass(site: &Site, token: &str, to: &str) -> Answer {
    let form = format!("to={to}&cf-turnstile-response={}", token.replace('/', "%2F"));
    let request = site.post("/.edge/challenge").header("accept", "text/html").header("cf-connecting-ip", CLIENT);
    send(request.header("content-type", "application/x-www-form-urlencoded").body(form)).await
}

fn good(nonce: &str) -> String {
    token("127.0.0.1", "challenge", nonce)
}

/// The cookie of a clearance, as a browser sends it.
async fn cleared(site: &Site, nonce: &str) -> String {
    let passed = pass(site, &good(nonce), "%2F").await;
    assert_eq!(passed.status, 303, "{}", passed.head());
    passed.field("set-cookie").split(';').next().expect("a cookie").to_owned()
}

fn is_challenge(answer: &Answer) -> bool {
    answer.status == 403 && answer.text().contains(&format!(r#"data-sitekey="{SITE_KEY}""#))
}

async fn who_is_challenged_reads_what_to_do(site: &Site) {
    let page = send(get(site, "/cache?cc=max-age=600&checked=1&a=%22%3Cb%3E")).await;
    assert!(is_challenge(&page), "{} {}", page.head(), page.text());
    assert_eq!(page.field("cache-control"), "no-store");
    let text = page.text();
    assert!(text.contains(page.id()) && text.contains("<dd>checked</dd>") && text.contains("challenge-required"));
    let to = r#"name="to" value="/cache?cc=max-age=600&amp;checked=1&amp;a=%22%3Cb%3E""#;
    assert!(text.contains(to) && text.contains(r#"action="/.edge/challenge""#), "{text}");
    // The policy lets the vendor's script and our own run, and no other.
    let own = text.split_once("<script>").and_then(|(_, rest)| rest.split_once("</script>")).expect("a script").0;
    let policy = page.field("content-security-policy");
    let script = format!(
        "script-src 'sha256-{}' https://challenges.cloudflare.com;",
        BASE64_STANDARD.encode(Sha256::digest(own))
    );
    assert!(policy.starts_with("default-src 'none';") && policy.contains(&script), "{policy}");
    assert!(policy.contains("frame-src https://challenges.cloudflare.com; form-action 'self'"), "{policy}");
    let json = send(site.get("/echo/x?checked=1").header("accept", "application/json")).await;
    // Below /echo the site has the filter off.
    assert_eq!(json.status, 200, "{}", json.head());
    let json = send(site.get("/cache?checked=1").header("accept", "application/json")).await;
    assert!(
        json.status == 403 && json.text().contains(r#""code":"challenge-required","rule":"checked""#),
        "{}",
        json.text()
    );
    let said = match site.host {
        Host::Native => site.gateway_line(json.id()),
        Host::Worker => site.worker_line(json.id()).await,
    };
    assert_eq!((said["filter.rule"].as_str(), said["filter.action"].as_str()), (Some("checked"), Some("challenge")));
}

async fn who_passes_goes_on_and_the_app_does_not_know(site: &Site) {
    let passed = pass(site, &good("goes-on"), "%2Fcache%3Fchecked%3D1").await;
    assert_eq!((passed.status, passed.field("location")), (303, "/cache?checked=1"), "{}", passed.head());
    assert_eq!(passed.field("cache-control"), "no-store");
    let (cookie, attributes) = passed.field("set-cookie").split_once(';').expect("attributes");
    assert_eq!(attributes, " Path=/; Max-Age=1800; Secure; HttpOnly; SameSite=Lax");
    assert!(cookie.starts_with("__Host-clearance=1."), "{cookie}");
    // The vendor was told whom it is about.
    let asked = site.stack.turnstile.asked();
    let client = if site.host == Host::Worker { CLIENT } else { "127.0.0.1" };
    assert!(asked.contains(&(good("goes-on"), client.to_owned())), "{asked:?}");
    // The cache sees none of it: what was stored for others is a hit, and the other way round.
    let path = "/cache?cc=max-age=600&checked=goes-on";
    let began = Instant::now();
    loop {
        let answer = send(get(site, path).header("cookie", cookie)).await;
        assert_eq!((answer.status, answer.text()), (200, "render 1\n"), "{}", answer.head());
        if answer.head().contains("; hit; ttl=") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{}", answer.head());
    }
    assert!(is_challenge(&send(get(site, path)).await), "a hit is challenged, too");
    // Nor does the app, whether there is a rule or not.
    for cookies in [format!("a=1; {cookie}; b=2"), format!("{cookie}; a=1; b=2"), "a=1; b=2".to_owned()] {
        let seen = send(get(site, "/echo").header("cookie", cookies)).await;
        assert!(seen.text().contains("a=1; b=2") && !seen.text().contains("clearance"), "{}", seen.text());
    }
    let seen = send(get(site, "/echo").header("cookie", cookie)).await;
    assert!(!seen.text().contains("cookie") && !seen.text().contains("clearance"), "{}", seen.text());
}

async fn a_clearance_is_for_one_household_one_host_and_unchanged(site: &Site) {
    let cookie = cleared(site, "household").await;
    let ask = |client: &'static str, cookie: &str| {
        let request = site.get("/cache?checked=1").header("accept", "text/html").header("cf-connecting-ip", client);
        send(request.header("cookie", cookie))
    };
    assert_eq!(ask(CLIENT, &cookie).await.status, 200);
    if site.host == Host::Worker {
        assert_eq!(ask("2001:db8:0:7:ffff::2", &cookie).await.status, 200, "of the same household");
        assert!(is_challenge(&ask("2001:db8:0:8::1", &cookie).await));
    } else {
        let other = client().local_address(std::net::IpAddr::from([127, 0, 0, 7])).build().expect("a client");
        let request = other.get(site.url("/cache?checked=1")).header("accept", "text/html").header("cookie", &cookie);
        assert!(is_challenge(&send(request).await));
        // Another site's, by its name.
        let request = get(site, "/cache?checked=1").header("host", "forums.makenot.work").header("cookie", &cookie);
        assert!(is_challenge(&send(request).await));
    }
    let changed = |from: usize, to: &str| format!("{}{to}", &cookie[..cookie.len() - from]);
    for other in [changed(1, if cookie.ends_with('A') { "E" } else { "A" }), changed(2, ""), changed(44, "")] {
        assert!(is_challenge(&ask(CLIENT, &other).await), "{other}");
    }
}

async fn no_other_token_passes(site: &Site) {
    assert_eq!(pass(site, &good("once"), "%2F").await.status, 303);
    let long = "x".repeat(3_000);
    for (what, token) in [
        ("used already", &*good("once")),
        ("of another site's page", &token("evil.example", "challenge", "1")),
        ("of another widget", &token("127.0.0.1", "login", "1")),
        ("made up", "0.made-up"),
        ("too long", &long),
        ("none", ""),
    ] {
        let again = pass(site, token, "%2Fcache%3Fchecked%3D1").await;
        assert!(is_challenge(&again) && again.text().contains("challenge-failed"), "{what}: {}", again.head());
        assert!(again.field("set-cookie").is_empty() && again.field("cache-control") == "no-store", "{what}");
        assert!(again.text().contains(r#"value="/cache?checked=1""#), "it leads on: {}", again.text());
    }
}

async fn nothing_passes_while_nobody_can_say(site: &Site) {
    // The stack gives it a second.
    for token in [STALLS, BREAKS, FAULT] {
        let again = pass(site, token, "%2Fcache%3Fchecked%3D1").await;
        assert_eq!((again.status, again.field("retry-after")), (503, "5"), "{token}: {}", again.head());
        assert!(again.text().contains("challenge-unavailable") && again.text().contains(SITE_KEY), "{}", again.text());
        assert!(again.field("set-cookie").is_empty(), "{}", again.head());
        let logged = |text: &str| {
            let worker = site.stack.workerd.as_ref().map(|worker| format!("{:?}", worker.lines())).unwrap_or_default();
            worker.contains(text) || site.stack.gateway.find(|line| line.to_string().contains(text)).is_some()
        };
        let why = if site.host == Host::Worker { "turnstile" } else { "Turnstile does not say" };
        eventually("why is in the log", || logged(why).then_some(())).await;
        assert!(!logged(SECRET));
    }
}

async fn it_leads_to_no_other_host(site: &Site) {
    for (n, to) in
        ["%2F%2Fevil.example", "https%3A%2F%2Fevil.example", "%2F%5Cevil.example", "%2Fa%0d%0aset-cookie%3Ax"]
            .iter()
            .enumerate()
    {
        let passed = pass(site, &good(&format!("leads-{n}")), to).await;
        assert_eq!((passed.status, passed.field("location")), (303, "/"), "{to}: {}", passed.head());
    }
}

async fn who_is_never_challenged(site: &Site) {
    let health = send(get(site, "/api/health?checked=1")).await;
    assert_eq!(health.status, 200, "{}", health.head());
    for path in ["/git/x?checked=1", "/echo?checked=1", "/.edge/challenge?checked=1"] {
        let answer = send(get(site, path)).await;
        assert!(!is_challenge(&answer) && matches!(answer.status, 200 | 404), "{path}: {}", answer.head());
    }
    // A sender of webhooks, of whom the gateway knows how it shows who it is: here not at all.
    send(site.post("/webhooks/known?checked=1").header("accept", "application/json").body("{}"))
        .await
        .assert_problem(401, "webhook-credentials");
    let long = pass(site, &"x".repeat(40_000), "%2F").await;
    assert_eq!(long.status, 413, "{}", long.head());
}

async fn a_challenge_from_now_on(site: &Site) {
    let cookie = cleared(site, "from-now-on").await;
    let stored = "/cache?cc=max-age=600&storm=1";
    let until = async |cookie: &str, fits: fn(&Answer) -> bool| {
        let began = Instant::now();
        loop {
            let answer = send(get(site, stored).header("cookie", cookie)).await;
            if fits(&answer) {
                return;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "{}", answer.head());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until("a=1", |answer| answer.status == 200).await;
    let rules = format!("{}/rules", site.stack.addresses.admin);
    let asked = client().build().expect("a client");
    let rule = r#"{"name": "storm", "action": "challenge", "query": {"storm": "*"}, "seconds": 600}"#;
    let added = send(asked.post(&rules).body(rule)).await;
    assert!(added.status == 200 && added.text().contains("rule storm challenge query=storm:*"), "{}", added.text());
    until("a=1", is_challenge).await;
    // Who was cleared before is, of what is stored, and of what goes on to the gateway, which knows the rule, too.
    assert_eq!(send(get(site, stored).header("cookie", &cookie)).await.status, 200);
    let on = send(get(site, "/echo?storm=1").header("cookie", &cookie)).await;
    assert_eq!(on.status, 200, "{}", on.head());
    let on = send(get(site, "/bytes/10?storm=1").header("cookie", &cookie)).await;
    assert_eq!(on.status, 200, "{}", on.head());
    assert_eq!(send(asked.delete(format!("{rules}/storm"))).await.status, 200);
    until("a=1", |answer| answer.status == 200).await;
}
