//! The app sees the client's request, and only ours beside it: every answer has an id that all logs share, what only we may say is never
//! the client's word, what belongs to one connection stays on it, and everything else passes unchanged.

use reqwest::Method;
use sha2::{Digest as _, Sha256};

use crate::answer::send;
use crate::raw;
use crate::site::{Host, Site};

cases![
    an_id_on_every_answer_and_in_every_log,
    a_refused_request_has_an_id_too,
    a_trace_is_continued,
    a_broken_trace_is_replaced,
    a_broken_state_of_a_trace_is_dropped_and_the_trace_goes_on,
    what_only_we_may_say,
    the_app_knows_who_asked_for_what,
    what_belongs_to_one_connection_stays_on_it,
    ordinary_fields_pass,
    repeated_fields_and_cookies_pass,
    bytes_beyond_ascii_pass,
    several_cookies_are_set,
    methods_and_bodies,
    an_expected_continue,
    head_has_the_fields_of_get_and_no_body,
    trace_and_connect_are_nobodys_business,
    the_runtime_adds_no_cache_control,
    what_codings_the_app_is_asked_for,
    statuses_and_redirects_pass,
    http_2_says_the_same on Native,
];

async fn an_id_on_every_answer_and_in_every_log(site: &Site) {
    let answer = site.fetch("/echo/id?q=1").await;
    let id = answer.id();
    assert_eq!(answer.seen().field("x-request-id"), id);
    let line = site.gateway_line(id);
    assert_eq!((&line["url.path"], &line["http.response.status_code"]), (&"/echo/id".into(), &200.into()));
    match site.host {
        Host::Native => assert_eq!(line["trust"], "direct"),
        Host::Worker => {
            assert_eq!(line["trust"], "edge-signed");
            let line = site.worker_line(id).await;
            assert_eq!((&line["url.path"], &line["http.response.status_code"]), (&"/echo/id".into(), &200.into()));
        }
    }
    assert_ne!(site.fetch("/echo/id?q=1").await.id(), id);
    // A hit has its own id, not that of the answer that was stored.
    let stored = site.fetch("/cache?cc=public,max-age=60&id").await;
    let hit = site.fetch("/cache?cc=public,max-age=60&id").await;
    assert_eq!(hit.text(), stored.text());
    assert_ne!(hit.id(), stored.id());
}

async fn a_refused_request_has_an_id_too(site: &Site) {
    let answer = raw::get(site.address(), b"/echo/a%2fb").await;
    answer.assert_problem(400, "path-refused");
    let line = match site.host {
        Host::Native => site.gateway_line(answer.id()),
        Host::Worker => site.worker_line(answer.id()).await,
    };
    assert_eq!(line["http.response.status_code"], 400);
}

/// The span in which a request is with the app: below the gateway's own, which is the half of the request's id that no hop before has taken.
fn with_the_app(site: &Site, id: &str) -> String {
    let half = match site.host {
        Host::Native => &id[..16],
        Host::Worker => &id[16..],
    };
    format!("{:016x}", u64::from_str_radix(half, 16).expect("hexadecimal") ^ 1)
}

async fn a_trace_is_continued(site: &Site) {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let state = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";
    for flags in ["00", "01"] {
        let parent = format!("00-{trace}-00f067aa0ba902b7-{flags}");
        let answer = send(site.get("/echo").header("traceparent", parent).header("tracestate", state)).await;
        let id = answer.id().to_owned();
        let seen = answer.seen();
        assert_eq!(seen.field("traceparent"), format!("00-{trace}-{}-{flags}", with_the_app(site, &id)));
        assert_eq!(seen.field("tracestate"), state);
        assert_eq!(site.gateway_line(&id)["trace.id"], trace);
        if site.host == Host::Worker {
            assert_eq!(site.worker_line(&id).await["trace.id"], trace);
        }
    }
}

async fn a_broken_trace_is_replaced(site: &Site) {
    for broken in ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", "x", ""] {
        let answer = send(site.get("/echo").header("traceparent", broken).header("tracestate", "rojo=1")).await;
        let id = answer.id().to_owned();
        let seen = answer.seen();
        assert_eq!(seen.field("traceparent"), format!("00-{id}-{}-00", with_the_app(site, &id)), "{broken}");
        assert!(seen.all("tracestate").is_empty(), "it is of another trace");
        assert_eq!(site.gateway_line(&id)["trace.id"], id);
        if site.host == Host::Worker {
            assert_eq!(site.worker_line(&id).await["trace.id"], id);
        }
    }
}

async fn a_broken_state_of_a_trace_is_dropped_and_the_trace_goes_on(site: &Site) {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (state, goes_on) in [("rojo", None), ("a=1,,b=2", Some("a=1,b=2"))] {
        let answer = send(site.get("/echo").header("traceparent", parent).header("tracestate", state)).await;
        let seen = answer.seen();
        assert!(seen.field("traceparent").starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert_eq!(seen.all("tracestate").first().copied(), goes_on, "{state}");
    }
}

async fn what_only_we_may_say(site: &Site) {
    let names = contract::header::FROM_CLIENT_NEVER.iter().copied().chain([
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-anything",
        "cf-ray",
        "cf-ipcountry",
        "cf-visitor",
        "x_forwarded_for",
        "cf_ipcountry",
    ]);
    for name in names {
        let answer = send(site.get("/echo").header(name, "evil.example")).await;
        if name == "edge-facts" && site.host == Host::Native {
            // Here a Worker may be the client: who speaks for the edge has to sign what it says. The Worker itself is nobody's upstream.
            answer.assert_problem(403, "signature-refused");
            continue;
        }
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let seen = answer.seen();
        let evil: Vec<_> = seen.headers.iter().filter(|(_, value)| value.contains("evil")).collect();
        assert!(evil.is_empty(), "{name} came through: {evil:?}");
    }
    // One that could be true is believed no more.
    let client = match site.host {
        Host::Native => "127.0.0.1",
        // Cloudflare puts its own in its place before the Worker runs; workerd alone leaves what is there.
        Host::Worker => "203.0.113.9",
    };
    let seen = send(site.get("/echo").header("cf-connecting-ip", "203.0.113.9")).await.seen();
    assert_eq!(seen.all("x-forwarded-for"), [client]);
    // Nor does it go through under the name that vouches for it, for all of a request's fields at once.
    let answer = send(
        site.get("/echo")
            .header("x-forwarded-for", "203.0.113.9")
            .header("x-real-ip", "203.0.113.9")
            .header("forwarded", "for=203.0.113.9")
            .header("connection", "x-forwarded-for, forwarded, x-request-id"),
    )
    .await;
    let seen = answer.seen();
    assert!(!seen.headers.iter().any(|(_, value)| value.contains("203.0.113.9")), "{seen:?}");
    assert_eq!(seen.field("x-request-id"), answer.id());
}

async fn the_app_knows_who_asked_for_what(site: &Site) {
    let answer = site.fetch("/echo").await;
    let seen = answer.seen();
    let authority = site.address().to_string();
    assert_eq!(seen.field("host"), authority);
    assert_eq!(seen.field("x-forwarded-host"), authority);
    // One address, the verified one, in both of its forms.
    let client = seen.field("x-forwarded-for");
    assert_eq!(client, "127.0.0.1");
    let scheme = match site.host {
        Host::Native => "http",
        // What reaches us through Cloudflare's certificate came over TLS; only this stack's visitors talk to workerd without.
        Host::Worker => "https",
    };
    assert_eq!(seen.field("x-forwarded-proto"), scheme);
    assert_eq!(seen.field("forwarded"), format!("for={client};host=\"{authority}\";proto={scheme}"));
    assert_eq!(site.gateway_line(answer.id())["client.address"], client);
}

async fn what_belongs_to_one_connection_stays_on_it(site: &Site) {
    let request = format!(
        "GET /echo HTTP/1.1\r\nhost: {}\r\nconnection: close, X-Mine, TE\r\nx-mine: 1\r\nte: gzip\r\n\
         keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nproxy-authorization: Basic eDp5\r\nx-other: 1\r\n\r\n",
        site.address()
    );
    let seen = raw::exchange(site.address(), request.as_bytes()).await.seen();
    assert_eq!(seen.field("x-other"), "1");
    for name in ["connection", "x-mine", "te", "keep-alive", "proxy-connection", "proxy-authorization"] {
        assert_eq!(seen.all(name), Vec::<&str>::new(), "{name}");
    }
    let back = "/cache?header=Connection:%20X-Back&header=X-Back:%201&header=Keep-Alive:%20timeout%3D5\
                &header=Proxy-Authenticate:%20Basic&header=X-Other:%201";
    let answer = site.fetch(back).await;
    assert_eq!(answer.field("x-other"), "1");
    for name in ["connection", "x-back", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.all(name).count(), 0, "{name}: {}", answer.head());
    }
}

async fn ordinary_fields_pass(site: &Site) {
    let fields = [
        ("accept", "text/html, */*;q=0.1"),
        ("accept-language", "de, en;q=0.5"),
        ("authorization", "Bearer a.b.c"),
        ("cache-control", "no-cache"),
        ("content-type", "application/x-www-form-urlencoded"),
        ("cookie", "session=abc; theme=dark"),
        ("hx-request", "true"),
        ("if-none-match", "\"a\", W/\"b\""),
        ("origin", "https://makenot.work"),
        ("range", "bytes=0-9"),
        ("referer", "https://makenot.work/c/mira"),
        ("sec-fetch-site", "same-origin"),
        ("user-agent", "Suite/1.0 (it)"),
        ("x-csrf-token", "t0k=en"),
        ("x-empty", ""),
    ];
    let request = fields.iter().fold(site.get("/echo"), |request, (name, value)| request.header(*name, *value));
    let seen = send(request).await.seen();
    for (name, value) in fields {
        assert_eq!(seen.all(name), [value], "{name}");
    }
}

async fn repeated_fields_and_cookies_pass(site: &Site) {
    let request = site.get("/echo").header("x-many", "a, b").header("x-many", "c");
    let seen = send(request.header("cookie", "a=1").header("cookie", "b=2; c=3")).await.seen();
    match site.host {
        // Cookie is no list, so joining takes a semicolon (RFC 9113 section 8.2.3).
        Host::Native => {
            assert_eq!((seen.all("x-many"), seen.all("cookie")), (vec!["a, b", "c"], vec!["a=1; b=2; c=3"]))
        }
        // The Fetch standard's Headers join the lines of a name by commas. That means the same for a list (RFC 9110 section 5.3); for
        // Cookie it does not, but more than one line of it comes from no browser over HTTP/1.1, and Cloudflare joins what comes in
        // HTTP/2 before the Worker sees it.
        Host::Worker => assert_eq!((seen.all("x-many"), seen.all("cookie")), (vec!["a, b, c"], vec!["a=1, b=2; c=3"])),
    }
    assert_eq!(send(site.get("/echo").header("cookie", "a=1; b=2")).await.seen().all("cookie"), ["a=1; b=2"]);
}

async fn bytes_beyond_ascii_pass(site: &Site) {
    let mut request = format!("GET /echo HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", site.address()).into_bytes();
    request.extend_from_slice("x-utf8: fünf €\r\n".as_bytes());
    request.extend_from_slice(b"x-latin1: f\xfcnf\r\n\r\n");
    let seen = raw::exchange(site.address(), &request).await.seen();
    assert_eq!(seen.field("x-utf8"), "fünf €");
    // The app shows what is no UTF-8 as U+FFFD.
    assert_eq!(seen.field("x-latin1"), "f\u{fffd}nf");

    let answer = site.fetch("/cache?header=X-Utf8:%20f%C3%BCnf%20%E2%82%AC").await;
    assert_eq!(answer.all("x-utf8").collect::<Vec<_>>(), ["fünf €".as_bytes()]);
}

async fn several_cookies_are_set(site: &Site) {
    let answer = site.fetch("/cache?set-cookie=a%3D1%3B%20Path%3D/&set-cookie=b%3D2,3&set-cookie=a%3D4").await;
    let cookies: Vec<_> = answer.all("set-cookie").collect();
    assert_eq!(cookies, [&b"a=1; Path=/"[..], b"b=2,3", b"a=4"]);
}

async fn methods_and_bodies(site: &Site) {
    let body: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let digest = hex(&Sha256::digest(&body));
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let seen = send(site.request(method.clone(), "/echo/m").body(body.clone())).await.seen();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), (method.as_str(), "/echo/m"));
        assert_eq!((seen.body_bytes, seen.body_sha256.as_str()), (70_000, digest.as_str()), "{method}");
        assert_eq!(seen.field("content-length"), "70000", "{method}");
        let seen = send(site.request(method.clone(), "/echo/m")).await.seen();
        assert_eq!((seen.method.as_str(), seen.body_bytes), (method.as_str(), 0));
    }
}

async fn an_expected_continue(site: &Site) {
    let request = format!(
        "POST /echo HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello",
        site.address()
    );
    let all = raw::bytes(site.address(), request.as_bytes()).await;
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    let seen = raw::parse(all.strip_prefix(interim).unwrap_or(&all)).seen();
    assert_eq!(seen.body_bytes, 5);
}

async fn head_has_the_fields_of_get_and_no_body(site: &Site) {
    let answer = send(site.request(Method::HEAD, "/echo")).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let path = "/bytes/100000?head";
    let (get, head) = (site.fetch(path).await, send(site.request(Method::HEAD, path)).await);
    assert_eq!((get.body.len(), head.body.len()), (100_000, 0));
    assert_eq!(head.field("content-length"), "100000");
    assert_eq!(head.field("content-type"), get.field("content-type"));
    assert_eq!(site.gateway_line(head.id())["http.response.body.bytes"], 0);
}

async fn trace_and_connect_are_nobodys_business(site: &Site) {
    let address = site.address();
    let request = format!("TRACE /echo HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nx-secret: 1\r\n\r\n");
    let answer = raw::exchange(address, request.as_bytes()).await;
    answer.assert_problem(405, "method-not-allowed");
    assert!(answer.field("allow").starts_with("GET, HEAD, "), "{}", answer.head());
    for authority in ["evil.example:443".to_owned(), address.to_string()] {
        let request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
        let answer = raw::exchange(address, request.as_bytes()).await;
        match site.host {
            Host::Native => answer.assert_problem(405, "method-not-allowed"),
            // The runtime has no request for it; it never reaches the Worker.
            Host::Worker => assert_eq!(answer.status, 500, "{}", answer.head()),
        }
    }
}

async fn the_runtime_adds_no_cache_control(site: &Site) {
    let seen = site.fetch("/echo").await.seen();
    for name in ["cache-control", "pragma"] {
        assert_eq!(seen.all(name), Vec::<&str>::new(), "{name}");
    }
    let seen = send(site.get("/echo").header("cache-control", "max-age=0")).await.seen();
    assert_eq!(seen.all("cache-control"), ["max-age=0"]);
}

async fn what_codings_the_app_is_asked_for(site: &Site) {
    let plain = site.fetch("/echo").await.seen();
    let coded = send(site.get("/echo").header("accept-encoding", "gzip")).await;
    match site.host {
        Host::Native => {
            assert_eq!(plain.all("accept-encoding"), Vec::<&str>::new());
            assert_eq!(coded.seen().all("accept-encoding"), ["gzip"]);
        }
        // The runtime asks for what it can decode, whatever the client wants, and codes for the client by itself.
        Host::Worker => {
            assert_eq!(plain.all("accept-encoding"), ["br, gzip"]);
            assert_eq!(coded.field("content-encoding"), "gzip", "{}", coded.head());
            assert!(coded.body.starts_with(b"\x1f\x8b"), "not gzip (RFC 1952 section 2.3.1)");
        }
    }
}

async fn statuses_and_redirects_pass(site: &Site) {
    for status in [200, 201, 202, 203, 204, 301, 302, 303, 307, 308, 401, 405, 409, 410, 422, 451, 501] {
        let path = format!("/cache?status={status}&header=Location:%20../x%3Fy%3Dz&header=WWW-Authenticate:%20Basic");
        let answer = site.fetch(&path).await;
        assert_eq!(answer.status, status);
        assert_eq!((answer.field("location"), answer.field("www-authenticate")), ("../x?y=z", "Basic"), "{status}");
        assert_eq!(answer.text(), if status == 204 { "" } else { "render 1\n" }, "{status}");
    }
}

async fn http_2_says_the_same(site: &Site) {
    let ca = reqwest::Certificate::from_pem(site.stack.credentials.ca.as_bytes()).expect("a certificate");
    let client = crate::site::client().tls_certs_only([ca]).build().expect("a client");
    let url = |path: &str| format!("{}{path}", site.stack.addresses.gateway);
    let response = client.get(url("/echo")).send().await.expect("an answer");
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    let body: Vec<u8> = (0..=255).cycle().take(700_000).collect();
    let request =
        client.patch(url("/echo/a/../b?c")).header("cookie", "a=1").header("cookie", "b=2").header("x-many", "c");
    let answer = send(request.header("x-many", "d").header("te", "trailers").body(body.clone())).await;
    let seen = answer.seen();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PATCH", "/echo/b?c"));
    assert_eq!((seen.body_bytes, seen.body_sha256), (700_000, hex(&Sha256::digest(&body))));
    let seen = send(client.get(url("/echo")).header("cookie", "a=1").header("cookie", "b=2")).await.seen();
    assert_eq!(seen.all("cookie"), ["a=1; b=2"]);
    assert_eq!(seen.field("host"), site.stack.addresses.gateway.trim_start_matches("https://"));
    assert_eq!(seen.field("x-forwarded-proto"), "https");
    assert_eq!(site.gateway_line(answer.id())["network.protocol"], "HTTP/2.0");
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
