//! Webhooks: a sender signs the bytes of its body, so they reach the app byte for byte, each delivery once, and none is ever answered from a
//! cache.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use demo::Delivery;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::answer::send;
use crate::requests::hex;
use crate::site::{Host, Site, eventually};

cases![
    bodies_arrive_byte_for_byte,
    the_same_delivery_twice_is_two,
    the_senders_fields_arrive,
    a_delivery_that_breaks_off_is_none
];

#[derive(Deserialize)]
struct Receipt {
    bytes: usize,
    sha256: String,
}

/// The deliveries of a body, as the app took them.
pub(crate) fn received(site: &Site, body: &[u8]) -> Vec<Delivery> {
    let sha256 = hex(&Sha256::digest(body));
    let app = &site.stack.demo.as_ref().expect("the demo is the app").app;
    app.received().into_iter().filter(|delivery| delivery.sha256 == sha256).collect()
}

async fn bodies_arrive_byte_for_byte(site: &Site) {
    let all: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let bodies: [&[u8]; 6] = [
        b"{ \"id\":\"evt_1\" ,\r\n\t\"amount\":  1e2}\n\n",
        "{\"name\":\"Stra\u{df}e \u{1f980}\",\"e\":\"\\u00e9\"}".as_bytes(),
        b"\xff\xfe\x00not UTF-8\x80",
        b"\xef\xbb\xbf{}",
        b"a=1&b=%20+&&",
        &all,
    ];
    for (path, body) in
        ["/webhooks/stripe", "/webhooks/postmark"].iter().flat_map(|path| bodies.map(|body| (path, body)))
    {
        let answer = send(site.post(path).header("content-type", "application/json").body(body.to_vec())).await;
        let receipt: Receipt = answer.json();
        assert_eq!((receipt.bytes, receipt.sha256), (body.len(), hex(&Sha256::digest(body))));
        let delivery = received(site, body).pop().expect("a delivery");
        assert_eq!(BASE64_STANDARD.decode(&delivery.body_base64).expect("base64"), body);
    }
}

async fn the_same_delivery_twice_is_two(site: &Site) {
    let body = b"{\"id\":\"evt_twice\"}";
    for times in 1..=2 {
        let answer = send(site.post("/webhooks/stripe").body(&body[..])).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.head().contains("hit") && answer.head().contains("fwd=method"), "{}", answer.head());
        assert_eq!(received(site, body).len(), times);
    }
}

async fn the_senders_fields_arrive(site: &Site) {
    let signature = "t=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd";
    let body = b"{\"id\":\"evt_fields\"}";
    let request = site.post("/webhooks/stripe").header("stripe-signature", signature);
    assert_eq!(
        send(request.header("content-type", "application/json; charset=utf-8").body(&body[..])).await.status,
        200
    );
    let delivery = received(site, body).pop().expect("a delivery");
    let field = |name: &str| delivery.headers.iter().find(|[n, _]| n == name).map(|[_, value]| value.as_str());
    assert_eq!(field("stripe-signature"), Some(signature));
    assert_eq!(field("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(field("content-length"), Some(body.len().to_string().as_str()));
}

async fn a_delivery_that_breaks_off_is_none(site: &Site) {
    let app = &site.stack.demo.as_ref().expect("the demo is the app").app;
    let body = "{\"id\":\"evt_cut\"}";
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len());
    for rest in [format!("content-length: 1000\r\n\r\n{body}"), chunked] {
        let refused = || {
            site.stack
                .gateway
                .find(|line| line["url.path"] == "/webhooks/stripe" && line["http.response.status_code"] == 400)
        };
        let before = refused();
        let mut stream = TcpStream::connect(site.address()).await.expect("a connection");
        let request = format!("POST /webhooks/stripe HTTP/1.1\r\nhost: {}\r\n{rest}", site.address());
        stream.write_all(request.as_bytes()).await.expect("an open connection");
        drop(stream);
        match site.host {
            // Nobody is left to hear it, but the log does.
            Host::Native => {
                let line = || refused().filter(|line| Some(line) != before.as_ref());
                assert_eq!(eventually("its line in the gateway's log", line).await["reason"], "bad-request");
            }
            // The runtime may drop a request whose client has gone before the gateway has heard of it.
            Host::Worker => {}
        }
    }
    let whole = "{\"id\":\"evt_whole\"}";
    assert_eq!(send(site.post("/webhooks/stripe").body(whole)).await.status, 200);
    let texts: Vec<_> = app.received().into_iter().filter_map(|delivery| delivery.body_text).collect();
    assert!(texts.iter().any(|text| text == whole) && !texts.iter().any(|text| text.contains("evt_cut")), "{texts:?}");
}
