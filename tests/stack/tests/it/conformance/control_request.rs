//! What a client asks for in Cache-Control and Pragma (RFC 9111 sections 5.2.1 and 5.4).

use super::step::{cc, closes, get, not_modified, ok, stale};

conformance! {
    max_age_0_asks_the_app "RFC 9111 section 5.2.1.1" => [
        get().reply(cc("max-age=60").with("etag", "\"v1\"")),
        get().with("cache-control", "max-age=0").reply(cc("max-age=60")),
        get(),
    ];
    max_age_above_the_age_is_content "RFC 9111 section 5.2.1.1" => [
        get().reply(cc("max-age=3600").with("age", "30")),
        get().with("cache-control", "max-age=100"),
    ];
    max_age_below_the_age_asks_the_app "RFC 9111 section 5.2.1.1" => [
        get().reply(cc("max-age=3600").with("age", "30")),
        get().with("cache-control", "max-age=20").reply(cc("max-age=60")),
    ];
    max_age_does_not_make_fresh_what_is_stale "RFC 9111 section 5.2.1.1" => [
        get().reply(stale("")),
        get().with("cache-control", "max-age=3600").reply(not_modified()),
    ];
    max_stale_takes_what_is_stale_so_long "RFC 9111 section 5.2.1.2" => [
        get().reply(stale("")),
        get().with("cache-control", "max-stale=1000").age(20..=40).ttl(-30..=-10),
    ];
    max_stale_and_no_longer "RFC 9111 section 5.2.1.2" => [
        get().reply(stale("")),
        get().with("cache-control", "max-stale=5").reply(not_modified()),
    ];
    max_stale_without_a_value_takes_anything "RFC 9111 section 5.2.1.2" => [
        get().reply(stale("")),
        get().with("cache-control", "max-stale"),
    ];
    max_stale_yields_to_must_revalidate "RFC 9111 section 5.2.2.2" => [
        get().reply(stale(", must-revalidate")),
        get().with("cache-control", "max-stale").reply(not_modified()),
    ];
    max_stale_yields_to_proxy_revalidate "RFC 9111 section 5.2.2.8" => [
        get().reply(stale(", proxy-revalidate")),
        get().with("cache-control", "max-stale").reply(not_modified()),
    ];
    max_stale_yields_to_s_maxage "RFC 9111 section 5.2.2.10" => [
        get().reply(stale(", s-maxage=5")),
        get().with("cache-control", "max-stale").reply(not_modified()),
    ];
    max_stale_yields_to_no_cache "RFC 9111 section 5.2.2.4" => [
        get().reply(cc("max-age=60, no-cache").with("etag", "\"v1\"")),
        get().with("cache-control", "max-stale").reply(status_no_cache()),
    ];
    min_fresh_is_content "RFC 9111 section 5.2.1.3" => [
        get().reply(cc("max-age=3600").with("age", "30")),
        get().with("cache-control", "min-fresh=1000"),
    ];
    min_fresh_asks_the_app "RFC 9111 section 5.2.1.3" => [
        get().reply(cc("max-age=60").with("age", "30")),
        get().with("cache-control", "min-fresh=40").reply(cc("max-age=60")),
    ];
    no_cache_asks_the_app "RFC 9111 section 5.2.1.4" => [
        get().reply(cc("max-age=60")),
        get().with("cache-control", "no-cache").reply(cc("max-age=60")),
        get(),
    ];
    no_cache_may_be_answered_by_validation "RFC 9111 section 5.2.1.4" => [
        get().reply(cc("max-age=60").with("etag", "\"v1\"")),
        get().with("cache-control", "no-cache").reply(not_modified()).sent("if-none-match", "\"v1\""),
    ];
    no_store_is_not_stored "RFC 9111 section 5.2.1.5" => [
        get().with("cache-control", "no-store").reply(cc("max-age=60")),
        get().reply(cc("max-age=60")),
    ];
    no_store_leaves_alone_what_is_stored "RFC 9111 section 5.2.1.5" => [
        get().reply(cc("max-age=60")),
        get().with("cache-control", "no-store").perhaps(cc("max-age=60")),
        get().of(0),
    ];
    no_transform_is_passed_on "RFC 9111 section 5.2.1.6" => [
        get().with("cache-control", "no-transform").reply(ok()).sent("cache-control", "no-transform"),
    ];
    only_if_cached_is_504_without_an_answer "RFC 9111 section 5.2.1.7" => [
        get().with("cache-control", "only-if-cached").status(504),
    ];
    only_if_cached_takes_what_is_fresh "RFC 9111 section 5.2.1.7" => [
        get().reply(cc("max-age=60")),
        get().with("cache-control", "only-if-cached"),
    ];
    only_if_cached_does_not_take_what_is_stale "RFC 9111 section 5.2.1.7" => [
        get().reply(stale("")),
        get().with("cache-control", "only-if-cached").status(504),
    ];
    only_if_cached_with_max_stale "RFC 9111 section 5.2.1.7" => [
        get().reply(stale("")),
        get().with("cache-control", "only-if-cached, max-stale=1000"),
    ];
    stale_if_error_of_the_request "RFC 5861 section 4" => [
        get().reply(stale("")),
        get().with("cache-control", "stale-if-error=1000").reply(closes()),
    ];
    stale_if_error_of_the_request_yields_to_must_revalidate "RFC 9111 section 5.2.2.2" => [
        get().reply(stale(", must-revalidate")),
        get().with("cache-control", "stale-if-error=1000").reply(closes()).status(502),
    ];
    names_without_regard_to_case "RFC 9111 section 5.2" => [
        get().reply(cc("max-age=60")),
        get().with("cache-control", "NO-CACHE").reply(cc("max-age=60")),
    ];
    an_unknown_directive_does_no_harm "RFC 9111 section 5.2.3" => [
        get().reply(cc("max-age=60")),
        get().with("cache-control", "whatever=1, ext=\"no-cache\""),
    ];
    it_is_passed_on "RFC 9111 section 5.2" => [
        get().with("cache-control", "max-age=0").reply(ok()).sent("cache-control", "max-age=0"),
    ];
    pragma_no_cache "RFC 9111 section 5.4" => [
        get().reply(cc("max-age=60")),
        get().with("pragma", "no-cache").reply(cc("max-age=60")),
    ];
    pragma_yields_to_cache_control "RFC 9111 section 5.4" => [
        get().reply(cc("max-age=60")),
        get().with("pragma", "no-cache").with("cache-control", "max-age=3600"),
    ];
    another_pragma_says_nothing "RFC 9111 section 5.4" => [
        get().reply(cc("max-age=60")),
        get().with("pragma", "whatever"),
    ];
    pragma_of_an_answer_says_nothing "RFC 9111 section 5.4" => [
        get().reply(cc("max-age=60").with("pragma", "no-cache")),
        get(),
    ];
}

/// A validation of what must be validated each time.
fn status_no_cache() -> super::step::Reply {
    super::step::status(304).with("cache-control", "max-age=60, no-cache").with("etag", "\"v1\"")
}
