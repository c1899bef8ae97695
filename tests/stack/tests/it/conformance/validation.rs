//! Validation of what is stored, and what it changes (RFC 9111 sections 3.2, 4.3.1 and 4.3.3 to 4.3.5).

use super::step::{DAY, ago, cc, get, head, not_modified, ok, stale, status};

conformance! {
    by_tag "RFC 9111 section 4.3.1" => [
        get().reply(stale("")),
        get().reply(not_modified()).sent("if-none-match", "\"v1\""),
        get().ttl(40..=60),
    ];
    by_date "RFC 9111 section 4.3.1" => [
        get().reply(cc("max-age=10").with("age", "20").with("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")),
        get().reply(status(304).with("cache-control", "max-age=60"))
            .sent("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT").sent("if-none-match", ""),
        get(),
    ];
    by_a_weak_tag "RFC 9111 section 4.3.1" => [
        get().reply(cc("max-age=10").with("age", "20").with("etag", "W/\"v1\"")),
        get().reply(status(304).with("cache-control", "max-age=60").with("etag", "W/\"v1\""))
            .sent("if-none-match", "W/\"v1\""),
        get(),
    ];
    without_validators_of_its_own "RFC 9111 section 4.3.4" => [
        get().reply(stale("")),
        get().reply(status(304).with("cache-control", "max-age=60")),
        get(),
    ];
    a_new_answer_replaces "RFC 9111 section 4.3.3" => [
        get().reply(stale("")),
        get().reply(cc("max-age=60").with("etag", "\"v2\"")).sent("if-none-match", "\"v1\""),
        get().has("etag", "\"v2\""),
    ];
    a_new_answer_that_is_not_stored_is_sent "RFC 9111 section 4.3.3" => [
        get().reply(stale("")),
        get().reply(cc("no-store")),
        get().reply(cc("max-age=60")),
    ];
    a_404_is_an_answer "RFC 9111 section 4.3.3" => [
        get().reply(stale("")),
        get().reply(status(404).with("cache-control", "no-store")),
    ];
    a_304_that_stays_stale_is_validated_again "RFC 9111 section 4.3.4" => [
        get().reply(stale("")),
        get().reply(status(304).with("cache-control", "max-age=0").with("etag", "\"v1\"")),
        get().reply(not_modified()).sent("if-none-match", "\"v1\""),
    ];
    a_304_without_lifetime_keeps_the_old_one "RFC 9111 section 4.3.4" => [
        get().reply(stale("")),
        get().reply(status(304).with("etag", "\"v1\"")),
        get().ttl(0..=10),
    ];
    a_304_brings_expires "RFC 9111 section 4.3.4" => [
        get().reply(ok().with("expires", ago(10)).with("etag", "\"v1\"")),
        get().reply(status(304).with("expires", super::step::ahead(100)).with("etag", "\"v1\"")),
        get().ttl(80..=100),
    ];
    a_304_brings_fields "RFC 9111 section 3.2" => [
        get().reply(stale("").with("x-a", "old").with("x-b", "kept")),
        get().reply(not_modified().with("x-a", "new").with("x-c", "added")).has("x-a", "new").has("x-b", "kept"),
        get().has("x-a", "new").has("x-b", "kept").has("x-c", "added"),
    ];
    a_304_replaces_all_lines_of_a_field "RFC 9111 section 3.2" => [
        get().reply(stale("").with("x-a", "1").with("x-a", "2")),
        get().reply(not_modified().with("x-a", "3")),
        get().has("x-a", "3"),
    ];
    a_304_brings_its_date "RFC 9111 section 3.2" => [
        get().reply(stale("").with("date", ago(500))),
        get().reply(not_modified()),
        get().age(0..=10),
    ];
    a_304_does_not_change_the_length "RFC 9111 section 3.2" => [
        get().reply(stale("").body("0123456789")),
        get().reply(not_modified().with("content-length", "3")).has("content-length", "10"),
        get().has("content-length", "10"),
    ];
    a_304_does_not_change_the_coding "RFC 9111 section 3.2" => [
        get().reply(stale("").with("content-type", "application/x-a")),
        get().reply(not_modified().with("content-encoding", "x-none")).lacks("content-encoding"),
        get().lacks("content-encoding"),
    ];
    a_304_does_not_bring_what_its_connection_names "RFC 9111 section 3.1" => [
        get().reply(stale("").with("x-a", "kept")),
        get().reply(not_modified().with("connection", "x-a").with("x-a", "hop")),
        get().has("x-a", "kept"),
    ];
    a_304_of_another_tag_is_about_something_else "RFC 9111 section 4.3.4" => [
        get().reply(stale("")),
        get().with("demo-note", "it asks once more").perhaps(status(304).with("etag", "\"v9\"")).status(304),
        get().reply(cc("max-age=60")),
    ];
    a_304_may_forbid_storing "RFC 9111 section 3" => [
        get().reply(stale("")),
        get().reply(status(304).with("cache-control", "no-store").with("etag", "\"v1\"")),
        get().reply(cc("max-age=60")).sent("if-none-match", ""),
    ];
    a_304_may_make_it_private "RFC 9111 section 3" => [
        get().reply(stale("")),
        get().reply(status(304).with("cache-control", "private").with("etag", "\"v1\"")),
        get().reply(cc("max-age=60")).sent("if-none-match", ""),
    ];
    head_confirms_what_is_stored "RFC 9111 section 4.3.5" => [
        get().reply(stale("").body("0123456789")),
        head().reply(cc("max-age=60").with("etag", "\"v1\"").body("0123456789")),
        get().ttl(30..=60),
    ];
    head_with_another_tag_makes_it_invalid "RFC 9111 section 4.3.5" => [
        get().reply(stale("")),
        head().reply(cc("max-age=60").with("etag", "\"v2\"")),
        get().reply(cc("max-age=60")),
    ];
    head_with_another_length_makes_it_invalid "RFC 9111 section 4.3.5" => [
        get().reply(stale("").body("0123456789")),
        head().reply(cc("max-age=60").with("etag", "\"v1\"").body("0123")),
        get().reply(cc("max-age=60")),
    ];
    head_with_another_date_makes_it_invalid "RFC 9111 section 4.3.5" => [
        get().reply(cc("max-age=10").with("age", "20").with("last-modified", ago(2 * DAY))),
        head().reply(cc("max-age=60").with("last-modified", ago(DAY))),
        get().reply(cc("max-age=60")),
    ];
}
