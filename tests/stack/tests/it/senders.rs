//! Senders of webhooks that the gateway knows: what they have signed, or bring credentials for, reaches the app byte for byte; nothing
//! else does. On the gateway alone: the Worker has no script on these paths.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{Method, RequestBuilder};
use sha2::Sha256;
use tempfile::TempDir;

use crate::answer::send;
use crate::own::{App, Own};
use crate::site::Site;
use crate::webhooks::received;

cases![
    what_stripe_has_signed_passes on Native,
    what_has_the_credentials_passes on Native,
    bodies_have_a_limit on Native,
    it_is_not_stored_filtered_or_counted_as_a_visitor on Native,
    an_app_that_is_down_is_tried_again on Native,
];

/// What the filter stops.
const ATTACK: &str = "/near?id=1%27%20or%20%271%27=%271";
const PLATFORM: &str = "whsec_platform_0123456789";
const CONNECT: &str = "whsec_connect_0123456789";
const PASSWORD: &str = "postmarks-password-0123";
const TOKEN: &str = "a-token-of-sixteen-and-more";

/// A gateway that knows some senders, before `app`.
fn start(site: &Site, app: &str, more: &str) -> (Own, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    };
    let (stripe, basic) =
        (format!("{PLATFORM}\n\n{CONNECT}\n"), format!("old:not-in-use-any-more\npostmark:{PASSWORD}"));
    let (stripe, basic, bearer) = (file("stripe", stripe), file("basic", basic), file("bearer", TOKEN.to_owned()));
    let sections = format!(
        "timeouts.hold = \"100ms\"\n{more}\n[filter]\nblock = [\"sqli\"]\n[[site]]\nhosts = [\"*\"]\napp = \"{app}\"\n\
         [webhook.stripe]\npath = \"/webhooks/stripe\"\nscheme = \"stripe\"\nsecrets_file = {stripe:?}\nbody = \"4KiB\"\n\
         [webhook.postmark]\npath = \"/webhooks/postmark\"\nscheme = \"basic\"\nsecrets_file = {basic:?}\n\
         [webhook.near]\npath = \"/near\"\nscheme = \"bearer\"\nsecrets_file = {bearer:?}\naddresses = [\"127.0.0.0/8\"]\n\
         [webhook.far]\npath = \"/far\"\nscheme = \"bearer\"\nsecrets_file = {bearer:?}\naddresses = [\"192.0.2.7\"]\n"
    );
    (Own::start(site, &sections), folder)
}

fn before_the_demo(site: &Site) -> (Own, TempDir) {
    start(site, site.stack.addresses.app.trim_start_matches("http://"), "")
}

/// As Stripe computes it, `age` seconds ago.
fn v1(secret: &str, age: u64, body: &[u8]) -> (u64, String) {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() - age;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    let hex = mac.finalize().into_bytes().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    (time, hex)
}

fn signature(secret: &str, age: u64, body: &[u8]) -> String {
    let (time, hex) = v1(secret, age, body);
    format!("t={time},v1={hex}")
}

fn stripe(own: &Own, signature: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    own.request(Method::POST, "/webhooks/stripe").header("stripe-signature", signature).body(body)
}

async fn what_stripe_has_signed_passes(site: &Site) {
    let (own, _folder) = before_the_demo(site);
    let body = |what: &str| format!("{{ \"id\":\"evt_{what}\" ,\r\n\t\"amount\":  1e2}}\n").into_bytes();
    let two = |what: &str| {
        let (time, good) = v1(PLATFORM, 0, &body(what));
        format!("t={time},v1={},v1={good},v0=x", "0".repeat(64))
    };
    for (what, signature, status) in [
        ("good", signature(PLATFORM, 0, &body("good")), 200),
        ("connect", signature(CONNECT, 0, &body("connect")), 200),
        ("bad", signature("whsec_of_somebody_else", 0, &body("bad")), 400),
        ("old", signature(PLATFORM, 302, &body("old")), 400),
        ("late", signature(PLATFORM, 298, &body("late")), 200),
        ("two", two("two"), 200),
        ("another", signature(PLATFORM, 0, &body("good")), 400),
        ("none", String::new(), 400),
    ] {
        let body = body(what);
        let answer = send(stripe(&own, &signature, body.clone()).header("content-type", "application/json")).await;
        let deliveries = received(site, &body);
        if status == 200 {
            assert_eq!(answer.status, 200, "{what}");
            let [delivery] = &deliveries[..] else { panic!("{what}: {deliveries:?}") };
            assert_eq!(BASE64_STANDARD.decode(&delivery.body_base64).expect("base64"), body, "{what}");
            let field = |name: &str| delivery.headers.iter().find(|[n, _]| n == name).map(|[_, value]| value.as_str());
            assert_eq!(field("stripe-signature"), Some(&*signature), "{what}");
            assert_eq!(field("content-type"), Some("application/json"), "{what}");
            assert_eq!(field("content-length"), Some(&*body.len().to_string()), "{what}");
        } else {
            answer.assert_problem(status, "webhook-signature");
            assert!(deliveries.is_empty(), "{what}: {deliveries:?}");
            assert_eq!(own.line(answer.id())["reason"], "webhook-signature");
        }
    }
    // JSON that means the same is other bytes, and a path that means the same is no way around.
    let once = body("again");
    let again = b"{\"id\":\"evt_again\",\"amount\":100.0}".to_vec();
    send(stripe(&own, &signature(PLATFORM, 0, &once), again)).await.assert_problem(400, "webhook-signature");
    for path in
        ["/webhooks/%73tripe", "/webhooks//stripe", "/x/../webhooks/stripe/", "/WEBHOOKS/stripe", "/webhooks/stripe;x"]
    {
        let answer = send(own.request(Method::POST, path).body("{}")).await;
        answer.assert_problem(400, "webhook-signature");
    }
    let metrics = send(own.admin("/metrics")).await;
    for line in ["origin_webhooks_total{sender=\"stripe\",outcome=\"passed\"} 4", "outcome=\"webhook-signature\"} 10"] {
        assert!(metrics.text().contains(line), "{line}: {}", metrics.text());
    }
}

async fn what_has_the_credentials_passes(site: &Site) {
    let (own, _folder) = before_the_demo(site);
    let post = |path: &str| own.request(Method::POST, path);
    let right = post("/webhooks/postmark").basic_auth("postmark", Some(PASSWORD));
    assert_eq!(send(right.body("{\"MessageID\":\"right\"}")).await.status, 200);
    assert_eq!(received(site, b"{\"MessageID\":\"right\"}").len(), 1);
    let mut refused = vec![post("/webhooks/postmark")];
    for (user, password) in [
        ("postmark", "postmarks-password-0124"),
        ("postmark", ""),
        ("", PASSWORD),
        ("old", PASSWORD),
        ("postmark", TOKEN),
    ] {
        refused.push(post("/webhooks/postmark").basic_auth(user, Some(password)));
    }
    refused.push(post("/webhooks/postmark").bearer_auth(format!("postmark:{PASSWORD}")));
    refused.push(post("/webhooks/postmark").header("authorization", "Basic !").header("authorization", "Basic"));
    for request in refused {
        let answer = send(request.body("{\"MessageID\":\"wrong\"}")).await;
        answer.assert_problem(401, "webhook-credentials");
        assert_eq!(answer.field("www-authenticate"), "Basic realm=\"webhooks\"");
    }
    assert!(received(site, b"{\"MessageID\":\"wrong\"}").is_empty());

    send(post("/far").bearer_auth(TOKEN)).await.assert_problem(403, "webhook-address");
    let wrong = send(post("/near").bearer_auth(PASSWORD)).await;
    wrong.assert_problem(401, "webhook-credentials");
    assert_eq!(wrong.field("www-authenticate"), "Bearer");
    let near = send(post("/near").bearer_auth(TOKEN)).await;
    assert_eq!(
        (near.status, near.text().contains("webhook-")),
        (404, false),
        "it reaches the app, which has nothing there"
    );

    // All lines are there when the last request's is.
    own.line(near.id());
    let coded = BASE64_STANDARD.encode(format!("postmark:{PASSWORD}"));
    for secret in [PASSWORD, TOKEN, &coded] {
        assert_eq!(own.gateway.find(|line| line.to_string().contains(secret)), None);
    }
}

async fn bodies_have_a_limit(site: &Site) {
    let (own, _folder) = before_the_demo(site);
    let (most, more) = (vec![b'a'; 4096], vec![b'a'; 4097]);
    assert_eq!(send(stripe(&own, &signature(PLATFORM, 0, &most), most.clone())).await.status, 200);
    let announced = send(stripe(&own, &signature(PLATFORM, 0, &more), more.clone())).await;
    announced.assert_problem(413, "body-too-large");
    let chunks =
        futures_util::stream::iter(more.chunks(512).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>());
    let counted = send(stripe(&own, &signature(PLATFORM, 0, &more), reqwest::Body::wrap_stream(chunks))).await;
    counted.assert_problem(413, "body-too-large");
    assert!(received(site, &more).is_empty());
    let chunks =
        futures_util::stream::iter(most.chunks(512).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>());
    let counted = send(stripe(&own, &signature(CONNECT, 0, &most), reqwest::Body::wrap_stream(chunks))).await;
    assert_eq!((counted.status, received(site, &most).len()), (200, 2));
}

async fn it_is_not_stored_filtered_or_counted_as_a_visitor(site: &Site) {
    let app = App::start().await;
    let (own, _folder) = start(
        site,
        &app.address().to_string(),
        "[rate.all]\nburst = 1\nevery = \"1day\"\n[compress]\nleast = \"1KiB\"",
    );
    for n in 1..=3 {
        let answering = async {
            let mut got = app.request().await;
            got.say("HTTP/1.1 200 OK\r\ncache-control: public, max-age=600\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
                .await;
            got.head
        };
        let asked = send(own.request(Method::GET, ATTACK).bearer_auth(TOKEN));
        let (head, answer) = tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(answering, asked) })
            .await
            .unwrap_or_else(|_| panic!("the app is not asked the {n}. time"));
        assert!(head.starts_with("GET /near?") && head.contains(TOKEN), "{head}");
        assert_eq!((answer.status, answer.field("cache-control"), answer.field("cache-status")), (200, "no-store", ""));
        assert_eq!(answer.field("ratelimit"), "");
    }
    // A visitor is.
    let attack = own.get(&ATTACK.replace("near", "visitor")).header("accept", "application/json");
    send(attack).await.assert_problem(403, "blocked");
    let answering = async { app.request().await.say("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await };
    let ((), first) = tokio::join!(answering, send(own.get("/visitor")));
    assert_eq!(first.status, 204);
    send(own.get("/visitor").header("accept", "application/json")).await.assert_problem(429, "rate-limited");
}

async fn an_app_that_is_down_is_tried_again(site: &Site) {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let (own, _folder) = start(site, &gone.to_string(), "");
    let body = b"{\"id\":\"evt_down\"}";
    let answer = send(stripe(&own, &signature(PLATFORM, 0, body), &body[..])).await;
    answer.assert_problem(503, "app-unreachable");
    assert_eq!(answer.field("retry-after"), "5");
    let refused = send(stripe(&own, &signature("whsec_of_somebody_else", 0, body), &body[..])).await;
    refused.assert_problem(400, "webhook-signature");
    let metrics = send(own.admin("/metrics")).await;
    assert!(metrics.text().contains("{sender=\"stripe\",outcome=\"app-unreachable\"} 1"), "{}", metrics.text());
}
