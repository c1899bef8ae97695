//! Conditional requests of clients, answered from what is stored or from what comes (RFC 9111 section 4.3.2, RFC 9110 section 13).

use super::step::{DAY, Reply, ago, cc, get, head, ok, stale, status};

fn tagged(tag: &str) -> Reply {
    cc("max-age=60").with("etag", tag)
}

/// Modified ten days ago.
fn dated() -> Reply {
    cc("max-age=60").with("last-modified", ago(10 * DAY))
}

conformance! {
    the_tag_matches "RFC 9110 section 13.1.2" => [
        get().reply(tagged("\"v1\"")),
        get().with("if-none-match", "\"v1\"").status(304).text("").has("etag", "\"v1\""),
    ];
    the_tag_does_not_match "RFC 9110 section 13.1.2" => [
        get().reply(tagged("\"v1\"")),
        get().with("if-none-match", "\"v2\""),
    ];
    a_list_with_the_tag "RFC 9110 section 13.1.2" => [
        get().reply(tagged("\"v1\"")),
        get().with("if-none-match", "\"v0\", \"v1\" ,W/\"v2\"").status(304),
    ];
    two_lines_with_the_tag "RFC 9110 section 13.1.2" => [
        get().reply(tagged("\"v1\"")),
        get().with("if-none-match", "\"v0\"").with("if-none-match", "\"v1\"").status(304),
    ];
    a_list_without_the_tag "RFC 9110 section 13.1.2" => [
        get().reply(tagged("\"v1\"")),
        get().with("if-none-match", "\"v0\", \"v2\""),
    ];
    a_star "RFC 9110 section 13.1.2" => [
        get().reply(tagged("\"v1\"")),
        get().with("if-none-match", "*").status(304),
    ];
    weak_asked_strong_stored "RFC 9110 section 8.8.3.2" => [
        get().reply(tagged("\"v1\"")),
        get().with("if-none-match", "W/\"v1\"").status(304),
    ];
    strong_asked_weak_stored "RFC 9110 section 8.8.3.2" => [
        get().reply(tagged("W/\"v1\"")),
        get().with("if-none-match", "\"v1\"").status(304).has("etag", "W/\"v1\""),
    ];
    weak_asked_weak_stored "RFC 9110 section 8.8.3.2" => [
        get().reply(tagged("W/\"v1\"")),
        get().with("if-none-match", "W/\"v1\"").status(304),
    ];
    a_small_w_is_no_mark "RFC 9110 section 8.8.3" => [
        get().reply(tagged("\"v1\"")),
        get().with("if-none-match", "w/\"v1\""),
    ];
    without_quotes_is_no_tag "RFC 9110 section 8.8.3" => [
        get().reply(tagged("\"v1\"")),
        get().with("if-none-match", "v1"),
    ];
    a_comma_within_a_tag "RFC 9110 section 8.8.3" => [
        get().reply(tagged("\"a,b\"")),
        get().with("if-none-match", "\"a,b\"").status(304),
    ];
    a_tag_that_is_a_part "RFC 9110 section 8.8.3" => [
        get().reply(tagged("\"a,b\"")),
        get().with("if-none-match", "\"a\", \"b\""),
    ];
    a_tag_where_none_is_stored "RFC 9110 section 13.1.2" => [
        get().reply(cc("max-age=60")),
        get().with("if-none-match", "\"v1\""),
    ];
    the_date_itself "RFC 9111 section 4.3.2" => [
        get().reply(dated()),
        get().with("if-modified-since", ago(10 * DAY - 2)).status(304),
    ];
    a_later_date "RFC 9111 section 4.3.2" => [
        get().reply(dated()),
        get().with("if-modified-since", ago(DAY)).status(304),
    ];
    an_earlier_date "RFC 9111 section 4.3.2" => [
        get().reply(dated()),
        get().with("if-modified-since", ago(20 * DAY)),
    ];
    a_date_that_cannot_be_read "RFC 9110 section 13.1.3" => [
        get().reply(dated()),
        get().with("if-modified-since", "a while ago"),
    ];
    a_date_as_rfc_850_writes_it "RFC 9110 section 5.6.7" => [
        get().reply(cc("max-age=60").with("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")),
        get().with("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT").status(304),
    ];
    a_date_as_asctime_writes_it "RFC 9110 section 5.6.7" => [
        get().reply(cc("max-age=60").with("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")),
        get().with("if-modified-since", "Sun Nov  6 08:49:37 1994").status(304),
    ];
    without_last_modified_date_counts "RFC 9111 section 4.3.2" => [
        get().reply(cc("max-age=60").with("date", ago(30))),
        get().with("if-modified-since", ago(10)).status(304),
    ];
    without_last_modified_date_is_too_new "RFC 9111 section 4.3.2" => [
        get().reply(cc("max-age=60").with("date", ago(30))),
        get().with("if-modified-since", ago(50)),
    ];
    the_tag_decides_where_both_are_sent "RFC 9110 section 13.2.2" => [
        get().reply(dated().with("etag", "\"v1\"")),
        get().with("if-none-match", "\"v2\"").with("if-modified-since", ago(DAY)),
        get().with("if-none-match", "\"v1\"").with("if-modified-since", ago(20 * DAY)).status(304),
    ];
    head_is_answered_so_too "RFC 9110 section 13.1.2" => [
        get().reply(tagged("\"v1\"")),
        head().with("if-none-match", "\"v1\"").status(304),
    ];
    a_304_keeps_what_a_client_updates_by "RFC 9110 section 15.4.5" => [
        get().reply(
            tagged("\"v1\"").with("content-location", "/there").with("vary", "X-A").with("expires", super::step::ahead(9)),
        ),
        get().with("if-none-match", "\"v1\"").status(304).has("content-location", "/there").has("vary", "X-A")
            .has("cache-control", "max-age=60").has("etag", "\"v1\""),
    ];
    a_304_does_not_describe_a_body "RFC 9110 section 15.4.5" => [
        get().reply(tagged("\"v1\"").with("content-type", "text/html").with("content-language", "de")),
        get().with("if-none-match", "\"v1\"").status(304).lacks("content-type").lacks("transfer-encoding"),
    ];
    only_of_200 "RFC 9110 section 13.2.1" => [
        get().reply(status(404).with("cache-control", "max-age=60").with("etag", "\"v1\"")),
        get().with("if-none-match", "\"v1\"").status(404),
    ];
    a_miss_asks_for_the_whole "RFC 9111 section 4.3.2" => [
        get().with("if-none-match", "\"v0\"").reply(tagged("\"v1\"")).sent("if-none-match", ""),
        get(),
    ];
    a_miss_is_answered_304_where_what_comes_matches "RFC 9111 section 4.3.2" => [
        get().with("if-none-match", "\"v1\"").reply(tagged("\"v1\"")).sent("if-none-match", "").status(304).text(""),
        get(),
    ];
    a_miss_by_date "RFC 9111 section 4.3.2" => [
        get().with("if-modified-since", ago(DAY)).reply(dated()).sent("if-modified-since", "").status(304),
        get(),
    ];
    a_validation_takes_the_place_of_the_clients "RFC 9111 section 4.3.1" => [
        get().reply(stale("")),
        get().with("if-none-match", "\"v0\"").reply(super::step::not_modified()).sent("if-none-match", "\"v1\""),
    ];
    a_validation_may_end_in_304_for_the_client "RFC 9111 section 4.3.2" => [
        get().reply(stale("")),
        get().with("if-none-match", "\"v1\"").reply(super::step::not_modified()).status(304),
        get(),
    ];
    a_validation_brings_what_the_client_has "RFC 9111 section 4.3.2" => [
        get().reply(stale("")),
        get().with("if-none-match", "\"v2\"").reply(tagged("\"v2\"")).sent("if-none-match", "\"v1\"").status(304),
        get(),
    ];
    if_match_is_the_apps "RFC 9111 section 4.3.2" => [
        get().reply(tagged("\"v1\"")),
        get().with("if-match", "\"v0\"").reply(status(412)).sent("if-match", "\"v0\""),
    ];
    if_unmodified_since_is_the_apps "RFC 9111 section 4.3.2" => [
        get().reply(dated()),
        get().with("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT").reply(status(412))
            .sent("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ];
    with_a_cookie_it_is_the_apps "RFC 9111 section 4.3.2" => [
        get().with("cookie", "a=b").with("if-none-match", "\"v1\"").reply(status(304).with("etag", "\"v1\""))
            .sent("if-none-match", "\"v1\"").status(304),
        get().reply(ok()),
    ];
}
