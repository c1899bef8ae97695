//! The query as a part of the key, and No-Vary-Search, which says what of it counts.

use super::step::{Reply, cc, get};

fn rule(rule: &str) -> Reply {
    cc("max-age=60").with("no-vary-search", rule)
}

conformance! {
    another_query_is_another_url "RFC 9111 section 2" => [
        get().at("?a=1").reply(cc("max-age=60")),
        get().at("?a=2").reply(cc("max-age=60")),
        get().at("?a=1").of(0),
    ];
    another_order_is_another_url "RFC 9111 section 2" => [
        get().at("?a=1&b=2").reply(cc("max-age=60")),
        get().at("?b=2&a=1").reply(cc("max-age=60")),
    ];
    key_order "No-Vary-Search section 2.1" => [get().at("?a=1&b=2").reply(rule("key-order")), get().at("?b=2&a=1")];
    some_parameters "No-Vary-Search section 2.1" => [
        get().at("?a=1&utm=x").reply(rule("params=(\"utm\")")),
        get().at("?a=1&utm=y"),
        get().at("?a=1"),
        get().at("?a=2&utm=x").reply(rule("params=(\"utm\")")),
    ];
    all_but_some "No-Vary-Search section 2.1" => [
        get().at("?id=1&x=1").reply(rule("params, except=(\"id\")")),
        get().at("?y=2&id=1"),
        get().at("?id=2").reply(rule("params, except=(\"id\")")),
    ];
    invalid_says_nothing "No-Vary-Search section 2.1" => [
        get().at("?a=1").reply(rule("params=(1)")),
        get().at("?a=2").reply(rule("params=(1)")),
    ];
}
