//! Vary (RFC 9111 section 4.1, RFC 9110 section 12.5.5).

use super::step::{Reply, cc, get, not_modified, ok, post, stale, status};

fn vary(names: &str) -> Reply {
    cc("max-age=60").with("vary", names)
}

conformance! {
    the_same_value "RFC 9111 section 4.1" => [
        get().with("x-a", "1").reply(vary("X-A")),
        get().with("x-a", "1").has("vary", "X-A"),
    ];
    another_value "RFC 9111 section 4.1" => [
        get().with("x-a", "1").reply(vary("X-A")),
        get().with("x-a", "2").reply(vary("X-A")),
    ];
    missing_in_the_second "RFC 9111 section 4.1" => [
        get().with("x-a", "1").reply(vary("X-A")),
        get().reply(vary("X-A")),
    ];
    missing_in_the_first "RFC 9111 section 4.1" => [
        get().reply(vary("X-A")),
        get().with("x-a", "1").reply(vary("X-A")),
    ];
    missing_in_both "RFC 9111 section 4.1" => [
        get().reply(vary("X-A")),
        get(),
    ];
    empty_is_not_missing "RFC 9111 section 4.1" => [
        get().reply(vary("X-A")),
        get().with("x-a", "").perhaps(vary("X-A")).status(200),
    ];
    values_with_regard_to_case "RFC 9111 section 4.1" => [
        get().with("x-a", "one").reply(vary("X-A")),
        get().with("x-a", "ONE").reply(vary("X-A")),
    ];
    other_fields_do_not_count "RFC 9111 section 4.1" => [
        get().with("x-a", "1").with("x-b", "1").reply(vary("X-A")),
        get().with("x-a", "1").with("x-b", "2"),
    ];
    both_answers_are_kept "RFC 9111 section 4.1" => [
        get().with("x-a", "1").reply(vary("X-A")),
        get().with("x-a", "2").reply(vary("X-A")),
        get().with("x-a", "1").of(0),
        get().with("x-a", "2").of(1),
    ];
    three_answers_are_kept "RFC 9111 section 4.1" => [
        get().with("x-a", "1").reply(vary("X-A")),
        get().with("x-a", "2").reply(vary("X-A")),
        get().reply(vary("X-A")),
        get().with("x-a", "1").of(0),
        get().with("x-a", "2").of(1),
        get().of(2),
    ];
    two_fields_that_are_the_same "RFC 9111 section 4.1" => [
        get().with("x-a", "1").with("x-b", "2").reply(vary("X-A, X-B")),
        get().with("x-b", "2").with("x-a", "1"),
    ];
    two_fields_the_second_differs "RFC 9111 section 4.1" => [
        get().with("x-a", "1").with("x-b", "2").reply(vary("X-A, X-B")),
        get().with("x-a", "1").with("x-b", "3").reply(vary("X-A, X-B")),
    ];
    two_fields_with_values_exchanged "RFC 9111 section 4.1" => [
        get().with("x-a", "1").with("x-b", "2").reply(vary("X-A, X-B")),
        get().with("x-a", "2").with("x-b", "1").reply(vary("X-A, X-B")),
    ];
    two_fields_the_second_missing "RFC 9111 section 4.1" => [
        get().with("x-a", "1").with("x-b", "2").reply(vary("X-A, X-B")),
        get().with("x-a", "1").reply(vary("X-A, X-B")),
    ];
    two_lines_of_a_field_are_one_list "RFC 9111 section 4.1" => [
        get().with("x-a", "1").with("x-a", "2").reply(vary("X-A")),
        get().with("x-a", "1, 2"),
    ];
    the_order_of_a_fields_lines_counts "RFC 9110 section 5.3" => [
        get().with("x-a", "1").with("x-a", "2").reply(vary("X-A")),
        get().with("x-a", "2").with("x-a", "1").reply(vary("X-A")),
    ];
    names_without_regard_to_case "RFC 9110 section 5.1" => [
        get().with("x-a", "1").reply(vary("x-A")),
        get().with("X-a", "1"),
        get().with("x-a", "2").reply(vary("x-A")),
    ];
    two_lines_of_vary "RFC 9110 section 5.3" => [
        get().with("x-a", "1").with("x-b", "2").reply(vary("X-A").with("vary", "X-B")),
        get().with("x-a", "1").with("x-b", "3").reply(vary("X-A, X-B")),
    ];
    white_space_and_empty_members "RFC 9110 section 5.6.1.2" => [
        get().with("x-a", "1").with("x-b", "2").reply(vary(" ,X-A ,, X-B,")),
        get().with("x-a", "1").with("x-b", "2"),
        get().with("x-a", "1").with("x-b", "3").reply(vary("X-A, X-B")),
    ];
    an_empty_one_says_nothing "RFC 9110 section 12.5.5" => [
        get().with("x-a", "1").reply(vary("")),
        get().with("x-a", "2"),
    ];
    a_star_never_matches "RFC 9111 section 4.1" => [
        get().reply(vary("*")),
        get().reply(vary("*")),
    ];
    a_star_in_a_list_never_matches "RFC 9111 section 4.1" => [
        get().reply(vary("X-A, *")),
        get().reply(vary("X-A, *")),
    ];
    a_star_on_a_second_line_never_matches "RFC 9111 section 4.1" => [
        get().reply(vary("X-A").with("vary", "*")),
        get().reply(vary("X-A, *")),
    ];
    an_answer_that_varies_otherwise "RFC 9111 section 4.1" => [
        get().with("x-a", "1").with("x-b", "1").reply(vary("X-A")),
        get().with("x-a", "2").with("x-b", "1").reply(vary("X-B")),
        get().with("x-a", "3").with("x-b", "1").of(1),
        get().with("x-a", "3").with("x-b", "2").reply(vary("X-B")),
    ];
    each_is_validated_by_its_own_tag "RFC 9111 section 4.3.1" => [
        get().with("x-a", "1").reply(stale("").with("vary", "X-A")),
        get().with("x-a", "2").reply(cc("max-age=10").with("age", "20").with("etag", "\"v2\"").with("vary", "X-A")),
        get().with("x-a", "1").of(0).reply(not_modified().with("vary", "X-A")).sent("if-none-match", "\"v1\""),
        get().with("x-a", "2").of(1).sent("if-none-match", "\"v2\"")
            .reply(status(304).with("cache-control", "max-age=60").with("etag", "\"v2\"").with("vary", "X-A")),
        get().with("x-a", "1").of(0),
        get().with("x-a", "2").of(1),
    ];
    accept_language "RFC 9111 section 4.1" => [
        get().with("accept-language", "de").reply(vary("Accept-Language")),
        get().with("accept-language", "de"),
        get().with("accept-language", "en").reply(vary("Accept-Language")),
    ];
    accept_language_normalised "RFC 9111 section 4.1" => [
        get().with("accept-language", "de, en;q=0.5").reply(vary("Accept-Language")),
        get().with("accept-language", "de ,en;q=0.50"),
    ];
    accept_language_in_another_order_of_preference "RFC 9111 section 4.1" => [
        get().with("accept-language", "de, en;q=0.5").reply(vary("Accept-Language")),
        get().with("accept-language", "en, de;q=0.5").reply(vary("Accept-Language")),
    ];
    by_cookie_of_a_public_answer "RFC 9111 section 4.1" => [
        get().with("cookie", "a=1").reply(cc("public, max-age=60").with("vary", "Cookie")),
        get().with("cookie", "a=1"),
        get().with("cookie", "a=2").reply(cc("public, max-age=60").with("vary", "Cookie")),
    ];
    an_unsafe_request_takes_all "RFC 9111 section 4.4" => [
        get().with("x-a", "1").reply(vary("X-A")),
        get().with("x-a", "2").reply(vary("X-A")),
        post().with("x-a", "1").reply(ok()),
        get().with("x-a", "1").reply(vary("X-A")),
        get().with("x-a", "2").reply(vary("X-A")),
    ];
    head_selects_like_get "RFC 9111 section 4.1" => [
        get().with("x-a", "1").reply(vary("X-A").with("x-which", "1")),
        super::step::head().with("x-a", "1").has("x-which", "1"),
        super::step::head().with("x-a", "2").reply(vary("X-A").with("x-which", "2")).has("x-which", "2"),
    ];
}
