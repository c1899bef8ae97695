//! Trust is decided once per request, from the name in SNI, the client's certificate and the signature (origin/src/trust.rs has the table).
//! Here a client speaks to the gateway itself, as whoever finds its address can.

use contract::signature::{Keys, Message, SignatureFields};
use contract::{EdgeFacts, RequestId};
use rcgen::{CertificateParams, KeyPair};
use reqwest::{Client, RequestBuilder};

use crate::answer::{Answer, send};
use crate::own::Own;
use crate::site::Site;

cases![
    who_has_no_certificate on Native,
    whose_certificate_is_anothers on Native,
    a_certificate_without_a_signature on Native,
    a_good_signature on Native,
    a_signature_that_does_not_hold on Native,
    a_certificate_for_one_name_does_not_open_another on Native,
    a_site_for_the_edge_only on Native,
    limits_count_the_verified_client on Native,
];

/// The path that cases ask for, and its query; the app counts by it.
const PATH: &str = "/cache";

/// A gateway with a site of each kind in front of a site's app.
struct Gateway {
    own: Own,
    port: u16,
    keys: Keys,
}

impl Gateway {
    fn start(site: &Site) -> Self {
        let app = site.stack.addresses.app.trim_start_matches("http://");
        let kinds =
            [("makenot.work", "cloudflare"), ("edge.makenot.work", "edge-only"), ("direct.makenot.work", "direct")];
        let sections: String = kinds
            .iter()
            .map(|(host, trust)| format!("[[site]]\nhosts = [\"{host}\"]\napp = \"{app}\"\ntrust = \"{trust}\"\n"))
            .collect();
        let limit = "[rate.once]\npaths = [\"/echo/limited\"]\nburst = 1\nevery = \"1h\"\n";
        let own = Own::start(site, &format!("{limit}{sections}"));
        let keys = Keys::parse(&site.stack.credentials.edge_keys).expect("the stack's keys");
        Self { port: own.https().port(), own, keys }
    }

    fn url(&self, host: &str, target: &str) -> String {
        format!("https://{host}:{}{target}", self.port)
    }

    /// A signature by the stack's key.
    fn sign(&self, method: &str, host: &str, target: &str, facts: &str, created: u64) -> SignatureFields {
        let authority = format!("{host}:{}", self.port);
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        self.keys.signing().sign(&Message { method, authority: &authority, path, query, facts }, created)
    }
}

/// What an edge says of a request under this id.
fn facts(id: [u8; 16]) -> String {
    facts_of("203.0.113.7", id)
}

fn facts_of(client: &str, id: [u8; 16]) -> String {
    let client = client.parse().expect("an address");
    EdgeFacts { client, id: RequestId::from_random(id), country: None, asn: None, ruleset: None, cleared: false }
        .to_string()
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs()
}

fn signed(request: RequestBuilder, facts: &str, fields: &SignatureFields) -> RequestBuilder {
    request.header("edge-facts", facts).header("signature-input", &fields.input).header("signature", &fields.signature)
}

async fn who_has_no_certificate(site: &Site) {
    let gateway = Gateway::start(site);
    let stranger = gateway.own.tls_client(None);
    for host in ["makenot.work", "edge.makenot.work"] {
        let refused = stranger.get(gateway.url(host, "/echo")).send().await;
        assert!(refused.is_err(), "{host} let a stranger in: {refused:?}");
    }
    let direct =
        send(stranger.get(gateway.url("direct.makenot.work", "/echo")).header("cf-connecting-ip", "198.51.100.4"))
            .await;
    assert_eq!((direct.status, direct.seen().field("x-forwarded-for")), (200, "127.0.0.1"));
    assert_eq!(direct.seen().field("x-forwarded-proto"), "https");
    assert_eq!(gateway.own.line(direct.id())["trust"], "direct");
    // A name that no site has: anyone may hear that.
    send(stranger.get(gateway.url("unknown.makenot.work", "/echo"))).await.assert_problem(421, "unknown-host");
}

async fn whose_certificate_is_anothers(site: &Site) {
    let gateway = Gateway::start(site);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["zone.makenot.work".to_owned()]).expect("parameters");
    let own = params.self_signed(&key).expect("a certificate");
    let client = gateway.own.tls_client(Some(&(own.pem(), key.serialize_pem())));
    for host in ["makenot.work", "edge.makenot.work"] {
        let refused = client.get(gateway.url(host, "/echo")).send().await;
        assert!(refused.is_err(), "{host} let in whom another authority vouches for: {refused:?}");
    }
}

fn certified(site: &Site, gateway: &Gateway) -> Client {
    gateway.own.tls_client(Some(&site.stack.credentials.client))
}

async fn a_certificate_without_a_signature(site: &Site) {
    let gateway = Gateway::start(site);
    let client = certified(site, &gateway);
    let request = client.get(gateway.url("makenot.work", "/echo")).header("cf-connecting-ip", "198.51.100.4");
    let answer = send(request.header("x-forwarded-for", "192.0.2.1")).await;
    let seen = answer.seen();
    assert_eq!((answer.status, seen.field("x-forwarded-for")), (200, "198.51.100.4"));
    assert_eq!(seen.field("x-forwarded-proto"), "https");
    let line = gateway.own.line(answer.id());
    assert_eq!((&line["trust"], &line["client.address"]), (&"cloudflare".into(), &"198.51.100.4".into()));
    // The native edge does what the Worker would have done.
    assert_eq!(answer.all("gateway").count(), 0, "only what a Worker reads is marked for it");
    send(client.get(gateway.url("makenot.work", "/echo/a%2fb"))).await.assert_problem(400, "path-refused");
    // What it says of the client is believed only where it is one address.
    for odd in ["198.51.100.4, 192.0.2.1", "unknown", ""] {
        let answer = send(client.get(gateway.url("makenot.work", "/echo")).header("cf-connecting-ip", odd)).await;
        assert_eq!(answer.seen().field("x-forwarded-for"), "127.0.0.1", "{odd:?}");
    }
}

async fn a_good_signature(site: &Site) {
    let gateway = Gateway::start(site);
    let (client, stranger) = (certified(site, &gateway), gateway.own.tls_client(None));
    for (n, (client, host)) in
        [(&client, "makenot.work"), (&client, "edge.makenot.work"), (&stranger, "direct.makenot.work")]
            .into_iter()
            .enumerate()
    {
        let id = [n as u8 + 1; 16];
        let facts = facts(id);
        let target = "/echo/a?b=c";
        let fields = gateway.sign("GET", host, target, &facts, now());
        let request = client.get(gateway.url(host, target)).header("cf-connecting-ip", "198.51.100.4");
        let answer = send(signed(request, &facts, &fields)).await;
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
        let seen = answer.seen();
        assert_eq!(seen.field("x-forwarded-for"), "203.0.113.7", "{host}: the signed address counts");
        assert_eq!(answer.id(), RequestId::from_random(id).to_string());
        assert_eq!(seen.field("x-request-id"), answer.id());
        assert_eq!(answer.field("gateway"), "1");
        for name in ["edge-facts", "signature", "signature-input", "cf-connecting-ip"] {
            assert_eq!(seen.all(name).len(), 0, "{name} reached the app");
        }
        assert_eq!(gateway.own.line(answer.id())["trust"], "edge-signed");
    }
}

async fn a_signature_that_does_not_hold(site: &Site) {
    let gateway = Gateway::start(site);
    let client = certified(site, &gateway);
    let facts = facts([9; 16]);
    let host = "makenot.work";
    let query = "bad-signatures";
    let target = format!("{PATH}?{query}");
    let good = gateway.sign("GET", host, &target, &facts, now());
    let request = || client.get(gateway.url(host, &target));
    let with = |fields: &SignatureFields| signed(request(), &facts, fields);
    let sign =
        |method: &str, host: &str, target: &str, created: u64| gateway.sign(method, host, target, &facts, created);
    let other_key = Keys::parse("other:b3RoZXIgc2VjcmV0IG1hdGVyaWFsIG9mIDMyIGJ5dGVzIQ==").expect("a key");
    let stolen_id = Keys::parse("dev-1:b3RoZXIgc2VjcmV0IG1hdGVyaWFsIG9mIDMyIGJ5dGVzIQ==").expect("a key");
    let authority = format!("{host}:{}", gateway.port);
    let message = Message { method: "GET", authority: &authority, path: PATH, query: Some(query), facts: &facts };
    let flipped = {
        let (label, rest) = good.signature.split_at("edge=:".len());
        let first = if rest.starts_with('A') { 'B' } else { 'A' };
        SignatureFields { input: good.input.clone(), signature: format!("{label}{first}{}", &rest[1..]) }
    };
    let other_facts = facts.replace("203.0.113.7", "203.0.113.8");
    let refused: [(&str, RequestBuilder, &str); 16] = [
        ("one bit", with(&flipped), "signature-mismatch"),
        ("another method", with(&sign("POST", host, &target, now())), "signature-mismatch"),
        ("another path", with(&sign("GET", host, "/echo?bad-signatures", now())), "signature-mismatch"),
        ("another query", with(&sign("GET", host, "/cache?other", now())), "signature-mismatch"),
        ("another host", with(&sign("GET", "direct.makenot.work", &target, now())), "signature-mismatch"),
        ("other facts", signed(request(), &other_facts, &good), "signature-mismatch"),
        ("another secret", with(&stolen_id.signing().sign(&message, now())), "signature-mismatch"),
        ("an unknown key", with(&other_key.signing().sign(&message, now())), "signature-unknown-key"),
        ("too old", with(&sign("GET", host, &target, now() - 31)), "signature-expired"),
        ("from the future", with(&sign("GET", host, &target, now() + 10)), "signature-not-yet-valid"),
        ("two signatures", with(&good).header("signature", &good.signature), "signature-malformed"),
        ("two inputs", with(&good).header("signature-input", &good.input), "signature-malformed"),
        ("two facts", with(&good).header("edge-facts", &facts), "signature-malformed"),
        (
            "no facts",
            request().header("signature-input", &good.input).header("signature", &good.signature),
            "signature-malformed",
        ),
        (
            "no signature",
            request().header("edge-facts", &facts).header("signature-input", &good.input),
            "signature-malformed",
        ),
        ("facts alone", request().header("edge-facts", &facts), "signature-malformed"),
    ];
    for (what, request, reason) in refused {
        let answer: Answer = send(request).await;
        assert_eq!(answer.status, 403, "{what}: {}{}", answer.head(), answer.text());
        answer.assert_problem(403, "signature-refused");
        assert_eq!(gateway.own.line(answer.id())["reason"], reason, "{what}");
    }
    // Facts that are signed, and say nothing.
    let empty = "client=\"nobody\"";
    let fields = gateway.sign("GET", host, &target, empty, now());
    send(signed(request(), empty, &fields)).await.assert_problem(403, "signature-refused");
    assert_eq!(site.renders(query).await, 0, "a refused request reached the app");
    assert_eq!(send(with(&good)).await.status, 200, "the signature that all others were made from");
}

async fn a_certificate_for_one_name_does_not_open_another(site: &Site) {
    let gateway = Gateway::start(site);
    // The handshake of a name that anyone may use, then a request for one that takes a certificate.
    let stranger = gateway.own.tls(None).http1_only().build().expect("a client");
    let host = format!("makenot.work:{}", gateway.port);
    let answer = send(stranger.get(gateway.url("direct.makenot.work", "/echo")).header("host", &host)).await;
    answer.assert_problem(403, "edge-required");
    assert_eq!(gateway.own.line(answer.id())["reason"], "no-certificate");
    // HTTP/2 names the host twice when it carries Host: two names are none.
    let answer =
        send(gateway.own.tls_client(None).get(gateway.url("direct.makenot.work", "/echo")).header("host", &host)).await;
    answer.assert_problem(400, "bad-request");
}

async fn a_site_for_the_edge_only(site: &Site) {
    let gateway = Gateway::start(site);
    let client = certified(site, &gateway);
    let answer = send(client.get(gateway.url("edge.makenot.work", "/echo"))).await;
    answer.assert_problem(403, "edge-required");
    assert_eq!(gateway.own.line(answer.id())["reason"], "no-signature");
}

/// Whoever brings the request, and whatever it says of itself: it counts for the client that is known by signature, by Cloudflare's word
/// on a connection of our zone's, or by the connection's peer.
async fn limits_count_the_verified_client(site: &Site) {
    let gateway = Gateway::start(site);
    let (client, stranger) = (certified(site, &gateway), gateway.own.tls_client(None));
    let target = "/echo/limited";
    let edge = async |address: &str, id| {
        let facts = facts_of(address, [id; 16]);
        let fields = gateway.sign("GET", "makenot.work", target, &facts, now());
        send(signed(client.get(gateway.url("makenot.work", target)), &facts, &fields)).await
    };
    let first = edge("203.0.113.7", 1).await;
    assert_eq!((first.status, first.field("ratelimit")), (200, "\"once\";r=0;t=3600"));
    let refused = edge("203.0.113.7", 2).await;
    refused.assert_problem(429, "rate-limited");
    assert!(refused.field("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 3_500), "{}", refused.head());
    assert_eq!(edge("203.0.113.8", 3).await.status, 200);
    let cloudflare = async |address: &str| {
        let request = client.get(gateway.url("makenot.work", target)).header("cf-connecting-ip", address);
        send(request).await.status
    };
    assert_eq!((cloudflare("203.0.113.8").await, cloudflare("203.0.113.9").await), (429, 200));
    let direct = async |said: &str| {
        let request = stranger.get(gateway.url("direct.makenot.work", target));
        send(request.header("x-forwarded-for", said).header("cf-connecting-ip", said).header("x-real-ip", said))
            .await
            .status
    };
    assert_eq!(
        (direct("203.0.113.10").await, direct("203.0.113.11").await),
        (200, 429),
        "what a client says counts for nothing"
    );
}
