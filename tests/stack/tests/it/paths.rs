//! The one path rule: what arrives as a target is served in one spelling or refused, alike at both hosts, so that filter, cache key,
//! signature and app never read two different paths. By hand, since every client normalises before it sends.

use crate::raw;
use crate::site::{Host, Site};

cases![
    one_spelling_is_served,
    what_can_be_read_in_two_ways_is_refused,
    what_no_request_line_holds,
    a_target_in_absolute_form,
    one_key_for_all_spellings
];

async fn one_spelling_is_served(site: &Site) {
    for (sent, served) in [
        ("/echo", "/echo"),
        ("/echo?", "/echo?"),
        ("/echo/a?b=c&d", "/echo/a?b=c&d"),
        ("/echo/a/../b", "/echo/b"),
        ("/echo/a/./b/.", "/echo/a/b/"),
        ("/echo/a/%2e%2E/b", "/echo/b"),
        ("/x/.%2e/echo/b", "/echo/b"),
        ("/../../echo", "/echo"),
        ("/echo\\a\\..\\b", "/echo/b"),
        ("/echo/a//b/", "/echo/a//b/"),
        ("/echo/a//../b", "/echo/a/b"),
        ("/echo/%7Euser/%c3%A4", "/echo/%7Euser/%c3%A4"),
        ("/echo/a;v=1/b..;/...", "/echo/a;v=1/b..;/..."),
        ("/echo/100%25", "/echo/100%25"),
        ("/echo/a|b[c]!$&'()*+,=:@~_-", "/echo/a|b[c]!$&'()*+,=:@~_-"),
        ("/echo/.git/config", "/echo/.git/config"),
        ("/echo?a=/../b\\c", "/echo?a=/../b\\c"),
        ("/echo?100%&%zz&%00&%2f&%252e", "/echo?100%&%zz&%00&%2f&%252e"),
        ("/echo?it's", "/echo?it%27s"),
        ("/echo?b?c//..", "/echo?b?c//.."),
    ] {
        let answer = raw::get(site.address(), sent.as_bytes()).await;
        assert_eq!(answer.status, 200, "{sent}: {:?}", answer.text());
        assert_eq!(answer.seen().target, served, "{sent}");
    }
}

async fn what_can_be_read_in_two_ways_is_refused(site: &Site) {
    for sent in [
        "//echo",
        "/\\echo",
        "/.//echo",
        "/echo/..//echo",
        "/echo/a%2fb",
        "/echo/a%5Cb",
        "/echo/..%2f..%2fetc/passwd",
        "/echo/%00",
        "/echo/a%0d%0ab",
        "/echo/%",
        "/echo/%zz",
        "/echo/%252e%252e/b",
        "/echo/%252f",
        "/echo/%c0%ae",
        "/echo/%ff",
        "/echo/..;/b",
        "/echo/%2e%2e;x=1/b",
        "/echo/;/b",
    ] {
        let answer = raw::get(site.address(), sent.as_bytes()).await;
        assert_eq!(answer.status, 400, "{sent}: {:?}", answer.text());
        answer.assert_problem(400, "path-refused");
    }
}

async fn what_no_request_line_holds(site: &Site) {
    // A quotation mark is encoded, as the URL Standard does it.
    assert_eq!(raw::get(site.address(), b"/echo/a\"b").await.seen().target, "/echo/a%22b");
    // A fragment is the client's own affair, and never sent.
    let fragment = raw::get(site.address(), b"/echo/a#b").await;
    match site.host {
        Host::Native => assert_eq!(fragment.status, 400),
        // The runtime's URL parser has cut it off before the Worker sees it.
        Host::Worker => assert_eq!(fragment.seen().target, "/echo/a"),
    }
    for sent in [&b"/echo/a b"[..], b"/echo/\xff", b"/echo/\x01", b"/echo/\x7f", b"/echo/<", b"/echo?\"", b"*"] {
        let answer = raw::get(site.address(), sent).await;
        let shown = String::from_utf8_lossy(sent);
        match site.host {
            Host::Native => assert_eq!(answer.status, 400, "{shown}"),
            // Refused by the runtime before the Worker sees it, in its own words.
            Host::Worker => assert!(matches!(answer.status, 400 | 500), "{shown}: {}", answer.head()),
        }
    }
    for (sent, served) in [("/echo/\u{e4}", "/echo/%C3%A4"), ("/echo?\u{e4}", "/echo?%C3%A4")] {
        let answer = raw::get(site.address(), sent.as_bytes()).await;
        match site.host {
            Host::Native => assert_eq!(answer.status, 400, "{sent}"),
            // The runtime's URL parser has encoded it before the Worker sees it.
            Host::Worker => assert_eq!(answer.seen().target, served),
        }
    }
}

async fn a_target_in_absolute_form(site: &Site) {
    let absolute = |authority: &str| {
        format!("GET http://{authority}/echo/abs?q HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", site.address())
    };
    let own = raw::exchange(site.address(), absolute(&site.address().to_string()).as_bytes()).await.seen();
    assert_eq!((own.target.as_str(), own.field("host")), ("/echo/abs?q", site.address().to_string().as_str()));
    let other = raw::exchange(site.address(), absolute("evil.example").as_bytes()).await;
    match site.host {
        Host::Native => other.assert_problem(400, "bad-request"),
        // The runtime takes the host from Host and tells the Worker of no other.
        Host::Worker => assert_eq!(other.seen().field("host"), site.address().to_string()),
    }
}

async fn one_key_for_all_spellings(site: &Site) {
    let query = "cc=public,max-age=60&spellings";
    for path in ["/cache", "/x/../cache", "/./cache", "/%2e/cache", "/x\\..\\cache"] {
        let answer = raw::get(site.address(), format!("{path}?{query}").as_bytes()).await;
        assert_eq!((answer.status, answer.text()), (200, "render 1\n"), "{path}");
    }
    assert_eq!(site.renders(query).await, 1);
}
