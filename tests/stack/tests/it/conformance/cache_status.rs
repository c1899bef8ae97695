//! Cache-Status (RFC 9211): the member of the edge, which is the last.

use super::step::{cc, get, not_modified, ok, post, stale};

conformance! {
    a_miss_that_is_stored "RFC 9211 section 2.2" => [get().reply(cc("max-age=60")).says("fwd=uri-miss").says("stored")];
    a_hit "RFC 9211 section 2.1" => [get().reply(cc("max-age=60")), get().says("hit").ttl(40..=60)];
    another_method "RFC 9211 section 2.2" => [post().reply(ok()).says("fwd=method")];
    a_request_that_insists "RFC 9211 section 2.2" => [
        get().reply(cc("max-age=60")),
        get().with("cache-control", "no-cache").reply(cc("max-age=60")).says("fwd=request").says("stored"),
    ];
    another_variant "RFC 9211 section 2.2" => [
        get().with("x-a", "1").reply(cc("max-age=60").with("vary", "x-a")),
        get().with("x-a", "1").says("hit"),
        get().with("x-a", "2").reply(cc("max-age=60").with("vary", "x-a")).says("fwd=vary-miss"),
    ];
    a_validation "RFC 9211 section 2.3" => [
        get().reply(stale("")),
        get().reply(not_modified()).says("fwd=stale").says("fwd-status=304").says("stored"),
    ];
    a_stale_hit "RFC 9211 section 2.4" => [
        get().reply(stale("")),
        get().with("cache-control", "max-stale").says("hit").ttl(-30..=-10),
    ];
}
