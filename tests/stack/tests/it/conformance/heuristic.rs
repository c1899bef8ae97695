//! Lifetimes that are guessed (RFC 9111 section 4.2.2): here a tenth of the time since Last-Modified, at most a day.

use super::step::{DAY, Reply, ago, cc, get, ok, status};

/// Ten days old: a guess of a day.
fn old(code: u16) -> Reply {
    status(code).with("last-modified", ago(10 * DAY))
}

conformance! {
    a_tenth_of_the_age "RFC 9111 section 4.2.2" => [
        get().reply(ok().with("last-modified", ago(1000))),
        get().ttl(80..=100),
    ];
    at_most_a_day "RFC 9111 section 4.2.2" => [
        get().reply(ok().with("last-modified", ago(1000 * DAY))),
        get().ttl(86_300..=86_400),
    ];
    just_modified_is_stale "RFC 9111 section 4.2.2" => [
        get().reply(ok().with("last-modified", ago(2))),
        get().reply(ok()),
    ];
    without_last_modified_nothing_is_guessed "RFC 9111 section 4.2.2" => [
        get().reply(ok().with("etag", "\"v1\"")),
        get().reply(ok()),
    ];
    modified_in_the_future_is_stale "RFC 9111 section 4.2.2" => [
        get().reply(ok().with("last-modified", super::step::ahead(DAY))),
        get().reply(ok()),
    ];
    a_last_modified_that_cannot_be_read "RFC 9111 section 4.2.2" => [
        get().reply(ok().with("last-modified", "ages ago")),
        get().reply(ok()),
    ];
    an_explicit_lifetime_comes_first "RFC 9111 section 4.2.2" => [
        get().reply(cc("max-age=0").with("last-modified", ago(10 * DAY))),
        get().reply(ok()),
    ];
    age_counts "RFC 9111 section 4.2.3" => [
        get().reply(ok().with("last-modified", ago(1000)).with("age", "200")),
        get().reply(ok()),
    ];
    no_cache_is_not_guessed_away "RFC 9111 section 5.2.2.4" => [
        get().reply(old(200).with("cache-control", "no-cache")),
        get().reply(ok()),
    ];
    a_request_with_a_cookie_gets_no_guess "RFC 9111 section 4.2.2" => [
        get().with("cookie", "a=b").reply(old(200)),
        get().reply(ok()),
    ];
    of_203 "RFC 9110 section 15.1" => [get().reply(old(203)), get()];
    of_204 "RFC 9110 section 15.1" => [get().reply(old(204)), get()];
    of_300 "RFC 9110 section 15.1" => [get().reply(old(300)), get()];
    of_301 "RFC 9110 section 15.1" => [get().reply(old(301).with("location", "/x")), get().has("location", "/x")];
    of_308 "RFC 9110 section 15.1" => [get().reply(old(308).with("location", "/x")), get().has("location", "/x")];
    of_404 "RFC 9110 section 15.1" => [get().reply(old(404)), get()];
    of_405 "RFC 9110 section 15.1" => [get().reply(old(405)), get()];
    of_410 "RFC 9110 section 15.1" => [get().reply(old(410)), get()];
    of_414 "RFC 9110 section 15.1" => [get().reply(old(414)), get()];
    of_501 "RFC 9110 section 15.1" => [get().reply(old(501)), get()];
    not_of_201 "RFC 9110 section 15.1" => [get().reply(old(201)), get().reply(ok())];
    not_of_202 "RFC 9110 section 15.1" => [get().reply(old(202)), get().reply(ok())];
    not_of_302 "RFC 9110 section 15.1" => [get().reply(old(302).with("location", "/x")), get().reply(ok())];
    not_of_303 "RFC 9110 section 15.1" => [get().reply(old(303).with("location", "/x")), get().reply(ok())];
    not_of_307 "RFC 9110 section 15.1" => [get().reply(old(307).with("location", "/x")), get().reply(ok())];
    not_of_400 "RFC 9110 section 15.1" => [get().reply(old(400)), get().reply(ok())];
    not_of_403 "RFC 9110 section 15.1" => [get().reply(old(403)), get().reply(ok())];
    not_of_500 "RFC 9110 section 15.1" => [get().reply(old(500)), get().reply(ok())];
    not_of_503 "RFC 9110 section 15.1" => [get().reply(old(503)), get().reply(ok())];
    not_of_299 "RFC 9110 section 15.1" => [get().reply(old(299)), get().reply(ok())];
    not_of_499 "RFC 9110 section 15.1" => [get().reply(old(499)), get().reply(ok())];
    of_201_that_is_public "RFC 9111 section 3" => [get().reply(old(201).with("cache-control", "public")), get()];
    of_299_that_is_public "RFC 9111 section 3" => [get().reply(old(299).with("cache-control", "public")), get()];
}
