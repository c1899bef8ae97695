//! What an unsafe request makes invalid (RFC 9111 section 4.4), and an answer to POST that is stored (RFC 9110 section 9.3.3).

use super::step::{cc, get, method, ok, post, status};

conformance! {
    post_does "RFC 9111 section 4.4" => [
        get().reply(cc("max-age=60")),
        post().reply(ok()),
        get().reply(cc("max-age=60")),
    ];
    put_does "RFC 9111 section 4.4" => [
        get().reply(cc("max-age=60")),
        method("PUT").reply(status(204)),
        get().reply(cc("max-age=60")),
    ];
    delete_does "RFC 9111 section 4.4" => [
        get().reply(cc("max-age=60")),
        method("DELETE").reply(status(204)),
        get().reply(cc("max-age=60")),
    ];
    patch_does "RFC 9111 section 4.4" => [
        get().reply(cc("max-age=60")),
        method("PATCH").reply(ok()),
        get().reply(cc("max-age=60")),
    ];
    an_unknown_method_does "RFC 9111 section 4.4" on Native: "the runtime has no request for it" => [
        get().reply(cc("max-age=60")),
        method("FROBNICATE").reply(ok()),
        get().reply(cc("max-age=60")),
    ];
    a_redirect_does "RFC 9111 section 4.4" => [
        get().reply(cc("max-age=60")),
        post().reply(status(303).with("location", "/elsewhere")),
        get().reply(cc("max-age=60")),
    ];
    a_404_does_not "RFC 9111 section 4.4" => [
        get().reply(cc("max-age=60")),
        post().reply(status(404)),
        get().of(0),
    ];
    a_500_does_not "RFC 9111 section 4.4" => [
        get().reply(cc("max-age=60")),
        post().reply(status(500)),
        get().of(0),
    ];
    options_does_not "RFC 9110 section 9.2.1" => [
        get().reply(cc("max-age=60")),
        method("OPTIONS").reply(ok()),
        get().of(0),
    ];
    location_names_another "RFC 9111 section 4.4" => [
        get().at("/other").reply(cc("max-age=60")),
        post().reply(status(201).with("location", "{path}/other")),
        get().at("/other").reply(cc("max-age=60")),
    ];
    content_location_names_another "RFC 9111 section 4.4" => [
        get().at("/other").reply(cc("max-age=60")),
        post().reply(ok().with("content-location", "{path}/other")),
        get().at("/other").reply(cc("max-age=60")),
    ];
    location_of_another_origin_is_left_alone "RFC 9111 section 4.4" => [
        get().at("/other").reply(cc("max-age=60")),
        post().reply(status(201).with("location", "http://elsewhere.example{path}/other")),
        get().at("/other").of(0),
    ];
    another_query_is_left_alone "RFC 9111 section 4.4" => [
        get().at("?a=1").reply(cc("max-age=60")),
        post().at("?a=2").reply(ok()),
        get().at("?a=1").of(0),
    ];
    location_of_a_failure_is_left_alone "RFC 9111 section 4.4" => [
        get().at("/other").reply(cc("max-age=60")),
        post().reply(status(400).with("location", "{path}/other")),
        get().at("/other").of(0),
    ];
    an_answer_to_post_about_itself_is_stored "RFC 9110 section 9.3.3" => [
        post().reply(cc("max-age=60").with("content-location", "{path}")),
        get().of(0),
    ];
    an_answer_to_post_is_not_stored_otherwise "RFC 9110 section 9.3.3" => [
        post().reply(cc("max-age=60")),
        get().reply(ok()),
    ];
    post_is_never_answered_from_what_is_stored "RFC 9110 section 9.3.3" => [
        get().reply(cc("max-age=60")),
        post().reply(cc("max-age=60").with("content-location", "{path}")),
        post().reply(ok()),
    ];
}
