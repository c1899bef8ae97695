//! Ranges (RFC 9110 section 14, RFC 9111 sections 3.3 and 3.4): answered from a stored whole; a part is never taken for the whole.

use super::step::{DAY, Reply, ago, cc, get, head, not_modified, ok, stale, status};

fn digits() -> Reply {
    cc("max-age=60").with("etag", "\"v1\"").body("0123456789")
}

/// The first bytes.
fn part() -> Reply {
    status(206)
        .with("cache-control", "max-age=60")
        .with("etag", "\"v1\"")
        .with("content-range", "bytes 0-3/10")
        .body("0123")
}

conformance! {
    the_first_bytes "RFC 9110 section 14.2" => [
        get().reply(digits()),
        get().with("range", "bytes=0-3").status(206).text("0123").has("content-range", "bytes 0-3/10")
            .has("content-length", "4").has("etag", "\"v1\""),
    ];
    bytes_in_the_middle "RFC 9110 section 14.2" => [
        get().reply(digits()),
        get().with("range", "bytes=4-6").status(206).text("456").has("content-range", "bytes 4-6/10"),
    ];
    an_open_end "RFC 9110 section 14.1.2" => [
        get().reply(digits()),
        get().with("range", "bytes=7-").status(206).text("789").has("content-range", "bytes 7-9/10"),
    ];
    an_end_beyond_the_last_byte "RFC 9110 section 14.1.2" => [
        get().reply(digits()),
        get().with("range", "bytes=7-1000").status(206).text("789").has("content-range", "bytes 7-9/10"),
    ];
    a_suffix "RFC 9110 section 14.1.2" => [
        get().reply(digits()),
        get().with("range", "bytes=-3").status(206).text("789").has("content-range", "bytes 7-9/10"),
    ];
    a_suffix_longer_than_the_body "RFC 9110 section 14.1.2" => [
        get().reply(digits()),
        get().with("range", "bytes=-100").status(206).text("0123456789").has("content-range", "bytes 0-9/10"),
    ];
    the_unit_without_regard_to_case "RFC 9110 section 14.1" => [
        get().reply(digits()),
        get().with("range", "Bytes=0-0").status(206).text("0"),
    ];
    beyond_the_end "RFC 9110 section 15.5.17" => [
        get().reply(digits()),
        get().with("range", "bytes=10-").status(416).has("content-range", "bytes */10"),
    ];
    a_suffix_of_nothing "RFC 9110 section 15.5.17" => [
        get().reply(digits()),
        get().with("range", "bytes=-0").status(416).has("content-range", "bytes */10"),
    ];
    several_get_the_whole "RFC 9110 section 14.2" => [
        get().reply(digits()),
        get().with("range", "bytes=0-1,4-5").lacks("content-range"),
    ];
    another_unit_gets_the_whole "RFC 9110 section 14.2" => [
        get().reply(digits()),
        get().with("range", "lines=0-1").lacks("content-range"),
    ];
    backwards_gets_the_whole "RFC 9110 section 14.1.1" => [
        get().reply(digits()),
        get().with("range", "bytes=6-4"),
    ];
    what_cannot_be_read_gets_the_whole "RFC 9110 section 14.2" => [
        get().reply(digits()),
        get().with("range", "bytes=one-two"),
    ];
    of_a_body_of_unknown_length "RFC 9110 section 14.2" => [
        get().reply(digits().chunked()),
        get().with("range", "bytes=4-6").status(206).text("456").has("content-range", "bytes 4-6/10"),
    ];
    head_ignores_it "RFC 9110 section 14.2" => [
        get().reply(digits()),
        head().with("range", "bytes=0-3").lacks("content-range"),
    ];
    of_an_answer_that_is_no_200 "RFC 9110 section 14.2" => [
        get().reply(status(404).with("cache-control", "max-age=60").body("0123456789")),
        get().with("range", "bytes=0-3"),
    ];
    if_none_match_comes_first "RFC 9110 section 13.2.2" => [
        get().reply(digits()),
        get().with("range", "bytes=0-3").with("if-none-match", "\"v1\"").status(304),
    ];
    if_range_with_the_tag "RFC 9110 section 13.1.5" => [
        get().reply(digits()),
        get().with("range", "bytes=0-3").with("if-range", "\"v1\"").status(206).text("0123"),
    ];
    if_range_with_another_tag "RFC 9110 section 13.1.5" => [
        get().reply(digits()),
        get().with("range", "bytes=0-3").with("if-range", "\"v2\""),
    ];
    if_range_with_a_weak_tag "RFC 9110 section 13.1.5" => [
        get().reply(cc("max-age=60").with("etag", "W/\"v1\"").body("0123456789")),
        get().with("range", "bytes=0-3").with("if-range", "W/\"v1\""),
    ];
    if_range_with_the_date "RFC 9110 section 13.1.5" => [
        get().reply(cc("max-age=60").with("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT").body("0123456789")),
        get().with("range", "bytes=0-3").with("if-range", "Sun, 06 Nov 1994 08:49:37 GMT").status(206).text("0123"),
    ];
    if_range_with_a_later_date "RFC 9110 section 13.1.5" => [
        get().reply(cc("max-age=60").with("last-modified", ago(2 * DAY)).body("0123456789")),
        get().with("range", "bytes=0-3").with("if-range", ago(DAY)),
    ];
    if_range_beyond_the_end "RFC 9110 section 13.1.5" => [
        get().reply(digits()),
        get().with("range", "bytes=10-").with("if-range", "\"v2\""),
    ];
    a_part_is_not_the_whole "RFC 9111 section 3.3" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().reply(digits()),
    ];
    a_part_is_not_another_part "RFC 9111 section 3.3" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().with("range", "bytes=4-6")
            .reply(part().body("456").with("x-part", "2")).has("x-part", "2").text("456"),
    ];
    a_part_does_not_replace_the_whole "RFC 9111 section 3.4" => [
        get().reply(stale("").body("0123456789")),
        get().with("range", "bytes=0-3").perhaps(part()).status(206).text("0123"),
        get().of(0).reply(not_modified()),
    ];
    a_whole_in_place_of_a_part_is_passed_on "RFC 9110 section 14.2" => [
        get().with("range", "bytes=0-3").reply(digits()),
    ];
    a_validation_then_a_part "RFC 9111 section 4.3.4" => [
        get().reply(stale("").body("0123456789")),
        get().with("range", "bytes=0-3").reply(not_modified()).status(206).text("0123"),
    ];
    a_416_of_the_app_is_passed_on "RFC 9110 section 15.5.17" => [
        get().with("range", "bytes=99-").reply(status(416).with("content-range", "bytes */10")),
        get().reply(ok()),
    ];
    range_and_if_range_reach_the_app "RFC 9110 section 13.1.5" => [
        get().with("range", "bytes=0-3").with("if-range", "\"v1\"").reply(part())
            .sent("range", "bytes=0-3").sent("if-range", "\"v1\""),
    ];
    a_body_that_breaks_off_is_not_stored "RFC 9111 section 3.3" => [
        get().reply(digits().cut(4)).broken(),
        get().reply(digits()),
    ];
    chunks_that_break_off_are_not_stored "RFC 9111 section 3.3" => [
        get().reply(digits().chunked().cut(4)).broken(),
        get().reply(digits()),
    ];
}
