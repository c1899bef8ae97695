//! Which methods are looked up and stored (RFC 9111 sections 2 and 4), and requests that share one answer.

use super::step::{cc, get, head, method};

conformance! {
    head_from_a_stored_get "RFC 9110 section 9.3.2" => [
        get().reply(cc("max-age=60").with("x-a", "1")),
        head().has("x-a", "1"),
    ];
    head_is_not_stored_for_get "RFC 9111 section 3" => [
        head().reply(cc("max-age=60")),
        get().reply(cc("max-age=60")),
    ];
    options_is_not_stored "RFC 9111 section 3" => [
        method("OPTIONS").reply(cc("max-age=60")),
        method("OPTIONS").reply(cc("max-age=60")),
        get().reply(cc("max-age=60")),
    ];
    many_at_once_ask_once "RFC 9111 section 4" => [
        get().at_once(10).reply(cc("max-age=60").pause(500)),
        get(),
    ];
}
