//! Cache-Groups (RFC 9875).

use super::step::{Reply, cc, get, ok, post, status};

fn grouped(groups: &str) -> Reply {
    cc("max-age=60").with("cache-groups", groups)
}

conformance! {
    a_success_makes_its_group_invalid "RFC 9875 section 3" on Native: "the Worker hears of it within 5 s" => [
        get().at("/a").reply(grouped("\"cg1\"")),
        get().at("/b").reply(grouped("\"other\", \"cg1\"")),
        post().reply(ok().with("cache-group-invalidation", "\"cg1\"")),
        get().at("/a").reply(cc("max-age=60")),
        get().at("/b").reply(cc("max-age=60")),
    ];
    another_group_is_left_alone "RFC 9875 section 3" => [
        get().at("/a").reply(grouped("\"cg2\"")),
        post().reply(ok().with("cache-group-invalidation", "\"cg3\"")),
        get().at("/a").of(0),
    ];
    with_regard_to_case "RFC 9875 section 2.1" => [
        get().at("/a").reply(grouped("\"cg4\"")),
        post().reply(ok().with("cache-group-invalidation", "\"CG4\"")),
        get().at("/a").of(0),
    ];
    a_failure_makes_nothing_invalid "RFC 9875 section 3" => [
        get().at("/a").reply(grouped("\"cg5\"")),
        post().reply(status(500).with("cache-group-invalidation", "\"cg5\"")),
        get().at("/a").of(0),
    ];
    get_makes_nothing_invalid "RFC 9875 section 3" => [
        get().at("/a").reply(grouped("\"cg6\"")),
        get().at("/b").reply(ok().with("cache-group-invalidation", "\"cg6\"")),
        get().at("/a").of(0),
    ];
}
