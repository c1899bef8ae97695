//! Which fields are stored (RFC 9111 section 3.1): all but those of one connection.

use super::step::{cc, get};

conformance! {
    kept "RFC 9111 section 3.1" => [
        get().reply(
            cc("max-age=60").with("content-type", "text/x-a").with("link", "</a>; rel=b").with("x-a", "1").with("x-a", "2"),
        ),
        get().has("content-type", "text/x-a").has("link", "</a>; rel=b").has("x-a", "1, 2"),
    ];
    an_empty_one_is_kept "RFC 9111 section 3.1" => [get().reply(cc("max-age=60").with("x-a", "")), get().has("x-a", "")];
    named_by_connection "RFC 9111 section 3.1" => [
        get().reply(cc("max-age=60").with("connection", "X-Hop, x-b").with("x-hop", "1").with("x-b", "2")).lacks("x-hop"),
        get().lacks("x-hop").lacks("x-b"),
    ];
    of_the_connection "RFC 9111 section 3.1" => [
        get().reply(cc("max-age=60").with("keep-alive", "timeout=5").with("proxy-authenticate", "Basic realm=a")),
        get().lacks("keep-alive").lacks("proxy-authenticate"),
    ];
    what_another_cache_said_is_of_then "RFC 9211 section 2" => [
        get().reply(cc("max-age=60").with("cache-status", "theirs; hit")),
        get().says("hit"),
    ];
}
