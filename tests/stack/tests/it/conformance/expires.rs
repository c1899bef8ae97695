//! Expires (RFC 9111 section 5.3), in the three forms of a date (RFC 9110 section 5.6.7). What can't be read is the past.

use super::step::{ago, ahead, cc, get, ok};

conformance! {
    in_the_future "RFC 9111 section 5.3" => [
        get().reply(ok().with("expires", ahead(100))),
        get().ttl(80..=100),
    ];
    in_the_past "RFC 9111 section 5.3" => [
        get().reply(ok().with("expires", ago(100))),
        get().reply(ok()),
    ];
    now "RFC 9111 section 5.3" => [
        get().reply(ok().with("expires", ago(0))),
        get().reply(ok()),
    ];
    is_relative_to_date "RFC 9111 section 4.2.1" => [
        get().reply(ok().with("date", ago(100)).with("expires", ahead(100))),
        get().age(100..=110).ttl(85..=100),
    ];
    the_clocks_of_both_are_the_apps "RFC 9111 section 4.2.1" => [
        get().reply(ok().with("date", ahead(3600)).with("expires", ahead(3700))),
        get().ttl(85..=100),
    ];
    before_date_is_stale "RFC 9111 section 4.2.1" => [
        get().reply(ok().with("date", ahead(200)).with("expires", ahead(100))),
        get().reply(ok()),
    ];
    age_counts_against_it "RFC 9111 section 4.2.3" => [
        get().reply(ok().with("expires", ahead(100)).with("age", "200")),
        get().reply(ok()),
    ];
    age_leaves_some "RFC 9111 section 4.2.3" => [
        get().reply(ok().with("expires", ahead(100)).with("age", "50")),
        get().age(50..=60),
    ];
    beside_a_cache_control_without_lifetime "RFC 9111 section 5.3" => [
        get().reply(cc("public").with("expires", ahead(100))),
        get(),
    ];
    beside_a_max_age_that_cannot_be_read "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age=x").with("expires", ahead(100))),
        get().reply(ok()),
    ];
    zero "RFC 9111 section 5.3" => [
        get().reply(ok().with("expires", "0")),
        get().reply(ok()),
    ];
    minus_one "RFC 9111 section 5.3" => [
        get().reply(ok().with("expires", "-1")),
        get().reply(ok()),
    ];
    a_word "RFC 9111 section 5.3" => [
        get().reply(ok().with("expires", "never")),
        get().reply(ok()),
    ];
    empty "RFC 9111 section 5.3" => [
        get().reply(ok().with("expires", "")),
        get().reply(ok()),
    ];
    invalid_is_the_past_even_with_last_modified "RFC 9111 section 5.3" => [
        get().reply(ok().with("expires", "0").with("last-modified", ago(864_000))),
        get().reply(ok()),
    ];
    imf_fixdate "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "Thu, 18 Aug 2050 02:01:18 GMT")),
        get(),
    ];
    rfc850_date "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "Thursday, 18-Aug-50 02:01:18 GMT")),
        get(),
    ];
    rfc850_date_of_the_last_century "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "Sunday, 06-Nov-94 08:49:37 GMT")),
        get().reply(ok()),
    ];
    asctime_date "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "Thu Aug 18 02:01:18 2050")),
        get(),
    ];
    another_zone "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "Thu, 18 Aug 2050 02:01:18 CEST")),
        get().reply(ok()),
    ];
    an_offset "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "Thu, 18 Aug 2050 02:01:18 +0200")),
        get().reply(ok()),
    ];
    no_zone "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "Thu, 18 Aug 2050 02:01:18")),
        get().reply(ok()),
    ];
    an_hour_too_many "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "Thu, 18 Aug 2050 25:01:18 GMT")),
        get().reply(ok()),
    ];
    one_digit_of_hours "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "Thu, 18 Aug 2050 2:01:18 GMT")),
        get().reply(ok()),
    ];
    a_year_of_two_digits "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "Thu, 18 Aug 50 02:01:18 GMT")),
        get().reply(ok()),
    ];
    iso_8601 "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "2050-08-18T02:01:18Z")),
        get().reply(ok()),
    ];
    seconds_since_1970 "RFC 9110 section 5.6.7" => [
        get().reply(ok().with("expires", "2544400878")),
        get().reply(ok()),
    ];
    two_that_differ "RFC 9111 section 4.2.1" => [
        get().reply(ok().with("expires", ahead(100)).with("expires", ago(100))),
        get().reply(ok()),
    ];
    it_reaches_the_client_as_it_is "RFC 9111 section 5.3" => [
        get().reply(cc("max-age=60").with("expires", "0")),
        get().has("expires", "0"),
    ];
}
