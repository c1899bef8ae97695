//! Status codes with an explicit lifetime: any final one may be stored (RFC 9111 section 3), but those that answer one
//! request.

use super::step::{Reply, get, ok, raw, status};

fn fresh(code: u16) -> Reply {
    status(code).with("cache-control", "max-age=60")
}

fn to(code: u16) -> Reply {
    fresh(code).with("location", "/x")
}

conformance! {
    of_200 "RFC 9111 section 3" => [get().reply(fresh(200)), get()];
    of_203 "RFC 9111 section 3" => [get().reply(fresh(203)), get()];
    of_204 "RFC 9111 section 3" => [get().reply(fresh(204)), get()];
    of_299 "RFC 9111 section 3" => [get().reply(fresh(299)), get()];
    of_301 "RFC 9111 section 3" => [get().reply(to(301)), get().has("location", "/x")];
    of_302 "RFC 9111 section 3" => [get().reply(to(302)), get().has("location", "/x")];
    of_303 "RFC 9111 section 3" => [get().reply(to(303)), get().has("location", "/x")];
    of_307 "RFC 9111 section 3" => [get().reply(to(307)), get().has("location", "/x")];
    of_308 "RFC 9111 section 3" => [get().reply(to(308)), get().has("location", "/x")];
    of_400 "RFC 9111 section 3" => [get().reply(fresh(400)), get()];
    of_403 "RFC 9111 section 3" => [get().reply(fresh(403)), get()];
    of_404 "RFC 9111 section 3" => [get().reply(fresh(404)), get()];
    of_410 "RFC 9111 section 3" => [get().reply(fresh(410)), get()];
    of_422 "RFC 9111 section 3" => [get().reply(fresh(422)), get()];
    of_499 "RFC 9111 section 3" => [get().reply(fresh(499)), get()];
    of_500 "RFC 9111 section 3" => [get().reply(fresh(500)), get()];
    of_503 "RFC 9111 section 3" => [get().reply(fresh(503)), get()];
    of_599 "RFC 9111 section 3" => [get().reply(fresh(599)), get()];
    of_404_no_longer_than_it_says "RFC 9111 section 4.2" => [
        get().reply(fresh(404).with("age", "60")),
        get().reply(fresh(404)),
    ];
    of_206_not "RFC 9111 section 3.3" => [
        get().with("range", "bytes=0-3").reply(fresh(206).body("0123").with("content-range", "bytes 0-3/10")),
        get().reply(fresh(200)),
    ];
    of_412_not "RFC 9110 section 15.5.13" => [get().reply(fresh(412)), get().reply(ok())];
    of_416_not "RFC 9110 section 15.5.17" => [
        get().with("range", "bytes=99-").reply(fresh(416).with("content-range", "bytes */10")),
        get().reply(ok()),
    ];
    of_417_not "RFC 9110 section 15.5.18" => [get().reply(fresh(417)), get().reply(ok())];
    of_425_not "RFC 8470 section 5.2" => [get().reply(fresh(425)), get().reply(ok())];
    of_428_not "RFC 6585 section 3" => [get().reply(fresh(428)), get().reply(ok())];
    of_429_not "RFC 6585 section 4" => [get().reply(fresh(429)), get().reply(ok())];
    of_431_not "RFC 6585 section 5" => [get().reply(fresh(431)), get().reply(ok())];
    of_511_not "RFC 6585 section 6" => [get().reply(fresh(511)), get().reply(ok())];
    of_400_to_a_range_not "RFC 9111 section 3" => [get().with("range", "bytes=x").reply(fresh(400)), get().reply(ok())];
    of_304_not "RFC 9111 section 4.3.4" => [
        get().with("if-none-match", "\"v1\"").reply(fresh(304)).status(304),
        get().reply(ok()),
    ];
    an_informational_one_is_not_the_answer "RFC 9110 section 15.2" => [
        get().reply(fresh(200).after("HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n")),
        get(),
    ];
    two_informational_ones_are_not_the_answer "RFC 9110 section 15.2" => [
        get().reply(fresh(200).after(
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\ncache-control: no-store\r\n\r\n",
        )),
        get(),
    ];
    an_answer_without_date_gets_one "RFC 9110 section 6.6.1" => [
        get().reply(raw("HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 2\r\n\r\nhi")).text("hi"),
        get().text("hi").age(0..=10),
    ];
    a_reason_of_ones_own_does_no_harm "RFC 9112 section 4" => [
        get().reply(raw("HTTP/1.1 200 Fine by me\r\ncache-control: max-age=60\r\ncontent-length: 2\r\n\r\nhi")).text("hi"),
        get().text("hi"),
    ];
    an_answer_of_http_1_0_is_stored "RFC 9111 section 3" => [
        get().reply(raw("HTTP/1.0 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 2\r\n\r\nhi")).text("hi"),
        get().text("hi"),
    ];
}
