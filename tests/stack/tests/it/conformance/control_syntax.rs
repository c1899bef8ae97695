//! Cache-Control as people write it (RFC 9111 sections 1.2.2, 4.2.1 and 5.2). What can't be read is stale; of a repeated one the
//! smallest counts.

use super::step::{cc, get, ok};

conformance! {
    names_without_regard_to_case "RFC 9111 section 5.2" => [
        get().reply(cc("MaX-aGe=60")),
        get(),
    ];
    prohibitions_without_regard_to_case "RFC 9111 section 5.2" => [
        get().reply(cc("max-age=60, No-StoRe")),
        get().reply(cc("max-age=60")),
    ];
    a_quoted_number "RFC 9111 section 5.2" => [
        get().reply(cc("max-age=\"60\"")),
        get(),
    ];
    single_quotes_are_none "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age='60'")),
        get().reply(ok()),
    ];
    leading_zeros "RFC 9111 section 1.2.2" => [
        get().reply(cc("max-age=0060")),
        get(),
    ];
    negative "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age=-60")),
        get().reply(ok()),
    ];
    signed "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age=+60")),
        get().reply(ok()),
    ];
    a_fraction "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age=60.5")),
        get().reply(ok()),
    ];
    letters_behind "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age=60a")),
        get().reply(ok()),
    ];
    letters_before "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age=a60")),
        get().reply(ok()),
    ];
    no_value "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age")),
        get().reply(ok()),
    ];
    an_empty_value "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age=")),
        get().reply(ok()),
    ];
    a_bad_s_maxage_does_not_fall_back_to_max_age "RFC 9111 section 4.2.1" => [
        get().reply(cc("s-maxage=x, max-age=60")),
        get().reply(ok()),
    ];
    repeated_larger_first "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age=60, max-age=0")),
        get().reply(ok()),
    ];
    repeated_smaller_first "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age=0, max-age=60")),
        get().reply(ok()),
    ];
    repeated_on_two_lines "RFC 9111 section 4.2.1" => [
        get().reply(cc("max-age=60").with("cache-control", "max-age=0")),
        get().reply(ok()),
    ];
    empty_members "RFC 9110 section 5.6.1.2" => [
        get().reply(cc(", ,max-age=60, ,")),
        get(),
    ];
    white_space_around_members "RFC 9110 section 5.6.1.1" => [
        get().reply(cc("public \t,\t  max-age=60  ")),
        get(),
    ];
    no_white_space "RFC 9110 section 5.6.1.1" => [
        get().reply(cc("public,max-age=60,must-revalidate")),
        get(),
    ];
    a_directive_within_a_quoted_string_is_none "RFC 9110 section 5.6.4" => [
        get().reply(cc("ext=\"no-store, max-age=0\", max-age=60")),
        get(),
    ];
    a_lifetime_within_a_quoted_string_is_none "RFC 9110 section 5.6.4" => [
        get().reply(cc("ext=\"max-age=60\"")),
        get().reply(ok()),
    ];
    an_escaped_quote_does_not_end_a_string "RFC 9110 section 5.6.4" => [
        get().reply(cc("ext=\"a\\\", no-store, b\", max-age=60")),
        get(),
    ];
    an_open_quote_hides_no_prohibition "RFC 9111 section 5.2.2.5" => [
        get().reply(cc("max-age=60, ext=\"a, no-store")),
        get().reply(ok()),
    ];
    a_directive_of_a_longer_name_is_another "RFC 9111 section 5.2.3" => [
        get().reply(cc("no-storey, xprivate, max-age=60")),
        get(),
    ];
    a_number_of_a_longer_name_is_another "RFC 9111 section 5.2.3" => [
        get().reply(cc("x-max-age=60")),
        get().reply(ok()),
    ];
}
