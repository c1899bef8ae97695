//! Authorization, Cookie and Set-Cookie in a cache that many share (RFC 9111 sections 3.5 and 7.3).

use super::step::{Step, cc, get};

fn authorized() -> Step {
    get().with("authorization", "Bearer x")
}

fn known() -> Step {
    get().with("cookie", "session=x")
}

conformance! {
    authorized_is_not_stored "RFC 9111 section 3.5" => [
        authorized().reply(cc("max-age=60")),
        get().reply(cc("max-age=60")),
    ];
    authorized_and_public "RFC 9111 section 3.5" => [authorized().reply(cc("public, max-age=60")), authorized(), get()];
    authorized_and_s_maxage "RFC 9111 section 3.5" => [authorized().reply(cc("s-maxage=60")), authorized(), get()];
    authorized_and_must_revalidate "RFC 9111 section 3.5" => [
        authorized().reply(cc("max-age=60, must-revalidate")),
        authorized(),
    ];
    what_others_have_is_not_for_the_authorized "RFC 9111 section 3.5" => [
        get().reply(cc("max-age=60")),
        authorized().reply(cc("max-age=60")),
        get().of(0),
    ];
    a_cookie_is_not_stored "RFC 9111 section 7.3" => [
        known().reply(cc("max-age=60")),
        get().reply(cc("max-age=60")),
    ];
    a_cookie_and_public "RFC 9111 section 7.3" => [known().reply(cc("public, max-age=60")), known(), get()];
    a_cookie_and_s_maxage "RFC 9111 section 7.3" => [known().reply(cc("s-maxage=60")), known(), get()];
    what_others_have_is_not_for_one_with_a_cookie "RFC 9111 section 7.3" => [
        get().reply(cc("max-age=60")),
        known().reply(cc("max-age=60")),
        get().of(0),
    ];
    set_cookie_is_not_stored "RFC 9111 section 7.3" => [
        get().reply(cc("public, max-age=60").with("set-cookie", "a=b")).has("set-cookie", "a=b"),
        get().reply(cc("max-age=60")),
    ];
    set_cookie_withheld_by_no_cache "RFC 9111 section 5.2.2.4" => [
        get().reply(cc("max-age=60, no-cache=\"set-cookie\"").with("set-cookie", "a=b")).has("set-cookie", "a=b"),
        get().lacks("set-cookie"),
    ];
    set_cookie_withheld_by_private "RFC 9111 section 5.2.2.7" => [
        get().reply(cc("max-age=60, private=\"Set-Cookie\"").with("set-cookie", "a=b")).has("set-cookie", "a=b"),
        get().lacks("set-cookie"),
    ];
}
