//! What an app says in Cache-Control (RFC 9111 section 5.2.2, RFC 8246).

use super::step::{Reply, cc, get, not_modified, ok, status};

/// A validation of what must be validated each time.
fn no_cache() -> Reply {
    status(304).with("cache-control", "max-age=60, no-cache").with("etag", "\"v1\"")
}

conformance! {
    no_store "RFC 9111 section 5.2.2.5" => [
        get().reply(cc("no-store, max-age=60")),
        get().reply(cc("max-age=60")),
    ];
    no_store_on_a_second_line "RFC 9111 section 5.2.2.5" => [
        get().reply(cc("max-age=60").with("cache-control", "no-store")),
        get().reply(cc("max-age=60")),
    ];
    no_store_despite_public "RFC 9111 section 5.2.2.5" => [
        get().reply(cc("public, s-maxage=60, no-store")),
        get().reply(cc("max-age=60")),
    ];
    no_cache_is_validated_each_time "RFC 9111 section 5.2.2.4" => [
        get().reply(cc("max-age=60, no-cache").with("etag", "\"v1\"")),
        get().reply(no_cache()).sent("if-none-match", "\"v1\""),
        get().reply(no_cache()).sent("if-none-match", "\"v1\""),
    ];
    no_cache_without_a_validator_is_fetched_each_time "RFC 9111 section 5.2.2.4" => [
        get().reply(cc("max-age=60, no-cache")),
        get().reply(cc("max-age=60, no-cache")),
    ];
    no_cache_alone_is_validated "RFC 9111 section 5.2.2.4" => [
        get().reply(cc("no-cache").with("etag", "\"v1\"")),
        get().reply(no_cache()).sent("if-none-match", "\"v1\""),
    ];
    no_cache_of_a_field_is_stored_without_it "RFC 9111 section 5.2.2.4" => [
        get().reply(cc("max-age=60, no-cache=\"x-mine\"").with("x-mine", "1").with("x-all", "2")),
        get().lacks("x-mine").has("x-all", "2"),
    ];
    no_cache_of_two_fields_is_stored_without_them "RFC 9111 section 5.2.2.4" => [
        get().reply(cc("max-age=60, no-cache=\"x-a, X-B\"").with("x-a", "1").with("x-b", "2")),
        get().lacks("x-a").lacks("x-b"),
    ];
    no_cache_of_a_field_as_a_token "RFC 9111 section 5.2.2.4" => [
        get().reply(cc("max-age=60, no-cache=x-mine").with("x-mine", "1")),
        get().lacks("x-mine"),
    ];
    no_cache_with_an_empty_list_means_all "RFC 9111 section 5.2.2.4" => [
        get().reply(cc("max-age=60, no-cache=\"\"")),
        get().reply(ok()),
    ];
    private "RFC 9111 section 5.2.2.7" => [
        get().reply(cc("private, max-age=60")),
        get().reply(cc("max-age=60")),
    ];
    private_despite_public "RFC 9111 section 5.2.2.7" => [
        get().reply(cc("public, private, max-age=60")),
        get().reply(cc("max-age=60")),
    ];
    private_despite_s_maxage "RFC 9111 section 5.2.2.7" => [
        get().reply(cc("s-maxage=60, private")),
        get().reply(cc("max-age=60")),
    ];
    private_of_a_field_is_stored_without_it "RFC 9111 section 5.2.2.7" => [
        get().reply(cc("max-age=60, private=\"x-mine\"").with("x-mine", "1").with("x-all", "2")),
        get().lacks("x-mine").has("x-all", "2"),
    ];
    private_of_a_field_reaches_the_one_it_is_for "RFC 9111 section 5.2.2.7" => [
        get().reply(cc("max-age=60, private=\"x-mine\"").with("x-mine", "1")).has("x-mine", "1"),
    ];
    public_alone_gives_no_lifetime "RFC 9111 section 5.2.2.9" => [
        get().reply(cc("public")),
        get().reply(cc("public")),
    ];
    public_with_a_lifetime "RFC 9111 section 5.2.2.9" => [
        get().reply(cc("public, max-age=60")),
        get(),
    ];
    must_revalidate_while_fresh "RFC 9111 section 5.2.2.2" => [
        get().reply(cc("max-age=60, must-revalidate")),
        get(),
    ];
    must_revalidate_once_stale "RFC 9111 section 5.2.2.2" => [
        get().reply(super::step::stale(", must-revalidate")),
        get().reply(not_modified()).sent("if-none-match", "\"v1\""),
    ];
    proxy_revalidate_while_fresh "RFC 9111 section 5.2.2.8" => [
        get().reply(cc("max-age=60, proxy-revalidate")),
        get(),
    ];
    must_understand_with_a_status_that_is "RFC 9111 section 5.2.2.3" => [
        get().reply(cc("must-understand, no-store, max-age=60")),
        get(),
    ];
    must_understand_with_a_status_that_is_not "RFC 9111 section 5.2.2.3" => [
        get().reply(status(299).with("cache-control", "must-understand, no-store, max-age=60")),
        get().reply(ok()),
    ];
    must_understand_with_a_status_that_is_not_and_no_no_store "RFC 9111 section 5.2.2.3" => [
        get().reply(status(299).with("cache-control", "must-understand, max-age=60")),
        get().reply(ok()),
    ];
    no_transform_leaves_the_body_as_it_is "RFC 9111 section 5.2.2.6" on Native: "workerd codes for the client" => [
        get().reply(cc("max-age=60, no-transform").with("content-type", "text/html")),
        get().with("accept-encoding", "gzip").has("content-type", "text/html"),
    ];
    immutable_is_no_lifetime "RFC 8246 section 2" => [
        get().reply(cc("immutable")),
        get().reply(ok()),
    ];
    immutable_with_a_lifetime "RFC 8246 section 2" => [
        get().reply(cc("max-age=60, immutable")),
        get(),
    ];
    immutable_once_stale_is_validated "RFC 8246 section 2" => [
        get().reply(super::step::stale(", immutable")),
        get().reply(not_modified()).sent("if-none-match", "\"v1\""),
    ];
    it_reaches_the_client_as_it_is "RFC 9111 section 5.2" => [
        get().reply(cc("public, max-age=60, ext=\"a, b\"")),
        get().has("cache-control", "public, max-age=60, ext=\"a, b\""),
    ];
}
