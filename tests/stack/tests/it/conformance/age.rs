//! Age: read from what comes, and said of what is stored (RFC 9111 sections 4.2.3 and 5.1).

use super::step::{ago, cc, get, head, not_modified, ok, stale};

conformance! {
    counts_against_the_lifetime "RFC 9111 section 4.2.3" => [
        get().reply(cc("max-age=60").with("age", "30")),
        get().age(30..=40).ttl(20..=30),
    ];
    as_old_as_its_lifetime_is_stale "RFC 9111 section 4.2" => [
        get().reply(cc("max-age=60").with("age", "60").with("etag", "\"v1\"")),
        get().reply(cc("max-age=60")),
    ];
    older_than_its_lifetime_is_stale "RFC 9111 section 4.2" => [
        get().reply(cc("max-age=60").with("age", "7200")),
        get().reply(cc("max-age=60")),
    ];
    zero_is_an_age "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "0")),
        get().age(0..=10),
    ];
    leading_zeros_are_digits "RFC 9111 section 1.2.2" => [
        get().reply(cc("max-age=60").with("age", "0000030")),
        get().age(30..=40),
    ];
    of_a_list_the_first_member_counts "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "10, 7200")),
        get().age(10..=20),
    ];
    of_a_list_the_first_member_counts_also_when_it_is_the_larger "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "7200, 10")),
        get().reply(cc("max-age=60")),
    ];
    of_two_lines_the_first_counts "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "10").with("age", "7200")),
        get().age(10..=20),
    ];
    a_word_is_ignored "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "old")),
        get().age(0..=10),
    ];
    digits_with_a_word_behind_are_ignored "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "7200s")),
        get().age(0..=10),
    ];
    a_parameter_makes_it_invalid "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "7200;x=1")),
        get().age(0..=10),
    ];
    a_negative_one_is_ignored "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "-7200")),
        get().age(0..=10),
    ];
    a_fraction_is_ignored "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "7200.0")),
        get().age(0..=10),
    ];
    a_quoted_one_is_ignored "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "\"7200\"")),
        get().age(0..=10),
    ];
    an_empty_one_is_ignored "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "")),
        get().age(0..=10),
    ];
    more_than_fits_is_very_old "RFC 9111 section 1.2.2" => [
        get().reply(cc("max-age=3600").with("age", "99999999999999999999")),
        get().reply(cc("max-age=60")),
    ];
    two_to_the_31_is_very_old "RFC 9111 section 1.2.2" => [
        get().reply(cc("max-age=3600").with("age", "2147483648")),
        get().reply(cc("max-age=60")),
    ];
    an_old_date_is_an_age "RFC 9111 section 4.2.3" => [
        get().reply(cc("max-age=100").with("date", ago(40))),
        get().age(40..=50).ttl(50..=60),
    ];
    an_old_date_makes_stale "RFC 9111 section 4.2.3" => [
        get().reply(cc("max-age=60").with("date", ago(3600))),
        get().reply(cc("max-age=60")),
    ];
    the_larger_of_age_and_date_counts "RFC 9111 section 4.2.3" => [
        get().reply(cc("max-age=100").with("date", ago(20)).with("age", "50")),
        get().age(50..=60),
    ];
    a_date_in_the_future_is_no_age "RFC 9111 section 4.2.3" => [
        get().reply(cc("max-age=60").with("date", super::step::ahead(3600))),
        get().age(0..=10),
    ];
    a_date_that_cannot_be_read_is_no_age "RFC 9111 section 4.2.3" => [
        get().reply(cc("max-age=60").with("date", "yesterday")),
        get().age(0..=10),
    ];
    the_time_on_the_way_counts "RFC 9111 section 4.2.3" => [
        get().reply(cc("max-age=60").pause(1_500)),
        get().age(1..=11),
    ];
    it_grows_while_stored "RFC 9111 section 4.2.3" => [
        get().reply(cc("max-age=60").with("age", "10")),
        get().wait(1_200).age(11..=25),
    ];
    it_ends_freshness_while_stored "RFC 9111 section 4.2" => [
        get().reply(cc("max-age=2")),
        get().wait(2_100).reply(cc("max-age=60")),
    ];
    a_miss_passes_it_on "RFC 9111 section 5.1" => [
        get().reply(ok().with("age", "30").with("cache-control", "no-store")).age(30..=30),
    ];
    head_has_it_too "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "30")),
        head().age(30..=40),
    ];
    a_304_has_it_too "RFC 9111 section 5.1" => [
        get().reply(cc("max-age=60").with("age", "30").with("etag", "\"v1\"")),
        get().with("if-none-match", "\"v1\"").status(304).age(30..=40),
    ];
    a_validation_begins_anew "RFC 9111 section 4.2.3" => [
        get().reply(stale("")),
        get().reply(not_modified()),
        get().age(0..=10),
    ];
    a_validation_brings_its_own "RFC 9111 section 4.2.3" => [
        get().reply(stale("")),
        get().reply(not_modified().with("age", "30")),
        get().age(30..=40).ttl(20..=30),
    ];
}
