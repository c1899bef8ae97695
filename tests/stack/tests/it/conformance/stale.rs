//! Stale answers: while one is validated, and when the app fails (RFC 9111 section 4.2.4, RFC 5861).
//!
//! This cache lets a stale answer stand in for an app that closes, is silent or answers 5xx, unless the answer forbids it; an explicit
//! `stale-if-error` limits for how long.

use super::step::{Reply, cc, closes, get, not_modified, ok, stale, status};

/// 503 that is not for keeping.
fn fails() -> Reply {
    status(503).with("cache-control", "no-store")
}

conformance! {
    when_the_app_closes "RFC 9111 section 4.2.4" => [
        get().reply(stale("")),
        get().reply(closes()).age(20..=40),
    ];
    it_says_that_it_stood_in "RFC 9211 section 2.4" on Native: "the gateway behind the Worker stands in already" => [
        get().reply(stale("")),
        get().reply(closes()).ttl(-30..=-10).says("hit"),
    ];
    when_the_app_answers_500 "RFC 5861 section 4" => [
        get().reply(stale("")),
        get().stale().reply(status(500)),
    ];
    when_the_app_answers_502 "RFC 5861 section 4" => [
        get().reply(stale("")),
        get().stale().reply(status(502)),
    ];
    when_the_app_answers_503 "RFC 5861 section 4" => [
        get().reply(stale("")),
        get().stale().reply(fails()),
    ];
    when_the_app_answers_504 "RFC 5861 section 4" => [
        get().reply(stale("")),
        get().stale().reply(status(504)),
    ];
    again_and_again "RFC 9111 section 4.2.4" => [
        get().reply(stale("")),
        get().stale().reply(fails()),
        get().stale().reply(fails()),
        get().reply(not_modified()),
        get(),
    ];
    not_when_the_app_answers_404 "RFC 9111 section 4.3.3" => [
        get().reply(stale("")),
        get().reply(status(404)),
    ];
    nothing_stored_the_failure_is_sent "RFC 9111 section 4.3.3" => [
        get().reply(fails()),
        get().reply(closes()).status(502),
    ];
    fresh_ones_do_not_notice "RFC 9111 section 4.2" => [
        get().reply(cc("max-age=60")),
        get().not(closes()),
    ];
    must_revalidate_forbids_it "RFC 9111 section 5.2.2.2" => [
        get().reply(stale(", must-revalidate")),
        get().reply(closes()).status(502),
    ];
    must_revalidate_passes_a_503 "RFC 9111 section 5.2.2.2" => [
        get().reply(stale(", must-revalidate")),
        get().reply(fails()),
    ];
    must_revalidate_forbids_it_despite_stale_if_error "RFC 9111 section 5.2.2.2" => [
        get().reply(stale(", must-revalidate, stale-if-error=1000")),
        get().reply(closes()).status(502),
    ];
    proxy_revalidate_forbids_it "RFC 9111 section 5.2.2.8" => [
        get().reply(stale(", proxy-revalidate")),
        get().reply(closes()).status(502),
    ];
    s_maxage_forbids_it "RFC 9111 section 5.2.2.10" => [
        get().reply(stale(", s-maxage=10")),
        get().reply(closes()).status(502),
    ];
    s_maxage_with_stale_if_error_allows_it "RFC 5861 section 4" => [
        get().reply(stale(", s-maxage=10, stale-if-error=1000")),
        get().reply(closes()),
    ];
    no_cache_forbids_it "RFC 9111 section 5.2.2.4" => [
        get().reply(stale(", no-cache")),
        get().reply(closes()).status(502),
    ];
    stale_if_error_within_its_time "RFC 5861 section 4" => [
        get().reply(stale(", stale-if-error=1000")),
        get().stale().reply(fails()),
    ];
    stale_if_error_after_its_time "RFC 5861 section 4" => [
        get().reply(stale(", stale-if-error=5")),
        get().reply(closes()).status(502),
    ];
    stale_if_error_after_its_time_passes_a_503 "RFC 5861 section 4" => [
        get().reply(stale(", stale-if-error=5")),
        get().reply(fails()),
    ];
    stale_if_error_0_forbids_it "RFC 5861 section 4" => [
        get().reply(stale(", stale-if-error=0")),
        get().reply(closes()).status(502),
    ];
    while_revalidating "RFC 5861 section 3" => [
        get().reply(stale(", stale-while-revalidate=1000")),
        get().behind(cc("max-age=60").with("etag", "\"v2\"")).age(20..=40).ttl(-30..=-10),
        get().soon(),
    ];
    while_revalidating_by_its_tag "RFC 5861 section 3" => [
        get().reply(stale(", stale-while-revalidate=1000")),
        get().behind(not_modified()).sent("if-none-match", "\"v1\""),
        get().ttl(30..=60).soon(),
    ];
    while_revalidating_it_does_not_wait "RFC 5861 section 3" => [
        get().reply(stale(", stale-while-revalidate=1000")),
        get().behind(cc("max-age=60").pause(1_000)).of(0),
        get().soon(),
    ];
    while_revalidating_many_ask_once "RFC 5861 section 3" => [
        get().reply(stale(", stale-while-revalidate=1000")),
        get().at_once(8).behind(cc("max-age=60").pause(500)).of(0),
        get().soon(),
    ];
    while_revalidating_a_failure_takes_nothing_away "RFC 5861 section 3" => [
        get().reply(stale(", stale-while-revalidate=1000")),
        get().behind(closes()),
        get().behind(cc("max-age=60")).of(0),
        get().soon(),
    ];
    after_the_time_for_it_the_app_is_asked_first "RFC 5861 section 3" => [
        get().reply(stale(", stale-while-revalidate=5")),
        get().reply(not_modified()),
    ];
    stale_while_revalidate_0_is_none "RFC 5861 section 3" => [
        get().reply(stale(", stale-while-revalidate=0")),
        get().reply(not_modified()),
    ];
    stale_while_revalidate_yields_to_must_revalidate "RFC 9111 section 5.2.2.2" => [
        get().reply(stale(", stale-while-revalidate=1000, must-revalidate")),
        get().reply(not_modified()),
    ];
    stale_while_revalidate_yields_to_the_clients_no_cache "RFC 9111 section 5.2.1.4" => [
        get().reply(stale(", stale-while-revalidate=1000")),
        get().with("cache-control", "no-cache").reply(not_modified()),
    ];
    stale_while_revalidate_is_not_for_max_age_0_alone "RFC 5861 section 3" => [
        get().reply(cc("max-age=0, stale-while-revalidate=1000")),
        get().behind(cc("max-age=60")),
        get().soon(),
    ];
    a_404_that_stands_in "RFC 9111 section 4.2.4" => [
        get().reply(status(404).with("cache-control", "max-age=10").with("age", "20").with("etag", "\"v1\"")),
        get().reply(closes()),
    ];
    head_may_have_a_stale_one "RFC 9111 section 4.2.4" => [
        get().reply(stale("")),
        super::step::head().reply(closes()).age(20..=40),
    ];
    a_failure_is_not_kept_in_its_place "RFC 9111 section 4.3.3" => [
        get().reply(stale("")),
        get().stale().reply(status(500).with("cache-control", "max-age=60")),
        get().reply(ok()),
    ];
}
