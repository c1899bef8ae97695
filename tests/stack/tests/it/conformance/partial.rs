//! Ranges (RFC 9110 section 14, RFC 9111 sections 3.3 and 3.4): answered from a stored whole; a part is never taken for the whole.

use super::step::{DAY, Reply, ago, cc, get, head, not_modified, ok, post, stale, status};

fn digits() -> Reply {
    cc("max-age=60").with("etag", "\"v1\"").body("0123456789")
}

/// Some bytes of it.
fn bytes(first: usize, last: usize) -> Reply {
    bytes_of("\"v1\"", first, last)
}

fn bytes_of(tag: &str, first: usize, last: usize) -> Reply {
    status(206)
        .with("cache-control", "max-age=60")
        .with("etag", tag)
        .with("content-range", format!("bytes {first}-{last}/10"))
        .body(&"0123456789"[first..=last])
}

/// The first bytes.
fn part() -> Reply {
    bytes(0, 3)
}

/// The first bytes, with this in place of, or beside, their fields.
fn part_with(name: &'static str, value: &str) -> Reply {
    let mut part = part();
    part.fields.retain(|(n, _)| *n != name);
    part.with(name, value)
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
            .reply(bytes(4, 6).with("x-part", "2")).has("x-part", "2").text("456"),
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
    a_part_answers_what_lies_in_it "RFC 9111 section 3.3" => [
        get().with("range", "bytes=2-7").reply(bytes(2, 7).with("content-type", "text/plain")),
        get().with("range", "bytes=2-7").status(206).text("234567").has("content-range", "bytes 2-7/10"),
        get().with("range", "bytes=3-4").status(206).text("34").has("content-range", "bytes 3-4/10")
            .has("content-length", "2").has("etag", "\"v1\"").has("content-type", "text/plain").age(0..=3),
        get().with("range", "bytes=10-").status(416).has("content-range", "bytes */10"),
    ];
    a_part_says_that_it_is_a_hit "RFC 9211 section 2.1" on Native: "the Worker stores no parts" => [
        get().with("range", "bytes=2-7").reply(bytes(2, 7)).says("fwd=uri-miss").says("stored"),
        get().with("range", "bytes=3-4").status(206).text("34").says("hit").ttl(50..=60),
        get().with("range", "bytes=3-8").reply(bytes(8, 8)).status(206).text("345678").says("fwd=partial").says("stored"),
        get().perhaps(digits()).says("fwd=partial"),
    ];
    a_part_is_completed_by_what_follows "RFC 9111 section 3.4" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().with("range", "bytes=2-7").reply(bytes(4, 7)).status(206).text("234567")
            .has("content-range", "bytes 2-7/10").has("content-length", "6")
            .sent("range", "bytes=4-7").sent("if-range", "\"v1\""),
        get().with("range", "bytes=0-7").status(206).text("01234567"),
    ];
    a_part_is_completed_by_what_comes_before "RFC 9111 section 3.4" => [
        get().with("range", "bytes=6-").reply(bytes(6, 9)),
        get().with("range", "bytes=4-7").reply(bytes(4, 5)).status(206).text("4567").sent("range", "bytes=4-5"),
        get().with("range", "bytes=-6").status(206).text("456789").has("content-range", "bytes 4-9/10"),
    ];
    what_goes_on_where_a_part_ends "RFC 9111 section 3.4" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().with("range", "bytes=4-").reply(bytes(4, 9)).status(206).text("456789")
            .has("content-range", "bytes 4-9/10").sent("range", "bytes=4-9").sent("if-range", "\"v1\""),
        get().status(200).text("0123456789").lacks("content-range").has("content-length", "10"),
    ];
    the_rest_makes_a_whole "RFC 9111 section 3.4" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().reply(bytes(4, 9).with("x-new", "1")).status(200).text("0123456789").lacks("content-range")
            .has("content-length", "10").has("x-new", "1").sent("range", "bytes=4-9").sent("if-range", "\"v1\""),
        get().status(200).text("0123456789").lacks("content-range"),
        get().with("range", "bytes=8-").status(206).text("89"),
    ];
    many_who_want_the_rest_ask_once "RFC 9111 section 3.4" on Native: "the Worker's requests do not wait for each other" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().at_once(5).reply(bytes(4, 9).pause(200)).status(200).text("0123456789"),
    ];
    a_part_with_every_byte_is_a_whole "RFC 9110 section 15.3.7.3" => [
        get().with("range", "bytes=0-").reply(bytes(0, 9)).status(206).has("content-range", "bytes 0-9/10"),
        get().status(200).text("0123456789").lacks("content-range"),
    ];
    a_part_without_the_beginning_is_not_completed_to_a_whole "RFC 9111 section 3.4" => [
        get().with("range", "bytes=4-6").reply(bytes(4, 6)),
        get().reply(digits()).sent("range", "").sent("if-range", ""),
        get(),
    ];
    another_whole_replaces_a_part "RFC 9111 section 3.4" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().reply(cc("max-age=60").with("etag", "\"v2\"").body("abcdefghij")).sent("if-range", "\"v1\""),
        get().with("range", "bytes=0-3").status(206).text("abcd").has("etag", "\"v2\""),
    ];
    a_whole_for_a_range_replaces_a_part "RFC 9111 section 3.4" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().with("range", "bytes=2-5").reply(cc("max-age=60").with("etag", "\"v2\"").body("abcdefghij")),
        get().with("range", "bytes=0-3").status(206).text("abcd").has("etag", "\"v2\""),
    ];
    another_validator_is_not_combined "RFC 9111 section 3.4" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().with("range", "bytes=2-5").reply(bytes_of("\"v2\"", 2, 5).body("cdef")).status(206).text("cdef")
            .has("etag", "\"v2\"").has("content-range", "bytes 2-5/10"),
        get().with("range", "bytes=2-3").status(206).text("cd").has("etag", "\"v2\""),
        get().with("range", "bytes=0-1").reply(bytes_of("\"v2\"", 0, 1).body("ab")).status(206).text("ab"),
    ];
    a_weak_validator_is_not_stored "RFC 9110 section 15.3.7.3" => [
        get().with("range", "bytes=0-3").reply(part_with("etag", "W/\"v1\"")),
        get().with("range", "bytes=0-1").reply(bytes_of("W/\"v1\"", 0, 1)).text("01"),
    ];
    a_weak_validator_is_not_combined "RFC 9111 section 3.4" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().with("range", "bytes=2-5").reply(bytes_of("W/\"v1\"", 2, 5)).status(206).text("2345").has("etag", "W/\"v1\""),
    ];
    without_a_validator_nothing_is_stored "RFC 9111 section 3.4" => [
        get().with("range", "bytes=0-3").reply(status(206).with("cache-control", "max-age=60")
            .with("content-range", "bytes 0-3/10").body("0123")),
        get().with("range", "bytes=0-3").reply(part()),
    ];
    without_a_content_range_nothing_is_stored "RFC 9110 section 15.3.7" => [
        get().with("range", "bytes=0-3").reply(part_with("content-range", "bytes 0-3")),
        get().with("range", "bytes=0-3").reply(part()),
    ];
    an_unknown_length_is_not_stored "RFC 9111 section 3.3" => [
        get().with("range", "bytes=0-3").reply(part_with("content-range", "bytes 0-3/*")),
        get().with("range", "bytes=0-3").reply(part()),
    ];
    other_bytes_than_asked_are_not_combined "RFC 9111 section 3.4" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().with("range", "bytes=2-5").reply(bytes(2, 5).with("x-part", "2")).status(206).text("2345").has("x-part", "2"),
    ];
    several_parts_are_passed_on "RFC 9110 section 15.3.7.2" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().with("range", "bytes=0-1,3-3").sent("range", "bytes=0-1,3-3")
            .reply(status(206).with("cache-control", "max-age=60").with("etag", "\"v1\"")
                .with("content-type", "multipart/byteranges; boundary=x").body("--x")),
        get().with("range", "bytes=0-1,3-3").reply(status(206).with("cache-control", "max-age=60")
            .with("content-type", "multipart/byteranges; boundary=y").body("--y")).text("--y"),
    ];
    head_is_not_answered_from_a_part "RFC 9111 section 3.3" => [
        get().with("range", "bytes=0-3").reply(part()),
        head().reply(digits()).status(200).lacks("content-range"),
        get().with("range", "bytes=0-3").status(206).text("0123"),
    ];
    a_part_confirms_what_the_client_has "RFC 9111 section 4.3.2" on Native: "the Worker takes the client's conditions over" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().with("if-none-match", "\"v1\"").status(304),
    ];
    a_part_and_an_if_range_that_holds "RFC 9110 section 13.1.5" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().with("range", "bytes=0-1").with("if-range", "\"v1\"").status(206).text("01"),
        get().with("range", "bytes=0-1").with("if-range", "\"v0\"").sent("if-range", "\"v0\"").reply(digits()),
    ];
    a_stale_part_is_validated "RFC 9111 section 4.3" => [
        get().with("range", "bytes=0-3").reply(part_with("cache-control", "max-age=10").with("age", "20")),
        get().with("range", "bytes=1-2").reply(not_modified()).status(206).text("12").sent("if-none-match", "\"v1\""),
        get().with("range", "bytes=2-3").status(206).text("23"),
    ];
    a_stale_part_is_fresh_with_what_follows "RFC 9111 section 3.4" => [
        get().with("range", "bytes=0-3").reply(part_with("cache-control", "max-age=10").with("age", "20")),
        get().with("range", "bytes=2-5").reply(bytes(4, 5)).status(206).text("2345"),
        get().with("range", "bytes=0-5").status(206).text("012345"),
    ];
    a_stale_part_stands_in "RFC 5861 section 4" => [
        get().with("range", "bytes=0-3")
            .reply(part_with("cache-control", "max-age=10, stale-if-error=60").with("age", "20")),
        get().with("range", "bytes=0-3").stale().reply(status(503).body("down")).status(206).text("0123"),
    ];
    a_part_of_each_variant "RFC 9111 section 4.1" => [
        get().with("range", "bytes=0-3").with("x-wish", "1").reply(part().with("vary", "x-wish")),
        get().with("range", "bytes=0-3").with("x-wish", "2")
            .reply(bytes_of("\"w1\"", 0, 3).with("vary", "x-wish").body("abcd")),
        get().with("range", "bytes=1-2").with("x-wish", "1").status(206).text("12"),
        get().with("range", "bytes=1-2").with("x-wish", "2").status(206).text("bc"),
        get().with("range", "bytes=2-5").with("x-wish", "2").status(206).text("cdef").sent("if-range", "\"w1\"")
            .reply(bytes_of("\"w1\"", 4, 5).with("vary", "x-wish").body("ef")),
    ];
    a_part_that_sets_a_cookie "RFC 9111 section 7.3" => [
        get().with("range", "bytes=0-3").reply(part().with("set-cookie", "a=b")),
        get().with("range", "bytes=0-3").reply(part()).lacks("set-cookie"),
        get().with("range", "bytes=2-5").reply(bytes(4, 5).with("set-cookie", "a=b")),
    ];
    a_private_part "RFC 9111 section 5.2.2.7" => [
        get().with("range", "bytes=0-3").reply(part_with("cache-control", "private, max-age=60")),
        get().with("range", "bytes=0-3").reply(part()),
    ];
    a_part_for_who_is_authorized "RFC 9111 section 3.5" => [
        get().with("range", "bytes=0-3").with("authorization", "x").reply(part()),
        get().with("range", "bytes=0-3").reply(part()),
        get().with("range", "bytes=0-3").with("authorization", "x").reply(bytes_of("\"w1\"", 0, 3).body("abcd")).text("abcd"),
    ];
    a_part_that_breaks_off_is_not_stored "RFC 9111 section 3.3" => [
        get().with("range", "bytes=0-3").reply(part().cut(2)).broken(),
        get().with("range", "bytes=0-3").reply(part()),
    ];
    a_rest_that_breaks_off_is_not_stored "RFC 9111 section 3.3" => [
        get().with("range", "bytes=0-3").reply(part()),
        get().reply(bytes(4, 9).cut(2)).broken(),
        get().reply(digits()),
    ];
    an_unsafe_request_makes_a_part_invalid "RFC 9111 section 4.4" => [
        get().with("range", "bytes=0-3").reply(part()),
        post().reply(ok()),
        get().with("range", "bytes=0-3").reply(part()),
    ];
}
