//! CDN-Cache-Control (RFC 9213), and Surrogate-Control, which says nothing here.

use super::step::{Reply, ahead, cc, get, ok};

/// Both fields.
fn both(control: &str, targeted: &str) -> Reply {
    cc(control).with("cdn-cache-control", targeted)
}

conformance! {
    alone "RFC 9213 section 2" => [get().reply(ok().with("cdn-cache-control", "max-age=60")), get()];
    longer "RFC 9213 section 2.2" => [get().reply(both("max-age=0", "max-age=60")), get()];
    shorter "RFC 9213 section 2.2" => [get().reply(both("max-age=60", "max-age=0")), get().reply(ok())];
    before_no_store "RFC 9213 section 2.2" => [get().reply(both("no-store", "max-age=60")), get()];
    no_store_in_it "RFC 9213 section 2.2" => [get().reply(both("max-age=60", "no-store")), get().reply(ok())];
    private_in_it "RFC 9213 section 2.2" => [get().reply(both("max-age=60", "private")), get().reply(ok())];
    age_counts "RFC 9213 section 2.2" => [
        get().reply(both("max-age=3600", "max-age=60").with("age", "120")),
        get().reply(ok()),
    ];
    expires_says_nothing_beside_it "RFC 9213 section 2.2" => [
        get().reply(ok().with("cdn-cache-control", "public").with("expires", ahead(100))),
        get().reply(ok()),
    ];
    invalid_is_ignored "RFC 9213 section 2.1" => [get().reply(both("max-age=60", "max-age=0, &&&")), get()];
    empty_is_ignored "RFC 9213 section 2.2" => [get().reply(both("max-age=60", "")), get()];
    parameters_are_ignored "RFC 9213 section 2.1" => [get().reply(both("max-age=0", "max-age=60;a=b")), get()];
    two_lines_are_one "RFC 9213 section 2.1" => [
        get().reply(both("no-store", "public").with("cdn-cache-control", "max-age=60")),
        get(),
    ];
    names_are_lower_case "RFC 9213 section 2.1" => [get().reply(both("max-age=60", "MAX-AGE=0")), get()];
    surrogate_control_says_nothing "RFC 9213 section 2" => [
        get().reply(cc("max-age=60").with("surrogate-control", "no-store")),
        get(),
    ];
}
