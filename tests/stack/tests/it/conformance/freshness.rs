//! Explicit lifetimes: max-age and s-maxage (RFC 9111 sections 4.2.1, 5.2.2.1 and 5.2.2.10).

use super::step::{ago, ahead, cc, get, ok};

conformance! {
    nothing_said_is_not_reused "RFC 9111 section 3" => [
        get().reply(ok()),
        get().reply(ok()),
    ];
    max_age "RFC 9111 section 5.2.2.1" => [
        get().reply(cc("max-age=60")),
        get().age(0..=10),
        get(),
    ];
    max_age_0_is_stale "RFC 9111 section 5.2.2.1" => [
        get().reply(cc("max-age=0")),
        get().reply(cc("max-age=0")),
    ];
    max_age_is_relative_to_the_date_on_arrival "RFC 9111 section 4.2.3" => [
        get().reply(cc("max-age=60").with("date", ago(55))),
        get().age(55..=60),
    ];
    s_maxage "RFC 9111 section 5.2.2.10" => [
        get().reply(cc("s-maxage=60")),
        get(),
    ];
    s_maxage_0_is_stale "RFC 9111 section 5.2.2.10" => [
        get().reply(cc("s-maxage=0")),
        get().reply(cc("s-maxage=0")),
    ];
    s_maxage_before_a_smaller_max_age "RFC 9111 section 5.2.2.10" => [
        get().reply(cc("max-age=0, s-maxage=60")),
        get(),
    ];
    s_maxage_before_a_larger_max_age "RFC 9111 section 5.2.2.10" => [
        get().reply(cc("s-maxage=0, max-age=60")),
        get().reply(cc("max-age=60")),
    ];
    s_maxage_before_a_larger_max_age_with_age "RFC 9111 section 5.2.2.10" => [
        get().reply(cc("max-age=3600, s-maxage=60").with("age", "120")),
        get().reply(cc("max-age=60")),
    ];
    max_age_before_a_past_expires "RFC 9111 section 5.3" => [
        get().reply(cc("max-age=60").with("expires", ago(100))),
        get(),
    ];
    max_age_0_before_a_future_expires "RFC 9111 section 5.3" => [
        get().reply(cc("max-age=0").with("expires", ahead(100))),
        get().reply(ok()),
    ];
    s_maxage_before_a_past_expires "RFC 9111 section 5.3" => [
        get().reply(cc("s-maxage=60").with("expires", ago(100))),
        get(),
    ];
    s_maxage_0_before_a_future_expires "RFC 9111 section 5.3" => [
        get().reply(cc("s-maxage=0").with("expires", ahead(100))),
        get().reply(ok()),
    ];
    two_to_the_31_seconds "RFC 9111 section 1.2.2" => [
        get().reply(cc("max-age=2147483648")),
        get(),
    ];
    more_seconds_than_fit "RFC 9111 section 1.2.2" => [
        get().reply(cc("max-age=99999999999999999999")),
        get(),
    ];
    an_unknown_directive_does_no_harm "RFC 9111 section 5.2.3" => [
        get().reply(cc("max-age=60, unheard-of, community=\"UCI\"")),
        get(),
    ];
    the_two_lines_are_one_list "RFC 9110 section 5.3" => [
        get().reply(ok().with("cache-control", "public").with("cache-control", "max-age=60")),
        get(),
    ];
}
